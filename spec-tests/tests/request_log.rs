//! The log of the real program: one id for each request, who asked, and never a secret.

use serde_json::{Value, json};
use spec_tests::{Server, encode, room_path};

/// Logs in JSON what `filter` lets through.
fn logging(filter: &str) -> Server {
    Server::with(&[
        ("log.format", "\"json\""),
        ("log.requests", "\"info\""),
        ("log.filter", &format!("\"{filter}\"")),
    ])
}

/// The lines of a request. They are written before its answer is.
fn lines(server: &Server, id: &str) -> Vec<Value> {
    let log = server.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["span"]["request.id"] == id)
        .collect()
}

#[test]
fn the_id_of_an_answer_finds_its_lines_in_the_log() {
    let server = logging("info");
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/1");
    let body = json!({"msgtype": "m.text", "body": "hello"});
    let mut ids = Vec::new();
    for (status, answer) in [
        (200, alice.put(&path, body.clone())),
        (401, server.client().put(&path, body.clone())),
        (404, alice.get("/v3/nowhere")),
    ] {
        assert_eq!(answer.status, status);
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(id.len(), 16, "{id}");
        let lines = lines(&server, &id);
        let [line] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!(line["http.status"], status);
        assert_eq!(line["body_bytes"], answer.body.len());
        assert_eq!(line["client.address"], "127.0.0.1");
        assert!(line["duration_us"].as_u64().unwrap() > 0);
        let user = (status != 401).then_some(alice.id.as_str());
        if status == 200 {
            assert_eq!(line["span"]["user.id"], json!(user));
            assert_eq!(line["span"]["device.id"], alice.device_id.as_str());
            assert_eq!(line["span"]["http.method"], "PUT");
        }
        assert!(!ids.contains(&id), "{id} twice");
        ids.push(id);
    }
}

#[test]
fn a_trusted_proxys_id_is_taken_over() {
    let server = logging("info,http_layer=debug");
    let alice = server.client().register("alice");
    // The tests' proxy is on 127.0.0.1, which is trusted by default.
    let given = [("x-request-id", "from-the-proxy-1")];
    let answer = alice.send("GET", "/v3/account/whoami", &given, None);
    assert_eq!(answer.header("x-request-id"), "from-the-proxy-1");
    assert_eq!(lines(&server, "from-the-proxy-1").len(), 1);
    let bad = [("x-request-id", "two words")];
    let answer = alice.send("GET", "/v3/account/whoami", &bad, None);
    assert_eq!(answer.header("x-request-id").len(), 16);
}

#[test]
fn nothing_secret_is_in_the_log_at_any_level() {
    // With everything that any library has to say.
    let server = logging("trace");
    let alice = server.client().register("alice");
    let mut secrets = vec![alice.access_token.clone(), alice.password.clone()];
    let again = alice.log_in_with(json!({"refresh_token": true}));
    let refresh = again.refresh_token.clone().unwrap();
    let answer = server
        .client()
        .post("/v3/refresh", json!({"refresh_token": refresh}))
        .ok();
    for token in [&answer["access_token"], &answer["refresh_token"]] {
        secrets.push(token.as_str().unwrap().to_owned());
    }
    secrets.extend([again.access_token.clone(), refresh]);

    // The token in the query, on endpoints that are there and on others, right and wrong.
    let query = format!("access_token={}", alice.access_token);
    let anyone = server.client();
    anyone.get(&format!("/v3/account/whoami?{query}")).ok();
    for path in [
        format!("/v3/nowhere?{query}"),
        format!("/v3/sync?timeout=0&{query}&filter=%7Bbad"),
        format!("/v3/rooms/!none:localhost/state?x=1&{query}"),
        "/v3/account/whoami?access_token=wrong-t0ken-by-query".to_owned(),
    ] {
        anyone.get(&path);
    }
    anyone
        .with_token("wrong-t0ken-by-header")
        .get("/v3/account/whoami");
    secrets.extend(["wrong-t0ken-by-query", "wrong-t0ken-by-header"].map(str::to_owned));
    let identifier = json!({"type": "m.id.user", "user": alice.id});
    let login =
        json!({"type": "m.login.password", "identifier": identifier, "password": "wrong-passw0rd"});
    anyone.post("/v3/login", login).fails(403, "M_FORBIDDEN");
    secrets.push("wrong-passw0rd".to_owned());

    // Bodies, well formed or not.
    let room = alice.public_room();
    alice.say(&room, "a body that is nobody's business");
    let path = room_path(&room, "send/m.room.message/broken");
    let json_type = [("content-type", "application/json")];
    alice.send(
        "PUT",
        &path,
        &json_type,
        Some(b"{\"body\": \"nobody's business"),
    );
    secrets.push("nobody's business".to_owned());

    // Tokens that are made for others.
    let openid = format!("/v3/user/{}/openid/request_token", encode(&alice.id));
    let openid = alice.post(&openid, json!({})).ok();
    secrets.push(openid["access_token"].as_str().unwrap().to_owned());
    let path = "/v1/register/m.login.registration_token/validity?token=reg-t0ken";
    anyone.get(path);
    alice.get("/_synapse/admin/v1/registration_tokens/reg-t0ken-in-path");
    secrets.extend(["reg-t0ken", "reg-t0ken-in-path"].map(str::to_owned));

    let log = server.log();
    assert!(
        log.lines().count() > 50,
        "the log is not that of all levels"
    );
    for secret in secrets {
        let at = log.find(&secret);
        let around = at.map(|at| &log[at.saturating_sub(200)..(at + 50).min(log.len())]);
        assert_eq!(around, None, "{secret}");
    }
}
