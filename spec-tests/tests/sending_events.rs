//! [Sending events to a room](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room): messages, state, transaction identifiers.

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, find_state, fresh, room_path, user};

fn text(body: &str) -> Value {
    json!({"msgtype": "m.text", "body": body})
}

#[test]
fn a_message_is_what_was_sent() {
    let alice = user("alice");
    let room = alice.public_room();
    let content = json!({
        "msgtype": "m.text",
        "body": "héllo ☺ \u{1F600} \"quoted\" \\ \n end",
        "org.example.nested": {"list": [1, -2, null, true, {"deep": []}], "max": 9_007_199_254_740_991_i64},
    });
    let id = alice.send_event(&room, "m.room.message", content.clone());
    let event = alice.get_event(&room, &id).ok();
    assert_eq!(event["content"], content);
    assert_eq!(event["type"], "m.room.message");
    assert_eq!(event["sender"], alice.id);
    assert_eq!(event["room_id"], room);
    assert_eq!(event["event_id"], id);
    assert!(event["origin_server_ts"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(event["unsigned"]["age"].is_i64());
    assert!(event.get("state_key").is_none());
    for private in [
        "auth_events",
        "prev_events",
        "hashes",
        "signatures",
        "depth",
    ] {
        assert!(
            event.get(private).is_none(),
            "{private} is nothing for clients: {event}"
        );
    }
}

#[test]
fn event_types_are_anything() {
    let alice = user("alice");
    let room = alice.public_room();
    for event_type in [
        "org.example.thing",
        "with space/and slash",
        "ünïcode☺",
        "m.reaction",
    ] {
        let id = alice.send_event(&room, event_type, json!({}));
        assert_eq!(alice.get_event(&room, &id).ok()["type"], event_type);
    }
}

#[test]
fn the_same_transaction_sends_once() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/once");
    let first = alice.put(&path, text("first")).ok();
    let second = alice.put(&path, text("second")).ok();
    assert_eq!(first, second);
    let messages = alice.messages(&room, "dir=b&limit=100");
    let sent = messages["chunk"].as_array().unwrap().iter();
    let bodies: Vec<_> = sent
        .filter(|event| event["type"] == "m.room.message")
        .collect();
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["content"]["body"], "first");
}

#[test]
fn transactions_belong_to_the_device_and_the_path() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let rooms = [alice.public_room(), alice.public_room()];
    let send = |device: &User, room: &str, event_type: &str| {
        let path = room_path(room, &format!("send/{event_type}/shared-txn"));
        device.put(&path, text("x")).ok()["event_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mut ids = vec![
        send(&alice, &rooms[0], "m.room.message"),
        send(&other, &rooms[0], "m.room.message"),
        send(&alice, &rooms[1], "m.room.message"),
        send(&alice, &rooms[0], "org.example.other"),
    ];
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_transaction_survives_logging_in_on_the_same_device() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/same-device");
    let first = alice.put(&path, text("x")).ok();
    let again = alice.log_in_with(json!({"device_id": alice.device_id}));
    assert_eq!(again.put(&path, text("x")).ok(), first);
}

#[test]
fn a_transaction_sent_twice_at_once_sends_once() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/race");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| alice.put(&path, text("x")).ok()["event_id"].clone()))
            .collect();
        attempts
            .into_iter()
            .map(|attempt| attempt.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| id == &ids[0]), "{ids:?}");
}

#[test]
fn strangers_and_the_unknown_send_nothing() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/1");
    user("bob").put(&path, text("x")).fails(403, "M_FORBIDDEN");
    anonymous()
        .put(&path, text("x"))
        .fails(401, "M_MISSING_TOKEN");
    let none = room_path("!none:localhost", "send/m.room.message/1");
    let answer = alice.put(&none, text("x"));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
}

#[test]
fn the_invited_do_not_speak_yet() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"invite": [bob.id]}));
    let path = room_path(&room, "send/m.room.message/1");
    bob.put(&path, text("x")).fails(403, "M_FORBIDDEN");
}

#[test]
fn power_levels_are_obeyed() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({
        "preset": "public_chat",
        "power_level_content_override": {"events": {"org.example.guarded": 60, "m.room.topic": 0}},
    }));
    bob.join(&room);
    bob.send_event(&room, "org.example.free", json!({}));
    bob.put(&room_path(&room, "send/org.example.guarded/1"), json!({}))
        .fails(403, "M_FORBIDDEN");
    bob.put(&room_path(&room, "state/m.room.name"), json!({"name": "x"}))
        .fails(403, "M_FORBIDDEN");
    bob.set_state(&room, "m.room.topic", "", json!({"topic": "anybody may"}));
    let levels = alice.get_state(&room, "m.room.power_levels", "").ok();
    bob.put(&room_path(&room, "state/m.room.power_levels"), levels)
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn nobody_raises_above_their_own_power() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({
        "preset": "public_chat",
        "room_version": "11",
        "power_level_content_override": {
            "users": {alice.id.clone(): 100, bob.id.clone(): 50},
            "events": {"m.room.power_levels": 50},
        },
    }));
    bob.join(&room);
    let mut levels = alice.get_state(&room, "m.room.power_levels", "").ok();
    levels["users"][&bob.id] = json!(99);
    let path = room_path(&room, "state/m.room.power_levels");
    bob.put(&path, levels.clone()).fails(403, "M_FORBIDDEN");
    levels["users"][&bob.id] = json!(50);
    levels["users"][&alice.id] = json!(0);
    bob.put(&path, levels.clone()).fails(403, "M_FORBIDDEN");
    levels["users"][&alice.id] = json!(100);
    levels["users"]["@carol:localhost"] = json!(50);
    bob.put(&path, levels).ok();
}

#[test]
fn state_is_replaced_by_type_and_key() {
    let alice = user("alice");
    let room = alice.public_room();
    let first = alice.set_state(&room, "org.example.s", "", json!({"n": 1}));
    alice.set_state(&room, "org.example.s", "key/with slash", json!({"n": 2}));
    let third = alice.set_state(&room, "org.example.s", "", json!({"n": 3}));
    assert_ne!(first, third);
    assert_eq!(
        alice.get_state(&room, "org.example.s", "").ok(),
        json!({"n": 3})
    );
    assert_eq!(
        alice
            .get_state(&room, "org.example.s", "key/with slash")
            .ok(),
        json!({"n": 2})
    );
    let event = alice.get_event(&room, &third).ok();
    assert_eq!(event["state_key"], "");
    assert_eq!(event["unsigned"]["prev_content"], json!({"n": 1}));
    assert_eq!(event["unsigned"]["replaces_state"], first);
}

#[test]
fn state_with_an_empty_key_works_with_and_without_the_slash() {
    let alice = user("alice");
    let room = alice.public_room();
    for (n, path) in ["state/org.example.s", "state/org.example.s/"]
        .iter()
        .enumerate()
    {
        alice.put(&room_path(&room, path), json!({"n": n})).ok();
        assert_eq!(
            alice.get(&room_path(&room, "state/org.example.s")).ok(),
            json!({"n": n})
        );
        assert_eq!(
            alice.get(&room_path(&room, "state/org.example.s/")).ok(),
            json!({"n": n})
        );
    }
}

#[test]
fn state_keys_that_name_users_belong_to_them() {
    let alice = user("alice");
    let bob = user("bob");
    let body =
        json!({"preset": "public_chat", "power_level_content_override": {"state_default": 0}});
    let room = alice.create_room(body);
    bob.join(&room);
    let path = |user: &User| {
        room_path(
            &room,
            &format!("state/org.example.own/{}", encode(&user.id)),
        )
    };
    bob.put(&path(&alice), json!({})).fails(403, "M_FORBIDDEN");
    bob.put(&path(&bob), json!({})).ok();
}

#[test]
fn the_whole_state_is_listed() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "A", "topic": "B"}));
    let state = alice.get(&room_path(&room, "state")).ok();
    for event_type in [
        "m.room.create",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.name",
        "m.room.topic",
    ] {
        let event = find_state(&state, event_type, "").unwrap_or_else(|| panic!("no {event_type}"));
        assert_eq!(event["room_id"], room);
        assert!(event["event_id"].is_string() && event["origin_server_ts"].is_u64());
    }
    assert!(find_state(&state, "m.room.member", &alice.id).is_some());
}

#[test]
fn one_state_event_is_read_whole_if_asked() {
    let alice = user("alice");
    let room = alice.public_room();
    let id = alice.set_state(&room, "m.room.topic", "", json!({"topic": "beer"}));
    let event = alice
        .get(&room_path(&room, "state/m.room.topic/?format=event"))
        .ok();
    assert_eq!(event["event_id"], id);
    assert_eq!(event["content"]["topic"], "beer");
    assert_eq!(event["sender"], alice.id);
    let content = alice
        .get(&room_path(&room, "state/m.room.topic/?format=content"))
        .ok();
    assert_eq!(content["topic"], "beer");
}

#[test]
fn absent_state_is_not_found_and_foreign_state_forbidden() {
    let alice = user("alice");
    let room = alice.public_room();
    alice
        .get_state(&room, "org.example.none", "")
        .fails(404, "M_NOT_FOUND");
    let bob = user("bob");
    bob.get_state(&room, "m.room.name", "")
        .fails(403, "M_FORBIDDEN");
    bob.get(&room_path(&room, "state"))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .get(&room_path(&room, "state"))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn content_must_be_an_object_of_matrix_json() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/bad");
    for (body, errcodes) in [
        (&b"[]"[..], &["M_BAD_JSON", "M_NOT_JSON"][..]),
        (b"\"text\"", &["M_BAD_JSON", "M_NOT_JSON"]),
        (b"{", &["M_NOT_JSON"]),
        (
            b"{\"n\": 9007199254740992}",
            &["M_BAD_JSON", "M_INVALID_PARAM"],
        ),
        (
            b"{\"n\": -9007199254740992}",
            &["M_BAD_JSON", "M_INVALID_PARAM"],
        ),
        (
            b"{\"n\": 1e400}",
            &["M_BAD_JSON", "M_NOT_JSON", "M_INVALID_PARAM"],
        ),
        (b"{\"n\": 0.5}", &["M_BAD_JSON", "M_INVALID_PARAM"]),
    ] {
        let answer = alice.send("PUT", &path, &[], Some(body));
        answer.fails_with_one_of(400, errcodes);
    }
    // None of them has used up the transaction id.
    alice.put(&path, text("good")).ok();
}

#[test]
fn too_large_an_event_is_refused() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, &format!("send/m.room.message/{}", fresh("txn")));
    let answer = alice.put(&path, text(&"x".repeat(66_000)));
    answer.fails(413, "M_TOO_LARGE");
    alice.say(&room, &"x".repeat(60_000));
    let long_type = room_path(&room, &format!("send/{}/1", "t".repeat(256)));
    let answer = alice.put(&long_type, json!({}));
    assert!([400, 413].contains(&answer.status), "{}", answer.text());
    let long_key = room_path(&room, &format!("state/org.example.s/{}", "k".repeat(256)));
    let answer = alice.put(&long_key, json!({}));
    assert!([400, 413].contains(&answer.status), "{}", answer.text());
    alice
        .put(
            &room_path(&room, &format!("state/org.example.s/{}", "k".repeat(255))),
            json!({}),
        )
        .ok();
}

#[test]
fn the_create_event_is_not_sent_again() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = room_path(&room, "state/m.room.create");
    let answer = alice.put(&path, json!({"room_version": "12", "type": "m.space"}));
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
}

#[test]
fn parallel_sends_all_arrive_in_one_order() {
    let alice = user("alice");
    let room = alice.public_room();
    let users: Vec<_> = (0..8).map(|_| user("writer")).collect();
    for user in &users {
        user.join(&room);
    }
    std::thread::scope(|scope| {
        for user in &users {
            let room = &room;
            scope.spawn(move || {
                for n in 0..5 {
                    user.say(room, &n.to_string());
                }
            });
        }
    });
    let backwards = alice.messages(&room, "dir=b&limit=200");
    let forwards = alice.messages(&room, "dir=f&limit=200");
    let mut backwards = spec_tests::event_ids(&backwards["chunk"]);
    backwards.reverse();
    assert_eq!(backwards, spec_tests::event_ids(&forwards["chunk"]));
    for user in &users {
        let bodies: Vec<_> = forwards["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["sender"] == user.id && event["type"] == "m.room.message")
            .map(|event| event["content"]["body"].as_str().unwrap())
            .collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    }
}
