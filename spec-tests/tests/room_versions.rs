//! [Room versions](https://spec.matrix.org/v1.19/rooms/): what a client sees of their differences.

use serde_json::json;
use spec_tests::{room_path, user};

const ALL: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

#[test]
fn event_ids_have_the_versions_format() {
    let alice = user("alice");
    for version in ALL {
        let room = alice.create_room(json!({"room_version": version}));
        let id = alice.say(&room, "hello");
        assert!(id.starts_with('$'), "{version}: {id}");
        match version {
            // An opaque name and the server's.
            "1" | "2" => assert!(
                id.ends_with(&format!(":{}", alice.server_name())),
                "{version}: {id}"
            ),
            // The reference hash, in standard base64 first and then in the URL-safe alphabet: 32 bytes, 43 letters.
            "3" => assert!(
                id.len() == 44 && !id.contains(['-', '_', ':', '=']),
                "{version}: {id}"
            ),
            _ => assert!(
                id.len() == 44 && !id.contains(['+', '/', ':', '=']),
                "{version}: {id}"
            ),
        }
    }
}

#[test]
fn a_version_12_room_is_named_by_its_create_event() {
    let alice = user("alice");
    let room = alice.create_room(json!({"room_version": "12"}));
    let messages = alice.messages(&room, "dir=f&limit=1");
    let create = &messages["chunk"][0];
    assert_eq!(create["type"], "m.room.create");
    assert_eq!(create["event_id"].as_str().unwrap()[1..], room[1..]);
    assert_eq!(create["room_id"], room);
}

#[test]
fn the_creator_of_a_version_12_room_outranks_everybody() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({
        "room_version": "12",
        "preset": "public_chat",
        "power_level_content_override": {"users": {bob.id.clone(): 100}},
    }));
    bob.join(&room);
    bob.post(&room_path(&room, "kick"), json!({"user_id": alice.id}))
        .fails(403, "M_FORBIDDEN");
    alice
        .post(&room_path(&room, "kick"), json!({"user_id": bob.id}))
        .ok();
}

#[test]
fn creators_power_cannot_be_written_down_in_version_12() {
    let alice = user("alice");
    let room = alice.create_room(json!({"room_version": "12"}));
    let mut levels = alice.get_state(&room, "m.room.power_levels", "").ok();
    levels["users"] = json!({alice.id.clone(): 100});
    let answer = alice.put(&room_path(&room, "state/m.room.power_levels"), levels);
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
}

#[test]
fn power_levels_of_text_are_refused_since_version_10() {
    let alice = user("alice");
    for version in ["10", "11", "12"] {
        let room = alice.create_room(json!({"room_version": version}));
        let mut levels = alice.get_state(&room, "m.room.power_levels", "").ok();
        levels["events_default"] = json!("50");
        let answer = alice.put(&room_path(&room, "state/m.room.power_levels"), levels);
        assert!(
            [400, 403].contains(&answer.status),
            "{version}: {}",
            answer.text()
        );
    }
}

#[test]
fn floats_are_refused_since_version_6() {
    let alice = user("alice");
    for version in ["6", "9", "12"] {
        let room = alice.create_room(json!({"room_version": version}));
        let path = room_path(&room, "send/org.example.float/1");
        let answer = alice.put(&path, json!({"value": 1.5}));
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
    }
}

#[test]
fn knocking_came_with_version_7() {
    let alice = user("alice");
    let bob = user("bob");
    for (version, works) in [("6", false), ("7", true), ("12", true)] {
        let room = alice.create_room(json!({"room_version": version}));
        let rules = json!({"join_rule": "knock"});
        let set = alice.put(&room_path(&room, "state/m.room.join_rules"), rules);
        assert!(set.status == 200 || !works, "{version}: {}", set.text());
        let path = format!("/v3/knock/{}", spec_tests::encode(&room));
        let answer = bob.post(&path, json!({}));
        assert_eq!(
            answer.status,
            if works { 200 } else { 403 },
            "{version}: {}",
            answer.text()
        );
    }
}

#[test]
fn everyday_life_works_in_every_version() {
    let alice = user("alice");
    let bob = user("bob");
    for version in ALL {
        let room = alice.create_room(json!({"room_version": version, "preset": "private_chat"}));
        alice.invite(&room, &bob);
        bob.join(&room);
        let hello = bob.say(&room, "hello");
        alice.set_state(&room, "m.room.topic", "", json!({"topic": version}));
        alice
            .post(
                &room_path(&room, "kick"),
                json!({"user_id": bob.id, "reason": "test"}),
            )
            .ok();
        alice
            .post(&room_path(&room, "ban"), json!({"user_id": bob.id}))
            .ok();
        alice
            .post(&room_path(&room, "unban"), json!({"user_id": bob.id}))
            .ok();
        assert_eq!(alice.membership_of(&room, &bob), "leave", "{version}");
        assert_eq!(
            alice.get_event(&room, &hello).ok()["sender"],
            bob.id,
            "{version}"
        );
        alice.redact(&room, &hello, None);
        let redacted = alice.get_event(&room, &hello).ok();
        assert_eq!(redacted["content"], json!({}), "{version}");
    }
}
