//! [Event context](https://spec.matrix.org/v1.19/client-server-api/#event-context).

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, event_ids, find_state, room_path, user};

fn context(alice: &User, room: &str, event: &str, query: &str) -> Value {
    alice
        .get(&room_path(
            room,
            &format!("context/{}{query}", encode(event)),
        ))
        .ok()
}

#[test]
fn an_event_is_shown_between_its_neighbours() {
    let alice = user("alice");
    let room = alice.public_room();
    let ids: Vec<_> = (0..9).map(|n| alice.say(&room, &n.to_string())).collect();
    let answer = context(&alice, &room, &ids[4], "?limit=4");
    assert_eq!(answer["event"]["event_id"], ids[4]);
    // Before is newest first, after is oldest first.
    assert_eq!(
        event_ids(&answer["events_before"]),
        [ids[3].as_str(), &ids[2]]
    );
    assert_eq!(
        event_ids(&answer["events_after"]),
        [ids[5].as_str(), &ids[6]]
    );
    let state = &answer["state"];
    assert!(find_state(state, "m.room.create", "").is_some());
}

#[test]
fn its_tokens_continue_both_ways() {
    let alice = user("alice");
    let room = alice.public_room();
    let ids: Vec<_> = (0..9).map(|n| alice.say(&room, &n.to_string())).collect();
    let answer = context(&alice, &room, &ids[4], "?limit=2");
    let start = encode(answer["start"].as_str().unwrap());
    let end = encode(answer["end"].as_str().unwrap());
    let older = alice.messages(&room, &format!("dir=b&limit=2&from={start}"));
    assert_eq!(event_ids(&older["chunk"]), [ids[2].as_str(), &ids[1]]);
    let newer = alice.messages(&room, &format!("dir=f&limit=2&from={end}"));
    assert_eq!(event_ids(&newer["chunk"]), [ids[6].as_str(), &ids[7]]);
}

#[test]
fn limit_zero_shows_the_event_alone() {
    let alice = user("alice");
    let room = alice.public_room();
    let ids: Vec<_> = (0..3).map(|n| alice.say(&room, &n.to_string())).collect();
    let answer = context(&alice, &room, &ids[1], "?limit=0");
    assert_eq!(answer["event"]["event_id"], ids[1]);
    assert!(event_ids(&answer["events_before"]).is_empty(), "{answer}");
    assert!(event_ids(&answer["events_after"]).is_empty(), "{answer}");
}

#[test]
fn the_state_is_that_of_then() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "then"}));
    let event = alice.say(&room, "x");
    alice.set_state(&room, "m.room.name", "", json!({"name": "now"}));
    let answer = context(&alice, &room, &event, "?limit=0");
    let name = find_state(&answer["state"], "m.room.name", "").unwrap();
    assert_eq!(name["content"]["name"], "then");
}

#[test]
fn lazy_loading_leaves_out_silent_members() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let event = alice.say(&room, "x");
    alice.say(&room, "y");
    let filter = encode(&json!({"lazy_load_members": true}).to_string());
    let answer = context(&alice, &room, &event, &format!("?limit=0&filter={filter}"));
    assert!(
        find_state(&answer["state"], "m.room.member", &alice.id).is_some(),
        "{answer}"
    );
    assert!(
        find_state(&answer["state"], "m.room.member", &bob.id).is_none(),
        "{answer}"
    );
}

#[test]
fn unknown_events_and_strangers() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "x");
    let path = |event: &str| room_path(&room, &format!("context/{}", encode(event)));
    alice.get(&path("$none")).fails(404, "M_NOT_FOUND");
    let answer = user("bob").get(&path(&event));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    anonymous().get(&path(&event)).fails(401, "M_MISSING_TOKEN");
    let answer = alice.get(&format!("{}?limit=many", path(&event)));
    answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_BAD_JSON"]);
}

#[test]
fn an_event_is_found_by_its_time() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "x");
    let sent = alice.get_event(&room, &event).ok()["origin_server_ts"].clone();
    let at = |ts: &serde_json::Value, dir: &str| {
        let path = room_path(&room, &format!("timestamp_to_event?ts={ts}&dir={dir}"));
        alice.get(&path.replace("/v3/", "/v1/"))
    };
    assert_eq!(
        at(&json!(4_000_000_000_000_u64), "b").ok()["event_id"],
        event
    );
    let found = at(&sent, "f").ok();
    assert_eq!(found["origin_server_ts"], sent);
    at(&json!(0), "b").fails(404, "M_NOT_FOUND");
}
