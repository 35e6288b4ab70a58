//! [Filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering): what a filter does to `/sync`.

use serde_json::{Value, json};
use spec_tests::{User, encode, event_ids, find_event, find_state, room_path, user};

fn filtered(user: &User, since: Option<&str>, filter: &Value) -> Value {
    let filter = filter.to_string();
    let mut query = vec![("filter", filter.as_str())];
    query.extend(since.map(|since| ("since", since)));
    user.sync(&query)
}

fn members_in_state(sync: &Value, room: &str) -> Vec<String> {
    let events = sync["rooms"]["join"][room]["state"]["events"].as_array();
    let events = events.map(Vec::as_slice).unwrap_or_default();
    let members = events
        .iter()
        .filter(|event| event["type"] == "m.room.member");
    let mut ids: Vec<_> = members
        .map(|event| event["state_key"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

fn lazy(limit: usize) -> Value {
    json!({"room": {"state": {"lazy_load_members": true}, "timeline": {"limit": limit}}})
}

#[test]
fn lazy_loading_gives_the_members_who_speak_and_oneself() {
    let alice = user("alice");
    let [bob, carol, dave] = ["bob", "carol", "dave"].map(user);
    // A name, so that nobody is needed as a hero.
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Named"}));
    for user in [&bob, &carol, &dave] {
        user.join(&room);
    }
    bob.say(&room, "bob speaks");
    let sync = filtered(&carol, None, &lazy(1));
    let mut expected = vec![bob.id.clone(), carol.id.clone()];
    expected.sort_unstable();
    let members = members_in_state(&sync, &room);
    for id in &expected {
        assert!(members.contains(id), "{id}: {members:?}");
    }
    assert!(!members.contains(&dave.id), "{members:?}");
    let state = &sync["rooms"]["join"][&room]["state"]["events"];
    assert!(find_state(state, "m.room.create", "").is_some());
}

#[test]
fn lazy_loading_gives_the_heroes_of_a_nameless_room() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    alice.say(&room, "only alice speaks");
    let sync = filtered(&alice, None, &lazy(1));
    let members = members_in_state(&sync, &room);
    assert!(
        members.contains(&bob.id),
        "a hero's member event is needed for the name: {members:?}"
    );
}

#[test]
fn lazy_loading_brings_a_new_speaker_along() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Named"}));
    bob.join(&room);
    for n in 0..3 {
        alice.say(&room, &n.to_string());
    }
    let since = filtered(&alice, None, &lazy(1))["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.say(&room, "hello");
    let sync = filtered(&alice, Some(&since), &lazy(10));
    assert!(members_in_state(&sync, &room).contains(&bob.id), "{sync}");
}

#[test]
fn redundant_members_are_repeated_if_asked() {
    let alice = user("alice");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Named"}));
    let filter =
        json!({"room": {"state": {"lazy_load_members": true, "include_redundant_members": true}}});
    let since = filtered(&alice, None, &filter)["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    alice.say(&room, "hello");
    let sync = filtered(&alice, Some(&since), &filter);
    assert_eq!(
        members_in_state(&sync, &room),
        [alice.id.as_str()],
        "{sync}"
    );
}

#[test]
fn members_who_changed_in_the_gap_are_told_even_when_lazy() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Named"}));
    let since = filtered(&alice, None, &lazy(1))["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.join(&room);
    for n in 0..5 {
        alice.say(&room, &n.to_string());
    }
    let sync = filtered(&alice, Some(&since), &lazy(1));
    assert!(members_in_state(&sync, &room).contains(&bob.id), "{sync}");
}

#[test]
fn timeline_types_and_senders_choose_events() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let hers = alice.say(&room, "hers");
    let his = bob.say(&room, "his");
    let custom = alice.send_event(&room, "org.example.custom", json!({}));
    let timeline = |filter: Value| -> Vec<String> {
        let sync = filtered(&alice, None, &json!({"room": {"timeline": filter}}));
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        event_ids(events).into_iter().map(str::to_owned).collect()
    };
    let messages = json!(["m.room.message"]);
    assert_eq!(
        timeline(json!({"types": messages})),
        [hers.clone(), his.clone()]
    );
    assert_eq!(
        timeline(json!({"types": messages, "senders": [bob.id]})),
        [his.as_str()]
    );
    assert_eq!(
        timeline(json!({"types": messages, "not_senders": [bob.id]})),
        [hers.as_str()]
    );
    assert_eq!(
        timeline(json!({"types": ["org.example.*"]})),
        [custom.as_str()]
    );
    assert_eq!(
        timeline(json!({"types": ["*"], "not_types": ["m.*"]})),
        [custom.as_str()]
    );
    assert!(timeline(json!({"types": []})).is_empty());
    assert_eq!(timeline(json!({"types": messages, "limit": 1})), [his]);
}

#[test]
fn contains_url_chooses_events() {
    let alice = user("alice");
    let room = alice.public_room();
    alice.say(&room, "text");
    let content = json!({"msgtype": "m.image", "body": "x", "url": "mxc://localhost/x"});
    let picture = alice.send_event(&room, "m.room.message", content);
    let sync = filtered(
        &alice,
        None,
        &json!({"room": {"timeline": {"contains_url": true}}}),
    );
    let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(event_ids(events), [picture.as_str()]);
}

#[test]
fn rooms_are_chosen_and_left_out() {
    let alice = user("alice");
    let rooms = [alice.public_room(), alice.public_room()];
    let shown = |filter: Value| -> Vec<String> {
        let sync = filtered(&alice, None, &json!({"room": filter}));
        let joined = sync["rooms"]["join"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        joined.keys().cloned().collect()
    };
    assert_eq!(shown(json!({"rooms": [rooms[0]]})), [rooms[0].as_str()]);
    assert_eq!(shown(json!({"not_rooms": [rooms[0]]})), [rooms[1].as_str()]);
    assert!(shown(json!({"rooms": []})).is_empty());
    assert!(shown(json!({"rooms": [rooms[0]], "not_rooms": [rooms[0]]})).is_empty());
}

#[test]
fn state_types_choose_state() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "A", "topic": "B"}));
    let filter = json!({"room": {"state": {"types": ["m.room.name"]}, "timeline": {"limit": 1}}});
    alice.say(&room, "x");
    let sync = filtered(&alice, None, &filter);
    let state = sync["rooms"]["join"][&room]["state"]["events"]
        .as_array()
        .unwrap();
    assert_eq!(state.len(), 1, "{sync}");
    assert_eq!(state[0]["type"], "m.room.name");
}

#[test]
fn ephemeral_and_account_data_are_chosen() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "x");
    let receipt = room_path(&room, &format!("receipt/m.read/{}", encode(&event)));
    alice.post(&receipt, json!({})).ok();
    let data = format!("/v3/user/{}/account_data/org.example.x", encode(&alice.id));
    alice.put(&data, json!({"n": 1})).ok();
    let sync = filtered(
        &alice,
        None,
        &json!({
            "account_data": {"not_types": ["org.example.*"]},
            "presence": {"types": []},
            "room": {"ephemeral": {"types": ["m.typing"]}},
        }),
    );
    let custom = find_event(&sync["account_data"]["events"], |event| {
        event["type"] == "org.example.x"
    });
    assert!(custom.is_none(), "{sync}");
    let ephemeral = &sync["rooms"]["join"][&room]["ephemeral"]["events"];
    assert!(
        find_event(ephemeral, |event| event["type"] == "m.receipt").is_none(),
        "{sync}"
    );
    assert!(
        find_event(&sync["presence"]["events"], |_| true).is_none(),
        "{sync}"
    );
}

#[test]
fn event_fields_leave_the_named_fields() {
    let alice = user("alice");
    let room = alice.public_room();
    alice.say(&room, "hello");
    let filter = json!({
        "event_fields": ["type", "content.body"],
        "room": {"timeline": {"types": ["m.room.message"]}},
    });
    let sync = filtered(&alice, None, &filter);
    let event = &sync["rooms"]["join"][&room]["timeline"]["events"][0];
    assert_eq!(
        *event,
        json!({"type": "m.room.message", "content": {"body": "hello"}})
    );
}

#[test]
fn a_filter_does_not_make_a_client_miss_its_own_position() {
    let alice = user("alice");
    let room = alice.public_room();
    let filter = json!({"room": {"timeline": {"types": ["org.example.rare"]}}});
    let since = filtered(&alice, None, &filter)["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    alice.say(&room, "filtered away");
    let second = filtered(&alice, Some(&since), &filter);
    let since = second["next_batch"].as_str().unwrap();
    let rare = alice.send_event(&room, "org.example.rare", json!({}));
    let third = filtered(&alice, Some(since), &filter);
    let events = &third["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(event_ids(events), [rare.as_str()]);
}
