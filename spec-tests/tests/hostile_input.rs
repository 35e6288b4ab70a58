//! Input nobody should send: wrong types, depth, size, encodings, numbers; silent connections.
//! No panic in the log, no 500, and the server goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use spec_tests::{Response, Server, User, encode, room_path};

/// Every request of a hostile client gets a 4xx with a standard error, or is harmless.
#[track_caller]
fn survives(what: &str, answer: &Response) {
    assert!(
        answer.status < 500,
        "{what}: {}: {}",
        answer.status,
        answer.text()
    );
    if answer.status >= 400 {
        assert!(
            answer.json()["errcode"].is_string() || answer.json()["flows"].is_array(),
            "{what}: {}",
            answer.text()
        );
    }
}

/// The server still works and has nothing to complain about.
fn is_well(server: &Server) {
    let alice = server.client().register("well");
    let room = alice.public_room();
    alice.say(&room, "still here");
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// One of each endpoint that takes a body.
fn endpoints_with_bodies(alice: &User, room: &str, event: &str) -> Vec<(&'static str, String)> {
    let me = encode(&alice.id);
    let event = encode(event);
    let in_room = |rest: &str| room_path(room, rest);
    vec![
        ("POST", "/v3/register".into()),
        ("POST", "/v3/login".into()),
        ("POST", "/v3/refresh".into()),
        ("POST", "/v3/createRoom".into()),
        ("POST", "/v3/publicRooms".into()),
        ("POST", "/v3/delete_devices".into()),
        ("POST", "/v3/account/password".into()),
        ("PUT", format!("/v3/devices/{}", encode(&alice.device_id))),
        ("POST", format!("/v3/user/{me}/filter")),
        ("PUT", format!("/v3/user/{me}/account_data/org.example.x")),
        (
            "PUT",
            format!("/v3/user/{me}/rooms/{}/tags/u.x", encode(room)),
        ),
        ("PUT", format!("/v3/profile/{me}/displayname")),
        ("PUT", format!("/v3/profile/{me}/avatar_url")),
        ("PUT", format!("/v3/presence/{me}/status")),
        ("PUT", "/v3/pushrules/global/content/x".into()),
        (
            "PUT",
            "/v3/pushrules/global/override/.m.rule.master/enabled".into(),
        ),
        (
            "PUT",
            "/v3/pushrules/global/override/.m.rule.master/actions".into(),
        ),
        (
            "PUT",
            format!("/v3/directory/room/{}", encode("#hostile:localhost")),
        ),
        ("PUT", format!("/v3/directory/list/room/{}", encode(room))),
        ("PUT", in_room("send/m.room.message/hostile")),
        ("PUT", in_room("send/m.room.redaction/hostile")),
        ("PUT", in_room(&format!("redact/{event}/hostile"))),
        ("PUT", in_room("state/m.room.power_levels")),
        ("PUT", in_room("state/m.room.join_rules")),
        ("PUT", in_room("state/m.room.canonical_alias")),
        ("PUT", in_room("state/m.room.history_visibility")),
        ("PUT", in_room("state/m.room.encryption")),
        ("PUT", in_room("state/m.room.server_acl")),
        ("PUT", in_room("state/m.room.third_party_invite/x")),
        ("PUT", in_room(&format!("state/m.room.member/{me}"))),
        ("POST", in_room("invite")),
        ("POST", in_room("join")),
        ("POST", in_room("kick")),
        ("POST", in_room("ban")),
        ("POST", in_room("unban")),
        ("POST", in_room("upgrade")),
        ("POST", in_room("read_markers")),
        ("POST", in_room(&format!("receipt/m.read/{event}"))),
        ("PUT", in_room(&format!("typing/{me}"))),
        ("POST", format!("/v3/join/{}", encode(room))),
        ("POST", format!("/v3/knock/{}", encode(room))),
    ]
}

#[test]
fn bodies_of_the_wrong_type_are_refused_everywhere() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let mut room = alice.public_room();
    let event = alice.say(&room, "x");
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"3".to_vec(),
        b"\"text\"".to_vec(),
        b"[]".to_vec(),
        b"[[[]]]".to_vec(),
        b"{".to_vec(),
        b"{\"a\": }".to_vec(),
        b"{\"a\": NaN}".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"{\"body\": \"\xff\xfe\"}".to_vec(),
        b"{\"body\": \"\\ud800\"}".to_vec(),
        b"{\"body\": \"\\u0000\"}".to_vec(),
        b"{\"a\": 1, \"a\": 2}".to_vec(),
        wrong_types().to_string().into_bytes(),
        json!({"membership": "join", "users": {"x": 1.5}, "events": [], "ban": "100"})
            .to_string()
            .into_bytes(),
    ];
    for (method, path) in endpoints_with_bodies(&alice, &room, &event) {
        for body in &bodies {
            let answer = alice.send(method, &path, &[], Some(body));
            let what = format!("{method} {path} {}", String::from_utf8_lossy(body));
            survives(&what, &answer);
        }
    }
    // Whatever state the room is in now, the next one works.
    room = alice.public_room();
    alice.say(&room, "next");
    is_well(&server);
}

/// Every key that some endpoint knows, each with a type it is not.
fn wrong_types() -> Value {
    let mut body = serde_json::Map::new();
    for key in [
        "username",
        "password",
        "auth",
        "device_id",
        "type",
        "identifier",
        "refresh_token",
        "name",
        "topic",
        "invite",
        "preset",
        "visibility",
        "room_version",
        "creation_content",
        "initial_state",
        "power_level_content_override",
        "is_direct",
        "limit",
        "since",
        "filter",
        "devices",
        "new_password",
        "display_name",
        "displayname",
        "avatar_url",
        "presence",
        "status_msg",
        "actions",
        "conditions",
        "pattern",
        "enabled",
        "room_id",
        "user_id",
        "reason",
        "membership",
        "join_rule",
        "allow",
        "users",
        "events",
        "history_visibility",
        "algorithm",
        "alias",
        "alt_aliases",
        "new_version",
        "m.read",
        "m.fully_read",
        "thread_id",
        "typing",
        "timeout",
        "order",
        "m.relates_to",
        "redacts",
        "third_party_signed",
        "msgtype",
        "body",
    ] {
        body.insert(key.to_owned(), json!([{"wrong": 1}]));
    }
    Value::Object(body)
}

#[test]
fn wrong_types_inside_events_do_no_harm() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let odd = [
        json!(null),
        json!(3),
        json!("x"),
        json!([]),
        json!([1]),
        json!({}),
        json!({"a": {"b": []}}),
    ];
    for event_type in [
        "m.room.name",
        "m.room.topic",
        "m.room.avatar",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.encryption",
        "m.room.tombstone",
        "m.room.pinned_events",
        "m.room.server_acl",
        "m.space.child",
    ] {
        let room = alice.public_room();
        bob.join(&room);
        for value in &odd {
            let content = json!({
                "name": value, "topic": value, "url": value, "join_rule": value, "allow": value,
                "history_visibility": value, "guest_access": value, "algorithm": value,
                "replacement_room": value, "body": value, "pinned": value, "deny": value, "via": value,
            });
            let answer = alice.put(&room_path(&room, &format!("state/{event_type}")), content);
            survives(event_type, &answer);
        }
        bob.sync(&[]);
        survives(
            event_type,
            &alice.get(&room_path(&room, "messages?dir=b&limit=50")),
        );
        survives(event_type, &server.client().get("/v3/publicRooms"));
    }
    let room = alice.public_room();
    bob.join(&room);
    for value in &odd {
        let content = json!({
            "msgtype": value, "body": value, "m.relates_to": value, "m.mentions": value, "m.new_content": value,
        });
        let path = room_path(
            &room,
            &format!("send/m.room.message/{}", spec_tests::fresh("odd")),
        );
        survives("message", &alice.put(&path, content));
        for key in ["m.relates_to", "m.mentions"] {
            let nested = json!({key: {"rel_type": value, "event_id": value, "user_ids": value, "room": value}});
            let path = room_path(
                &room,
                &format!("send/m.room.message/{}", spec_tests::fresh("odd")),
            );
            survives("message", &alice.put(&path, nested));
        }
    }
    bob.sync(&[]);
    is_well(&server);
}

#[test]
fn deep_json_is_refused() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    for depth in [200, 5_000, 100_000] {
        let arrays = format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for body in [arrays, objects] {
            for path in [
                room_path(&room, "send/m.room.message/deep"),
                format!(
                    "/v3/user/{}/account_data/org.example.deep",
                    encode(&alice.id)
                ),
                room_path(&room, "state/org.example.deep"),
            ] {
                let answer = alice.send("PUT", &path, &[], Some(body.as_bytes()));
                survives(&format!("depth {depth}"), &answer);
            }
        }
    }
    alice.sync(&[]);
    is_well(&server);
}

#[test]
fn huge_bodies_are_refused() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let body = format!("{{\"a\": \"{}\"}}", "x".repeat(64 * 1024 * 1024));
    for path in ["/v3/createRoom", "/v3/register", "/v3/publicRooms"] {
        // The server may answer, or hang up before it has read everything.
        if let Ok(answer) = alice.try_send("POST", path, &[], Some(body.as_bytes())) {
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
            answer.fails(413, "M_TOO_LARGE");
        }
    }
    let alice = alice.reconnected();
    alice.get("/v3/account/whoami").ok();
    is_well(&server);
}

#[test]
fn absurd_limits_are_harmless() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "x");
    for limit in [
        "0",
        "-1",
        "1",
        "2147483648",
        "9007199254740993",
        "18446744073709551615",
        "99999999999999999999",
        "1e9",
        "",
        "ten",
    ] {
        for path in [
            room_path(&room, &format!("messages?dir=b&limit={limit}")),
            room_path(&room, &format!("context/{}?limit={limit}", encode(&event))),
            format!("/v3/publicRooms?limit={limit}"),
        ] {
            survives(&path, &alice.get(&path));
        }
        let filter = format!("{{\"room\": {{\"timeline\": {{\"limit\": {limit}}}}}}}");
        survives(
            limit,
            &alice.get(&format!("/v3/sync?filter={}", encode(&filter))),
        );
        survives(
            limit,
            &alice.get(&format!("/v3/sync?timeout=0&since={}", encode(limit))),
        );
    }
    is_well(&server);
}

#[test]
fn bogus_tokens_are_refused() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let good = alice.now();
    let longer = format!("{good}0");
    let shorter = &good[..good.len() - 1];
    let long = "9".repeat(5_000);
    for token in [
        "",
        "x",
        "s-1_-1",
        "\u{0}",
        "☺",
        "%00",
        &longer,
        shorter,
        &long,
        "00000000000000000000",
    ] {
        for path in [
            format!("/v3/sync?since={}", encode(token)),
            room_path(&room, &format!("messages?dir=b&from={}", encode(token))),
            room_path(&room, &format!("messages?dir=f&to={}", encode(token))),
            room_path(&room, &format!("members?at={}", encode(token))),
            format!("/v3/publicRooms?since={}", encode(token)),
        ] {
            survives(&path, &alice.get(&path));
        }
    }
    is_well(&server);
}

#[test]
fn strange_identifiers_are_refused() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let long = "x".repeat(3_000);
    for id in [
        "",
        "!",
        "@",
        "$",
        "#",
        "!:",
        "@:localhost",
        "\u{0}",
        "☺",
        "../../etc/passwd",
        "%2e%2e",
        &long,
    ] {
        let id = encode(id);
        for path in [
            format!("/v3/rooms/{id}/state"),
            format!("/v3/rooms/{id}/messages?dir=b"),
            format!("/v3/rooms/{id}/event/{id}"),
            format!("/v3/profile/{id}"),
            format!("/v3/directory/room/{id}"),
            format!("/v3/devices/{id}"),
            format!("/v3/user/{id}/filter/{id}"),
            format!("/v3/pushrules/global/{id}/{id}"),
            format!("/v3/presence/{id}/status"),
        ] {
            survives(&path, &alice.get(&path));
        }
        survives("join", &alice.post(&format!("/v3/join/{id}"), json!({})));
        survives(
            "invite",
            &alice.post(
                &format!("/v3/rooms/{id}/invite"),
                json!({"user_id": "@x:localhost"}),
            ),
        );
    }
    // Percent-encodings that are no UTF-8.
    for path in [
        "/v3/rooms/%ff%fe/state",
        "/v3/profile/%80",
        "/v3/sync?since=%ff",
        "/v3/rooms/%/state",
    ] {
        let answer = raw(
            &server,
            &format!(
                "GET /_matrix/client{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                alice.access_token,
            ),
        );
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 200"),
            "{path}: {answer}"
        );
    }
    is_well(&server);
}

/// What the server says to these bytes until it hangs up.
fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn broken_http_does_no_harm() {
    let server = Server::start();
    let long = "x".repeat(100_000);
    for request in [
        "NONSENSE\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\nConnection: close\r\n\r\n"),
        "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\nConnection: close\r\n\r\n{}".to_owned(),
        "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n".to_owned(),
    ] {
        let answer = raw(&server, &request);
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    is_well(&server);
}

#[test]
fn idle_connections_cost_little_and_block_nobody() {
    let server = Server::start();
    let pid = server.pid().unwrap();
    let before = resident_kib(pid);
    let wanted = 10_000.min(open_files_allowed() / 2).saturating_sub(100);
    let mut idle = Vec::with_capacity(wanted);
    for n in 0..wanted {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // Every other one starts a request and never ends it.
        if n % 2 == 0 {
            stream
                .write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nHo")
                .unwrap();
        }
        idle.push(stream);
    }
    let alice = server.client().register("alice");
    let room = alice.public_room();
    alice.say(&room, "among thousands");
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(
        grown < 400 * 1024,
        "{} idle connections cost {grown} KiB",
        idle.len()
    );
    drop(idle);
    is_well(&server);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn open_files_allowed() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    line.split_whitespace()
        .nth(3)
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(1_024)
}
