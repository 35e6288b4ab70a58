//! Delayed events ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140)) and the places of calls
//! ([MSC4143](https://github.com/matrix-org/matrix-spec-proposals/pull/4143)).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{create, path, public, timeline};

const WAITING: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

fn send(room: &str, txn: &str, delay_ms: u64) -> String {
    path(
        room,
        &format!("send/m.room.message/{txn}?org.matrix.msc4140.delay={delay_ms}"),
    )
}

async fn put_off(client: &Client, path: &str, content: Value) -> String {
    let answer = client.put(path, content).await.ok();
    answer["delay_id"].as_str().unwrap().to_owned()
}

async fn waiting(client: &Client) -> Vec<Value> {
    client.get(WAITING).await.ok()["delayed_events"]
        .as_array()
        .unwrap()
        .clone()
}

/// Until nothing waits any more. From here on time flies whenever nobody has anything to do; while the disk is waited for
/// as well, so not before.
async fn sent(client: &Client) {
    tokio::time::pause();
    while !waiting(client).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

async fn bodies(client: &Client, room: &str) -> Vec<Value> {
    let events = timeline(client, room).await.into_iter();
    let messages = events.filter(|event| event["type"] == "m.room.message");
    messages
        .map(|event| event["content"]["body"].clone())
        .collect()
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

#[tokio::test]
async fn an_event_is_sent_when_its_time_has_come() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let second = put_off(&alice, &send(&room, "1", 20_000), text("second")).await;
    let first = put_off(&alice, &send(&room, "2", 10_000), text("first")).await;
    let state = path(&room, "state/m.room.topic/?org.matrix.msc4140.delay=30000");
    put_off(&alice, &state, json!({ "topic": "late" })).await;
    let list = waiting(&alice).await;
    assert_eq!(list.len(), 3);
    assert_eq!(
        list[0],
        json!({ "delay_id": first, "room_id": room, "type": "m.room.message", "delay": 10_000,
            "running_since": test_support::START_MS, "content": text("first") })
    );
    assert_eq!(
        (&list[1]["delay_id"], &list[2]["state_key"]),
        (&json!(second), &json!(""))
    );
    assert_eq!(bodies(&alice, &room).await, [] as [Value; 0]);
    sent(&alice).await;
    assert_eq!(bodies(&alice, &room).await, ["first", "second"]);
    let topic = alice.get(&path(&room, "state/m.room.topic/")).await.ok();
    assert_eq!(topic["topic"], "late");
}

#[tokio::test]
async fn an_event_is_cancelled_restarted_or_sent_at_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let mut ids = Vec::new();
    for body in ["cancelled", "sent", "restarted"] {
        ids.push(put_off(&alice, &send(&room, body, 3_600_000), text(body)).await);
    }
    let of = |id: &str| format!("{WAITING}/{id}");
    // Whoever knows the id may: the call's server, for one.
    let anyone = server.anyone();
    anyone
        .post(&of(&ids[0]), json!({ "action": "cancel" }))
        .await
        .ok();
    alice
        .post(&format!("{}/send", of(&ids[1])), json!({}))
        .await
        .ok();
    server.clock.advance(1_000);
    alice
        .post(&of(&ids[2]), json!({ "action": "restart" }))
        .await
        .ok();
    assert_eq!(bodies(&alice, &room).await, ["sent"]);
    let list = waiting(&alice).await;
    assert_eq!(
        (list.len(), &list[0]["running_since"]),
        (1, &json!(test_support::START_MS + 1_000))
    );
    for id in [&ids[0], &ids[1]] {
        alice
            .post(&of(id), json!({ "action": "send" }))
            .await
            .is(404, "M_NOT_FOUND");
    }
    alice
        .post(&of(&ids[2]), json!({ "action": "dance" }))
        .await
        .is(400, "M_INVALID_PARAM");
    alice
        .post(&of(&ids[2]), json!({}))
        .await
        .is(400, "M_BAD_JSON");
}

#[tokio::test]
async fn an_event_waits_over_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    put_off(&alice, &send(&room, "1", 60_000), text("late")).await;
    assert_eq!(waiting(&alice).await.len(), 1);
    // It is due while nobody is there.
    server.clock.advance(120_000);
    let (token, server) = (alice.access_token.clone().unwrap(), server.restart().await);
    let alice = server.anyone().with_token(&token);
    sent(&alice).await;
    assert_eq!(bodies(&alice, &room).await, ["late"]);
}

#[tokio::test]
async fn there_are_limits() {
    let server = TestServer::with(|config| {
        config.calls.max_delayed_events = 2;
        config.calls.max_event_delay_ms = 60_000;
    })
    .await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = create(&alice, json!({})).await;
    let error = alice
        .put(&send(&room, "1", 60_001), text("x"))
        .await
        .is(400, "M_UNKNOWN");
    assert_eq!(error["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    assert_eq!(error["org.matrix.msc4140.max_delay"], 60_000);
    for txn in ["2", "3"] {
        put_off(&alice, &send(&room, txn, 60_000), text("x")).await;
    }
    server.clock.advance(20_000);
    let refused = alice.put(&send(&room, "4", 1), text("x")).await;
    assert_eq!(refused.headers["retry-after"], "40");
    let error = refused.is(429, "M_LIMIT_EXCEEDED");
    assert_eq!(error["retry_after_ms"], 40_000);
    bob.put(&send(&room, "1", 1), text("x"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .put(&send(&room, "1", 1), text("x"))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .get(WAITING)
        .await
        .is(401, "M_MISSING_TOKEN");
    let nonsense = path(&room, "send/m.room.message/5?org.matrix.msc4140.delay=soon");
    alice
        .put(&nonsense, text("x"))
        .await
        .is(400, "M_INVALID_PARAM");
    assert_eq!(waiting(&bob).await.len(), 0);
}

#[tokio::test]
async fn calls_take_place_where_the_administrator_says() {
    const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.get(PATH).await.ok(), json!({ "rtc_transports": [] }));
    let server = TestServer::with(|config| {
        config.calls.livekit_service_url = Some("https://livekit.example.org".to_owned());
    })
    .await;
    let alice = server.register("alice").await;
    let transport =
        json!({ "type": "livekit", "livekit_service_url": "https://livekit.example.org" });
    assert_eq!(
        alice.get(PATH).await.ok(),
        json!({ "rtc_transports": [transport] })
    );
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn the_same_request_twice_puts_off_one_event() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let first = put_off(&alice, &send(&room, "1", 60_000), text("once")).await;
    assert_eq!(
        put_off(&alice, &send(&room, "1", 60_000), text("once")).await,
        first
    );
    let (token, server) = (alice.access_token.clone().unwrap(), server.restart().await);
    let alice = server.anyone().with_token(&token);
    assert_eq!(
        put_off(&alice, &send(&room, "1", 60_000), text("once")).await,
        first
    );
    assert_ne!(
        put_off(&alice, &send(&room, "2", 60_000), text("again")).await,
        first
    );
    assert_eq!(waiting(&alice).await.len(), 2);
}

#[tokio::test]
async fn newer_state_does_not_cancel_state_that_waits() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let levels = json!({ "events": { "org.example.call": 0 } });
    let room = create(
        &alice,
        json!({ "preset": "public_chat", "power_level_content_override": levels }),
    )
    .await;
    bob.post(&path(&room, "join"), json!({})).await.ok();
    let state = path(&room, "state/org.example.call/key");
    let delayed = format!("{state}?org.matrix.msc4140.delay=10000");
    put_off(&alice, &delayed, json!({ "by": "alice, later" })).await;
    for client in [&alice, &bob] {
        client
            .put(&state, json!({ "by": client.user_id }))
            .await
            .ok();
    }
    assert_eq!(waiting(&alice).await.len(), 1);
    sent(&alice).await;
    let content = bob.get(&state).await.ok();
    assert_eq!(content["by"], "alice, later");
}

#[tokio::test]
async fn who_has_left_sends_nothing_later() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    bob.post(&path(&room, "join"), json!({})).await.ok();
    put_off(&bob, &send(&room, "1", 10_000), text("late")).await;
    bob.post(&path(&room, "leave"), json!({})).await.ok();
    sent(&bob).await;
    assert_eq!(bodies(&alice, &room).await, [] as [Value; 0]);
}
