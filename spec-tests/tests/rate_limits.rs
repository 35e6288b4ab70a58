//! [Rate limiting](https://spec.matrix.org/v1.19/client-server-api/#rate-limiting), with the limits that are on by default.

use serde_json::json;
use spec_tests::{Response, Server, room_path};

/// Repeats a request until it is limited, and checks how that is said.
fn until_limited(what: &str, attempts: usize, mut request: impl FnMut(usize) -> Response) {
    for attempt in 0..attempts {
        let answer = request(attempt);
        if answer.status != 429 {
            assert!(answer.status < 500, "{what}: {}", answer.text());
            continue;
        }
        let body = answer.fails(429, "M_LIMIT_EXCEEDED");
        assert!(attempt > 0, "{what}: not even one is allowed");
        assert!(body["retry_after_ms"].as_u64().is_some(), "{what}: {body}");
        let seconds: u64 = answer.header("retry-after").parse().unwrap_or_default();
        assert!(
            seconds > 0,
            "{what}: Retry-After is {:?}",
            answer.header("retry-after")
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        return;
    }
    panic!("{what}: {attempts} requests in a row were not limited");
}

fn limited_server() -> Server {
    Server::with(&[("rate_limits.enabled", "true")])
}

#[test]
fn failed_logins_are_limited() {
    let server = limited_server();
    let alice = server.client().register("alice");
    until_limited("logins", 300, |_| {
        let identifier = json!({"type": "m.id.user", "user": alice.id});
        let body =
            json!({"type": "m.login.password", "identifier": identifier, "password": "wrong"});
        server.client().post("/v3/login", body)
    });
}

#[test]
fn registrations_are_limited() {
    let server = limited_server();
    until_limited("registrations", 300, |attempt| {
        let body = json!({
            "username": format!("user{attempt}"),
            "password": "long enough secret",
            "auth": {"type": "m.login.dummy"},
        });
        server.client().post("/v3/register", body)
    });
}

#[test]
fn messages_are_limited() {
    let server = limited_server();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    until_limited("messages", 5_000, |attempt| {
        let path = room_path(&room, &format!("send/m.room.message/{attempt}"));
        alice.put(&path, json!({"msgtype": "m.text", "body": "spam"}))
    });
    // Reading goes on.
    alice.sync(&[]);
}

#[test]
fn joins_are_limited() {
    let server = limited_server();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let bob = server.client().register("bob");
    until_limited("joins", 1_000, |_| {
        let answer = bob.post(&room_path(&room, "join"), json!({}));
        let _ = bob.post(&room_path(&room, "leave"), json!({}));
        answer
    });
}

#[test]
fn one_users_limit_is_not_anothers() {
    let server = limited_server();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let room = alice.public_room();
    bob.join(&room);
    until_limited("messages", 5_000, |attempt| {
        let path = room_path(&room, &format!("send/m.room.message/{attempt}"));
        alice.put(&path, json!({"msgtype": "m.text", "body": "spam"}))
    });
    bob.say(&room, "I am quiet");
}

#[test]
fn switched_off_limits_limit_nothing() {
    let server = Server::with(&[("rate_limits.enabled", "false")]);
    let alice = server.client().register("alice");
    let room = alice.public_room();
    for n in 0..300 {
        alice.say(&room, &n.to_string());
    }
}
