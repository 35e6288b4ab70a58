//! [Receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts) and
//! [unread counts](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications).

use serde_json::{Value, json};
use test_support::Client;

use crate::{
    events::syncing::{NOTHING, Syncer, joined, names, say, send, sync, two_in_a_room},
    rooms::path,
};

async fn read(client: &Client, room: &str, kind: &str, event_id: &str, body: Value) {
    client
        .post(&path(room, &format!("receipt/{kind}/{event_id}")), body)
        .await
        .ok();
}

fn receipts(answer: &Value, room: &str) -> Vec<Value> {
    let events = joined(answer, room)["ephemeral"]["events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    events
        .into_iter()
        .filter(|event| event["type"] == "m.receipt")
        .map(|event| event["content"].clone())
        .collect()
}

fn unread(answer: &Value, room: &str) -> (i64, i64) {
    let counts = &joined(answer, room)["unread_notifications"];
    (
        counts["notification_count"].as_i64().unwrap_or(-1),
        counts["highlight_count"].as_i64().unwrap_or(-1),
    )
}

#[tokio::test]
async fn a_public_receipt_is_for_all_and_a_private_one_for_its_user() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let phone = server.login("bob").await;
    let (mut alices, mut bobs) = (Syncer::started(&alice).await, Syncer::started(&phone).await);
    let event_id = say(&alice, &room, "one").await;
    alices.next().await;
    bobs.next().await;
    read(&bob, &room, "m.read", &event_id, json!({})).await;
    let content =
        json!({ (&event_id): { "m.read": { (&bob.user_id): { "ts": test_support::START_MS } } } });
    assert_eq!(
        receipts(&alices.within(60_000).await, &room),
        std::slice::from_ref(&content)
    );
    assert_eq!(receipts(&bobs.within(60_000).await, &room), [content]);

    let event_id = say(&alice, &room, "two").await;
    alices.next().await;
    bobs.next().await;
    read(&bob, &room, "m.read.private", &event_id, json!({})).await;
    let content = json!({ (&event_id): { "m.read.private": { (&bob.user_id): { "ts": test_support::START_MS } } } });
    assert_eq!(receipts(&bobs.within(60_000).await, &room), [content]);
    assert_eq!(names(&alices.next().await), NOTHING);
    let mut all = Vec::new();
    for client in [&alice, &phone] {
        all.push(
            receipts(&sync(client, "").await, &room)[0]
                .as_object()
                .unwrap()
                .len(),
        );
    }
    assert_eq!(all, [1, 2]);
}

#[tokio::test]
async fn a_receipt_moves_forward_and_the_same_one_is_no_news() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let one = say(&alice, &room, "one").await;
    let two = say(&alice, &room, "two").await;
    read(&bob, &room, "m.read", &two, json!({})).await;
    let mut syncer = Syncer::started(&alice).await;
    read(&bob, &room, "m.read", &one, json!({})).await;
    read(&bob, &room, "m.read", &two, json!({})).await;
    assert_eq!(names(&syncer.next().await), NOTHING);
    assert_eq!(names(&receipts(&sync(&alice, "").await, &room)[0]), [&two]);
}

#[tokio::test]
async fn receipts_of_threads_stand_beside_each_other() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = say(&alice, &room, "root").await;
    let mut syncer = Syncer::started(&alice).await;
    read(&bob, &room, "m.read", &root, json!({})).await;
    read(&bob, &room, "m.read", &root, json!({ "thread_id": "main" })).await;
    read(&bob, &room, "m.read", &root, json!({ "thread_id": root })).await;
    let answer = syncer.next().await;
    let mut threads: Vec<Value> = receipts(&answer, &room)
        .iter()
        .map(|content| content[&root]["m.read"][&bob.user_id]["thread_id"].clone())
        .collect();
    threads.sort_by_key(ToString::to_string);
    assert_eq!(threads, [json!(root), json!("main"), Value::Null]);
}

#[tokio::test]
async fn concurrent_receipts_leave_the_furthest() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut events = Vec::new();
    for number in 0..12 {
        events.push(say(&alice, &room, &number.to_string()).await);
    }
    let all = events
        .iter()
        .map(|event_id| read(&bob, &room, "m.read", event_id, json!({})));
    futures_util::future::join_all(all).await;
    let content = receipts(&sync(&alice, "").await, &room);
    assert_eq!(names(&content[0]), [events.last().unwrap()]);
    assert_eq!(unread(&sync(&bob, "").await, &room), (0, 0));
}

#[tokio::test]
async fn unread_counts_follow_messages_mentions_and_receipts() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    let one = say(&alice, &room, "one").await;
    assert_eq!(unread(&syncer.next().await, &room), (1, 0));
    let mention =
        json!({ "msgtype": "m.text", "body": "bob!", "m.mentions": { "user_ids": [bob.user_id] } });
    let two = send(&alice, &room, "m.room.message", mention).await;
    assert_eq!(unread(&syncer.next().await, &room), (2, 1));
    send(
        &alice,
        &room,
        "m.room.message",
        json!({ "msgtype": "m.notice", "body": "beep" }),
    )
    .await;
    let reaction =
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": two, "key": "x" } });
    send(&alice, &room, "m.reaction", reaction).await;
    assert_eq!(unread(&syncer.next().await, &room), (2, 1));
    read(&bob, &room, "m.read", &one, json!({})).await;
    assert_eq!(unread(&syncer.next().await, &room), (1, 1));
    read(&bob, &room, "m.read.private", &two, json!({})).await;
    assert_eq!(unread(&syncer.next().await, &room), (0, 0));
    send(
        &alice,
        &room,
        "m.room.message",
        json!({ "msgtype": "m.text", "body": "@room", "m.mentions": { "room": true } }),
    )
    .await;
    assert_eq!(unread(&syncer.next().await, &room), (1, 1));
    // Whoever speaks has read.
    say(&bob, &room, "answer").await;
    assert_eq!(unread(&syncer.next().await, &room), (0, 0));
    assert_eq!(unread(&sync(&alice, "").await, &room), (1, 0));
}

#[tokio::test]
async fn threads_are_counted_apart_if_asked_for() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = say(&alice, &room, "root").await;
    let in_thread = |body: &str| {
        json!({
            "msgtype": "m.text",
            "body": body,
            "m.relates_to": { "rel_type": "m.thread", "event_id": root },
            "m.mentions": { "user_ids": [bob.user_id] },
        })
    };
    let first = send(&alice, &room, "m.room.message", in_thread("first")).await;
    send(&alice, &room, "m.room.message", in_thread("second")).await;
    assert_eq!(unread(&sync(&bob, "").await, &room), (3, 2));
    let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let mut syncer = Syncer::filtered(&bob, &filter);
    let answer = syncer.next().await;
    assert_eq!(unread(&answer, &room), (1, 0));
    let threads = &joined(&answer, &room)["unread_thread_notifications"];
    assert_eq!(
        *threads,
        json!({ (&root): { "notification_count": 2, "highlight_count": 2 } })
    );
    read(&bob, &room, "m.read", &first, json!({ "thread_id": root })).await;
    let answer = syncer.next().await;
    let threads = &joined(&answer, &room)["unread_thread_notifications"];
    assert_eq!(
        *threads,
        json!({ (&root): { "notification_count": 1, "highlight_count": 1 } })
    );
    read(&bob, &room, "m.read", &root, json!({ "thread_id": "main" })).await;
    let answer = syncer.next().await;
    assert_eq!(unread(&answer, &room), (0, 0));
}

#[tokio::test]
async fn who_may_send_a_receipt_for_what() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let carol = server.register("carol").await;
    let event_id = say(&alice, &room, "one").await;
    let of = |kind: &str, event_id: &str| path(&room, &format!("receipt/{kind}/{event_id}"));
    server
        .anyone()
        .post(&of("m.read", &event_id), json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    carol
        .post(&of("m.read", &event_id), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    bob.post(&of("m.read", "$unknown"), json!({}))
        .await
        .is(404, "M_NOT_FOUND");
    bob.post(&of("m.unread", &event_id), json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
    bob.post(
        &of("m.fully_read", &event_id),
        json!({ "thread_id": "main" }),
    )
    .await
    .is(400, "M_INVALID_PARAM");
    bob.post(&of("m.read", &event_id), json!({ "thread_id": 5 }))
        .await
        .is(400, "M_BAD_JSON");
    let elsewhere = crate::rooms::public(&bob).await;
    let other = say(&bob, &elsewhere, "elsewhere").await;
    bob.post(&of("m.read", &other), json!({}))
        .await
        .is(404, "M_NOT_FOUND");
    // Bodies are optional; clients leave them out.
    bob.send(http::Method::POST, &of("m.read", &event_id), "")
        .await
        .ok();
}

#[tokio::test]
async fn push_rules_of_the_users_own_count() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let rule = |kind: &str, id: &str| format!("/_matrix/client/v3/pushrules/global/{kind}/{id}");
    let mention =
        json!({ "msgtype": "m.text", "body": "bob!", "m.mentions": { "user_ids": [bob.user_id] } });
    say(&alice, &room, "a word").await;
    send(&alice, &room, "m.room.message", mention).await;
    assert_eq!(unread(&sync(&bob, "").await, &room), (2, 1));
    bob.put(&rule("room", &room), json!({ "actions": [] }))
        .await
        .ok();
    assert_eq!(unread(&sync(&bob, "").await, &room), (1, 1));
    bob.put(
        &rule("content", "word"),
        json!({ "pattern": "word", "actions": ["notify", { "set_tweak": "highlight" }] }),
    )
    .await
    .ok();
    assert_eq!(unread(&sync(&bob, "").await, &room), (2, 2));
    let condition = json!({ "kind": "event_match", "key": "room_id", "pattern": room });
    bob.put(
        &rule("override", "mute"),
        json!({ "conditions": [condition], "actions": [] }),
    )
    .await
    .ok();
    assert_eq!(unread(&sync(&bob, "").await, &room), (0, 0));
}
