//! [Read and unread markers](https://spec.matrix.org/v1.19/client-server-api/#read-and-unread-markers).

use serde_json::json;
use spec_tests::{Feed, anonymous, encode, find_event, room_path, user};

#[test]
fn a_marker_is_kept_and_comes_down_sync() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "hello");
    let mut feed = Feed::from_now(&alice);
    let path = room_path(&room, "read_markers");
    assert_eq!(
        alice.post(&path, json!({"m.fully_read": event})).ok(),
        json!({})
    );
    let seen = feed.until("m.fully_read", |sync| {
        let events = &sync["rooms"]["join"][&room]["account_data"]["events"];
        find_event(events, |event| event["type"] == "m.fully_read").cloned()
    });
    assert_eq!(seen["content"]["event_id"], event);
    let kept = format!(
        "/v3/user/{}/rooms/{}/account_data/m.fully_read",
        encode(&alice.id),
        encode(&room)
    );
    assert_eq!(alice.get(&kept).ok()["event_id"], event);
}

#[test]
fn receipts_go_along() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let event = alice.say(&room, "hello");
    let mut hers = Feed::from_now(&alice);
    let mut his = Feed::from_now(&bob);
    let body = json!({"m.fully_read": event, "m.read": event, "m.read.private": event});
    bob.post(&room_path(&room, "read_markers"), body).ok();
    let seen = hers.ephemeral(&room, |seen| {
        seen["content"][&event]["m.read"].get(&bob.id).is_some()
    });
    assert!(!seen.to_string().contains("m.read.private"), "{seen}");
    his.ephemeral(&room, |seen| {
        seen["content"][&event]["m.read.private"]
            .get(&bob.id)
            .is_some()
    });
}

#[test]
fn an_empty_request_changes_nothing() {
    let alice = user("alice");
    let room = alice.public_room();
    alice
        .post(&room_path(&room, "read_markers"), json!({}))
        .ok();
}

#[test]
fn markers_are_for_members() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "hello");
    let body = json!({"m.fully_read": event});
    let answer = user("bob").post(&room_path(&room, "read_markers"), body.clone());
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    anonymous()
        .post(&room_path(&room, "read_markers"), body)
        .fails(401, "M_MISSING_TOKEN");
    let answer = alice.post(
        &room_path(&room, "read_markers"),
        json!({"m.fully_read": 3}),
    );
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
}

#[test]
fn an_unread_marker_is_plain_account_data() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = format!(
        "/v3/user/{}/rooms/{}/account_data/m.marked_unread",
        encode(&alice.id),
        encode(&room)
    );
    alice.put(&path, json!({"unread": true})).ok();
    assert_eq!(alice.get(&path).ok()["unread"], true);
}
