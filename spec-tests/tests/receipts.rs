//! [Receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts): public, private and threaded.

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, room_path, user};

fn path(room: &str, kind: &str, event: &str) -> String {
    room_path(room, &format!("receipt/{kind}/{}", encode(event)))
}

fn mark(user: &User, room: &str, kind: &str, event: &str) {
    assert_eq!(
        user.post(&path(room, kind, event), json!({})).ok(),
        json!({})
    );
}

/// The receipt of this kind and user for this event in an `m.receipt` event.
fn receipt<'a>(event: &'a Value, id: &str, kind: &str, user: &User) -> Option<&'a Value> {
    event["content"][id][kind].get(&user.id)
}

fn pair() -> (User, User, String) {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    (alice, bob, room)
}

#[test]
fn a_public_receipt_reaches_the_room() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    let mut feed = Feed::from_now(&alice);
    mark(&bob, &room, "m.read", &event);
    let seen = feed.ephemeral(&room, |seen| {
        receipt(seen, &event, "m.read", &bob).is_some()
    });
    assert_eq!(seen["type"], "m.receipt");
    let receipt = receipt(&seen, &event, "m.read", &bob).unwrap();
    assert!(receipt["ts"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(receipt.get("thread_id").is_none(), "{receipt}");
}

#[test]
fn a_receipt_is_news_once() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    let mut feed = Feed::from_now(&alice);
    mark(&bob, &room, "m.read", &event);
    feed.ephemeral(&room, |seen| {
        receipt(seen, &event, "m.read", &bob).is_some()
    });
    let next = feed.next(0);
    assert!(next["rooms"]["join"].get(&room).is_none(), "{next}");
}

#[test]
fn a_private_receipt_is_seen_by_its_sender_only() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    let mut hers = Feed::from_now(&alice);
    let mut his = Feed::from_now(&bob);
    mark(&bob, &room, "m.read.private", &event);
    his.ephemeral(&room, |seen| {
        receipt(seen, &event, "m.read.private", &bob).is_some()
    });
    // A public receipt that comes later proves that the private one was passed over.
    let second = alice.say(&room, "second");
    mark(&bob, &room, "m.read", &second);
    hers.until("the public receipt", |sync| {
        let room = &sync["rooms"]["join"][&room];
        assert!(!room.to_string().contains("m.read.private"), "{room}");
        let events = room["ephemeral"]["events"].as_array()?;
        events
            .iter()
            .find(|seen| receipt(seen, &second, "m.read", &bob).is_some())
            .cloned()
    });
    let initial = alice.sync(&[]);
    assert!(!initial.to_string().contains("m.read.private"), "{initial}");
}

#[test]
fn the_initial_sync_has_the_last_receipts() {
    let (alice, bob, room) = pair();
    let first = alice.say(&room, "first");
    let second = alice.say(&room, "second");
    mark(&bob, &room, "m.read", &first);
    mark(&bob, &room, "m.read", &second);
    let sync = alice.sync(&[]);
    let events = sync["rooms"]["join"][&room]["ephemeral"]["events"]
        .as_array()
        .unwrap();
    let has = |id: &str| {
        events
            .iter()
            .any(|seen| receipt(seen, id, "m.read", &bob).is_some())
    };
    assert!(has(&second), "{sync}");
    assert!(!has(&first), "one event per user and kind: {sync}");
}

#[test]
fn threads_have_receipts_of_their_own() {
    let (alice, bob, room) = pair();
    let thread = alice.say(&room, "a thread starts");
    let relation = json!({"rel_type": "m.thread", "event_id": thread});
    let body = json!({"msgtype": "m.text", "body": "in the thread", "m.relates_to": relation});
    let threaded = alice.send_event(&room, "m.room.message", body);
    let mut feed = Feed::from_now(&alice);
    bob.post(
        &path(&room, "m.read", &threaded),
        json!({"thread_id": thread}),
    )
    .ok();
    let seen = feed.ephemeral(&room, |seen| {
        receipt(seen, &threaded, "m.read", &bob).is_some()
    });
    assert_eq!(
        receipt(&seen, &threaded, "m.read", &bob).unwrap()["thread_id"],
        thread
    );
    bob.post(
        &path(&room, "m.read", &thread),
        json!({"thread_id": "main"}),
    )
    .ok();
    let seen = feed.ephemeral(&room, |seen| {
        receipt(seen, &thread, "m.read", &bob).is_some()
    });
    assert_eq!(
        receipt(&seen, &thread, "m.read", &bob).unwrap()["thread_id"],
        "main"
    );
    mark(&bob, &room, "m.read", &threaded);
    // All three stand beside each other for a client that starts now.
    let sync = alice.sync(&[]);
    let text = sync["rooms"]["join"][&room]["ephemeral"].to_string();
    assert!(
        text.contains(&threaded) && text.contains(&thread) && text.contains("\"main\""),
        "{text}"
    );
}

#[test]
fn bad_threads_are_invalid() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    for thread in [json!(3), json!("")] {
        let answer = bob.post(&path(&room, "m.read", &event), json!({"thread_id": thread}));
        answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_BAD_JSON"]);
    }
    let answer = bob.post(
        &path(&room, "m.fully_read", &event),
        json!({"thread_id": "main"}),
    );
    answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_BAD_JSON"]);
    let other = alice.say(&room, "not a thread");
    let answer = bob.post(&path(&room, "m.read", &event), json!({"thread_id": other}));
    answer.fails_with_one_of(400, &["M_INVALID_PARAM"]);
}

#[test]
fn unknown_kinds_are_refused() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    let answer = bob.post(&path(&room, "org.example.kind", &event), json!({}));
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn strangers_leave_no_receipt() {
    let (alice, _, room) = pair();
    let event = alice.say(&room, "hello");
    let answer = user("carol").post(&path(&room, "m.read", &event), json!({}));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    anonymous()
        .post(&path(&room, "m.read", &event), json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn a_fully_read_marker_may_come_as_a_receipt() {
    let (alice, bob, room) = pair();
    let event = alice.say(&room, "hello");
    bob.post(&path(&room, "m.fully_read", &event), json!({}))
        .ok();
    let kept = format!(
        "/v3/user/{}/rooms/{}/account_data/m.fully_read",
        encode(&bob.id),
        encode(&room)
    );
    assert_eq!(bob.get(&kept).ok()["event_id"], event);
}
