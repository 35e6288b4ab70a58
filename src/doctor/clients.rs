//! What clients look for: `.well-known`, CORS, and what the newest of them need.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    Examination, Finding,
    reach::front,
    wire::{Ask, Front, Reply, Target},
};

/// A web client's own address; any will do.
const ORIGIN: &str = "https://app.example.org";

/// MSC4186 as servers announce it.
const SLIDING_SYNC: &str = "org.matrix.simplified_msc3575";

pub(crate) async fn look(examination: &Examination, front: &Front) -> Vec<Finding> {
    let mut findings = Vec::new();
    let versions = match versions(front).await {
        Ok(reply) => reply,
        Err(finding) => return vec![finding],
    };
    findings.push(Finding::ok("versions", "the client-server API answers"));
    findings.extend(cors(front, &versions).await);
    findings.push(sliding_sync(&versions.json()));
    findings.push(oauth(front).await);
    findings.push(well_known_client(examination).await);
    findings.extend(well_known_server(examination).await);
    findings
}

async fn versions(front: &Front) -> Result<Reply, Finding> {
    let path = "/_matrix/client/versions";
    let ask = Ask {
        headers: &[("origin", ORIGIN)],
        ..Ask::get(path)
    };
    let fix = "Pass everything below /_matrix on to the server; see config/nginx.conf and config/Caddyfile.";
    match front.send(ask).await {
        Ok(reply) if reply.json()["versions"].is_array() => Ok(reply),
        Ok(reply) => {
            let seen = format!("{path} answers {} and no versions", reply.status);
            Err(Finding::bad("versions", seen, fix))
        }
        Err(error) => Err(Finding::bad("versions", format!("{path}: {error}"), fix)),
    }
}

/// Whether browsers let web clients read answers: a simple one, one that is an error, and the question before others.
async fn cors(front: &Front, simple: &Reply) -> Vec<Finding> {
    let headers = [("origin", ORIGIN)];
    let refused = front
        .send(Ask {
            headers: &headers,
            ..Ask::get("/_matrix/client/v3/account/whoami")
        })
        .await;
    let question = [
        ("origin", ORIGIN),
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let preflight = front
        .send(Ask {
            method: Method::OPTIONS,
            headers: &question,
            ..Ask::get("/_matrix/client/v3/account/whoami")
        })
        .await;
    let mut findings = vec![origin("an answer", Ok(simple))];
    findings.push(origin("an error", refused.as_ref()));
    findings.push(origin("an OPTIONS request", preflight.as_ref()));
    findings.extend(preflight.ok().and_then(|reply| allowed(&reply)));
    // The same for all three is told once.
    findings.sort_by_key(|finding| finding.level);
    if findings.iter().all(|finding| finding.fix.is_none()) {
        return vec![Finding::ok("cors", "web clients may read answers")];
    }
    findings.retain(|finding| finding.fix.is_some());
    findings
}

/// Exactly one `Access-Control-Allow-Origin` of `*`: browsers refuse answers with two.
fn origin(what: &str, reply: Result<&Reply, &String>) -> Finding {
    const CHECK: &str = "cors";
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            let seen = format!("{what}: {error}");
            return Finding::bad(CHECK, seen, "See config/nginx.conf and config/Caddyfile.");
        }
    };
    let values = reply.all("access-control-allow-origin");
    match values.as_slice() {
        ["*"] => Finding::ok(CHECK, what),
        [] => Finding::bad(
            CHECK,
            format!("{what} comes without Access-Control-Allow-Origin: web clients cannot read it"),
            "Let the proxy pass the server's own headers and OPTIONS requests on, and answer none of them itself.",
        ),
        [one] if !one.contains(',') => Finding::bad(
            CHECK,
            format!("{what} is for {one} only"),
            "Remove the proxy's own Access-Control-Allow-Origin: the server sends `*`.",
        ),
        _ => Finding::bad(
            CHECK,
            format!(
                "{what} has Access-Control-Allow-Origin more than once: web clients cannot read it"
            ),
            "Remove the proxy's own (nginx: add_header, Caddy: header): the server sends one.",
        ),
    }
}

/// What the answer to `OPTIONS` lacks.
fn allowed(reply: &Reply) -> Option<Finding> {
    let has = |header, word: &str| {
        let values = reply.all(header).join(",").to_ascii_lowercase();
        values.split(',').any(|value| value.trim() == word)
    };
    let enough = reply.status.is_success()
        && has("access-control-allow-headers", "authorization")
        && has("access-control-allow-headers", "content-type")
        && has("access-control-allow-methods", "put");
    (!enough).then(|| {
        Finding::bad(
            "cors",
            format!(
                "OPTIONS answers {} and does not allow PUT with Authorization and Content-Type",
                reply.status
            ),
            "Let the proxy pass OPTIONS requests on to the server.",
        )
    })
}

fn sliding_sync(versions: &Value) -> Finding {
    const CHECK: &str = "clients.sliding_sync";
    if versions["unstable_features"][SLIDING_SYNC] == true {
        return Finding::ok(CHECK, "served: Element X can sync");
    }
    Finding::warn(
        CHECK,
        "not served: Element X cannot be used with this server",
        "Until this server has it: clients that use /sync, such as Element Web and Desktop, nheko, FluffyChat, Cinny.",
    )
}

async fn oauth(front: &Front) -> Finding {
    const CHECK: &str = "clients.oauth";
    let reply = front
        .send(Ask::get("/_matrix/client/v1/auth_metadata"))
        .await;
    match reply {
        Ok(reply) if reply.json()["issuer"].is_string() => {
            Finding::ok(CHECK, "clients log in with OAuth 2.0")
        }
        _ => Finding::warn(
            CHECK,
            "not served: clients log in with a password, and Element X and Element Web's QR codes cannot make accounts",
            "Until this server has it: make accounts with `myelin admin user create`, or invite with a token.",
        ),
    }
}

/// `https://SERVER_NAME/.well-known/matrix/client`, where clients begin when people type their server's name.
async fn well_known_client(examination: &Examination) -> Finding {
    const CHECK: &str = "well_known.client";
    let url = examination.url();
    let name = examination.config.server_name.host().to_owned();
    let fix = format!(
        "Serve {{\"m.homeserver\": {{\"base_url\": \"{url}\"}}}} there, with `Access-Control-Allow-Origin: *`; or pass \
         /.well-known/matrix on to this server."
    );
    let reply = match ask_name(examination, &name, "/.well-known/matrix/client").await {
        Ok(reply) => reply,
        Err(error) => {
            let seen = format!("https://{name}/.well-known/matrix/client: {error}");
            return Finding::warn(CHECK, seen, fix);
        }
    };
    let seen = |what: &str| format!("https://{name}/.well-known/matrix/client {what}");
    if reply.status == StatusCode::NOT_FOUND {
        let seen = seen("is not there: people have to type the URL of the server");
        return Finding::warn(CHECK, seen, fix);
    }
    let base = reply.json()["m.homeserver"]["base_url"].clone();
    let Some(base) = base.as_str() else {
        let seen = seen(&format!("answers {} and names no base_url", reply.status));
        return Finding::bad(CHECK, seen, fix);
    };
    if base.trim_end_matches('/') != url {
        return Finding::bad(CHECK, seen(&format!("leads to {base}, not to {url}")), fix);
    }
    if reply.all("access-control-allow-origin") != ["*"] {
        let seen =
            seen("has not one Access-Control-Allow-Origin of `*`: web clients cannot read it");
        return Finding::bad(CHECK, seen, fix);
    }
    Finding::ok(CHECK, seen("leads here"))
}

/// Told only where the options want it told.
async fn well_known_server(examination: &Examination) -> Option<Finding> {
    const CHECK: &str = "well_known.server";
    let expected = examination.config.well_known.server.as_ref()?;
    let name = examination.config.server_name.host().to_owned();
    let fix = format!("Serve {{\"m.server\": \"{expected}\"}} there.");
    let seen = format!("https://{name}/.well-known/matrix/server");
    Some(
        match ask_name(examination, &name, "/.well-known/matrix/server").await {
            Ok(reply) if reply.json()["m.server"] == expected.as_str() => {
                Finding::ok(CHECK, format!("{seen} says {expected}"))
            }
            Ok(reply) => Finding::bad(
                CHECK,
                format!("{seen} answers {}, and not {expected}", reply.status),
                fix,
            ),
            Err(error) => Finding::bad(CHECK, format!("{seen}: {error}"), fix),
        },
    )
}

/// `GET` from the host of the server's name, by HTTPS, as clients do.
async fn ask_name(examination: &Examination, name: &str, path: &str) -> Result<Reply, String> {
    let target = Target::parse(&format!("https://{name}"))?;
    front(examination, target).await?.send(Ask::get(path)).await
}
