//! [Getting events for a room](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room): messages, members, single events.

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, event_ids, find_state, room_path, user};

/// A room with this many messages; gives their ids in the order of sending.
fn room_with_messages(alice: &User, count: usize) -> (String, Vec<String>) {
    let room = alice.public_room();
    let ids = (0..count)
        .map(|n| alice.say(&room, &n.to_string()))
        .collect();
    (room, ids)
}

/// Pages through the whole room and gives all event ids.
fn page_through(reader: &User, room: &str, dir: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut from = String::new();
    for _ in 0..1_000 {
        let page = reader.messages(room, &format!("dir={dir}&limit={limit}{from}"));
        let ids = event_ids(&page["chunk"]);
        assert!(ids.len() <= limit, "{} events for limit {limit}", ids.len());
        all.extend(ids.into_iter().map(str::to_owned));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={}", encode(end)),
            None => return all,
        }
    }
    panic!("paging does not end");
}

#[test]
fn paging_back_gives_each_event_once_and_ends() {
    let alice = user("alice");
    let (room, ids) = room_with_messages(&alice, 12);
    for limit in [1, 3, 7, 100] {
        let mut all = page_through(&alice, &room, "b", limit);
        all.reverse();
        assert_eq!(all[all.len() - 12..], ids, "limit {limit}");
        let create = alice.get_event(&room, &all[0]).ok();
        assert_eq!(create["type"], "m.room.create", "limit {limit}");
    }
}

#[test]
fn paging_forward_is_paging_back_reversed() {
    let alice = user("alice");
    let (room, _) = room_with_messages(&alice, 9);
    let forward = page_through(&alice, &room, "f", 4);
    let mut backward = page_through(&alice, &room, "b", 4);
    backward.reverse();
    assert_eq!(forward, backward);
}

#[test]
fn paging_continues_from_a_prev_batch_without_gap() {
    let alice = user("alice");
    let (room, ids) = room_with_messages(&alice, 10);
    let filter = json!({"room": {"timeline": {"limit": 3}}}).to_string();
    let sync = alice.sync(&[("filter", &filter)]);
    let timeline = &sync["rooms"]["join"][&room]["timeline"];
    assert_eq!(event_ids(&timeline["events"]), ids[7..]);
    assert_eq!(timeline["limited"], true);
    let from = encode(timeline["prev_batch"].as_str().unwrap());
    let page = alice.messages(&room, &format!("dir=b&limit=4&from={from}"));
    let mut older = event_ids(&page["chunk"]);
    older.reverse();
    assert_eq!(older, ids[3..7]);
    let newer = alice.messages(&room, &format!("dir=f&limit=100&from={from}"));
    assert_eq!(event_ids(&newer["chunk"]), ids[7..]);
}

#[test]
fn paging_forward_from_a_sync_token_gives_what_came_since() {
    let alice = user("alice");
    let (room, _) = room_with_messages(&alice, 3);
    let since = alice.now();
    let new = [alice.say(&room, "new 1"), alice.say(&room, "new 2")];
    let page = alice.messages(&room, &format!("dir=f&from={}", encode(&since)));
    assert_eq!(event_ids(&page["chunk"]), new);
}

#[test]
fn start_is_from_and_the_default_limit_is_ten() {
    let alice = user("alice");
    let (room, _) = room_with_messages(&alice, 15);
    let since = alice.now();
    let page = alice.messages(&room, &format!("dir=b&from={}", encode(&since)));
    assert_eq!(page["start"], since);
    assert_eq!(page["chunk"].as_array().unwrap().len(), 10);
}

#[test]
fn to_ends_the_page() {
    let alice = user("alice");
    let (room, ids) = room_with_messages(&alice, 4);
    let middle = alice.now();
    let later = [alice.say(&room, "later 1"), alice.say(&room, "later 2")];
    let page = alice.messages(&room, &format!("dir=b&limit=100&to={}", encode(&middle)));
    let seen = event_ids(&page["chunk"]);
    assert_eq!(seen, [later[1].as_str(), &later[0]]);
    assert!(!seen.contains(&ids[3].as_str()));
}

#[test]
fn a_filter_is_applied() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let hers = alice.say(&room, "alice's");
    let his = bob.say(&room, "bob's");
    let picture = alice.send_event(
        &room,
        "m.room.message",
        json!({
            "msgtype": "m.image", "body": "x", "url": "mxc://localhost/x",
        }),
    );
    let seen = |filter: Value| -> Vec<String> {
        let query = format!("dir=b&limit=100&filter={}", encode(&filter.to_string()));
        let page = alice.messages(&room, &query);
        event_ids(&page["chunk"])
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let messages = json!(["m.room.message"]);
    assert_eq!(
        seen(json!({"types": messages})),
        [picture.clone(), his.clone(), hers.clone()]
    );
    assert_eq!(
        seen(json!({"types": messages, "senders": [bob.id]})),
        [his.as_str()]
    );
    assert_eq!(
        seen(json!({"types": messages, "not_senders": [bob.id]})),
        [picture.clone(), hers.clone()]
    );
    assert_eq!(seen(json!({"contains_url": true})), [picture.as_str()]);
    assert_eq!(
        seen(json!({"types": messages, "contains_url": false})),
        [his.clone(), hers.clone()]
    );
    assert_eq!(seen(json!({"types": ["m.room.mess*"]})).len(), 3);
    assert!(!seen(json!({"not_types": ["m.room.message"]})).contains(&hers));
    assert!(seen(json!({"types": []})).is_empty());
}

#[test]
fn paging_with_a_filter_that_matches_little_still_ends() {
    let alice = user("alice");
    let (room, ids) = room_with_messages(&alice, 30);
    let filter = encode(&json!({"types": ["m.room.create"]}).to_string());
    let mut from = String::new();
    let mut found = 0;
    for _ in 0..100 {
        let page = alice.messages(&room, &format!("dir=b&limit=2&filter={filter}{from}"));
        found += page["chunk"].as_array().unwrap().len();
        match page["end"].as_str() {
            Some(end) => from = format!("&from={}", encode(end)),
            None => break,
        }
    }
    assert_eq!(found, 1, "{} messages hide the create event", ids.len());
}

#[test]
fn lazy_loading_gives_the_senders_members() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let room = alice.public_room();
    bob.join(&room);
    carol.join(&room);
    bob.say(&room, "bob's");
    let filter = encode(&json!({"lazy_load_members": true}).to_string());
    let page = alice.messages(&room, &format!("dir=b&limit=1&filter={filter}"));
    assert!(
        find_state(&page["state"], "m.room.member", &bob.id).is_some(),
        "{page}"
    );
    assert!(
        find_state(&page["state"], "m.room.member", &carol.id).is_none(),
        "{page}"
    );
}

#[test]
fn malformed_paging_is_refused() {
    let alice = user("alice");
    let room = alice.public_room();
    for query in [
        "",
        "dir=sideways",
        "dir=b&limit=many",
        "dir=b&from=nonsense",
        "dir=b&filter=nonsense",
    ] {
        let answer = alice.get(&room_path(&room, &format!("messages?{query}")));
        let codes = &[
            "M_INVALID_PARAM",
            "M_MISSING_PARAM",
            "M_BAD_JSON",
            "M_NOT_JSON",
            "M_UNKNOWN",
        ];
        answer.fails_with_one_of(400, codes);
    }
}

#[test]
fn strangers_page_nothing() {
    let alice = user("alice");
    let room = alice.public_room();
    user("bob")
        .get(&room_path(&room, "messages?dir=b"))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .get(&room_path(&room, "messages?dir=b"))
        .fails(401, "M_MISSING_TOKEN");
    let answer = alice.get(&room_path("!none:localhost", "messages?dir=b"));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
}

#[test]
fn an_event_is_found_in_its_room_only() {
    let alice = user("alice");
    let (here, ids) = room_with_messages(&alice, 1);
    let there = alice.public_room();
    assert_eq!(alice.get_event(&here, &ids[0]).ok()["event_id"], ids[0]);
    alice.get_event(&there, &ids[0]).fails(404, "M_NOT_FOUND");
    alice.get_event(&here, "$none").fails(404, "M_NOT_FOUND");
    user("bob")
        .get_event(&here, &ids[0])
        .fails_with_one_of(404, &["M_NOT_FOUND"]);
    let path = room_path(&here, &format!("event/{}", encode(&ids[0])));
    anonymous().get(&path).fails(401, "M_MISSING_TOKEN");
}

#[test]
fn members_are_listed_by_membership() {
    let alice = user("alice");
    let [joined, invited, left, banned] = ["joined", "invited", "left", "banned"].map(user);
    let room = alice.public_room();
    joined.join(&room);
    left.join(&room);
    left.leave(&room);
    alice.invite(&room, &invited);
    alice
        .post(&room_path(&room, "ban"), json!({"user_id": banned.id}))
        .ok();
    let members = |query: &str| -> Vec<String> {
        let answer = alice
            .get(&room_path(&room, &format!("members{query}")))
            .ok();
        let mut ids: Vec<_> = answer["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |users: &[&User]| {
        let mut ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        members(""),
        sorted(&[&alice, &joined, &invited, &left, &banned])
    );
    assert_eq!(members("?membership=join"), sorted(&[&alice, &joined]));
    assert_eq!(members("?membership=ban"), sorted(&[&banned]));
    assert_eq!(
        members("?not_membership=leave"),
        sorted(&[&alice, &joined, &invited, &banned])
    );
    let either = members("?membership=join&not_membership=ban");
    assert_eq!(either, sorted(&[&alice, &joined, &invited, &left]));
}

#[test]
fn members_at_a_token_are_those_of_then() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let then = alice.now();
    bob.join(&room);
    let at = |token: &str| {
        let answer = alice
            .get(&room_path(&room, &format!("members?at={}", encode(token))))
            .ok();
        find_state(&answer["chunk"], "m.room.member", &bob.id).is_some()
    };
    assert!(!at(&then));
    assert!(at(&alice.now()));
}

#[test]
fn joined_members_are_listed_with_their_profiles() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let path = format!("/v3/profile/{}/displayname", encode(&bob.id));
    bob.put(&path, json!({"displayname": "Bob"})).ok();
    bob.join(&room);
    let answer = alice.get(&room_path(&room, "joined_members")).ok();
    let joined = answer["joined"].as_object().unwrap();
    assert_eq!(joined.len(), 2);
    assert_eq!(joined[&bob.id]["display_name"], "Bob");
    user("carol")
        .get(&room_path(&room, "joined_members"))
        .fails(403, "M_FORBIDDEN");
    bob.leave(&room);
    bob.get(&room_path(&room, "joined_members"))
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn strangers_do_not_list_members() {
    let alice = user("alice");
    let room = alice.public_room();
    user("bob")
        .get(&room_path(&room, "members"))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .get(&room_path(&room, "members"))
        .fails(401, "M_MISSING_TOKEN");
}
