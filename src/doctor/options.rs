//! Options that endanger data or people.

use std::net::{IpAddr, Ipv4Addr};

use config::{Config, Durability, Listen, RegistrationMode, Secret};

use crate::{Finding, wire::Target};

/// The shortest secret that nobody guesses, in characters: 16 random letters and digits are 95 bits.
const SECRET_LENGTH: usize = 16;

/// Words of which the secrets in examples are made.
const EXAMPLES: [&str; 9] = [
    "changeme",
    "change_me",
    "example",
    "default",
    "password",
    "secret",
    "test",
    "myelin",
    "123456",
];

pub(crate) fn look(config: &Config, url: &str) -> Vec<Finding> {
    let mut findings = vec![
        server_name(config),
        public_url(url),
        durability(config),
        registration(config),
        trusted_proxies(config),
    ];
    findings.extend(secrets(config));
    findings.extend(plain_listeners(config));
    if !config.rate_limits.enabled {
        findings.push(Finding::bad(
            "options.rate_limits",
            "rate_limits.enabled is false: passwords can be guessed as fast as the machine computes",
            "Remove the line; limits of one kind can be raised by themselves.",
        ));
    }
    findings
}

fn server_name(config: &Config) -> Finding {
    let name = &config.server_name;
    if name.host() == "localhost" || name.is_ip_literal() {
        return Finding::warn(
            "options.server_name",
            format!("server_name is `{name}`, and so user ids end in :{name}"),
            "Choose a domain that you will keep, before people register: the name can never change.",
        );
    }
    Finding::ok("options.server_name", format!("user ids end in :{name}"))
}

fn public_url(url: &str) -> Finding {
    const CHECK: &str = "options.public_base_url";
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return Finding::bad(CHECK, error, "Write it as https://matrix.example.org."),
    };
    let loopback = target.host == "localhost"
        || target
            .host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    match (target.is_tls, loopback) {
        (_, true) => Finding::warn(
            CHECK,
            format!("{url} is for this machine alone"),
            "Set public_base_url to the address that clients use, such as https://matrix.example.org.",
        ),
        (true, false) => Finding::ok(CHECK, url),
        (false, false) => Finding::bad(
            CHECK,
            format!("{url} is not encrypted: passwords can be read on the way"),
            "Put a reverse proxy with TLS in front (config/Caddyfile, config/nginx.conf), or set tls.listen \
             and tls.acme_domains, and write https://.",
        ),
    }
}

fn durability(config: &Config) -> Finding {
    const CHECK: &str = "options.durability";
    const FIX: &str = "Remove storage.durability: the default is `fsync`.";
    match config.storage.durability {
        Durability::Fsync => Finding::ok(CHECK, "what is acknowledged is on the disk"),
        Durability::Interval => Finding::warn(
            CHECK,
            format!(
                "a power failure loses the last {} ms, acknowledged messages among them",
                config.storage.interval_ms
            ),
            FIX,
        ),
        Durability::Os => Finding::bad(
            CHECK,
            "a power failure loses what the operating system had not written, up to half a minute",
            FIX,
        ),
    }
}

fn registration(config: &Config) -> Finding {
    const CHECK: &str = "options.registration";
    match config.registration.mode {
        RegistrationMode::Open => Finding::bad(
            CHECK,
            "anybody can make any number of accounts, with no token and no captcha",
            "Set registration.mode to \"token\", and invite people with `myelin admin token create`.",
        ),
        _ if config.registration.guests => Finding::warn(
            CHECK,
            "anybody can be a guest",
            "Remove registration.guests, unless you have rooms for guests.",
        ),
        RegistrationMode::Token => Finding::ok(CHECK, "with a token"),
        RegistrationMode::Closed => Finding::ok(CHECK, "closed"),
    }
}

fn trusted_proxies(config: &Config) -> Finding {
    const CHECK: &str = "options.trusted_proxies";
    // Addresses of RFC 5737, which are nobody's.
    let strangers = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 1)];
    let trusts = |address: &Ipv4Addr| {
        let mut networks = config.trusted_proxies.iter();
        networks.any(|network| network.contains(IpAddr::V4(*address)))
    };
    if strangers.iter().all(trusts) {
        return Finding::bad(
            CHECK,
            "everybody is a trusted proxy: whoever sends X-Forwarded-For chooses the address that limits count",
            "Name the proxies' own addresses only.",
        );
    }
    Finding::ok(CHECK, "not everybody")
}

fn secrets(config: &Config) -> Vec<Finding> {
    let jwt = (config.jwt.enabled && config.jwt.algorithm == config::JwtAlgorithm::HS256)
        .then_some(config.jwt.key.as_ref())
        .flatten();
    let secrets = [
        (
            "registration.shared_secret",
            config.registration.shared_secret.as_ref(),
        ),
        ("jwt.key", jwt),
        (
            "calls.turn_shared_secret",
            config.calls.turn_shared_secret.as_ref(),
        ),
    ];
    secrets
        .into_iter()
        .filter_map(|(key, secret)| Some(self::secret(key, secret?)))
        .collect()
}

fn secret(key: &str, secret: &Secret) -> Finding {
    const CHECK: &str = "options.secrets";
    let text = secret.expose().to_ascii_lowercase();
    let fix = "Make one with `openssl rand -base64 32`.";
    if text.chars().count() < SECRET_LENGTH {
        let seen = format!("{key} has fewer than {SECRET_LENGTH} characters");
        return Finding::bad(CHECK, seen, fix);
    }
    if EXAMPLES.iter().any(|example| text.contains(example)) {
        let seen = format!("{key} looks like one of an example");
        return Finding::bad(CHECK, seen, fix);
    }
    Finding::ok(CHECK, format!("{key} is long enough"))
}

/// Plain HTTP for more than this machine.
fn plain_listeners(config: &Config) -> Vec<Finding> {
    let open = config.listen.iter().filter(|listen| match listen {
        Listen::Unix(_) => false,
        Listen::Tcp(address) => {
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            let host = host.trim_matches(['[', ']']);
            host != "localhost" && !host.parse().is_ok_and(|it: IpAddr| it.is_loopback())
        }
    });
    open.map(|listen| {
        Finding::warn(
            "options.listen",
            format!("plain HTTP on {listen} can be reached from other machines"),
            "Listen on 127.0.0.1 or a Unix socket, unless only the proxy can reach this address, as in a container.",
        )
    })
    .collect()
}
