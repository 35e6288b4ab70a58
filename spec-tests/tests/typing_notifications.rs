//! [Typing notifications](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications).

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, room_path, user};

fn path(room: &str, user: &User) -> String {
    room_path(room, &format!("typing/{}", encode(&user.id)))
}

fn start(user: &User, room: &str, timeout_ms: u64) {
    user.put(
        &path(room, user),
        json!({"typing": true, "timeout": timeout_ms}),
    )
    .ok();
}

fn is_typing(event: &Value, users: &[&User]) -> bool {
    let ids: Vec<_> = users.iter().map(|user| user.id.as_str()).collect();
    event["type"] == "m.typing" && event["content"]["user_ids"] == json!(ids)
}

fn pair() -> (User, User, String) {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    (alice, bob, room)
}

#[test]
fn typing_is_seen_and_ends_when_said_so() {
    let (alice, bob, room) = pair();
    let mut feed = Feed::from_now(&alice);
    start(&bob, &room, 30_000);
    feed.ephemeral(&room, |event| is_typing(event, &[&bob]));
    assert_eq!(
        bob.put(&path(&room, &bob), json!({"typing": false})).ok(),
        json!({})
    );
    feed.ephemeral(&room, |event| is_typing(event, &[]));
}

#[test]
fn typing_stops_after_the_timeout() {
    let (alice, bob, room) = pair();
    let mut feed = Feed::from_now(&alice);
    start(&bob, &room, 300);
    feed.ephemeral(&room, |event| is_typing(event, &[&bob]));
    feed.ephemeral(&room, |event| is_typing(event, &[]));
}

#[test]
fn several_type_at_once() {
    let (alice, bob, room) = pair();
    let mut feed = Feed::from_now(&alice);
    start(&bob, &room, 30_000);
    start(&alice, &room, 30_000);
    feed.ephemeral(&room, |event| {
        let ids = event["content"]["user_ids"].as_array();
        ids.is_some_and(|ids| ids.contains(&json!(bob.id)) && ids.contains(&json!(alice.id)))
    });
}

#[test]
fn the_initial_sync_says_who_is_typing() {
    let (alice, bob, room) = pair();
    start(&bob, &room, 30_000);
    let sync = alice.sync(&[]);
    let events = sync["rooms"]["join"][&room]["ephemeral"]["events"]
        .as_array()
        .unwrap();
    assert!(
        events.iter().any(|event| is_typing(event, &[&bob])),
        "{sync}"
    );
}

#[test]
fn one_types_for_oneself_only() {
    let (alice, bob, room) = pair();
    let body = json!({"typing": true, "timeout": 30_000});
    alice
        .put(&path(&room, &bob), body.clone())
        .fails(403, "M_FORBIDDEN");
    let carol = user("carol");
    carol
        .put(&path(&room, &carol), body.clone())
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .put(&path(&room, &bob), body)
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn malformed_typing_is_refused() {
    let (alice, _, room) = pair();
    for body in [
        json!({}),
        json!({"typing": "yes"}),
        json!({"typing": true, "timeout": "long"}),
    ] {
        let answer = alice.put(&path(&room, &alice), body);
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_MISSING_PARAM", "M_INVALID_PARAM"]);
    }
}

#[test]
fn typing_twice_and_absurd_timeouts_are_taken() {
    let (alice, bob, room) = pair();
    let mut feed = Feed::from_now(&alice);
    start(&bob, &room, 30_000);
    start(&bob, &room, 9_007_199_254_740_991);
    feed.ephemeral(&room, |event| is_typing(event, &[&bob]));
    bob.put(&path(&room, &bob), json!({"typing": false})).ok();
    feed.ephemeral(&room, |event| is_typing(event, &[]));
}

#[test]
fn leaving_ends_typing() {
    let (alice, bob, room) = pair();
    let mut feed = Feed::from_now(&alice);
    start(&bob, &room, 30_000);
    feed.ephemeral(&room, |event| is_typing(event, &[&bob]));
    bob.leave(&room);
    let sync = alice.sync(&[]);
    let text = sync["rooms"]["join"][&room]["ephemeral"].to_string();
    assert!(!text.contains(&bob.id), "{text}");
}
