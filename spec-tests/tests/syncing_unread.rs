//! [Receiving notifications](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications): unread counts by the default push rules.

use serde_json::{Value, json};
use spec_tests::{User, encode, room_path, user};

/// Notification and highlight count of a room in a fresh sync.
fn counts(user: &User, room: &str) -> (u64, u64) {
    let sync = user.sync(&[]);
    of(&sync["rooms"]["join"][room]["unread_notifications"])
}

fn of(counts: &Value) -> (u64, u64) {
    let count = |key: &str| counts[key].as_u64().unwrap_or(0);
    (count("notification_count"), count("highlight_count"))
}

/// A room of three, so that the rule for one-to-one rooms does not apply.
fn trio() -> (User, User, String) {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(user);
    let room = alice.public_room();
    bob.join(&room);
    carol.join(&room);
    let join = bob.say(&room, "bob is here");
    read(&alice, &room, "m.read", &join);
    (alice, bob, room)
}

fn read(user: &User, room: &str, kind: &str, event: &str) {
    user.post(
        &room_path(room, &format!("receipt/{kind}/{}", encode(event))),
        json!({}),
    )
    .ok();
}

#[test]
fn others_messages_count_and_ones_own_do_not() {
    let (alice, bob, room) = trio();
    assert_eq!(counts(&alice, &room), (0, 0));
    bob.say(&room, "1");
    bob.say(&room, "2");
    assert_eq!(counts(&alice, &room), (2, 0));
    assert_eq!(counts(&bob, &room).1, 0);
    alice.say(&room, "mine");
    let (mine, _) = counts(&alice, &room);
    assert!(
        mine == 2 || mine == 0,
        "one's own message never counts: {mine}"
    );
}

#[test]
fn a_read_receipt_resets_the_count() {
    for kind in ["m.read", "m.read.private"] {
        let (alice, bob, room) = trio();
        bob.say(&room, "1");
        let second = bob.say(&room, "2");
        bob.say(&room, "3");
        read(&alice, &room, kind, &second);
        assert_eq!(counts(&alice, &room), (1, 0), "{kind}");
    }
}

#[test]
fn the_count_comes_with_an_incremental_sync() {
    let (alice, bob, room) = trio();
    let since = alice.now();
    let event = bob.say(&room, "1");
    let sync = alice.sync_since(&since);
    assert_eq!(
        of(&sync["rooms"]["join"][&room]["unread_notifications"]),
        (1, 0),
        "{sync}"
    );
    let since = sync["next_batch"].as_str().unwrap().to_owned();
    read(&alice, &room, "m.read", &event);
    let sync = alice.sync_since(&since);
    assert_eq!(
        of(&sync["rooms"]["join"][&room]["unread_notifications"]),
        (0, 0),
        "{sync}"
    );
}

#[test]
fn a_mention_highlights() {
    let (alice, bob, room) = trio();
    let mention = |ids: Value| {
        let content = json!({"msgtype": "m.text", "body": "hey", "m.mentions": {"user_ids": ids}});
        bob.send_event(&room, "m.room.message", content)
    };
    mention(json!([alice.id]));
    assert_eq!(counts(&alice, &room), (1, 1));
    let other = mention(json!(["@somebody:localhost"]));
    assert_eq!(counts(&alice, &room), (2, 1));
    read(&alice, &room, "m.read", &other);
    assert_eq!(counts(&alice, &room), (0, 0));
}

#[test]
fn a_room_mention_highlights_only_with_the_power() {
    let (alice, bob, room) = trio();
    let mention = json!({"msgtype": "m.text", "body": "@room", "m.mentions": {"room": true}});
    bob.send_event(&room, "m.room.message", mention.clone());
    assert_eq!(counts(&alice, &room).1, 0);
    alice.send_event(&room, "m.room.message", mention);
    assert_eq!(counts(&bob, &room).1, 1);
}

#[test]
fn notices_edits_and_reactions_do_not_count() {
    let (alice, bob, room) = trio();
    let event = bob.say(&room, "counts");
    bob.send_event(
        &room,
        "m.room.message",
        json!({"msgtype": "m.notice", "body": "quiet"}),
    );
    let annotation = json!({"rel_type": "m.annotation", "event_id": event, "key": "👍"});
    bob.send_event(&room, "m.reaction", json!({"m.relates_to": annotation}));
    let replacement = json!({
        "msgtype": "m.text",
        "body": "* edited",
        "m.new_content": {"msgtype": "m.text", "body": "edited"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event},
    });
    bob.send_event(&room, "m.room.message", replacement);
    bob.put(
        &format!("/v3/profile/{}/displayname", encode(&bob.id)),
        json!({"displayname": "Bob"}),
    )
    .ok();
    assert_eq!(counts(&alice, &room), (1, 0));
}

#[test]
fn a_muted_room_does_not_count() {
    let (alice, bob, room) = trio();
    let path = format!("/v3/pushrules/global/room/{}", encode(&room));
    alice.put(&path, json!({"actions": []})).ok();
    bob.say(&room, "quiet");
    assert_eq!(counts(&alice, &room), (0, 0));
}

#[test]
fn a_keyword_highlights() {
    let (alice, bob, room) = trio();
    let actions = json!(["notify", {"set_tweak": "highlight"}]);
    alice
        .put(
            "/v3/pushrules/global/content/cake",
            json!({"pattern": "cake", "actions": actions}),
        )
        .ok();
    bob.say(&room, "there is CAKE today");
    bob.say(&room, "there are pancakes today");
    assert_eq!(counts(&alice, &room), (2, 1));
}

#[test]
fn an_encrypted_message_counts() {
    let (alice, bob, room) = trio();
    let content =
        json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "x"});
    bob.send_event(&room, "m.room.encrypted", content);
    assert_eq!(counts(&alice, &room), (1, 0));
}

#[test]
fn an_older_receipt_does_not_bring_the_count_back() {
    let (alice, bob, room) = trio();
    let first = bob.say(&room, "1");
    let second = bob.say(&room, "2");
    read(&alice, &room, "m.read.private", &second);
    read(&alice, &room, "m.read", &first);
    assert_eq!(counts(&alice, &room), (0, 0));
}

#[test]
fn threads_are_counted_apart_if_asked() {
    let (alice, bob, room) = trio();
    let thread = bob.say(&room, "a thread starts");
    let relation = json!({"rel_type": "m.thread", "event_id": thread});
    let content = json!({"msgtype": "m.text", "body": "in the thread", "m.relates_to": relation});
    bob.send_event(&room, "m.room.message", content);
    assert_eq!(counts(&alice, &room), (2, 0));
    let filter = json!({"room": {"timeline": {"unread_thread_notifications": true}}}).to_string();
    let sync = alice.sync(&[("filter", &filter)]);
    let room_sync = &sync["rooms"]["join"][&room];
    assert_eq!(
        of(&room_sync["unread_notifications"]),
        (1, 0),
        "{room_sync}"
    );
    assert_eq!(
        of(&room_sync["unread_thread_notifications"][&thread]),
        (1, 0),
        "{room_sync}"
    );
    let path = room_path(&room, &format!("receipt/m.read/{}", encode(&thread)));
    alice.post(&path, json!({"thread_id": "main"})).ok();
    let sync = alice.sync(&[("filter", &filter)]);
    let room_sync = &sync["rooms"]["join"][&room];
    assert_eq!(
        of(&room_sync["unread_notifications"]),
        (0, 0),
        "{room_sync}"
    );
    assert_eq!(
        of(&room_sync["unread_thread_notifications"][&thread]),
        (1, 0),
        "{room_sync}"
    );
}

#[test]
fn a_redacted_message_does_not_count_any_more() {
    let (alice, bob, room) = trio();
    let event = bob.say(&room, "said too much");
    bob.say(&room, "said enough");
    assert_eq!(counts(&alice, &room), (2, 0));
    let path = room_path(&room, &format!("redact/{}/1", encode(&event)));
    bob.put(&path, json!({})).ok();
    assert_eq!(counts(&alice, &room), (1, 0));
}

#[test]
fn who_leaves_and_comes_back_has_nothing_unread() {
    let (alice, bob, room) = trio();
    alice.say(&room, "unread");
    bob.post(&room_path(&room, "leave"), json!({})).ok();
    alice.say(&room, "meanwhile");
    bob.join(&room);
    assert_eq!(counts(&bob, &room), (0, 0));
    alice.say(&room, "welcome back");
    assert_eq!(counts(&bob, &room), (1, 0));
}

#[test]
fn messages_of_an_ignored_user_do_not_count() {
    let (alice, bob, room) = trio();
    bob.say(&room, "heard");
    let place = format!(
        "/v3/user/{}/account_data/m.ignored_user_list",
        encode(&alice.id)
    );
    let list = json!({"ignored_users": {bob.id.clone(): {}}});
    alice.put(&place, list).ok();
    assert_eq!(counts(&alice, &room), (0, 0));
}
