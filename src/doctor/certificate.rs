//! The certificate that the server gets by ACME: whether there is one, and how its renewal goes.

use acme::{Attempt, Kept};
use config::{Config, Listen};
use tls::Facts;

use crate::Finding;

const CHECK: &str = "tls.acme";

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The port that authorities look at: [RFC 8737, 3](https://www.rfc-editor.org/rfc/rfc8737#section-3).
const PORT: &str = ":443";

/// What to do where an authority was not satisfied.
const FIX: &str = "Each of tls.acme_domains has to resolve to this machine, and port 443 to lead to tls.listen, through \
                   firewall and router and with no proxy that speaks TLS in between. The server tries again by itself; \
                   `kill -HUP` (systemctl reload myelin) at once.";

/// Looks at what the server has kept; nothing if it gets no certificate itself.
pub(crate) fn look(config: &Config, now_ms: u64) -> Vec<Finding> {
    if !config.tls.has_acme() {
        return Vec::new();
    }
    let kept = Kept::of(&config.data_dir);
    let attempt = kept.state().attempt;
    let attempt = attempt.filter(|it| it.domains == config.tls.acme_domains);
    let found = match kept.certificate() {
        Ok(certificate) => {
            let facts = certificate.map(|it| it.facts);
            standing(facts.as_ref(), attempt.as_ref(), now_ms)
        }
        Err(error) => Finding::bad(
            CHECK,
            error,
            "Run this as the server's own user or as root; if it is, restart the server, which asks for a new certificate.",
        ),
    };
    let mut findings = vec![found];
    findings.extend(port(&config.tls.listen));
    findings
}

fn standing(facts: Option<&Facts>, attempt: Option<&Attempt>, now_ms: u64) -> Finding {
    let why = attempt.map(|it| {
        let hours = it.not_before_ms.saturating_sub(now_ms).div_ceil(HOUR_MS);
        let failures = it.failures;
        let failure = &it.failure;
        format!("{failures} attempts have failed: {failure}; the next is within {hours} h")
    });
    let days = facts.map(|it| it.not_after_ms.saturating_sub(now_ms) / DAY_MS);
    match (facts, why) {
        (None, None) => Finding::bad(
            CHECK,
            "there is no certificate yet, and none was asked for",
            "Start the server, and read its log.",
        ),
        (None, Some(why)) => {
            Finding::bad(CHECK, format!("there is no certificate yet: {why}"), FIX)
        }
        (Some(facts), why) if facts.not_after_ms <= now_ms => {
            let why = why.unwrap_or_else(|| "the server has not asked for another".to_owned());
            Finding::bad(CHECK, format!("the certificate has expired; {why}"), FIX)
        }
        (Some(_), Some(why)) => {
            let seen = format!(
                "the certificate is good for {} days, but {why}",
                days.unwrap_or(0)
            );
            Finding::warn(CHECK, seen, FIX)
        }
        (Some(facts), None) => {
            let names = facts.names.join(" ");
            let days = days.unwrap_or(0);
            Finding::ok(
                CHECK,
                format!("for {names}, {days} days, and renewed by the server"),
            )
        }
    }
}

/// Whether an authority that looks at port 443 comes to us. A router may lead it elsewhere, and so may systemd.
fn port(listen: &[Listen]) -> Option<Finding> {
    if listen.is_empty() || listen.iter().any(|it| it.to_string().ends_with(PORT)) {
        return None;
    }
    Some(Finding::warn(
        "tls.acme_port",
        "authorities look at port 443, and tls.listen has another",
        "Add \"[::]:443\" to tls.listen, or let the router lead port 443 here.",
    ))
}

#[cfg(test)]
mod tests {
    use acme::Attempt;
    use config::Listen;
    use tls::Facts;

    use super::{DAY_MS, port, standing};
    use crate::Level::{Bad, Ok, Warn};

    #[test]
    fn each_standing_has_its_finding() {
        let now_ms = 100 * DAY_MS;
        let facts = |days: u64| Facts {
            names: vec!["example.org".to_owned()],
            issuer: "CN=Somebody".to_owned(),
            is_self_signed: false,
            not_before_ms: 0,
            not_after_ms: days * DAY_MS,
        };
        let attempt = Attempt {
            failures: 3,
            not_before_ms: now_ms + 1,
            failure: "connection refused".to_owned(),
            ..Attempt::default()
        };
        for (facts, attempt, level, words) in [
            (None, None, Bad, "none was asked for"),
            (None, Some(&attempt), Bad, "connection refused"),
            (Some(facts(99)), None, Bad, "expired"),
            (Some(facts(99)), Some(&attempt), Bad, "connection refused"),
            (Some(facts(120)), Some(&attempt), Warn, "20 days"),
            (Some(facts(160)), None, Ok, "60 days"),
        ] {
            let found = standing(facts.as_ref(), attempt, now_ms);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
            assert_eq!(found.fix.is_none(), level == Ok);
        }
    }

    #[test]
    fn another_port_than_443_is_told() {
        let listen = |text: &str| vec![text.parse::<Listen>().unwrap()];
        assert_eq!(port(&listen("[::]:443")), None);
        assert_eq!(port(&[]), None);
        assert_eq!(port(&listen("[::]:8448")).map(|it| it.level), Some(Warn));
    }
}
