//! [Client config](https://spec.matrix.org/v1.19/client-server-api/#client-config): account data, global and per room.

use serde_json::json;
use spec_tests::{Feed, User, anonymous, encode, find_event, user};

fn global(alice: &User, kind: &str) -> String {
    format!(
        "/v3/user/{}/account_data/{}",
        encode(&alice.id),
        encode(kind)
    )
}

fn in_room(alice: &User, room: &str, kind: &str) -> String {
    format!(
        "/v3/user/{}/rooms/{}/account_data/{}",
        encode(&alice.id),
        encode(room),
        encode(kind)
    )
}

#[test]
fn global_account_data_is_kept() {
    let alice = user("alice");
    let path = global(&alice, "org.example.settings");
    assert_eq!(alice.put(&path, json!({"theme": "dark"})).ok(), json!({}));
    assert_eq!(alice.get(&path).ok(), json!({"theme": "dark"}));
    alice.put(&path, json!({"theme": "light"})).ok();
    assert_eq!(alice.get(&path).ok(), json!({"theme": "light"}));
}

#[test]
fn room_account_data_is_kept_and_is_not_the_global_one() {
    let alice = user("alice");
    let room = alice.public_room();
    alice
        .put(
            &in_room(&alice, &room, "org.example.settings"),
            json!({"n": 1}),
        )
        .ok();
    assert_eq!(
        alice
            .get(&in_room(&alice, &room, "org.example.settings"))
            .ok(),
        json!({"n": 1})
    );
    alice
        .get(&global(&alice, "org.example.settings"))
        .fails(404, "M_NOT_FOUND");
    alice
        .put(&global(&alice, "org.example.other"), json!({"n": 2}))
        .ok();
    alice
        .get(&in_room(&alice, &room, "org.example.other"))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn absent_account_data_is_not_found() {
    let alice = user("alice");
    alice
        .get(&global(&alice, "org.example.none"))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn account_data_comes_with_the_initial_sync() {
    let alice = user("alice");
    let room = alice.public_room();
    alice
        .put(&global(&alice, "org.example.settings"), json!({"n": 1}))
        .ok();
    alice
        .put(&in_room(&alice, &room, "org.example.room"), json!({"n": 2}))
        .ok();
    let sync = alice.sync(&[]);
    let wanted = json!({"type": "org.example.settings", "content": {"n": 1}});
    assert!(
        sync["account_data"]["events"]
            .as_array()
            .unwrap()
            .contains(&wanted),
        "{sync}"
    );
    let wanted = json!({"type": "org.example.room", "content": {"n": 2}});
    let events = &sync["rooms"]["join"][&room]["account_data"]["events"];
    assert!(events.as_array().unwrap().contains(&wanted), "{sync}");
}

#[test]
fn account_data_wakes_a_waiting_sync_once() {
    let alice = user("alice");
    let mut feed = Feed::from_now(&alice);
    alice
        .put(&global(&alice, "org.example.settings"), json!({"n": 1}))
        .ok();
    let event = feed.until("the account data", |sync| {
        let events = &sync["account_data"]["events"];
        find_event(events, |event| event["type"] == "org.example.settings").cloned()
    });
    assert_eq!(event["content"], json!({"n": 1}));
    let after = feed.next(0);
    assert!(
        find_event(&after["account_data"]["events"], |_| true).is_none(),
        "{after}"
    );
}

#[test]
fn room_account_data_wakes_a_waiting_sync() {
    let alice = user("alice");
    let room = alice.public_room();
    let mut feed = Feed::from_now(&alice);
    alice
        .put(&in_room(&alice, &room, "org.example.room"), json!({"n": 2}))
        .ok();
    feed.until("the room's account data", |sync| {
        let events = &sync["rooms"]["join"][&room]["account_data"]["events"];
        find_event(events, |event| event["content"] == json!({"n": 2})).cloned()
    });
}

#[test]
fn account_data_is_the_users_own() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    alice
        .put(&global(&alice, "org.example.settings"), json!({"n": 1}))
        .ok();
    bob.get(&global(&alice, "org.example.settings"))
        .fails(403, "M_FORBIDDEN");
    bob.put(&global(&alice, "org.example.settings"), json!({}))
        .fails(403, "M_FORBIDDEN");
    bob.put(&in_room(&alice, &room, "org.example.room"), json!({}))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .get(&global(&alice, "org.example.settings"))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn types_the_server_manages_are_refused() {
    let alice = user("alice");
    let room = alice.public_room();
    for kind in ["m.fully_read", "m.push_rules"] {
        for path in [global(&alice, kind), in_room(&alice, &room, kind)] {
            let answer = alice.put(&path, json!({}));
            assert_eq!(answer.status, 405, "{path}: {}", answer.text());
        }
    }
}

#[test]
fn account_data_is_a_json_object() {
    let alice = user("alice");
    let path = global(&alice, "org.example.settings");
    for body in ["[]", "3", "\"text\"", "null"] {
        let answer = alice.send("PUT", &path, &[], Some(body.as_bytes()));
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_NOT_JSON"]);
    }
    alice
        .send("PUT", &path, &[], Some(b"{nonsense"))
        .fails(400, "M_NOT_JSON");
}

#[test]
fn a_room_id_that_is_none_is_invalid() {
    let alice = user("alice");
    let path = in_room(&alice, "not a room id", "org.example.room");
    alice
        .put(&path, json!({}))
        .fails_with_one_of(400, &["M_INVALID_PARAM"]);
    alice
        .get(&path)
        .fails_with_one_of(400, &["M_INVALID_PARAM"]);
}

#[test]
fn other_devices_see_the_same_account_data() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let mut feed = Feed::from_now(&other);
    alice
        .put(
            &global(&alice, "m.direct"),
            json!({"@bob:localhost": ["!room:localhost"]}),
        )
        .ok();
    feed.until("m.direct on the other device", |sync| {
        find_event(&sync["account_data"]["events"], |event| {
            event["type"] == "m.direct"
        })
        .cloned()
    });
}
