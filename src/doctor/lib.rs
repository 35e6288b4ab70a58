//! `myelin doctor`: whether a server is set up so that people can use it and nothing is lost; each finding with its fix.
//!
//! Three kinds of looks, from the inside out: at the options ([`options`]), at the machine ([`machine`]), and at the
//! server from where its clients stand: under its public name, through whatever proxies there are ([`reach`], [`proxy`],
//! [`clients`]). Findings are data; whoever asked prints them. Asks nobody but the addresses of the options, unless a
//! clock is named to compare with.

use std::{net::SocketAddr, time::Duration};

use config::Config;
use host::Host;
use rustls::pki_types::CertificateDer;
use serde::Serialize;

mod certificate;
mod clients;
mod machine;
mod options;
mod proxy;
mod reach;
mod wire;

/// How bad it is. The numbers are exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not well or not for everybody; or nobody could look.
    Warn,
    /// Something does not work, or something will be lost.
    Bad,
}

/// What one look has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `proxy.path`. Stable, for programs.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub seen: String,
    /// What to do about it, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            seen: seen.into(),
            fix: None,
        }
    }

    fn warn(check: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Warn,
            seen: seen.into(),
            fix: Some(fix.into()),
        }
    }

    fn bad(check: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level: Level::Bad,
            ..Self::warn(check, seen, fix)
        }
    }
}

/// What the running server says of itself to its owner.
#[derive(Clone, Debug)]
pub struct Inside {
    /// The key for the endpoint that tells how requests arrive.
    pub key: String,
    /// The most files that it may have open; none if there is no limit.
    pub open_files: Option<u64>,
}

/// Another address than the one that a name resolves to, as curl has it: for a name that is not in the DNS yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// The host of the URL.
    pub host: String,
    /// The port of the URL.
    pub port: u16,
    /// Where to connect instead.
    pub address: SocketAddr,
}

/// What to examine.
pub struct Examination {
    /// The options.
    pub config: Config,
    /// The URL that clients use; otherwise that of the options.
    pub url: Option<String>,
    /// Addresses in place of those that names resolve to.
    pub connect_to: Vec<ConnectTo>,
    /// How long a request waits that finds out how long requests may; none does if it is zero.
    pub long_poll: Duration,
    /// A URL whose `Date` is compared with our clock.
    pub clock: Option<String>,
    /// Certificate authorities to believe besides the system's.
    pub roots: Vec<CertificateDer<'static>>,
    /// Clock, dice and tasks.
    pub host: Host,
}

impl Examination {
    /// Longer than the 30 seconds for which clients ask `/sync` to wait.
    pub const LONG_POLL: Duration = Duration::from_secs(35);

    /// An examination of the server with these options, all of it.
    pub fn new(config: Config, host: Host) -> Self {
        Self {
            config,
            url: None,
            connect_to: Vec::new(),
            long_poll: Self::LONG_POLL,
            clock: None,
            roots: Vec::new(),
            host,
        }
    }

    /// Looks at everything. `inside` is what the running server said, or why it said nothing. `tell` hears of each
    /// finding as soon as there is one.
    pub async fn run(
        &self,
        inside: Result<Inside, String>,
        tell: &(dyn Fn(&Finding) + Sync),
    ) -> Report {
        let mut report = Report {
            url: self.url(),
            level: Level::Ok,
            findings: Vec::new(),
        };
        report.add(options::look(&self.config, &self.url()), tell);
        let open_files = inside.as_ref().ok().and_then(|inside| inside.open_files);
        report.add(machine::look(&self.config, open_files).await, tell);
        let now_ms = self.host.now_ms();
        report.add(certificate::look(&self.config, now_ms), tell);
        let key = match inside {
            Ok(inside) => {
                report.add(vec![Finding::ok("server", "runs here")], tell);
                Some(inside.key)
            }
            Err(why) => {
                let fix = "Start it, and run this as its own user or as root: what proxies do to requests can only be seen from inside.";
                report.add(vec![Finding::warn("server", why, fix)], tell);
                None
            }
        };
        let (front, findings) = reach::look(self).await;
        report.add(findings, tell);
        report.add(reach::clock(self, front.as_ref()).await, tell);
        if let Some(front) = front {
            report.add(clients::look(self, &front).await, tell);
            if let Some(key) = key {
                proxy::look(self, &front, &key, &mut |finding| {
                    report.add(vec![finding], tell);
                })
                .await;
            }
        }
        report
    }

    /// The URL that clients use, without a slash at its end.
    fn url(&self) -> String {
        let url = self.url.clone().unwrap_or_else(|| self.config.base_url());
        url.trim_end_matches('/').to_owned()
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The URL that clients use.
    pub url: String,
    /// The worst of the findings.
    pub level: Level,
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, findings: Vec<Finding>, tell: &(dyn Fn(&Finding) + Sync)) {
        for finding in findings {
            tell(&finding);
            self.level = self.level.max(finding.level);
            self.findings.push(finding);
        }
    }

    /// 0 if all is well, 1 if something could be better, 2 if something is bad.
    pub fn exit_code(&self) -> u8 {
        match self.level {
            Level::Ok => 0,
            Level::Warn => 1,
            Level::Bad => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Level, Report};

    #[test]
    fn the_worst_finding_decides() {
        let mut report = Report {
            url: String::new(),
            level: Level::Ok,
            findings: Vec::new(),
        };
        assert_eq!(report.exit_code(), 0);
        for (finding, code) in [
            (Finding::ok("a", ""), 0),
            (Finding::warn("b", "", ""), 1),
            (Finding::bad("c", "", ""), 2),
            (Finding::ok("d", ""), 2),
        ] {
            report.add(vec![finding], &|_| {});
            assert_eq!(report.exit_code(), code);
        }
        assert_eq!(report.findings.len(), 4);
    }
}
