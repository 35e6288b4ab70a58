//! Sees to it that there is a certificate: asks for one when it is time, keeps it, shows it.

use std::{sync::Arc, time::Duration};

use host::{Host, Shutdown};
use tls::{Certificate, Certificates, Standing};
use tokio::{sync::Notify, time::sleep};

use crate::{Attempt, Authority, Kept, Order, Refusal, State, schedule};

/// The longest sleep: the wall clock may be set, and a machine may be suspended.
const LOOK_MS: u64 = 10 * 60_000;

/// What an attempt is said to have failed of until it has ended.
const UNFINISHED: &str = "the server stopped before it ended";

/// Keeps a certificate for some names in force.
pub struct Keeper<A> {
    order: Order,
    authority: A,
    kept: Kept,
    state: State,
    certificates: Arc<Certificates>,
    /// When the certificate in force is to be renewed; 0 if there is none or it is not the right one.
    due_ms: u64,
    /// Somebody wants it tried now.
    is_asked: bool,
    host: Host,
}

impl<A: Authority> Keeper<A> {
    /// Shows the certificate that is kept, if there is one. Asks nobody.
    pub fn open(
        order: Order,
        authority: A,
        kept: Kept,
        certificates: Arc<Certificates>,
        host: Host,
    ) -> Self {
        let state = kept.state();
        let mut keeper = Self {
            order,
            authority,
            kept,
            state,
            certificates,
            due_ms: 0,
            is_asked: false,
            host,
        };
        match keeper.kept.certificate() {
            Ok(Some(certificate)) => keeper.show(&certificate),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                cause = error,
                "the certificate that was kept cannot be used"
            ),
        }
        keeper.tell();
        keeper.announce();
        keeper
    }

    /// Asks when it is time, for as long as the server runs; `asked` brings an attempt forward.
    pub async fn run(mut self, asked: Arc<Notify>, shutdown: Shutdown) {
        loop {
            let pause = tokio::select! {
                pause = self.look() => pause,
                // The attempt is on the disk as one that did not end.
                () = shutdown.wait() => return,
            };
            tokio::select! {
                () = shutdown.wait() => return,
                () = sleep(pause) => {}
                () = asked.notified() => self.is_asked = true,
            }
        }
    }

    /// Asks if it is time; gives how long to wait before the next look.
    pub(crate) async fn look(&mut self) -> Duration {
        let now_ms = self.host.now_ms();
        let is_asked = std::mem::take(&mut self.is_asked);
        if self.next_ms(is_asked, now_ms) <= now_ms {
            self.attempt(now_ms).await;
        } else if is_asked {
            let standing = self.certificates.renewals.standing();
            let minutes = standing.map_or(0, |it| it.next_ms.saturating_sub(now_ms) / 60_000);
            tracing::info!(next_in_minutes = minutes, "no certificate is asked for yet");
        }
        let now_ms = self.host.now_ms();
        let pause = self.next_ms(false, now_ms).saturating_sub(now_ms);
        // A clock that was set back by a year does not make us wait for one; and never a loop without a pause.
        Duration::from_millis(pause.clamp(1, LOOK_MS))
    }

    /// When to ask next, in milliseconds since the Unix epoch.
    fn next_ms(&self, is_asked: bool, now_ms: u64) -> u64 {
        let Some(attempt) = self.last_attempt(now_ms) else {
            return self.due_ms;
        };
        let not_before_ms = if is_asked && !attempt.is_their_word {
            attempt.began_ms + schedule::LEAST_PAUSE
        } else {
            attempt.not_before_ms
        };
        self.due_ms.max(not_before_ms)
    }

    /// The attempt that failed last, if it was one for the same and by this clock.
    fn last_attempt(&self, now_ms: u64) -> Option<&Attempt> {
        self.state.attempt.as_ref().filter(|it| {
            it.directory == self.order.directory
                && it.domains == self.order.domains
                && it.began_ms <= now_ms
        })
    }

    /// Asks for a certificate. That it was asked for is on the disk before, as a failure: whoever kills and starts the
    /// server in a loop does not hammer at the authority.
    async fn attempt(&mut self, now_ms: u64) {
        let failures = self.last_attempt(now_ms).map_or(0, |it| it.failures);
        self.fail(failures.saturating_add(1), now_ms, UNFINISHED, None);
        if let Err(error) = self.kept.keep_state(&self.state) {
            let reason = format!("nothing was asked for, since nothing could be kept: {error}");
            self.failed(now_ms, &reason, None);
            return;
        }
        let domains = self.order.domains.join(" ");
        tracing::info!(
            domains,
            directory = self.order.directory,
            "a certificate is asked for"
        );
        let challenges = self.certificates.challenges();
        let issued = self.authority.issue(&self.order, challenges).await;
        let kept = issued.and_then(|issued| {
            let wrong = |reason: String| Refusal {
                reason,
                pause_ms: None,
            };
            let certificate = Certificate::from_pem(issued.chain.as_bytes(), issued.key.as_bytes());
            let certificate = certificate.map_err(|error| {
                wrong(format!(
                    "the authority's certificate cannot be used: {error}"
                ))
            })?;
            let kept = self.kept.keep_certificate(&issued.chain, &issued.key);
            Ok((certificate, kept))
        });
        match kept {
            Ok((certificate, kept)) => self.succeeded(&certificate, now_ms, kept.err()),
            Err(refusal) => self.failed(now_ms, &refusal.reason, refusal.pause_ms),
        }
    }

    fn succeeded(
        &mut self,
        certificate: &Certificate,
        began_ms: u64,
        unkept: Option<crate::AcmeError>,
    ) {
        self.state.issued_by = Some(self.order.directory.clone());
        self.show(certificate);
        self.certificates.renewals.succeeded.increment();
        let facts = &certificate.facts;
        tracing::info!(
            names = facts.names.join(" "),
            issuer = facts.issuer,
            days = facts.not_after_ms.saturating_sub(began_ms) / 86_400_000,
            "a new certificate is in force"
        );
        if let Some(error) = unkept {
            // It is in force, and lost with the next restart.
            self.failed(
                began_ms,
                &format!("the new certificate cannot be kept: {error}"),
                None,
            );
        } else if self.due_ms <= self.host.now_ms() {
            let reason = "the new certificate is due again at once: is this machine's clock right, and is it for all names?";
            self.failed(began_ms, reason, None);
        } else {
            self.state.attempt = None;
            self.keep_state();
            self.tell();
        }
    }

    /// An attempt has failed: in the log, in the figures and on the disk.
    fn failed(&mut self, began_ms: u64, reason: &str, pause_ms: Option<u64>) {
        let failures = self.state.attempt.as_ref().map_or(1, |it| it.failures);
        self.fail(failures, began_ms, reason, pause_ms);
        self.keep_state();
        self.certificates.renewals.failed.increment();
        self.tell();
        let next_ms = self.next_ms(false, began_ms);
        let minutes = next_ms.saturating_sub(self.host.now_ms()) / 60_000;
        let meanwhile = match self.certificates.facts() {
            Some(_) => "there is no new certificate; the one before stays in force",
            None => "there is no certificate yet; TLS clients are turned away",
        };
        tracing::warn!(
            cause = reason,
            failures,
            next_in_minutes = minutes,
            "{meanwhile}"
        );
    }

    fn fail(&mut self, failures: u32, began_ms: u64, reason: &str, pause_ms: Option<u64>) {
        let now_ms = self.host.now_ms();
        let facts = self.certificates.facts();
        let in_force = facts.filter(|it| it.not_after_ms > now_ms);
        let lifetime = in_force.map(|it| it.not_after_ms.saturating_sub(it.not_before_ms));
        let ours = schedule::pause(failures, lifetime, self.chance());
        let theirs = pause_ms.map(schedule::theirs).filter(|it| *it > ours);
        self.state.attempt = Some(Attempt {
            directory: self.order.directory.clone(),
            domains: self.order.domains.clone(),
            began_ms,
            failures,
            not_before_ms: now_ms.saturating_add(theirs.unwrap_or(ours)),
            is_their_word: theirs.is_some(),
            failure: reason.to_owned(),
        });
    }

    /// Shows a certificate, and sees when it is to be renewed.
    fn show(&mut self, certificate: &Certificate) {
        self.certificates.replace(certificate);
        let facts = &certificate.facts;
        let is_ours = self.order.domains.iter().all(|it| facts.covers(it))
            && self
                .state
                .issued_by
                .as_ref()
                .is_none_or(|it| *it == self.order.directory);
        self.due_ms = if is_ours {
            schedule::renewal(facts, self.chance())
        } else {
            0
        };
    }

    fn keep_state(&self) {
        if let Err(error) = self.kept.keep_state(&self.state) {
            tracing::error!(cause = %error, "how the attempt went cannot be kept");
        }
    }

    /// Tells those who look after the server.
    fn tell(&self) {
        let now_ms = self.host.now_ms();
        let attempt = self.last_attempt(now_ms);
        self.certificates.renewals.stands(Standing {
            failure: attempt.map(|it| it.failure.clone()),
            next_ms: self.next_ms(false, now_ms).max(now_ms),
        });
    }

    /// Says at the start what is waited for.
    fn announce(&self) {
        let now_ms = self.host.now_ms();
        let domains = self.order.domains.join(" ");
        let next = self.next_ms(false, now_ms).saturating_sub(now_ms) / 60_000;
        let attempt = self.last_attempt(now_ms);
        let last = attempt.map_or("none has failed", |it| it.failure.as_str());
        match self.certificates.facts() {
            None => tracing::warn!(
                domains,
                directory = self.order.directory,
                next_in_minutes = next,
                last_failure = last,
                "there is no certificate yet: TLS clients are turned away until the authority has seen port 443 of each \
                 domain"
            ),
            Some(facts) if facts.not_after_ms <= now_ms => tracing::warn!(
                domains,
                next_in_minutes = next,
                last_failure = last,
                "the certificate has expired, and is in force until there is a new one"
            ),
            Some(facts) => tracing::info!(
                names = facts.names.join(" "),
                days = (facts.not_after_ms - now_ms) / 86_400_000,
                renewed_in_days = next / 1_440,
                "the certificate that was kept is in force"
            ),
        }
    }

    fn chance(&self) -> u64 {
        u64::from_le_bytes(self.host.random_bytes())
    }
}
