//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing): initial, incremental, waiting, limited, the parameters.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, event_ids, find_state, room_path, user};

fn joined<'a>(sync: &'a Value, room: &str) -> &'a Value {
    &sync["rooms"]["join"][room]
}

fn limit(n: usize) -> String {
    json!({"room": {"timeline": {"limit": n}}}).to_string()
}

fn token(sync: &Value) -> &str {
    sync["next_batch"].as_str().unwrap()
}

#[test]
fn a_new_account_has_an_empty_sync() {
    let sync = user("alice").sync(&[]);
    assert!(sync["next_batch"].is_string());
    for section in ["join", "invite", "leave", "knock"] {
        let rooms = &sync["rooms"][section];
        assert!(rooms.is_null() || rooms == &json!({}), "{sync}");
    }
}

#[test]
fn the_initial_sync_has_state_and_timeline_without_overlap() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "A", "topic": "B"}));
    let ids: Vec<_> = (0..5).map(|n| alice.say(&room, &n.to_string())).collect();
    let sync = alice.sync(&[("filter", &limit(3))]);
    let room_sync = joined(&sync, &room);
    assert_eq!(event_ids(&room_sync["timeline"]["events"]), ids[2..]);
    assert_eq!(room_sync["timeline"]["limited"], true);
    assert!(room_sync["timeline"]["prev_batch"].is_string());
    let state = &room_sync["state"]["events"];
    for event_type in [
        "m.room.create",
        "m.room.name",
        "m.room.topic",
        "m.room.power_levels",
    ] {
        assert!(
            find_state(state, event_type, "").is_some(),
            "{event_type}: {state}"
        );
    }
    assert!(find_state(state, "m.room.member", &alice.id).is_some());
}

#[test]
fn state_is_as_of_the_start_of_the_timeline() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "before"}));
    alice.say(&room, "x");
    alice.set_state(&room, "m.room.name", "", json!({"name": "after"}));
    alice.say(&room, "y");
    let sync = alice.sync(&[("filter", &limit(2))]);
    let state = &joined(&sync, &room)["state"]["events"];
    let name = find_state(state, "m.room.name", "").unwrap();
    assert_eq!(name["content"]["name"], "before", "{sync}");
    let timeline = &joined(&sync, &room)["timeline"]["events"];
    assert_eq!(
        find_state(timeline, "m.room.name", "").unwrap()["content"]["name"],
        "after"
    );
}

#[test]
fn a_small_room_is_not_limited() {
    let alice = user("alice");
    let room = alice.create_room(json!({}));
    let sync = alice.sync(&[("filter", &limit(100))]);
    let timeline = &joined(&sync, &room)["timeline"];
    assert_ne!(timeline["limited"], true, "{sync}");
    assert_eq!(timeline["events"][0]["type"], "m.room.create");
}

#[test]
fn events_have_the_client_format() {
    let alice = user("alice");
    let room = alice.public_room();
    let id = alice.say(&room, "hello");
    let sync = alice.sync(&[]);
    let events = joined(&sync, &room)["timeline"]["events"]
        .as_array()
        .unwrap();
    let event = events.iter().find(|event| event["event_id"] == id).unwrap();
    assert_eq!(event["content"]["body"], "hello");
    assert_eq!(event["sender"], alice.id);
    assert!(event["origin_server_ts"].is_u64() && event["unsigned"]["age"].is_i64());
    assert!(event.get("room_id").is_none_or(|id| *id == room));
    for private in [
        "auth_events",
        "prev_events",
        "hashes",
        "signatures",
        "depth",
    ] {
        assert!(event.get(private).is_none(), "{event}");
    }
}

#[test]
fn incremental_syncs_give_each_event_once_in_order() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let mut since = bob.now();
    let mut sent = Vec::new();
    let mut seen = Vec::new();
    for n in 0..6 {
        for k in 0..=n % 3 {
            sent.push(alice.say(&room, &format!("{n} {k}")));
        }
        let sync = bob.sync_since(&since);
        token(&sync).clone_into(&mut since);
        seen.extend(
            event_ids(&joined(&sync, &room)["timeline"]["events"])
                .into_iter()
                .map(str::to_owned),
        );
    }
    assert_eq!(seen, sent);
}

#[test]
fn a_token_can_be_used_again() {
    let alice = user("alice");
    let room = alice.public_room();
    let since = alice.now();
    let event = alice.say(&room, "hello");
    for _ in 0..2 {
        let sync = alice.sync_since(&since);
        assert_eq!(
            event_ids(&joined(&sync, &room)["timeline"]["events"]),
            [event.as_str()]
        );
    }
}

#[test]
fn rooms_without_news_are_left_out() {
    let alice = user("alice");
    let quiet = alice.public_room();
    let busy = alice.public_room();
    let since = alice.now();
    alice.say(&busy, "hello");
    let sync = alice.sync_since(&since);
    assert!(joined(&sync, &busy).is_object());
    assert!(joined(&sync, &quiet).is_null(), "{sync}");
}

#[test]
fn a_sync_waits_for_news() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let since = bob.now();
    let waiting = std::thread::spawn(move || {
        bob.get(&format!("/v3/sync?since={}&timeout=30000", encode(&since)))
            .ok()
    });
    let event = alice.say(&room, "wake up");
    let sync = waiting.join().unwrap();
    assert_eq!(
        event_ids(&joined(&sync, &room)["timeline"]["events"]),
        [event.as_str()]
    );
}

#[test]
fn a_sync_without_news_ends_with_the_timeout() {
    let alice = user("alice");
    alice.public_room();
    let since = alice.now();
    let started = Instant::now();
    let sync = alice.sync(&[
        ("since", &since),
        ("timeout", "400"),
        ("set_presence", "offline"),
    ]);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(350), "{took:?}: {sync}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(
        sync["rooms"]["join"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty),
        "{sync}"
    );
}

#[test]
fn an_initial_sync_does_not_wait() {
    let alice = user("alice");
    let started = Instant::now();
    alice.sync(&[("timeout", "30000")]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn waiting_is_not_woken_by_other_peoples_rooms() {
    let alice = user("alice");
    let bob = user("bob");
    let mine = bob.public_room();
    let theirs = alice.public_room();
    let since = bob.now();
    alice.say(&theirs, "not for bob");
    let event = bob.say(&mine, "for bob");
    let sync = bob.sync_since(&since);
    assert!(joined(&sync, &theirs).is_null(), "{sync}");
    assert_eq!(
        event_ids(&joined(&sync, &mine)["timeline"]["events"]),
        [event.as_str()]
    );
}

#[test]
fn a_gap_is_limited_and_filled_by_paging() {
    let alice = user("alice");
    let room = alice.public_room();
    let since = alice.now();
    let ids: Vec<_> = (0..12).map(|n| alice.say(&room, &n.to_string())).collect();
    let sync = alice.sync(&[("since", &since), ("filter", &limit(4))]);
    let timeline = &joined(&sync, &room)["timeline"];
    assert_eq!(timeline["limited"], true);
    assert_eq!(event_ids(&timeline["events"]), ids[8..]);
    let from = encode(timeline["prev_batch"].as_str().unwrap());
    let page = alice.messages(
        &room,
        &format!("dir=b&limit=100&from={from}&to={}", encode(&since)),
    );
    let mut gap = event_ids(&page["chunk"]);
    gap.reverse();
    assert_eq!(gap, ids[..8]);
}

#[test]
fn state_that_changed_in_the_gap_is_told() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "old"}));
    let since = alice.now();
    alice.set_state(&room, "m.room.name", "", json!({"name": "new"}));
    bob.join(&room);
    for n in 0..5 {
        alice.say(&room, &n.to_string());
    }
    let sync = alice.sync(&[("since", &since), ("filter", &limit(2))]);
    let state = &joined(&sync, &room)["state"]["events"];
    assert_eq!(
        find_state(state, "m.room.name", "").unwrap()["content"]["name"],
        "new"
    );
    assert!(
        find_state(state, "m.room.member", &bob.id).is_some(),
        "{sync}"
    );
    assert!(
        find_state(state, "m.room.create", "").is_none(),
        "only what changed: {sync}"
    );
}

#[test]
fn state_within_the_timeline_is_not_repeated() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "old"}));
    let since = alice.now();
    alice.set_state(&room, "m.room.name", "", json!({"name": "new"}));
    let sync = alice.sync_since(&since);
    let state = &joined(&sync, &room)["state"]["events"];
    assert!(find_state(state, "m.room.name", "").is_none(), "{sync}");
    let timeline = &joined(&sync, &room)["timeline"]["events"];
    let name = find_state(timeline, "m.room.name", "").unwrap();
    assert_eq!(name["unsigned"]["prev_content"]["name"], "old");
}

#[test]
fn full_state_repeats_all_state_of_all_rooms() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "A"}));
    let since = alice.now();
    let sync = alice.sync(&[
        ("since", &since),
        ("full_state", "true"),
        ("timeout", "30000"),
    ]);
    let state = &joined(&sync, &room)["state"]["events"];
    for event_type in ["m.room.create", "m.room.name", "m.room.power_levels"] {
        assert!(
            find_state(state, event_type, "").is_some(),
            "{event_type}: {sync}"
        );
    }
    let timeline = &joined(&sync, &room)["timeline"]["events"];
    assert!(timeline.as_array().is_none_or(Vec::is_empty), "{sync}");
}

#[test]
fn state_after_is_the_state_at_the_end() {
    let alice = user("alice");
    let room = alice.create_room(json!({"name": "old"}));
    alice.set_state(&room, "m.room.name", "", json!({"name": "new"}));
    let sync = alice.sync(&[("use_state_after", "true")]);
    let room_sync = joined(&sync, &room);
    assert!(room_sync.get("state").is_none(), "{room_sync}");
    let state = &room_sync["state_after"]["events"];
    assert_eq!(
        find_state(state, "m.room.name", "").unwrap()["content"]["name"],
        "new"
    );
    assert!(find_state(state, "m.room.create", "").is_some());

    let since = token(&sync).to_owned();
    alice.set_state(&room, "m.room.name", "", json!({"name": "newer"}));
    let sync = alice.sync(&[("since", &since), ("use_state_after", "true")]);
    let room_sync = joined(&sync, &room);
    let state = &room_sync["state_after"]["events"];
    assert_eq!(state.as_array().unwrap().len(), 1, "{room_sync}");
    assert_eq!(
        find_state(state, "m.room.name", "").unwrap()["content"]["name"],
        "newer"
    );
    assert!(find_state(&room_sync["timeline"]["events"], "m.room.name", "").is_some());

    let since = token(&sync).to_owned();
    alice.say(&room, "no state");
    let sync = alice.sync(&[("since", &since), ("use_state_after", "true")]);
    let room_sync = joined(&sync, &room);
    // Required even if it is empty.
    assert!(room_sync.get("state_after").is_some(), "{room_sync}");
    assert!(room_sync.get("state").is_none(), "{room_sync}");
}

#[test]
fn the_sending_device_sees_its_transaction_id() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let since = [alice.now(), other.now(), bob.now()];
    let path = room_path(&room, "send/m.room.message/my-txn-1");
    let event = alice
        .put(&path, json!({"msgtype": "m.text", "body": "x"}))
        .ok()["event_id"]
        .clone();
    let transaction = |user: &User, since: &str| {
        let sync = user.sync_since(since);
        let timeline = joined(&sync, &room)["timeline"]["events"]
            .as_array()
            .unwrap();
        let seen = timeline
            .iter()
            .find(|seen| seen["event_id"] == event)
            .unwrap();
        seen["unsigned"]["transaction_id"].clone()
    };
    assert_eq!(transaction(&alice, &since[0]), "my-txn-1");
    assert_eq!(transaction(&other, &since[1]), Value::Null);
    assert_eq!(transaction(&bob, &since[2]), Value::Null);
    // The other ways to read it agree.
    let messages = alice.messages(&room, "dir=b&limit=1");
    assert_eq!(
        messages["chunk"][0]["unsigned"]["transaction_id"],
        "my-txn-1"
    );
}

#[test]
fn a_bogus_token_is_refused_or_starts_over_but_never_skips() {
    let alice = user("alice");
    let room = alice.public_room();
    for since in ["nonsense", "s0", "-1", "99999999999999999999"] {
        let answer = alice.get(&format!("/v3/sync?since={}", encode(since)));
        if answer.status == 200 {
            let sync = answer.json();
            assert!(
                joined(&sync, &room).is_object(),
                "{since}: a fresh start shows the room: {sync}"
            );
        } else {
            answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_UNKNOWN", "M_UNKNOWN_POS"]);
        }
    }
}

#[test]
fn malformed_parameters_are_refused() {
    let alice = user("alice");
    for query in [
        "timeout=long",
        "full_state=perhaps",
        "timeout=-5",
        "timeout=1.5",
    ] {
        let answer = alice.get(&format!("/v3/sync?{query}"));
        let codes = &["M_INVALID_PARAM", "M_BAD_JSON", "M_UNKNOWN"];
        answer.fails_with_one_of(400, codes);
    }
    anonymous().get("/v3/sync").fails(401, "M_MISSING_TOKEN");
}

#[test]
fn two_devices_have_positions_of_their_own() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let room = alice.public_room();
    let mut first = Feed::from_now(&alice);
    let mut second = Feed::from_now(&other);
    let event = alice.say(&room, "x");
    first.event(&room, &event);
    second.event(&room, &event);
}

#[test]
fn many_waiting_clients_all_hear_it_once() {
    let alice = user("alice");
    let room = alice.public_room();
    let listeners: Vec<_> = (0..20).map(|_| user("listener")).collect();
    for listener in &listeners {
        listener.join(&room);
    }
    let waiting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let room = room.clone();
            let since = listener.now();
            std::thread::spawn(move || {
                let mut feed = Feed::since(&listener, &since);
                let mut bodies = Vec::new();
                while bodies.last().map(String::as_str) != Some("end") {
                    let sync = feed.next(30_000);
                    let Some(events) = joined(&sync, &room)["timeline"]["events"].as_array() else {
                        continue;
                    };
                    let texts = events
                        .iter()
                        .filter_map(|event| event["content"]["body"].as_str());
                    bodies.extend(texts.map(str::to_owned));
                }
                bodies
            })
        })
        .collect();
    for body in ["1", "2", "3", "end"] {
        alice.say(&room, body);
    }
    for listener in waiting {
        assert_eq!(listener.join().unwrap(), ["1", "2", "3", "end"]);
    }
}

#[test]
fn the_same_request_twice_at_once_is_answered_twice() {
    let alice = user("alice");
    let room = alice.public_room();
    let since = alice.now();
    let event = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| alice.sync(&[("since", &since), ("timeout", "30000")])))
            .collect();
        let event = alice.say(&room, "x");
        for thread in waiting {
            let sync = thread.join().unwrap();
            assert_eq!(
                event_ids(&joined(&sync, &room)["timeline"]["events"]),
                [event.as_str()]
            );
        }
        event
    });
    assert!(event.starts_with('$'));
}
