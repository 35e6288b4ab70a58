//! [Redactions](https://spec.matrix.org/v1.19/client-server-api/#redactions), and what each room version keeps.

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, event_ids, find_state, room_path, user};

fn room(alice: &User, version: &str) -> String {
    alice.create_room(json!({"room_version": version, "preset": "public_chat"}))
}

#[test]
fn a_redacted_message_loses_its_content() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "a secret");
    let redaction = alice.redact(&room, &event, Some("too honest"));
    let after = alice.get_event(&room, &event).ok();
    assert_eq!(after["content"], json!({}));
    assert_eq!(after["sender"], alice.id);
    assert_eq!(after["type"], "m.room.message");
    let because = &after["unsigned"]["redacted_because"];
    assert_eq!(because["event_id"], redaction);
    assert_eq!(because["content"]["reason"], "too honest");
    assert_eq!(because["sender"], alice.id);
}

#[test]
fn no_endpoint_shows_a_redacted_body() {
    let alice = user("alice");
    let room = alice.public_room();
    let before = alice.say(&room, "before");
    let event = alice.say(&room, "TOPSECRET");
    alice.redact(&room, &event, None);
    let context = format!("context/{}?limit=10", encode(&before));
    for path in [
        "/v3/sync".to_owned(),
        room_path(&room, "messages?dir=b&limit=50"),
        room_path(&room, "messages?dir=f&limit=50"),
        room_path(&room, &format!("event/{}", encode(&event))),
        room_path(&room, &context),
    ] {
        let answer = alice.get(&path);
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("TOPSECRET"), "{path}");
    }
}

#[test]
fn a_redaction_comes_down_sync_with_what_it_redacts() {
    let alice = user("alice");
    for version in ["10", "12"] {
        let room = room(&alice, version);
        let event = alice.say(&room, "a secret");
        let mut feed = Feed::from_now(&alice);
        let redaction = alice.redact(&room, &event, None);
        let seen = feed.event(&room, &redaction);
        assert_eq!(seen["type"], "m.room.redaction");
        // Clients find it at the top level whatever the room version; since version 11 it is in the content too.
        assert_eq!(seen["redacts"], event, "{version}: {seen}");
        if version == "12" {
            assert_eq!(seen["content"]["redacts"], event, "{seen}");
        }
    }
}

#[test]
fn redaction_needs_the_power_or_the_authorship() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let hers = alice.say(&room, "alice's");
    let his = bob.say(&room, "bob's");
    let path = |event: &str| room_path(&room, &format!("redact/{}/txn", encode(event)));
    bob.put(&path(&hers), json!({})).fails(403, "M_FORBIDDEN");
    bob.put(&path(&his), json!({})).ok();
    assert_eq!(
        alice.get_event(&room, &hers).ok()["content"]["body"],
        "alice's"
    );
    let another = bob.say(&room, "bob's second");
    alice.redact(&room, &another, None);
    assert_eq!(bob.get_event(&room, &another).ok()["content"], json!({}));
}

#[test]
fn strangers_redact_nothing() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "alice's");
    let path = room_path(&room, &format!("redact/{}/txn", encode(&event)));
    user("carol")
        .put(&path, json!({}))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .put(&path, json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn the_same_transaction_redacts_once() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "a secret");
    let path = room_path(&room, &format!("redact/{}/once", encode(&event)));
    let first = alice.put(&path, json!({"reason": "x"})).ok();
    assert_eq!(alice.put(&path, json!({"reason": "x"})).ok(), first);
}

#[test]
fn an_unknown_event_is_not_redacted() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, &format!("redact/{}/txn", encode("$nothing-here")));
    let answer = alice.put(&path, json!({}));
    assert!(
        [400, 403, 404].contains(&answer.status),
        "{}",
        answer.text()
    );
}

#[test]
fn an_event_of_another_room_is_not_redacted() {
    let alice = user("alice");
    let here = alice.public_room();
    let there = alice.public_room();
    let event = alice.say(&there, "stays");
    let path = room_path(&here, &format!("redact/{}/txn", encode(&event)));
    let answer = alice.put(&path, json!({}));
    assert!((200..500).contains(&answer.status));
    assert_eq!(
        alice.get_event(&there, &event).ok()["content"]["body"],
        "stays"
    );
}

#[test]
fn redacting_twice_is_fine() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "a secret");
    alice.redact(&room, &event, None);
    alice.redact(&room, &event, None);
    assert_eq!(alice.get_event(&room, &event).ok()["content"], json!({}));
}

/// Redacts the current event of this state and gives what is left of its content.
fn redacted_state(alice: &User, room: &str, event_type: &str, key: &str) -> Value {
    let state = alice.get(&room_path(room, "state")).ok();
    let event = find_state(&state, event_type, key).unwrap();
    let id = event["event_id"].as_str().unwrap();
    alice.redact(room, id, None);
    alice.get_event(room, id).ok()["content"].clone()
}

fn keys(content: &Value) -> Vec<&str> {
    content
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn member_events_keep_their_membership() {
    let alice = user("alice");
    for version in ["1", "6", "9", "11", "12"] {
        let room = room(&alice, version);
        let content = json!({"membership": "join", "displayname": "Secret", "org.example.x": 1});
        alice.set_state(&room, "m.room.member", &alice.id, content);
        let left = redacted_state(&alice, &room, "m.room.member", &alice.id);
        assert_eq!(left, json!({"membership": "join"}), "{version}");
    }
}

#[test]
fn create_events_keep_everything_since_version_11() {
    let alice = user("alice");
    for (version, kept) in [("10", false), ("11", true), ("12", true)] {
        let body =
            json!({"room_version": version, "creation_content": {"org.example.extra": "kept"}});
        let room = alice.create_room(body);
        let state = alice.get(&room_path(&room, "state")).ok();
        let create = find_state(&state, "m.room.create", "").unwrap();
        let id = create["event_id"].as_str().unwrap();
        let path = room_path(&room, &format!("redact/{}/txn", encode(id)));
        let answer = alice.put(&path, json!({}));
        if answer.status != 200 {
            // Servers may refuse to redact a create event: nothing of use would be left of the room.
            assert!([400, 403].contains(&answer.status), "{}", answer.text());
            continue;
        }
        let left = alice.get_event(&room, id).ok()["content"].clone();
        assert_eq!(
            left.get("org.example.extra").is_some(),
            kept,
            "{version}: {left}"
        );
        if version == "10" {
            assert_eq!(keys(&left), ["creator"]);
        }
    }
}

#[test]
fn join_rules_keep_allow_since_version_8() {
    let alice = user("alice");
    let space = alice.public_room();
    for (version, kept) in [
        ("7", false),
        ("8", true),
        ("9", true),
        ("11", true),
        ("12", true),
    ] {
        let room = room(&alice, version);
        let allow = json!([{"type": "m.room_membership", "room_id": space}]);
        let rule = if version == "7" {
            "public"
        } else {
            "restricted"
        };
        let content = json!({"join_rule": rule, "allow": allow, "org.example.x": 1});
        alice.set_state(&room, "m.room.join_rules", "", content);
        let left = redacted_state(&alice, &room, "m.room.join_rules", "");
        assert_eq!(left["join_rule"], rule, "{version}");
        assert_eq!(left.get("allow").is_some(), kept, "{version}: {left}");
        assert!(left.get("org.example.x").is_none(), "{version}: {left}");
    }
}

#[test]
fn power_levels_keep_invite_since_version_11() {
    let alice = user("alice");
    for (version, kept) in [("6", false), ("10", false), ("11", true), ("12", true)] {
        let room = room(&alice, version);
        let mut levels = alice.get_state(&room, "m.room.power_levels", "").ok();
        levels["invite"] = json!(5);
        levels["notifications"] = json!({"room": 20});
        alice.set_state(&room, "m.room.power_levels", "", levels);
        let left = redacted_state(&alice, &room, "m.room.power_levels", "");
        assert_eq!(left.get("invite").is_some(), kept, "{version}: {left}");
        assert!(left.get("notifications").is_none(), "{version}: {left}");
        for key in [
            "ban",
            "events",
            "events_default",
            "kick",
            "redact",
            "state_default",
            "users_default",
        ] {
            assert!(
                left.get(key).is_some(),
                "{version}: {key} is gone from {left}"
            );
        }
    }
}

#[test]
fn history_visibility_keeps_its_value() {
    let alice = user("alice");
    for version in ["1", "11", "12"] {
        let room = room(&alice, version);
        let content = json!({"history_visibility": "joined", "org.example.x": 1});
        alice.set_state(&room, "m.room.history_visibility", "", content);
        let left = redacted_state(&alice, &room, "m.room.history_visibility", "");
        assert_eq!(left, json!({"history_visibility": "joined"}), "{version}");
    }
}

#[test]
fn aliases_are_kept_before_version_6() {
    let alice = user("alice");
    for (version, kept) in [("5", true), ("6", false), ("12", false)] {
        let room = room(&alice, version);
        let content = json!({"aliases": ["#a:localhost"], "org.example.x": 1});
        let key = alice.server_name().to_owned();
        alice.set_state(&room, "m.room.aliases", &key, content);
        let left = redacted_state(&alice, &room, "m.room.aliases", &key);
        assert_eq!(left.get("aliases").is_some(), kept, "{version}: {left}");
    }
}

#[test]
fn topics_and_names_keep_nothing() {
    let alice = user("alice");
    let room = room(&alice, "12");
    alice.set_state(&room, "m.room.topic", "", json!({"topic": "secret"}));
    assert_eq!(redacted_state(&alice, &room, "m.room.topic", ""), json!({}));
    assert_eq!(alice.get_state(&room, "m.room.topic", "").ok(), json!({}));
}

#[test]
fn a_redacted_event_stays_in_its_place() {
    let alice = user("alice");
    let room = alice.public_room();
    let ids = [
        alice.say(&room, "1"),
        alice.say(&room, "2"),
        alice.say(&room, "3"),
    ];
    alice.redact(&room, &ids[1], None);
    let messages = alice.messages(&room, "dir=b&limit=4");
    let seen = event_ids(&messages["chunk"]);
    assert_eq!(seen[1..], [ids[2].as_str(), &ids[1], &ids[0]]);
}
