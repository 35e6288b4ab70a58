//! [Creation](https://spec.matrix.org/v1.19/client-server-api/#creation): `createRoom` with all it takes.

use serde_json::{Value, json};
use spec_tests::{anonymous, encode, event_ids, find_state, fresh, room_path, user};

#[test]
fn an_empty_body_makes_a_private_room() {
    let alice = user("alice");
    let room = alice.create_room(json!({}));
    assert!(room.starts_with('!'));
    assert_eq!(
        alice.get_state(&room, "m.room.join_rules", "").ok()["join_rule"],
        "invite"
    );
    assert_eq!(alice.membership_of(&room, &alice), "join");
    assert_eq!(
        alice.get("/v3/joined_rooms").ok()["joined_rooms"],
        json!([room])
    );
}

#[test]
fn presets_set_what_the_table_says() {
    let alice = user("alice");
    for (preset, join_rule, guest_access) in [
        ("private_chat", "invite", "can_join"),
        ("trusted_private_chat", "invite", "can_join"),
        ("public_chat", "public", "forbidden"),
    ] {
        let room = alice.create_room(json!({"preset": preset}));
        let state = |event_type: &str, key: &str| -> Value {
            alice.get_state(&room, event_type, "").ok()[key].clone()
        };
        assert_eq!(
            state("m.room.join_rules", "join_rule"),
            join_rule,
            "{preset}"
        );
        assert_eq!(
            state("m.room.history_visibility", "history_visibility"),
            "shared",
            "{preset}"
        );
        let guests = alice.get_state(&room, "m.room.guest_access", "");
        if guests.status == 404 {
            // Absent means forbidden.
            assert_eq!(guest_access, "forbidden", "{preset}");
        } else {
            assert_eq!(guests.ok()["guest_access"], guest_access, "{preset}");
        }
    }
}

#[test]
fn visibility_chooses_the_preset() {
    let alice = user("alice");
    for (visibility, join_rule) in [("public", "public"), ("private", "invite")] {
        let room = alice.create_room(json!({"visibility": visibility}));
        let rules = alice.get_state(&room, "m.room.join_rules", "").ok();
        assert_eq!(rules["join_rule"], join_rule, "{visibility}");
    }
}

#[test]
fn a_trusted_private_chat_shares_the_creators_power() {
    let alice = user("alice");
    let bob = user("bob");
    for version in ["11", "12"] {
        let body =
            json!({"preset": "trusted_private_chat", "invite": [bob.id], "room_version": version});
        let room = alice.create_room(body);
        let levels = alice.get_state(&room, "m.room.power_levels", "").ok();
        let create = alice.get_state(&room, "m.room.create", "").ok();
        if version == "12" {
            assert_eq!(create["additional_creators"], json!([bob.id]));
            assert!(levels["users"].get(&bob.id).is_none(), "{levels}");
        } else {
            assert_eq!(levels["users"][&bob.id], levels["users"][&alice.id]);
        }
        bob.join(&room);
        bob.set_state(&room, "m.room.name", "", json!({"name": "Ours"}));
    }
}

#[test]
fn every_room_version_is_made() {
    let alice = user("alice");
    for version in 1..=12 {
        let version = version.to_string();
        let room = alice.create_room(json!({"room_version": version}));
        let create = alice.get_state(&room, "m.room.create", "").ok();
        assert_eq!(create["room_version"], version);
        let event = alice.say(&room, "hello");
        assert_eq!(
            alice.get_event(&room, &event).ok()["content"]["body"],
            "hello",
            "{version}"
        );
        assert_eq!(room.contains(':'), version != "12", "{room}");
        if version.parse::<u8>().unwrap() < 11 {
            assert_eq!(create["creator"], alice.id);
        } else {
            assert!(create.get("creator").is_none(), "{create}");
        }
    }
}

#[test]
fn an_unknown_room_version_is_unsupported() {
    let alice = user("alice");
    let answer = alice.post("/v3/createRoom", json!({"room_version": "99"}));
    answer.fails(400, "M_UNSUPPORTED_ROOM_VERSION");
    let answer = alice.post("/v3/createRoom", json!({"room_version": 12}));
    answer.fails_with_one_of(
        400,
        &[
            "M_BAD_JSON",
            "M_UNSUPPORTED_ROOM_VERSION",
            "M_INVALID_PARAM",
        ],
    );
}

#[test]
fn the_creator_of_an_old_room_has_power_100() {
    let alice = user("alice");
    let room = alice.create_room(json!({"room_version": "11"}));
    let levels = alice.get_state(&room, "m.room.power_levels", "").ok();
    assert_eq!(levels["users"][&alice.id], 100);
}

#[test]
fn the_creator_of_a_new_room_is_not_listed_and_tombstones_are_guarded() {
    let alice = user("alice");
    let room = alice.create_room(json!({"room_version": "12"}));
    let levels = alice.get_state(&room, "m.room.power_levels", "").ok();
    assert!(levels["users"].get(&alice.id).is_none(), "{levels}");
    let state_default = levels["state_default"].as_i64().unwrap_or(50);
    assert!(
        levels["events"]["m.room.tombstone"].as_i64().unwrap() > state_default,
        "{levels}"
    );
}

#[test]
fn events_come_in_the_order_of_the_spec() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({
        "preset": "public_chat",
        "room_alias_name": fresh("order"),
        "initial_state": [
            {"type": "org.example.one", "state_key": "", "content": {"n": 1}},
            {"type": "org.example.two", "state_key": "key", "content": {"n": 2}},
        ],
        "name": "A name",
        "topic": "A topic",
        "invite": [bob.id],
    }));
    let messages = alice.messages(&room, "dir=f&limit=100");
    let types: Vec<_> = messages["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["type"])
        .collect();
    let place = |wanted: &str| {
        types
            .iter()
            .position(|t| *t == wanted)
            .unwrap_or_else(|| panic!("{wanted} not in {types:?}"))
    };
    let expected = [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.canonical_alias",
        "m.room.join_rules",
        "org.example.one",
        "org.example.two",
        "m.room.name",
        "m.room.topic",
    ];
    assert!(
        expected
            .windows(2)
            .all(|pair| place(pair[0]) < place(pair[1])),
        "{types:?}"
    );
    assert_eq!(*types[types.len() - 1], "m.room.member");
    let last = messages["chunk"].as_array().unwrap().last().unwrap();
    assert_eq!(last["state_key"], bob.id);
}

#[test]
fn name_and_topic_override_initial_state_which_overrides_the_preset() {
    let alice = user("alice");
    let room = alice.create_room(json!({
        "preset": "private_chat",
        "initial_state": [
            {"type": "m.room.name", "content": {"name": "from the state"}},
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}},
        ],
        "name": "from the name",
    }));
    assert_eq!(
        alice.get_state(&room, "m.room.name", "").ok()["name"],
        "from the name"
    );
    let visibility = alice.get_state(&room, "m.room.history_visibility", "").ok();
    assert_eq!(visibility["history_visibility"], "joined");
}

#[test]
fn an_encrypted_room_is_made_with_initial_state() {
    let alice = user("alice");
    let content = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    let room = alice
        .create_room(json!({"initial_state": [{"type": "m.room.encryption", "content": content}]}));
    assert_eq!(
        alice.get_state(&room, "m.room.encryption", "").ok(),
        content
    );
}

#[test]
fn power_levels_are_overridden() {
    let alice = user("alice");
    let bob = user("bob");
    for version in ["11", "12"] {
        let room = alice.create_room(json!({
            "room_version": version,
            "power_level_content_override": {"events_default": 10, "events": {"org.example.thing": 7}},
            "preset": "public_chat",
        }));
        let levels = alice.get_state(&room, "m.room.power_levels", "").ok();
        assert_eq!(levels["events_default"], 10);
        assert_eq!(levels["events"]["org.example.thing"], 7);
        bob.join(&room);
        let path = room_path(&room, "send/m.room.message/1");
        bob.put(&path, json!({"msgtype": "m.text", "body": "x"}))
            .fails(403, "M_FORBIDDEN");
    }
}

#[test]
fn power_levels_that_lock_the_creator_out_are_an_invalid_room_state() {
    let alice = user("alice");
    let body = json!({
        "room_version": "11",
        "power_level_content_override": {"users": {alice.id.clone(): 0}, "state_default": 100},
        "name": "cannot be set",
    });
    let answer = alice.post("/v3/createRoom", body);
    answer.fails_with_one_of(400, &["M_INVALID_ROOM_STATE"]);
}

#[test]
fn a_version_12_room_cannot_list_its_creator_in_the_power_levels() {
    let alice = user("alice");
    let body = json!({
        "room_version": "12", "power_level_content_override": {"users": {alice.id.clone(): 100}},
    });
    let answer = alice.post("/v3/createRoom", body);
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn creation_content_is_kept_but_not_version_and_creator() {
    let alice = user("alice");
    let room = alice.create_room(json!({
        "room_version": "10",
        "creation_content": {
            "type": "m.space", "m.federate": false, "creator": "@mallory:localhost", "room_version": "1",
        },
    }));
    let create = alice.get_state(&room, "m.room.create", "").ok();
    assert_eq!(create["type"], "m.space");
    assert_eq!(create["m.federate"], false);
    assert_eq!(create["creator"], alice.id);
    assert_eq!(create["room_version"], "10");
}

#[test]
fn invitees_are_invited_and_told_if_it_is_direct() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"invite": [bob.id], "is_direct": true}));
    let member = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(member["membership"], "invite");
    assert_eq!(member["is_direct"], true);
    let sync = bob.sync(&[]);
    let invite = &sync["rooms"]["invite"][&room]["invite_state"]["events"];
    assert!(
        find_state(invite, "m.room.create", "").is_some(),
        "{invite}"
    );
}

#[test]
fn an_alias_is_made_and_becomes_canonical() {
    let alice = user("alice");
    let name = fresh("thepub");
    let room = alice.create_room(json!({"room_alias_name": name}));
    let alias = format!("#{name}:{}", alice.server_name());
    let answer = anonymous()
        .get(&format!("/v3/directory/room/{}", encode(&alias)))
        .ok();
    assert_eq!(answer["room_id"], room);
    assert_eq!(
        alice.get_state(&room, "m.room.canonical_alias", "").ok()["alias"],
        alias
    );
}

#[test]
fn a_taken_alias_is_in_use_and_no_room_is_made() {
    let alice = user("alice");
    let name = fresh("thepub");
    alice.create_room(json!({"room_alias_name": name}));
    alice
        .post("/v3/createRoom", json!({"room_alias_name": name}))
        .fails(400, "M_ROOM_IN_USE");
    assert_eq!(
        alice.get("/v3/joined_rooms").ok()["joined_rooms"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn malformed_bodies_are_refused() {
    let alice = user("alice");
    for body in [
        json!({"name": 3}),
        json!({"invite": "bob"}),
        json!({"invite": ["not a user id"]}),
        json!({"preset": 1}),
        json!({"initial_state": {}}),
        json!({"initial_state": [{"content": {}}]}),
        json!({"creation_content": []}),
        json!([]),
    ] {
        let answer = alice.post("/v3/createRoom", body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    alice
        .send("POST", "/v3/createRoom", &[], Some(b"{"))
        .fails(400, "M_NOT_JSON");
    assert_eq!(
        alice.get("/v3/joined_rooms").ok()["joined_rooms"],
        json!([])
    );
}

#[test]
fn aliases_with_forbidden_characters_are_refused() {
    let alice = user("alice");
    for name in ["with:colon", "with\u{0}nul"] {
        let answer = alice.post("/v3/createRoom", json!({"room_alias_name": name}));
        assert_eq!(answer.status, 400, "{name:?}: {}", answer.text());
    }
}

#[test]
fn creation_needs_a_login() {
    anonymous()
        .post("/v3/createRoom", json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn the_same_body_twice_makes_two_rooms() {
    let alice = user("alice");
    let first = alice.create_room(json!({"name": "Twice"}));
    assert_ne!(first, alice.create_room(json!({"name": "Twice"})));
}

#[test]
fn event_ids_of_a_room_are_all_different() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "A", "topic": "B"}));
    let messages = alice.messages(&room, "dir=f&limit=100");
    let mut ids = event_ids(&messages["chunk"]);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}
