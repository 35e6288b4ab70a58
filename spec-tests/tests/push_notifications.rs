//! [Push notifications](https://spec.matrix.org/v1.19/client-server-api/#push-notifications): pushers, the list of what
//! notified, and what a [push gateway](https://spec.matrix.org/v1.19/push-gateway-api/) is told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::{PATIENCE_SECONDS, Server, User, anonymous, encode, room_path, user};

#[test]
fn a_pusher_is_set_listed_and_deleted() {
    let alice = user("alice");
    let pusher = json!({
        "app_id": "com.example.app",
        "pushkey": alice.id,
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    });
    alice.post("/v3/pushers/set", pusher.clone()).ok();
    let listed = alice.get("/v3/pushers").ok();
    assert_eq!(listed["pushers"][0]["pushkey"], alice.id.as_str());
    assert_eq!(listed["pushers"][0]["data"], pusher["data"]);
    let mut gone = pusher;
    gone["kind"] = json!(null);
    alice.post("/v3/pushers/set", gone).ok();
    assert_eq!(alice.get("/v3/pushers").ok()["pushers"], json!([]));
    alice
        .post(
            "/v3/pushers/set",
            json!({"kind": "http", "app_id": "x", "pushkey": "y"}),
        )
        .fails_with_one_of(400, &["M_MISSING_PARAM", "M_BAD_JSON"]);
    anonymous().get("/v3/pushers").fails(401, "M_MISSING_TOKEN");
}

#[test]
fn what_notified_is_listed() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    let event = alice.say(&room, "hello");
    let listed = bob.get("/v3/notifications?limit=5").ok();
    let first = &listed["notifications"][0];
    assert_eq!(first["event"]["event_id"], event.as_str(), "{listed}");
    assert_eq!(first["room_id"], room.as_str());
    assert_eq!(first["read"], false);
    assert!(first["ts"].is_u64() && first["actions"].is_array());
}

/// A push gateway on this machine.
struct Gateway {
    url: String,
    told: Receiver<Value>,
    /// What it answers, in turn; the last one again and again.
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl Gateway {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, told) = channel();
        let answers = Arc::new(Mutex::new(VecDeque::from([(200, json!({"rejected": []}))])));
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Who listens for it no longer needs none of it.
                if serve(stream.unwrap(), &shared, &sender).is_none() {
                    return;
                }
            }
        });
        Self {
            url: format!("http://{address}/_matrix/push/v1/notify"),
            told,
            answers,
        }
    }

    fn answers(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    /// The next notification.
    #[track_caller]
    fn next(&self) -> Value {
        let told = self
            .told
            .recv_timeout(Duration::from_secs(PATIENCE_SECONDS));
        told.expect("a notification comes")
    }

    /// The next notification of an event; the numbers on icons before it are passed over.
    #[track_caller]
    fn next_event(&self) -> Value {
        loop {
            let told = self.next();
            if told.get("event_id").is_some() {
                return told;
            }
        }
    }
}

/// Answers one request; `None` when nobody wants to hear of it any more.
fn serve(
    mut stream: TcpStream,
    answers: &Mutex<VecDeque<(u16, Value)>>,
    told: &Sender<Value>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        // A server that was killed says no more.
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return Some(());
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    assert!(head.starts_with("POST /_matrix/push/v1/notify "), "{head}");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = {
        let mut answers = answers.lock().unwrap();
        let first = answers.front().cloned().unwrap();
        if answers.len() > 1 {
            answers.pop_front();
        }
        first
    };
    told.send(body["notification"].clone()).ok()?;
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    // A server that was killed does not listen.
    let _ = stream.write_all(format!("{head}{answer}").as_bytes());
    Some(())
}

/// A server that reaches gateways on this machine.
fn server() -> Server {
    Server::with(&[
        ("outbound.allowed_networks", "[\"127.0.0.1\"]"),
        ("push.retry_ms", "20"),
    ])
}

/// Alice and Bob in a room, and Bob has a pusher with these keys in `data` beside the URL.
fn pushed(server: &Server, gateway: &Gateway, data: Value) -> (User, User, String) {
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let room = alice.public_room();
    bob.join(&room);
    let mut data = data;
    data["url"] = json!(gateway.url);
    let pusher = json!({
        "app_id": "com.example.app",
        "pushkey": "phone",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": data,
    });
    bob.post("/v3/pushers/set", pusher).ok();
    (alice, bob, room)
}

#[test]
fn a_gateway_is_told_of_an_event_once_and_of_what_was_read() {
    let (server, gateway) = (server(), Gateway::start());
    let (alice, bob, room) = pushed(&server, &gateway, json!({"brand": "x"}));
    let one = alice.say(&room, "hello");
    let told = gateway.next();
    assert_eq!(told["event_id"], one.as_str(), "{told}");
    assert_eq!(told["room_id"], room.as_str());
    assert_eq!(told["type"], "m.room.message");
    assert_eq!(told["sender"], alice.id.as_str());
    assert!(told["sender_display_name"].is_string(), "{told}");
    assert_eq!(told["content"]["body"], "hello");
    assert_eq!(told["counts"]["unread"], 1);
    let device = &told["devices"][0];
    assert_eq!(device["app_id"], "com.example.app");
    assert_eq!(device["pushkey"], "phone");
    assert!(device["pushkey_ts"].is_u64(), "{told}");
    assert_eq!(device["data"], json!({"brand": "x"}));
    assert!(device["tweaks"].is_object(), "{told}");
    let two = alice.say(&room, "again");
    let told = gateway.next();
    assert_eq!(told["event_id"], two.as_str(), "{told}");
    assert_eq!(told["counts"]["unread"], 2);
    bob.post(
        &room_path(&room, &format!("receipt/m.read/{}", encode(&two))),
        json!({}),
    )
    .ok();
    let told = gateway.next();
    assert_eq!(told.get("event_id"), None, "{told}");
    assert_eq!(told["counts"].get("unread").unwrap_or(&json!(0)), 0);
    assert_eq!(told["devices"][0]["pushkey"], "phone");
}

#[test]
fn a_gateway_may_want_event_ids_only() {
    let (server, gateway) = (server(), Gateway::start());
    let (alice, _bob, room) = pushed(&server, &gateway, json!({"format": "event_id_only"}));
    let event = alice.say(&room, "secret");
    let told = gateway.next();
    assert_eq!(told["event_id"], event.as_str(), "{told}");
    assert_eq!(told["room_id"], room.as_str());
    assert_eq!(told["counts"]["unread"], 1);
    assert_eq!(told["devices"][0]["data"]["format"], "event_id_only");
    for field in [
        "type",
        "sender",
        "content",
        "sender_display_name",
        "room_name",
    ] {
        assert_eq!(told.get(field), None, "{told}");
    }
}

#[test]
fn an_invitation_is_pushed_to_the_invited() {
    let (server, gateway) = (server(), Gateway::start());
    let (alice, bob, _room) = pushed(&server, &gateway, json!({}));
    let room = alice.create_room(json!({"preset": "private_chat"}));
    alice
        .post(&room_path(&room, "invite"), json!({"user_id": bob.id}))
        .ok();
    let told = gateway.next();
    assert_eq!(told["type"], "m.room.member", "{told}");
    assert_eq!(told["room_id"], room.as_str());
    assert_eq!(told["user_is_target"], true);
}

#[test]
fn a_gateway_that_fails_is_asked_again_and_may_reject() {
    let (server, gateway) = (server(), Gateway::start());
    let (alice, bob, room) = pushed(&server, &gateway, json!({}));
    let fine = (200, json!({"rejected": []}));
    gateway.answers([(500, json!({})), (503, json!({})), fine]);
    let one = alice.say(&room, "one");
    for _ in 0..3 {
        assert_eq!(gateway.next()["event_id"], one.as_str());
    }
    gateway.answers([(200, json!({"rejected": ["another"]}))]);
    let two = alice.say(&room, "two");
    assert_eq!(gateway.next()["event_id"], two.as_str());
    gateway.answers([(200, json!({"rejected": ["phone"]}))]);
    let three = alice.say(&room, "three");
    assert_eq!(gateway.next()["event_id"], three.as_str());
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    while bob.get("/v3/pushers").ok()["pushers"] != json!([]) {
        assert!(Instant::now() < deadline, "the pusher stays");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn what_waits_is_delivered_after_kill_9() {
    let (mut server, gateway) = (server(), Gateway::start());
    let (alice, _bob, room) = pushed(&server, &gateway, json!({}));
    gateway.answers([(500, json!({}))]);
    let one = alice.say(&room, "one");
    assert_eq!(gateway.next()["event_id"], one.as_str());
    let two = alice.say(&room, "two");
    server.kill();
    gateway.answers([(200, json!({"rejected": []}))]);
    while gateway.told.try_recv().is_ok() {}
    server.start_again();
    // An attempt that the dead server has made may still be on its way.
    let mut told = gateway.next_event();
    let first = told.clone();
    assert_eq!(first["event_id"], one.as_str(), "{told}");
    while told["event_id"] == one.as_str() {
        told = gateway.next_event();
    }
    assert_eq!(told["event_id"], two.as_str(), "{told}");
    let alice = alice.reconnected();
    let three = alice.say(&room, "three");
    assert_eq!(gateway.next_event()["event_id"], three.as_str());
}
