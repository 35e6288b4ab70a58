//! What the proxies in front do to requests, told by the server: it answers a request with how it arrived.

use std::{net::IpAddr, time::Duration};

use config::Network;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::{
    Examination, Finding, Level,
    wire::{Ask, Front, Reply},
};

/// An address of RFC 5737, which is nobody's, for a client that lies.
const LIE: &str = "192.0.2.77";

/// A header that belongs to one connection: a proxy never passes it on.
const CONNECTION: &str = "keep-alive, x-myelin-doctor";

/// What clients put there.
const AUTHORIZATION: &str = "Bearer doctor";

/// Pieces of paths as they occur: aliases and state keys with slashes, spaces, percent signs; and how bad it is if one
/// does not arrive. Nothing of clients has a double slash but an empty state key.
const PATHS: [(&str, &str, Level); 6] = [
    ("an encoded slash", "x%2Fy", Level::Bad),
    (
        "an encoded room alias",
        "%23room%2Fone%3Aexample.org/x",
        Level::Bad,
    ),
    ("an encoded percent sign", "50%2525%20off", Level::Bad),
    ("an encoded way up", "x%2F..%2Fy", Level::Bad),
    ("signs", "x+y~'()$!", Level::Bad),
    ("a double slash", "x//y", Level::Warn),
];

/// How long the body of an answer pauses in the middle, in milliseconds.
const PAUSE_MS: u64 = 1_500;

/// How long the largest upload may take.
const UPLOAD: Duration = Duration::from_mins(2);

/// How a request arrived.
#[derive(Debug, Deserialize)]
struct Arrived {
    path: String,
    headers: Vec<(String, String)>,
    peer: Option<String>,
    body_bytes: u64,
}

impl Arrived {
    /// All values of a header, in one list.
    fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.iter().filter(|(it, _)| it == name);
        let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// Sends what clients send and tells what arrived.
pub(crate) async fn look(
    examination: &Examination,
    front: &Front,
    key: &str,
    tell: &mut (dyn FnMut(Finding) + Send),
) {
    let base = format!("/_matrix/client/unstable/org.myelin.doctor/{key}");
    let headers = [
        ("authorization", AUTHORIZATION),
        ("x-forwarded-for", LIE),
        ("connection", CONNECTION),
    ];
    let path = format!("{base}/arrived");
    let ask = Ask {
        headers: &headers,
        ..Ask::get(&path)
    };
    let arrived = match front.send(ask).await.and_then(|reply| arrived(&reply)) {
        Ok(arrived) => arrived,
        Err(error) => {
            tell(Finding::bad(
                "proxy",
                format!(
                    "{} leads elsewhere than to the server that runs here: {error}",
                    examination.url()
                ),
                "Does the proxy pass /_matrix on to this server? Is there another one with the same name?",
            ));
            return;
        }
    };
    let is_behind = arrived.header("connection").as_deref() != Some(CONNECTION);
    tell(if is_behind {
        Finding::ok("proxy", "there is a proxy in front")
    } else {
        Finding::ok("proxy", "there is none in front")
    });
    tell(authorization(&arrived));
    if is_behind {
        tell(forwarded_for(&arrived, &examination.config.trusted_proxies));
        tell(forwarded_proto(&arrived, front.target.is_tls));
    }
    tell(paths(front, &base).await);
    tell(body(examination, front, &base).await);
    tell(buffering(front, &base).await);
    if !examination.long_poll.is_zero() {
        tell(long_poll(examination.long_poll, front, &base).await);
    }
}

fn arrived(reply: &Reply) -> Result<Arrived, String> {
    if reply.status != StatusCode::OK {
        return Err(format!("it answers {}", reply.status));
    }
    serde_json::from_slice(&reply.body).map_err(|_| "it answers something else".to_owned())
}

fn authorization(arrived: &Arrived) -> Finding {
    const CHECK: &str = "proxy.authorization";
    if arrived.header("authorization").as_deref() == Some(AUTHORIZATION) {
        return Finding::ok(CHECK, "the Authorization header arrives");
    }
    Finding::bad(
        CHECK,
        "the Authorization header does not arrive: nobody can stay logged in",
        "Let the proxy pass it on (nginx: no `proxy_set_header Authorization`; Apache: no AuthType on this path).",
    )
}

fn forwarded_for(arrived: &Arrived, trusted: &[Network]) -> Finding {
    const CHECK: &str = "proxy.forwarded_for";
    let peer = arrived.peer.as_deref().unwrap_or("unknown");
    let Some(list) = arrived.header("x-forwarded-for") else {
        return Finding::bad(
            CHECK,
            "X-Forwarded-For does not arrive: all clients look like one, and share its limits",
            "nginx: `proxy_set_header X-Forwarded-For $remote_addr;`. Caddy sends it by itself.",
        );
    };
    let last = list.rsplit(',').next().unwrap_or_default().trim();
    if last == LIE {
        return Finding::bad(
            CHECK,
            "what clients write into X-Forwarded-For is believed: they choose the address that limits count",
            "nginx: `proxy_set_header X-Forwarded-For $remote_addr;`.",
        );
    }
    // Not by who is taken for the client: seen from this machine, that may be the proxy's own address.
    let is_stranger = peer
        .parse()
        .is_ok_and(|peer: IpAddr| !trusted.iter().any(|network| network.contains(peer)));
    if is_stranger {
        return Finding::bad(
            CHECK,
            format!(
                "X-Forwarded-For arrives, but from {peer}, which is not in trusted_proxies: all clients look like one"
            ),
            format!("Add \"{peer}\" to trusted_proxies."),
        );
    }
    Finding::ok(CHECK, format!("the client's address arrives: {last}"))
}

fn forwarded_proto(arrived: &Arrived, is_tls: bool) -> Finding {
    const CHECK: &str = "proxy.forwarded_proto";
    let expected = if is_tls { "https" } else { "http" };
    match arrived.header("x-forwarded-proto").as_deref() {
        Some(proto) if proto == expected => Finding::ok(CHECK, format!("{proto} arrives")),
        // This server does not ask for it: it writes absolute URLs from public_base_url.
        seen => Finding::ok(
            CHECK,
            format!(
                "{} arrives; nothing here needs it",
                seen.unwrap_or("nothing")
            ),
        ),
    }
}

async fn paths(front: &Front, base: &str) -> Finding {
    const CHECK: &str = "proxy.path";
    let (mut wrong, mut worst) = (Vec::new(), Level::Ok);
    for (what, piece, level) in PATHS {
        let path = format!("{base}/{piece}");
        let sent = format!("{}{path}", front.target.prefix);
        let reply = front.send(Ask::get(&path)).await;
        match reply.and_then(|reply| arrived(&reply)) {
            // A prefix is taken away by the proxy.
            Ok(arrived) if arrived.path == path || arrived.path == sent => continue,
            Ok(arrived) => {
                let seen = arrived.path.rsplit_once(base).map_or("…", |(_, rest)| rest);
                wrong.push(format!("{what} (/{piece} arrives as {seen})"));
            }
            Err(error) => wrong.push(format!("{what} (/{piece}: {error})")),
        }
        worst = worst.max(level);
    }
    if wrong.is_empty() {
        return Finding::ok(CHECK, "paths arrive as they were sent");
    }
    Finding {
        level: worst,
        ..Finding::bad(
            CHECK,
            format!("paths are changed on the way: {}", wrong.join(", ")),
            "nginx: `proxy_pass http://127.0.0.1:8008;` without a path after the port, and no rewrite. Apache: \
             `AllowEncodedSlashes NoDecode` and `nocanon`. Others: no normalisation of paths.",
        )
    }
}

async fn body(examination: &Examination, front: &Front, base: &str) -> Finding {
    const CHECK: &str = "proxy.body_size";
    let limit = examination.config.media.max_upload_bytes;
    let path = format!("{base}/upload");
    let ask = Ask {
        method: Method::POST,
        body: limit,
        time: UPLOAD,
        ..Ask::get(&path)
    };
    let mib = limit >> 20;
    let fix = format!(
        "nginx: `client_max_body_size {}m;`. Or lower media.max_upload_bytes, which clients are told.",
        mib + 1
    );
    match front.send(ask).await {
        Ok(reply) if reply.status == StatusCode::PAYLOAD_TOO_LARGE => Finding::bad(
            CHECK,
            format!("a proxy refuses uploads that the server would take ({mib} MiB)"),
            fix,
        ),
        Ok(reply) => match arrived(&reply) {
            Ok(arrived) if arrived.body_bytes == limit => Finding::ok(
                CHECK,
                format!(
                    "an upload of {mib} MiB arrives, after {:.1} s",
                    reply.whole.as_secs_f64()
                ),
            ),
            Ok(arrived) => Finding::bad(
                CHECK,
                format!("of {limit} bytes, {} arrive", arrived.body_bytes),
                fix,
            ),
            Err(error) => Finding::bad(CHECK, format!("an upload of {mib} MiB: {error}"), fix),
        },
        Err(error) => Finding::bad(CHECK, format!("an upload of {mib} MiB: {error}"), fix),
    }
}

async fn buffering(front: &Front, base: &str) -> Finding {
    const CHECK: &str = "proxy.buffering";
    let path = format!("{base}/halves?pause_ms={PAUSE_MS}");
    let pause = Duration::from_millis(PAUSE_MS);
    match front.send(Ask::get(&path)).await {
        // The first half came when it was sent: at least half of the pause before the second.
        Ok(reply) if reply.whole.saturating_sub(reply.first) >= pause / 2 => {
            Finding::ok(CHECK, "answers come as they are written")
        }
        Ok(reply) if reply.whole >= pause => Finding::warn(
            CHECK,
            "answers are held back until they are whole: the first /sync of large accounts takes longer",
            "nginx: `proxy_buffering off;`.",
        ),
        Ok(reply) => Finding::bad(
            CHECK,
            format!("an answer with a pause is cut: {}", reply.status),
            "See the proxy's log.",
        ),
        Err(error) => Finding::bad(
            CHECK,
            format!("an answer with a pause: {error}"),
            "See the proxy's log.",
        ),
    }
}

async fn long_poll(wait: Duration, front: &Front, base: &str) -> Finding {
    const CHECK: &str = "proxy.long_poll";
    const FIX: &str = "Clients ask /sync to wait for 30 s. nginx: `proxy_read_timeout 120s;`. Load balancers: the idle timeout.";
    let path = format!("{base}/wait?wait_ms={}", wait.as_millis());
    let ask = Ask {
        time: wait + Duration::from_secs(20),
        ..Ask::get(&path)
    };
    match front.send(ask).await {
        Ok(reply) if reply.status == StatusCode::OK => Finding::ok(
            CHECK,
            format!("a request may wait for {} s", wait.as_secs()),
        ),
        Ok(reply) => Finding::bad(
            CHECK,
            format!(
                "a request that waits is answered {} after {} s",
                reply.status,
                reply.whole.as_secs()
            ),
            FIX,
        ),
        Err(error) => Finding::bad(CHECK, format!("a request that waits: {error}"), FIX),
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrived, LIE, authorization, forwarded_for};
    use crate::Level::{Bad, Ok};

    fn arrived(peer: &str, headers: &[(&str, &str)]) -> Arrived {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Arrived {
            path: String::new(),
            headers: headers.collect(),
            peer: Some(peer.to_owned()),
            body_bytes: 0,
        }
    }

    #[test]
    fn the_address_of_clients_arrives_or_not() {
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        let lied = format!("127.0.0.1, {LIE}");
        let appended = format!("{LIE}, 127.0.0.1");
        for (peer, forwarded, expected) in [
            ("127.0.0.1", Some("198.51.100.7"), Ok),
            ("127.0.0.1", Some("127.0.0.1"), Ok),
            ("127.0.0.1", Some(appended.as_str()), Ok),
            ("unix", Some("198.51.100.7"), Ok),
            ("10.0.0.1", Some("198.51.100.7"), Bad),
            ("127.0.0.1", Some(LIE), Bad),
            ("127.0.0.1", Some(lied.as_str()), Bad),
            ("127.0.0.1", None, Bad),
        ] {
            let headers: Vec<_> = forwarded
                .map(|it| ("x-forwarded-for", it))
                .into_iter()
                .collect();
            let finding = forwarded_for(&arrived(peer, &headers), &trusted);
            assert_eq!(
                finding.level, expected,
                "{peer} {forwarded:?}: {}",
                finding.seen
            );
        }
    }

    #[test]
    fn a_header_that_is_changed_has_not_arrived() {
        let with = |value| authorization(&arrived("unix", &[("authorization", value)])).level;
        assert_eq!(with("Bearer doctor"), Ok);
        assert_eq!(with("Basic eDp5"), Bad);
        assert_eq!(authorization(&arrived("unix", &[])).level, Bad);
    }
}
