//! The way to the server under its public name: the name, the addresses, the certificate, the clock.

use std::{io, net::IpAddr, net::SocketAddr, time::UNIX_EPOCH};

use rustls::{CertificateError, Error as TlsError};
use tls::Facts;

use crate::{
    Examination, Finding,
    wire::{Ask, Front, Handshake, Target},
};

/// The most addresses of a name that are tried.
const ADDRESSES: usize = 8;

const DAY_MS: u64 = 24 * 60 * 60_000;

/// Days before its end at which a certificate should have been renewed: those of Let's Encrypt are, 30 days before.
const RENEWED_DAYS: u64 = 21;

/// Days before its end at which somebody has to act.
const URGENT_DAYS: u64 = 7;

/// How wrong a clock may be, in milliseconds: dates of HTTP have whole seconds, and an answer takes time.
const SKEW_MS: u64 = 5_000;

/// How wrong a clock is when tokens and certificates fail, in milliseconds.
const WRONG_MS: u64 = 60_000;

/// The first address that answers, with what was found on the way to it.
pub(crate) async fn look(examination: &Examination) -> (Option<Front>, Vec<Finding>) {
    let Ok(target) = Target::parse(&examination.url()) else {
        // Told by the look at the options.
        return (None, Vec::new());
    };
    let mut findings = Vec::new();
    let addresses = match addresses(examination, &target).await {
        Ok(addresses) => addresses,
        Err(error) => {
            findings.push(Finding::bad(
                "dns",
                format!("{} does not resolve: {error}", target.host),
                "Add an A record (and AAAA, if the machine has IPv6) for it at the domain's name servers.",
            ));
            return (None, findings);
        }
    };
    if instead(examination, &target).is_none() {
        findings.push(resolved(&target, &addresses));
    }
    let front = first(examination, &target, addresses, &mut findings).await;
    if let Some(front) = &front
        && target.is_tls
    {
        findings.extend(certificate(examination, front).await);
    }
    (front, findings)
}

/// A front to `target`, without findings.
pub(crate) async fn front(examination: &Examination, target: Target) -> Result<Front, String> {
    let addresses = addresses(examination, &target)
        .await
        .map_err(|error| format!("{} does not resolve: {error}", target.host))?;
    let address = *addresses.first().ok_or("no address")?;
    Ok(Front {
        target,
        address,
        host: examination.host.clone(),
        roots: examination.roots.clone(),
    })
}

async fn addresses(examination: &Examination, target: &Target) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = instead(examination, target) {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await?;
    let mut addresses: Vec<_> = found.take(ADDRESSES).collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(io::Error::other("no address"));
    }
    Ok(addresses)
}

/// The address that was named in place of those of the name.
fn instead(examination: &Examination, target: &Target) -> Option<SocketAddr> {
    let mut named = examination.connect_to.iter();
    let named =
        named.find(|it| it.host.eq_ignore_ascii_case(&target.host) && it.port == target.port);
    Some(named?.address)
}

fn resolved(target: &Target, addresses: &[SocketAddr]) -> Finding {
    let list: Vec<_> = addresses.iter().map(|it| it.ip().to_string()).collect();
    let seen = format!("{} is {}", target.host, list.join(", "));
    let is_name = target.host != "localhost" && target.host.parse::<IpAddr>().is_err();
    if is_name && addresses.iter().all(|it| is_private(it.ip())) {
        return Finding::warn(
            "dns",
            seen,
            "These addresses cannot be reached from the internet; fine for a server within a network only.",
        );
    }
    Finding::ok("dns", seen)
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Tries each address.
async fn first(
    examination: &Examination,
    target: &Target,
    addresses: Vec<SocketAddr>,
    findings: &mut Vec<Finding>,
) -> Option<Front> {
    let (mut reached, mut failed) = (None, Vec::new());
    for address in addresses {
        let front = Front {
            target: target.clone(),
            address,
            host: examination.host.clone(),
            roots: examination.roots.clone(),
        };
        match front.connect().await {
            Ok(_) => {
                findings.push(Finding::ok("reach", format!("{address} answers")));
                reached.get_or_insert(front);
            }
            Err(error) => failed.push((address, error)),
        }
    }
    for (address, error) in failed {
        let seen = format!("{address} cannot be reached: {error}");
        findings.push(match (&reached, address) {
            (None, _) => Finding::bad(
                "reach",
                seen,
                "Is the proxy (or tls.listen) running, and does the firewall let this port through? Routers often do not \
                 lead from inside to their own public address; then run this elsewhere, or with --connect-to.",
            ),
            (Some(_), SocketAddr::V6(_)) => Finding::warn(
                "reach",
                seen,
                "Clients with IPv6 try this address first: listen on [::] as well, or remove the AAAA record.",
            ),
            (Some(_), SocketAddr::V4(_)) => Finding::bad(
                "reach",
                seen,
                "Clients without IPv6 have no other: listen on 0.0.0.0 as well, or correct the A record.",
            ),
        });
    }
    reached
}

async fn certificate(examination: &Examination, front: &Front) -> Vec<Finding> {
    match front.handshake().await {
        Ok(handshake) => judged(&handshake, &front.target.host, examination.host.now_ms()),
        Err(error) => vec![Finding::bad(
            "tls",
            format!("no TLS on port {}: {error}", front.target.port),
            "Is it another service's port, or plain HTTP? See config/nginx.conf and config/Caddyfile.",
        )],
    }
}

fn judged(handshake: &Handshake, host: &str, now_ms: u64) -> Vec<Finding> {
    let facts = handshake.chain.first().map(|der| Facts::of(der));
    let Some(Ok(facts)) = facts else {
        let seen = "the certificate cannot be read";
        return vec![Finding::bad("tls", seen, "Get another one.")];
    };
    let mut findings = vec![believed(handshake, &facts, host), ends(&facts, now_ms)];
    findings.push(if handshake.protocol.as_deref() == Some(b"h2") {
        Finding::ok("tls.http2", "HTTP/2 is spoken")
    } else {
        Finding::warn(
            "tls.http2",
            "HTTP/2 is not spoken: browsers make at most six requests at a time",
            "nginx: `listen 443 ssl http2;`. Caddy and tls.listen speak it by themselves.",
        )
    });
    findings
}

fn believed(handshake: &Handshake, facts: &Facts, host: &str) -> Finding {
    const CHECK: &str = "tls.certificate";
    let Err(error) = &handshake.verdict else {
        let seen = format!("for {}, by {}", facts.names.join(" "), facts.issuer);
        return Finding::ok(CHECK, seen);
    };
    if !facts.covers(host) {
        return Finding::bad(
            CHECK,
            format!("it is for {}, not for {host}", facts.names.join(" ")),
            format!("Get a certificate for {host}, and name it where TLS ends."),
        );
    }
    if facts.is_self_signed {
        return Finding::bad(
            CHECK,
            "it is signed by itself: clients do not believe it",
            "Get one from a certificate authority, for nothing from Let's Encrypt (tls.acme_domains, certbot, or Caddy by itself).",
        );
    }
    if let TlsError::InvalidCertificate(
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. },
    ) = error
    {
        let seen = "it is not valid now";
        return Finding::bad(CHECK, seen, "Renew it, or set this machine's clock.");
    }
    if handshake.chain.len() == 1 {
        return Finding::bad(
            CHECK,
            format!(
                "its issuer, {}, is not known, and no certificate in between was sent",
                facts.issuer
            ),
            "Name the file with the whole chain (certbot: fullchain.pem, not cert.pem). Browsers mend this, phones do not.",
        );
    }
    let seen = format!("it is not believed: {error}");
    Finding::bad(
        CHECK,
        seen,
        "Get one from a certificate authority that systems know.",
    )
}

fn ends(facts: &Facts, now_ms: u64) -> Finding {
    const CHECK: &str = "tls.days_left";
    const FIX: &str = "Renew it, and see why nobody did: `systemctl list-timers`, the log of certbot, of Caddy, or (tls.acme_domains) of this server.";
    let left = facts.not_after_ms.saturating_sub(now_ms) / DAY_MS;
    if facts.not_after_ms <= now_ms {
        let ago = (now_ms - facts.not_after_ms) / DAY_MS;
        Finding::bad(CHECK, format!("it has expired {ago} days ago"), FIX)
    } else if left < URGENT_DAYS {
        Finding::bad(CHECK, format!("{left} days"), FIX)
    } else if left < RENEWED_DAYS {
        Finding::warn(CHECK, format!("{left} days"), FIX)
    } else {
        Finding::ok(CHECK, format!("{left} days"))
    }
}

/// Our clock against that of the URL that was named or, as far as it is another machine's, of the server's front.
pub(crate) async fn clock(examination: &Examination, reached: Option<&Front>) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let (front, path) = match (&examination.clock, reached) {
        (Some(url), _) => {
            let target = match Target::parse(url) {
                Ok(target) => target,
                Err(error) => {
                    return vec![Finding::warn(CHECK, error, "Name a URL to compare with.")];
                }
            };
            let front = front(
                examination,
                Target {
                    prefix: String::new(),
                    ..target.clone()
                },
            )
            .await;
            let path = if target.prefix.is_empty() {
                "/".to_owned()
            } else {
                target.prefix
            };
            (front, path)
        }
        (None, Some(front)) => (Ok(front.clone()), "/_matrix/client/versions".to_owned()),
        (None, None) => return Vec::new(),
    };
    let reply = match front {
        Ok(front) => front.send(Ask::get(&path)).await,
        Err(error) => Err(error),
    };
    let date = reply.as_ref().ok().and_then(|reply| {
        let date = httpdate::parse_http_date(reply.all("date").first()?).ok()?;
        u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    });
    let Some(date) = date else {
        let why = reply.err().unwrap_or_else(|| "no Date header".to_owned());
        return vec![Finding::warn(
            CHECK,
            format!("nothing to compare our clock with: {why}"),
            "Name a web server that you trust: --clock https://example.org.",
        )];
    };
    vec![skew(examination.host.now_ms().abs_diff(date))]
}

fn skew(ms: u64) -> Finding {
    const CHECK: &str = "clock";
    const FIX: &str = "Let the machine set its clock: `timedatectl set-ntp true`, or chrony.";
    let seen = format!("{} s apart", ms / 1_000);
    if ms > WRONG_MS {
        Finding::bad(CHECK, seen, FIX)
    } else if ms > SKEW_MS {
        Finding::warn(CHECK, seen, FIX)
    } else {
        Finding::ok(CHECK, "right to a few seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, ends, is_private, resolved, skew};
    use crate::{
        Level::{Bad, Ok, Warn},
        wire::Target,
    };

    #[test]
    fn days_are_counted() {
        let facts = tls::Facts {
            names: Vec::new(),
            issuer: String::new(),
            is_self_signed: false,
            not_before_ms: 0,
            not_after_ms: 100 * DAY_MS,
        };
        for (day, expected) in [
            (0, Ok),
            (78, Ok),
            (80, Warn),
            (94, Bad),
            (100, Bad),
            (200, Bad),
        ] {
            assert_eq!(ends(&facts, day * DAY_MS).level, expected, "day {day}");
        }
        assert!(ends(&facts, 103 * DAY_MS).seen.contains("3 days ago"));
    }

    #[test]
    fn clocks_are_compared() {
        for (ms, expected) in [(900, Ok), (20_000, Warn), (3_600_000, Bad)] {
            assert_eq!(skew(ms).level, expected, "{ms}");
        }
    }

    #[test]
    fn addresses_are_public_or_not() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:192.168.0.1", true),
            ("9.9.9.9", false),
            ("2620:fe::fe", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
        let target = Target::parse("https://matrix.example.org/x/").unwrap();
        assert_eq!((target.port, target.prefix.as_str()), (443, "/x"));
        let inside = resolved(&target, &["10.0.0.1:443".parse().unwrap()]);
        assert_eq!(inside.level, Warn);
        let outside = resolved(&target, &["9.9.9.9:443".parse().unwrap()]);
        assert_eq!(outside.level, Ok);
        assert!(Target::parse("ftp://example.org").is_err());
        assert!(Target::parse("example.org").is_err());
    }
}
