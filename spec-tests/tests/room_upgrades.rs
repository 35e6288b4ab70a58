//! [Room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades).

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, fresh, room_path, user};

fn upgrade(alice: &User, room: &str, version: &str) -> Value {
    alice
        .post(&room_path(room, "upgrade"), json!({"new_version": version}))
        .ok()
}

#[test]
fn an_upgrade_links_both_rooms() {
    let alice = user("alice");
    let old = alice.create_room(json!({"room_version": "10", "preset": "public_chat"}));
    let answer = upgrade(&alice, &old, "12");
    let new = answer["replacement_room"].as_str().unwrap();
    let tombstone = alice.get_state(&old, "m.room.tombstone", "").ok();
    assert_eq!(tombstone["replacement_room"], new);
    assert!(tombstone["body"].is_string());
    let create = alice.get_state(new, "m.room.create", "").ok();
    assert_eq!(create["room_version"], "12");
    assert_eq!(create["predecessor"]["room_id"], old);
    assert_eq!(alice.membership_of(new, &alice), "join");
}

#[test]
fn the_predecessor_names_an_event_of_the_old_room_before_version_12() {
    let alice = user("alice");
    let old = alice.create_room(json!({"room_version": "9"}));
    let new = upgrade(&alice, &old, "11")["replacement_room"]
        .as_str()
        .unwrap()
        .to_owned();
    let create = alice.get_state(&new, "m.room.create", "").ok();
    let event = create["predecessor"]["event_id"].as_str().unwrap();
    assert_eq!(alice.get_event(&old, event).ok()["room_id"], old);
}

#[test]
fn an_upgrade_takes_the_state_along() {
    let alice = user("alice");
    let bob = user("bob");
    let old = alice.create_room(json!({
        "room_version": "10",
        "preset": "public_chat",
        "name": "The Tavern",
        "topic": "beer",
        "creation_content": {"type": "m.space"},
        "power_level_content_override": {"users": {alice.id.clone(): 100, bob.id.clone(): 50}},
        "initial_state": [
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
            {"type": "m.room.avatar", "content": {"url": "mxc://localhost/tavern"}},
            {"type": "m.room.server_acl", "content": {"allow": ["*"], "deny": ["evil.example"]}},
        ],
    }));
    let new = upgrade(&alice, &old, "12")["replacement_room"]
        .as_str()
        .unwrap()
        .to_owned();
    for event_type in [
        "m.room.name",
        "m.room.topic",
        "m.room.encryption",
        "m.room.history_visibility",
        "m.room.avatar",
        "m.room.join_rules",
        "m.room.server_acl",
    ] {
        let before = alice.get_state(&old, event_type, "").ok();
        assert_eq!(
            alice.get_state(&new, event_type, "").ok(),
            before,
            "{event_type}"
        );
    }
    assert_eq!(
        alice.get_state(&new, "m.room.create", "").ok()["type"],
        "m.space"
    );
    let levels = alice.get_state(&new, "m.room.power_levels", "").ok();
    assert_eq!(levels["users"][&bob.id], 50);
    assert!(
        levels["users"].get(&alice.id).is_none(),
        "a creator is not listed: {levels}"
    );
}

#[test]
fn an_upgrade_moves_the_aliases() {
    let alice = user("alice");
    let name = fresh("tavern");
    let old = alice.create_room(json!({"room_alias_name": name, "room_version": "11"}));
    let new = upgrade(&alice, &old, "12")["replacement_room"]
        .as_str()
        .unwrap()
        .to_owned();
    let alias = format!("#{name}:{}", alice.server_name());
    let answer = anonymous()
        .get(&format!("/v3/directory/room/{}", encode(&alias)))
        .ok();
    assert_eq!(answer["room_id"], new);
}

#[test]
fn the_old_room_is_closed_for_ordinary_members() {
    let alice = user("alice");
    let bob = user("bob");
    let old = alice.create_room(json!({"room_version": "11", "preset": "public_chat"}));
    bob.join(&old);
    upgrade(&alice, &old, "12");
    let levels = alice.get_state(&old, "m.room.power_levels", "").ok();
    assert!(levels["events_default"].as_i64().unwrap() >= 50, "{levels}");
    let path = room_path(&old, "send/m.room.message/1");
    bob.put(&path, json!({"msgtype": "m.text", "body": "x"}))
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn an_upgrade_needs_the_power_and_a_known_version() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"room_version": "11", "preset": "public_chat"}));
    bob.join(&room);
    let path = room_path(&room, "upgrade");
    bob.post(&path, json!({"new_version": "12"}))
        .fails(403, "M_FORBIDDEN");
    user("carol")
        .post(&path, json!({"new_version": "12"}))
        .fails(403, "M_FORBIDDEN");
    alice
        .post(&path, json!({"new_version": "99"}))
        .fails(400, "M_UNSUPPORTED_ROOM_VERSION");
    let answer = alice.post(&path, json!({}));
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_MISSING_PARAM", "M_INVALID_PARAM"]);
    anonymous()
        .post(&path, json!({"new_version": "12"}))
        .fails(401, "M_MISSING_TOKEN");
    assert_eq!(alice.get_state(&room, "m.room.tombstone", "").status, 404);
}

#[test]
fn additional_creators_are_taken_from_the_request() {
    let alice = user("alice");
    let bob = user("bob");
    let old = alice.create_room(json!({"room_version": "12"}));
    let body = json!({"new_version": "12", "additional_creators": [bob.id]});
    let answer = alice.post(&room_path(&old, "upgrade"), body).ok();
    let new = answer["replacement_room"].as_str().unwrap();
    let create = alice.get_state(new, "m.room.create", "").ok();
    assert_eq!(create["additional_creators"], json!([bob.id]));
}

#[test]
fn tags_and_mutes_follow_into_the_new_room() {
    let (alice, bob) = (user("alice"), user("bob"));
    let old = alice.create_room(json!({"room_version": "11", "preset": "public_chat"}));
    bob.join(&old);
    let tags = |room: &str| format!("/v3/user/{}/rooms/{}/tags", encode(&bob.id), encode(room));
    let tag = format!("{}/m.favourite", tags(&old));
    bob.put(&tag, json!({"order": 0.25})).ok();
    let rule = |room: &str| format!("/v3/pushrules/global/override/{}", encode(room));
    let muted = json!({
        "conditions": [{"kind": "event_match", "key": "room_id", "pattern": old}],
        "actions": [],
    });
    bob.put(&rule(&old), muted).ok();
    let new = upgrade(&alice, &old, "12")["replacement_room"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.join(&new);
    assert_eq!(
        bob.get(&tags(&new)).ok(),
        json!({"tags": {"m.favourite": {"order": 0.25}}})
    );
    let rule = bob.get(&rule(&new)).ok();
    assert_eq!(rule["conditions"][0]["pattern"], new);
}
