//! [Sending events to a room](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room).

use http::Method;
use serde_json::{Value, json};
use test_support::TestServer;

use crate::rooms::{act, content, create, path, public, say, set_state, timeline};

/// The path of a message's request.
fn send(room: &str, event_type: &str, txn: &str) -> String {
    path(room, &format!("send/{event_type}/{txn}"))
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let content = json!({
        "msgtype": "m.text", "body": "ünï \u{1f980}\n", "z": null, "a": [1, -5, 9_007_199_254_740_991_i64, {}],
        "info": { "b": true },
    });
    let path_of_event = send(&room, "org.example.event%20type", "a%2Fb%20c");
    let answer = alice.put(&path_of_event, content.clone()).await.ok();
    let event_id = answer["event_id"].as_str().unwrap();
    let event = alice
        .get(&path(&room, &format!("event/{event_id}")))
        .await
        .ok();
    assert_eq!(event["content"], content);
    assert_eq!(event["type"], "org.example.event type");
    assert_eq!(event["sender"], json!(alice.user_id));
    assert_eq!(event["room_id"], json!(room));
    assert_eq!(event["origin_server_ts"], test_support::START_MS);
    assert_eq!(event["unsigned"]["transaction_id"], "a/b c");
    assert!(event.get("state_key").is_none());
    // An empty content is one.
    alice.put(&send(&room, "x", "2"), json!({})).await.ok();
    alice
        .send(Method::PUT, &send(&room, "x", "3"), " {} ")
        .await
        .ok();
}

#[tokio::test]
async fn the_same_transaction_is_the_same_event() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let other = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let first = say(&alice, &room, "once", "1").await;
    assert_eq!(say(&alice, &room, "once", "1").await, first);
    assert_eq!(say(&alice, &room, "changed its mind", "1").await, first);
    let before = timeline(&alice, &room).await.len();

    // Another id, room, type, user, device or endpoint is another request.
    let mut ids = vec![first.clone()];
    ids.push(say(&alice, &room, "once", "2").await);
    ids.push(say(&alice, &other, "once", "1").await);
    ids.push(say(&bob, &room, "once", "1").await);
    ids.push(say(&server.login("alice").await, &room, "once", "1").await);
    for path in [
        send(&room, "org.example", "1"),
        path(&room, &format!("redact/{first}/1")),
    ] {
        let answer = alice.put(&path, json!({})).await.ok();
        ids.push(answer["event_id"].as_str().unwrap().to_owned());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert_eq!(timeline(&alice, &room).await.len(), before + 5);
}

#[tokio::test]
async fn transactions_survive_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let said = say(&alice, &room, "once", "1").await;
    let redact = path(&room, &format!("redact/{said}/1"));
    let redaction = alice.put(&redact, json!({})).await.ok();
    let events = timeline(&alice, &room).await.len();

    let server = server.restart().await;
    let alice = server
        .anyone()
        .with_token(alice.access_token.as_deref().unwrap());
    assert_eq!(say(&alice, &room, "once", "1").await, said);
    assert_eq!(alice.put(&redact, json!({})).await.ok(), redaction);
    assert_eq!(timeline(&alice, &room).await.len(), events);
    assert_ne!(say(&alice, &room, "once", "2").await, said);
}

#[tokio::test]
async fn one_transaction_sent_many_times_at_once_is_one_event() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let (one, two, three) = tokio::join!(
        say(&alice, &room, "now", "1"),
        say(&alice, &room, "now", "1"),
        say(&alice, &room, "now", "1"),
    );
    assert_eq!((&one, &one), (&two, &three));
    assert_eq!(timeline(&alice, &room).await.len(), 7);
}

#[tokio::test]
async fn only_members_with_the_power_send() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = create(
        &alice,
        json!({
            "preset": "public_chat",
            "power_level_content_override": {
                "events": { "org.example.loud": 10, "org.example.free": 0 }, "state_default": 50,
            },
        }),
    )
    .await;
    let message = send(&room, "m.room.message", "1");
    let state = path(&room, "state/org.example.free/");
    let outsider = async |status| {
        for path in [&message, &state] {
            let answer = bob.put(path, text("a")).await;
            assert_eq!(answer.status, status, "{}", answer.json);
        }
    };
    outsider(403).await;
    act(&alice, &room, "invite", json!({ "user_id": bob.user_id })).await;
    outsider(403).await;
    act(&bob, &room, "join", json!({})).await;
    outsider(200).await;
    bob.put(&send(&room, "org.example.loud", "1"), text("a"))
        .await
        .is(403, "M_FORBIDDEN");
    bob.put(&path(&room, "state/m.room.name/"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    // A message type does not make a state event, nor the other way round.
    bob.put(&path(&room, "state/org.example.loud/"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    act(&bob, &room, "leave", json!({})).await;
    let after = bob
        .put(&send(&room, "m.room.message", "2"), text("a"))
        .await;
    after.is(403, "M_FORBIDDEN");
    // What was answered before is answered again.
    bob.put(&message, text("a")).await.ok();

    bob.put(&send("!nothing", "m.room.message", "1"), text("a"))
        .await
        .is(403, "M_FORBIDDEN");
    let malformed = bob
        .put(&send("nothing", "m.room.message", "1"), text("a"))
        .await;
    malformed.is(400, "M_INVALID_PARAM");
    for path in [&message, &state] {
        server
            .anyone()
            .put(path, text("a"))
            .await
            .is(401, "M_MISSING_TOKEN");
    }
}

/// Every body that no event can have, whatever its kind.
fn impossible() -> Vec<(String, u16, &'static str)> {
    let nested = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth), "1") + &"}".repeat(depth);
    vec![
        ("[]".to_owned(), 400, "M_BAD_JSON"),
        ("5".to_owned(), 400, "M_BAD_JSON"),
        ("null".to_owned(), 400, "M_BAD_JSON"),
        ("{".to_owned(), 400, "M_NOT_JSON"),
        ("{\"a\":\"\\ud800\"}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":1.5}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":1.0}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":1e3}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":[{\"b\":-0.1}]}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":9007199254740992}".to_owned(), 400, "M_BAD_JSON"),
        ("{\"a\":-9007199254740992}".to_owned(), 400, "M_BAD_JSON"),
        (
            "{\"a\":123456789012345678901234567890}".to_owned(),
            400,
            "M_BAD_JSON",
        ),
        (nested(120), 400, "M_NOT_JSON"),
        (nested(100_000), 400, "M_NOT_JSON"),
        (
            format!("{{\"a\":\"{}\"}}", "x".repeat(66_000)),
            413,
            "M_TOO_LARGE",
        ),
        (
            format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20)),
            413,
            "M_TOO_LARGE",
        ),
    ]
}

#[tokio::test]
async fn what_no_event_can_hold_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for version in ["1", "5", "6", "11", "12"] {
        let room = create(&alice, json!({ "room_version": version })).await;
        let before = timeline(&alice, &room).await.len();
        for path in [
            send(&room, "m.room.message", "1"),
            path(&room, "state/org.example/"),
        ] {
            for (body, status, errcode) in impossible() {
                let shown: String = body.chars().take(60).collect();
                let answer = alice.send(Method::PUT, &path, body).await;
                let found = answer.json["errcode"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let case = format!("version {version}: {shown}: {}", answer.json);
                // A lone surrogate is no text; serde_json says so in the one place or the other.
                if shown.contains("ud800") {
                    assert_eq!(answer.status, status, "{case}");
                } else {
                    assert_eq!((answer.status, &*found), (status, errcode), "{case}");
                }
            }
            let utf8 = alice
                .send(Method::PUT, &path, &b"{\"a\":\"\xff\"}"[..])
                .await;
            assert_eq!(utf8.status, 400);
        }
        assert_eq!(timeline(&alice, &room).await.len(), before);
        say(&alice, &room, "still here", "1").await;
    }
}

#[tokio::test]
async fn sizes_are_limited() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    // A PDU of ours has about 1,000 bytes besides its content.
    alice
        .put(
            &send(&room, "m.room.message", "1"),
            text(&"x".repeat(64_000)),
        )
        .await
        .ok();
    let larger = alice
        .put(
            &send(&room, "m.room.message", "2"),
            text(&"x".repeat(65_500)),
        )
        .await;
    larger.is(413, "M_TOO_LARGE");
    // The limit is for bytes.
    let wider = alice
        .put(
            &send(&room, "m.room.message", "2"),
            text(&"ü".repeat(33_000)),
        )
        .await;
    wider.is(413, "M_TOO_LARGE");
    let (fits, long) = ("k".repeat(255), "k".repeat(256));
    alice
        .put(&path(&room, &format!("state/{fits}/{fits}")), json!({}))
        .await
        .ok();
    alice
        .put(&path(&room, &format!("state/{long}/a")), json!({}))
        .await
        .is(413, "M_TOO_LARGE");
    alice
        .put(&path(&room, &format!("state/a/{long}")), json!({}))
        .await
        .is(413, "M_TOO_LARGE");
    alice
        .put(&send(&room, &long, "3"), json!({}))
        .await
        .is(413, "M_TOO_LARGE");
    alice.put(&send(&room, "a", &fits), json!({})).await.ok();
    alice
        .put(&send(&room, "a", &long), json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn an_empty_state_key_may_be_left_out() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    for rest in ["state/m.room.name", "state/m.room.name/"] {
        let name = json!({ "name": rest });
        alice.put(&path(&room, rest), name.clone()).await.ok();
        assert_eq!(content(&alice, &room, "m.room.name", "").await, name);
    }
    set_state(
        &alice,
        &room,
        "org.example/a%2Fb%20%C3%BC",
        json!({ "n": 1 }),
    )
    .await;
    let events = timeline(&alice, &room).await;
    assert_eq!(events.last().unwrap()["state_key"], "a/b ü");
    let r0 = format!("/_matrix/client/r0/rooms/{room}/state/m.room.name");
    alice.put(&r0, json!({ "name": "r0" })).await.ok();
    alice
        .post(&path(&room, "state/m.room.name"), json!({}))
        .await
        .is(405, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn types_are_kept_as_spelled() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    // Each an unstable name and its stable one, which libraries like to mix up.
    for event_type in [
        "m.call.member",
        "org.matrix.msc3401.call.member",
        "m.beacon_info",
        "org.matrix.msc3672.beacon_info",
        "m.rtc.member",
        "org.matrix.msc4143.rtc.member",
        "m.member_hints",
        "io.element.functional_members",
    ] {
        let named = json!({ "named": event_type });
        set_state(&alice, &room, event_type, named.clone()).await;
        alice
            .put(&send(&room, event_type, "1"), named.clone())
            .await
            .ok();
        let kept = content(&alice, &room, event_type, "").await;
        assert_eq!(kept, named);
    }
    for event in timeline(&alice, &room).await {
        if let Some(named) = event["content"].get("named") {
            assert_eq!(&event["type"], named);
        }
    }
}

#[tokio::test]
async fn setting_what_is_set_changes_nothing() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = create(
        &alice,
        json!({ "preset": "public_chat", "power_level_content_override": { "state_default": 0 } }),
    )
    .await;
    act(&bob, &room, "join", json!({})).await;
    let topic = json!({ "topic": "a", "more": [1, { "b": 2 }] });
    let first = set_state(&alice, &room, "m.room.topic", topic.clone()).await;
    assert_eq!(
        set_state(&alice, &room, "m.room.topic", topic.clone()).await,
        first
    );
    // Spelled otherwise it is the same.
    let spelled = r#"{ "more":[1,{"b":2}], "topic":"\u0061" }"#;
    let answer = alice
        .send(Method::PUT, &path(&room, "state/m.room.topic"), spelled)
        .await;
    assert_eq!(answer.ok()["event_id"], json!(first));
    // Another's word is another event, and so is a change and its undoing.
    let second = set_state(&bob, &room, "m.room.topic", topic.clone()).await;
    set_state(&bob, &room, "m.room.topic", json!({ "topic": "b" })).await;
    let third = set_state(&bob, &room, "m.room.topic", topic).await;
    assert!(first != second && second != third);
    assert_eq!(timeline(&alice, &room).await.len(), 7 + 4);
    // Who has left cannot set it again either.
    act(&bob, &room, "leave", json!({})).await;
    let after = bob
        .put(&path(&room, "state/m.room.topic"), json!({ "topic": "a" }))
        .await;
    after.is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn membership_can_be_set_as_state() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let member = |user: &str| format!("state/m.room.member/{user}");
    let his = path(&room, &member(&bob.user_id));
    bob.put(&his, json!({ "membership": "join", "displayname": "Rob" }))
        .await
        .ok();
    let joined = bob.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([room]));
    // Twice is once.
    let one = bob
        .put(&his, json!({ "membership": "join", "displayname": "Rob" }))
        .await
        .ok();
    let two = bob
        .put(&his, json!({ "membership": "join", "displayname": "Rob" }))
        .await
        .ok();
    assert_eq!(one, two);
    for content in [
        json!({}),
        json!({ "membership": "lurk" }),
        json!({ "membership": 5 }),
        json!({ "membership": "ban" }),
        json!({ "membership": "invite" }),
    ] {
        let answer = bob.put(&his, content.clone()).await;
        assert!(
            [400, 403].contains(&answer.status),
            "{content}: {}",
            answer.json
        );
    }
    let of_alice = path(&room, &member(&alice.user_id));
    bob.put(&of_alice, json!({ "membership": "leave" }))
        .await
        .is(403, "M_FORBIDDEN");
    let nobody = path(&room, &member("nobody"));
    alice
        .put(&nobody, json!({ "membership": "invite" }))
        .await
        .is(400, "M_INVALID_PARAM");
    let foreign = path(&room, &member("@x:elsewhere"));
    alice
        .put(&foreign, json!({ "membership": "invite" }))
        .await
        .is(403, "M_FORBIDDEN");
    alice.put(&his, json!({ "membership": "leave" })).await.ok();
    let joined = bob.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([]));
}

#[tokio::test]
async fn the_rules_guard_their_own_state() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for version in ["1", "9", "10", "12"] {
        let room = create(&alice, json!({ "room_version": version })).await;
        let set = async |rest: &str, content: Value| {
            alice
                .put(&path(&room, &format!("state/{rest}")), content)
                .await
        };
        for rest in ["m.room.create", "m.room.create/other"] {
            let create = json!({ "room_version": version, "creator": alice.user_id, "x": 1 });
            set(rest, create).await.is(403, "M_FORBIDDEN");
        }
        // Somebody else's state key.
        set("org.example/@bob:localhost", json!({}))
            .await
            .is(403, "M_FORBIDDEN");
        set("org.example/@alice:localhost", json!({})).await.ok();
        let levels = set("m.room.power_levels", json!({ "ban": "fifty" })).await;
        assert_eq!(levels.status, 403, "version {version}: {}", levels.json);
        let users = set("m.room.power_levels", json!({ "users": { "bob": 5 } })).await;
        assert_eq!(users.status, 403, "version {version}: {}", users.json);
        // The room goes on.
        say(&alice, &room, "fine", "1").await;
    }
}

#[tokio::test]
async fn an_acl_that_shuts_this_server_out_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let acl = |allow: Value, deny: Value| json!({ "allow": allow, "deny": deny, "allow_ip_literals": false });
    let shut = [
        (acl(json!([]), json!([])), "M_INVALID_PARAM"),
        (acl(json!(["*"]), json!(["local*"])), "M_INVALID_PARAM"),
        (acl(json!(["elsewhere.org"]), json!([])), "M_INVALID_PARAM"),
        (acl(json!("*"), json!([])), "M_BAD_JSON"),
    ];
    let room = public(&alice).await;
    let state = path(&room, "state/m.room.server_acl");
    for (content, errcode) in shut {
        alice.put(&state, content.clone()).await.is(400, errcode);
        let initial = json!([{ "type": "m.room.server_acl", "content": content }]);
        let create = json!({ "initial_state": initial });
        alice
            .post("/_matrix/client/v3/createRoom", create)
            .await
            .is(400, errcode);
    }
    let open = acl(json!(["*"]), json!(["evil.org"]));
    alice.put(&state, open.clone()).await.ok();
    assert_eq!(alice.get(&state).await.ok(), open);
}

#[tokio::test]
async fn sending_is_limited() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.message.burst = 3;
    })
    .await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let event = say(&alice, &room, "one", "1").await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "two" })).await;
    alice
        .put(&path(&room, &format!("redact/{event}/3")), json!({}))
        .await
        .ok();
    for path in [
        send(&room, "m.room.message", "4"),
        path(&room, "state/m.room.name"),
        path(&room, &format!("redact/{event}/5")),
    ] {
        let answer = alice.put(&path, text("four")).await;
        assert!(answer.headers.contains_key("retry-after"));
        answer.is(429, "M_LIMIT_EXCEEDED");
    }
}
