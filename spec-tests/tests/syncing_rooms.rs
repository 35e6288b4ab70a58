//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing): how rooms move between joined, invited, left and knocked; summaries.

use serde_json::{Value, json};
use spec_tests::{Feed, User, encode, event_ids, find_state, room_path, user};

fn section<'a>(sync: &'a Value, name: &str, room: &str) -> Option<&'a Value> {
    sync["rooms"][name].get(room)
}

#[test]
fn an_invite_comes_with_stripped_state() {
    let alice = user("alice");
    let bob = user("bob");
    let mut feed = Feed::from_now(&bob);
    let room = alice.create_room(json!({"name": "The Tavern", "topic": "beer"}));
    alice.invite(&room, &bob);
    let invite = feed.until("the invite", |sync| section(sync, "invite", &room).cloned());
    let state = &invite["invite_state"]["events"];
    for event_type in ["m.room.create", "m.room.name", "m.room.join_rules"] {
        let event =
            find_state(state, event_type, "").unwrap_or_else(|| panic!("no {event_type}: {state}"));
        assert!(event["sender"].is_string() && event["content"].is_object());
    }
    let member = find_state(state, "m.room.member", &bob.id).unwrap();
    assert_eq!(member["content"]["membership"], "invite");
    assert_eq!(member["sender"], alice.id);
    // It is there for a client that starts now, and it is no news a second time.
    assert!(section(&bob.sync(&[]), "invite", &room).is_some());
    assert!(section(&feed.next(0), "invite", &room).is_none());
}

#[test]
fn joining_moves_the_room_from_invite_to_join() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"name": "The Tavern", "invite": [bob.id]}));
    let earlier = alice.say(&room, "before bob came");
    let mut feed = Feed::from_now(&bob);
    bob.join(&room);
    let joined = feed.until("the join", |sync| {
        assert!(section(sync, "invite", &room).is_none(), "{sync}");
        section(sync, "join", &room).cloned()
    });
    let timeline = &joined["timeline"]["events"];
    let state = &joined["state"]["events"];
    let own = find_state(timeline, "m.room.member", &bob.id).or(find_state(
        state,
        "m.room.member",
        &bob.id,
    ));
    assert_eq!(own.unwrap()["content"]["membership"], "join");
    // A newly joined room comes with its whole state and what history may be read.
    let create =
        find_state(state, "m.room.create", "").or(find_state(timeline, "m.room.create", ""));
    assert!(create.is_some(), "{joined}");
    assert!(event_ids(timeline).contains(&earlier.as_str()), "{joined}");
}

#[test]
fn a_rejected_invite_leaves_the_list() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"invite": [bob.id]}));
    let mut feed = Feed::from_now(&bob);
    bob.leave(&room);
    feed.until("the rejection", |sync| {
        section(sync, "leave", &room).cloned()
    });
    let sync = bob.sync(&[]);
    assert!(section(&sync, "invite", &room).is_none(), "{sync}");
}

#[test]
fn leaving_shows_the_room_once_below_leave() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let mut feed = Feed::from_now(&bob);
    let last = alice.say(&room, "last words");
    bob.leave(&room);
    let after = alice.say(&room, "behind his back");
    let left = feed.until("the leave", |sync| {
        assert!(section(sync, "join", &room).is_none(), "{sync}");
        section(sync, "leave", &room).cloned()
    });
    let ids = event_ids(&left["timeline"]["events"]);
    assert!(ids.contains(&last.as_str()), "{left}");
    assert!(!ids.contains(&after.as_str()), "{left}");
    let own = find_state(&left["timeline"]["events"], "m.room.member", &bob.id).unwrap();
    assert_eq!(own["content"]["membership"], "leave");
    alice.say(&room, "nothing for bob");
    let next = feed.next(0);
    assert!(section(&next, "leave", &room).is_none(), "{next}");
    assert!(section(&next, "join", &room).is_none(), "{next}");
}

#[test]
fn a_kick_and_a_ban_show_below_leave() {
    let alice = user("alice");
    for (action, membership) in [("kick", "leave"), ("ban", "ban")] {
        let bob = user("bob");
        let room = alice.public_room();
        bob.join(&room);
        let mut feed = Feed::from_now(&bob);
        alice
            .post(&room_path(&room, action), json!({"user_id": bob.id}))
            .ok();
        let left = feed.until(action, |sync| section(sync, "leave", &room).cloned());
        let own = find_state(&left["timeline"]["events"], "m.room.member", &bob.id).unwrap();
        assert_eq!(own["content"]["membership"], membership);
    }
}

#[test]
fn left_rooms_are_in_the_initial_sync_only_if_asked() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    bob.leave(&room);
    assert!(section(&bob.sync(&[]), "leave", &room).is_none());
    let filter = json!({"room": {"include_leave": true}}).to_string();
    let sync = bob.sync(&[("filter", &filter)]);
    let left = section(&sync, "leave", &room).unwrap();
    assert!(!event_ids(&left["timeline"]["events"]).is_empty(), "{left}");
}

#[test]
fn coming_back_shows_the_whole_room_again() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "old"}));
    bob.join(&room);
    bob.leave(&room);
    let mut feed = Feed::from_now(&bob);
    alice.set_state(&room, "m.room.name", "", json!({"name": "new"}));
    bob.join(&room);
    let joined = feed.until("the room", |sync| section(sync, "join", &room).cloned());
    let timeline = &joined["timeline"]["events"];
    let state = &joined["state"]["events"];
    let name = find_state(timeline, "m.room.name", "").or(find_state(state, "m.room.name", ""));
    assert_eq!(name.unwrap()["content"]["name"], "new");
    let create =
        find_state(state, "m.room.create", "").or(find_state(timeline, "m.room.create", ""));
    assert!(create.is_some(), "{joined}");
}

#[test]
fn joining_and_leaving_between_two_syncs_shows_the_leave() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let since = bob.now();
    bob.join(&room);
    bob.leave(&room);
    let sync = bob.sync_since(&since);
    assert!(section(&sync, "leave", &room).is_some(), "{sync}");
    assert!(section(&sync, "join", &room).is_none(), "{sync}");
}

#[test]
fn leaving_and_coming_back_between_two_syncs_shows_the_join() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let since = bob.now();
    bob.leave(&room);
    bob.join(&room);
    let sync = bob.sync_since(&since);
    assert!(section(&sync, "join", &room).is_some(), "{sync}");
    assert!(section(&sync, "leave", &room).is_none(), "{sync}");
}

#[test]
fn a_knock_is_shown_and_answered() {
    let alice = user("alice");
    let bob = user("bob");
    let rules = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = alice.create_room(json!({"initial_state": rules, "name": "The Club"}));
    let mut feed = Feed::from_now(&bob);
    bob.post(&format!("/v3/knock/{}", encode(&room)), json!({}))
        .ok();
    let knock = feed.until("the knock", |sync| section(sync, "knock", &room).cloned());
    let state = &knock["knock_state"]["events"];
    assert!(find_state(state, "m.room.create", "").is_some(), "{state}");
    assert_eq!(
        find_state(state, "m.room.name", "").unwrap()["content"]["name"],
        "The Club"
    );
    let own = find_state(state, "m.room.member", &bob.id).unwrap();
    assert_eq!(own["content"]["membership"], "knock");
    alice.invite(&room, &bob);
    feed.until("the invite", |sync| section(sync, "invite", &room).cloned());
}

#[test]
fn a_declined_knock_shows_below_leave() {
    let alice = user("alice");
    let bob = user("bob");
    let rules = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = alice.create_room(json!({"initial_state": rules}));
    bob.post(&format!("/v3/knock/{}", encode(&room)), json!({}))
        .ok();
    let mut feed = Feed::from_now(&bob);
    alice
        .post(&room_path(&room, "kick"), json!({"user_id": bob.id}))
        .ok();
    feed.until("the refusal", |sync| section(sync, "leave", &room).cloned());
    assert!(section(&bob.sync(&[]), "knock", &room).is_none());
}

fn summary(user: &User, room: &str) -> Value {
    user.sync(&[])["rooms"]["join"][room]["summary"].clone()
}

fn heroes(summary: &Value) -> Vec<&str> {
    let heroes = summary["m.heroes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    heroes.iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_summary_counts_members_and_names_heroes() {
    let alice = user("alice");
    let [bob, carol, dave] = ["bob", "carol", "dave"].map(user);
    let room = alice.public_room();
    bob.join(&room);
    carol.join(&room);
    alice.invite(&room, &dave);
    let summary = summary(&alice, &room);
    assert_eq!(summary["m.joined_member_count"], 3);
    assert_eq!(summary["m.invited_member_count"], 1);
    let mut heroes = heroes(&summary);
    heroes.sort_unstable();
    let mut expected = [bob.id.as_str(), &carol.id, &dave.id];
    expected.sort_unstable();
    assert_eq!(heroes, expected);
}

#[test]
fn heroes_are_five_and_never_oneself() {
    let alice = user("alice");
    let others: Vec<_> = (0..7).map(|_| user("other")).collect();
    let room = alice.public_room();
    for other in &others {
        other.join(&room);
    }
    let summary = summary(&others[6], &room);
    let heroes = heroes(&summary);
    assert!(heroes.len() >= 5, "{summary}");
    assert!(!heroes.contains(&others[6].id.as_str()), "{summary}");
    // The first five by the order of the room's events.
    let first: Vec<_> = std::iter::once(&alice)
        .chain(&others[..4])
        .map(|user| user.id.as_str())
        .collect();
    for hero in first {
        assert!(heroes.contains(&hero), "{hero} is missing in {summary}");
    }
}

#[test]
fn those_who_left_are_heroes_of_an_empty_room() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    bob.leave(&room);
    let summary = summary(&alice, &room);
    assert_eq!(summary["m.joined_member_count"], 1);
    assert_eq!(heroes(&summary), [bob.id.as_str()]);
}

#[test]
fn a_changed_count_comes_with_the_next_sync() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let since = alice.now();
    bob.join(&room);
    let sync = alice.sync_since(&since);
    let summary = &sync["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.joined_member_count"], 2);
    assert_eq!(heroes(summary), [bob.id.as_str()]);
}

#[test]
fn an_upgraded_room_shows_the_tombstone_and_the_new_room() {
    let alice = user("alice");
    let room = alice.public_room();
    let mut feed = Feed::from_now(&alice);
    let answer = alice
        .post(&room_path(&room, "upgrade"), json!({"new_version": "12"}))
        .ok();
    let new = answer["replacement_room"].as_str().unwrap();
    let seen = std::cell::Cell::new((false, false));
    feed.until("tombstone and new room", |sync| {
        let (mut tombstone, mut replacement) = seen.get();
        let timeline = &sync["rooms"]["join"][&room]["timeline"]["events"];
        tombstone |= find_state(timeline, "m.room.tombstone", "").is_some();
        replacement |= section(sync, "join", new).is_some();
        seen.set((tombstone, replacement));
        (tombstone && replacement).then_some(())
    });
}
