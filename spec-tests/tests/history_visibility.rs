//! [Room history visibility](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility):
//! each of the four settings, for events sent before, during and after a membership.

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, event_ids, find_state, room_path, user};

/// One message for each stage of a user's history with the room.
struct Story {
    room: String,
    alice: User,
    bob: User,
    before: String,
    invited: String,
    joined: String,
    after: String,
}

fn room_with(alice: &User, visibility: &str) -> String {
    let content = json!({"history_visibility": visibility});
    let state = json!([{"type": "m.room.history_visibility", "state_key": "", "content": content}]);
    alice.create_room(json!({"preset": "private_chat", "initial_state": state}))
}

/// Bob is invited, joins and leaves; Alice speaks at each stage.
fn story(visibility: &str) -> Story {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with(&alice, visibility);
    let before = alice.say(&room, "before");
    alice.invite(&room, &bob);
    let invited = alice.say(&room, "invited");
    bob.join(&room);
    let joined = alice.say(&room, "joined");
    bob.leave(&room);
    let after = alice.say(&room, "after");
    Story {
        room,
        alice,
        bob,
        before,
        invited,
        joined,
        after,
    }
}

impl Story {
    /// Which of the four messages this user may read one by one.
    #[track_caller]
    fn readable_by(&self, reader: &User) -> Vec<&str> {
        let mut readable = Vec::new();
        for (name, event) in self.stages() {
            let answer = reader.get_event(&self.room, event);
            if answer.status == 200 {
                readable.push(name);
            } else {
                answer.fails_with_one_of(answer.status, &["M_NOT_FOUND", "M_FORBIDDEN"]);
            }
        }
        readable
    }

    /// Which of the four messages this user finds by paging back from the end.
    #[track_caller]
    fn paged_by(&self, reader: &User) -> Vec<&str> {
        let messages = reader.messages(&self.room, "dir=b&limit=100");
        let ids = event_ids(&messages["chunk"]);
        self.stages()
            .filter(|(_, event)| ids.contains(event))
            .map(|(name, _)| name)
            .collect()
    }

    fn stages(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("before", self.before.as_str()),
            ("invited", &self.invited),
            ("joined", &self.joined),
            ("after", &self.after),
        ]
        .into_iter()
    }
}

#[test]
fn a_departed_user_reads_what_could_be_read_before_leaving() {
    for (visibility, expected) in [
        (
            "world_readable",
            &["before", "invited", "joined", "after"][..],
        ),
        ("shared", &["before", "invited", "joined"]),
        ("invited", &["invited", "joined"]),
        ("joined", &["joined"]),
    ] {
        let story = story(visibility);
        assert_eq!(story.readable_by(&story.bob), expected, "{visibility}");
        let paged = story.paged_by(&story.bob);
        if visibility == "world_readable" {
            // Whether paging goes past the leave is the server's choice; what was readable stays so.
            assert_eq!(paged[..3], expected[..3], "{visibility}");
        } else {
            assert_eq!(paged, expected, "{visibility}");
        }
    }
}

#[test]
fn a_user_who_came_back_reads_by_the_setting() {
    for (visibility, expected) in [
        (
            "world_readable",
            &["before", "invited", "joined", "after"][..],
        ),
        ("shared", &["before", "invited", "joined", "after"]),
        ("invited", &["invited", "joined"]),
        ("joined", &["joined"]),
    ] {
        let story = story(visibility);
        story.alice.invite(&story.room, &story.bob);
        let invited_again = story.alice.say(&story.room, "invited again");
        story.bob.join(&story.room);
        let joined_again = story.alice.say(&story.room, "joined again");
        assert_eq!(story.readable_by(&story.bob), expected, "{visibility}");
        assert_eq!(story.paged_by(&story.bob), expected, "{visibility}");
        let again = story.bob.get_event(&story.room, &invited_again).status;
        assert_eq!(again == 200, visibility != "joined", "{visibility}");
        story.bob.get_event(&story.room, &joined_again).ok();
    }
}

#[test]
fn a_stranger_reads_only_what_the_world_may() {
    for visibility in ["world_readable", "shared", "invited", "joined"] {
        let story = story(visibility);
        let stranger = user("stranger");
        let readable = story.readable_by(&stranger);
        let messages = room_path(&story.room, "messages?dir=b&limit=100");
        let state = room_path(&story.room, "state");
        if visibility == "world_readable" {
            assert_eq!(readable.len(), 4);
            assert_eq!(story.paged_by(&stranger).len(), 4);
            stranger.get(&state).ok();
        } else {
            assert!(readable.is_empty(), "{visibility}: {readable:?}");
            stranger.get(&messages).fails(403, "M_FORBIDDEN");
            stranger.get(&state).fails(403, "M_FORBIDDEN");
        }
        anonymous().get(&messages).fails(401, "M_MISSING_TOKEN");
    }
}

#[test]
fn the_setting_counts_when_the_event_is_sent() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with(&alice, "joined");
    let hidden = alice.say(&room, "hidden");
    alice.set_state(
        &room,
        "m.room.history_visibility",
        "",
        json!({"history_visibility": "shared"}),
    );
    let shown = alice.say(&room, "shown");
    alice.invite(&room, &bob);
    bob.join(&room);
    assert_ne!(bob.get_event(&room, &hidden).status, 200);
    bob.get_event(&room, &shown).ok();
    let messages = bob.messages(&room, "dir=b&limit=100");
    let ids = event_ids(&messages["chunk"]);
    assert!(ids.contains(&shown.as_str()) && !ids.contains(&hidden.as_str()));
}

#[test]
fn restricting_later_hides_nothing_that_was_shared() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with(&alice, "shared");
    let shown = alice.say(&room, "shown");
    alice.set_state(
        &room,
        "m.room.history_visibility",
        "",
        json!({"history_visibility": "joined"}),
    );
    let hidden = alice.say(&room, "hidden");
    alice.invite(&room, &bob);
    bob.join(&room);
    bob.get_event(&room, &shown).ok();
    assert_ne!(bob.get_event(&room, &hidden).status, 200);
}

#[test]
fn a_change_of_the_setting_is_seen_from_either_side() {
    let alice = user("alice");
    let stranger = user("stranger");
    let room = room_with(&alice, "joined");
    let set = |value: &str| {
        let content = json!({"history_visibility": value});
        alice.set_state(&room, "m.room.history_visibility", "", content)
    };
    let opened = set("world_readable");
    let closed = set("joined");
    stranger.get_event(&room, &opened).ok();
    stranger.get_event(&room, &closed).ok();
}

#[test]
fn an_unknown_setting_means_shared() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with(&alice, "org.example.unknown");
    let before = alice.say(&room, "before");
    assert_ne!(bob.get_event(&room, &before).status, 200);
    alice.invite(&room, &bob);
    bob.join(&room);
    bob.get_event(&room, &before).ok();
}

#[test]
fn a_user_sees_their_own_join_in_a_joined_room() {
    let story = story("joined");
    let messages = story.bob.messages(&story.room, "dir=b&limit=100");
    let own: Vec<_> = messages["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["state_key"] == story.bob.id)
        .map(|event| event["content"]["membership"].as_str().unwrap())
        .collect();
    assert!(own.contains(&"join") && own.contains(&"leave"), "{own:?}");
}

#[test]
fn a_joiner_does_not_get_hidden_history_from_sync() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with(&alice, "joined");
    let before = alice.say(&room, "before");
    alice.invite(&room, &bob);
    let since = bob.now();
    bob.join(&room);
    let joined = alice.say(&room, "joined");
    for sync in [bob.sync(&[]), bob.sync_since(&since)] {
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        let ids = event_ids(events);
        assert!(ids.contains(&joined.as_str()), "{sync}");
        assert!(!ids.contains(&before.as_str()), "{sync}");
    }
}

#[test]
fn the_state_of_a_room_is_read_as_of_leaving() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "old name"}));
    bob.join(&room);
    bob.leave(&room);
    alice.set_state(&room, "m.room.name", "", json!({"name": "new name"}));
    let carol = user("carol");
    carol.join(&room);
    assert_eq!(
        bob.get_state(&room, "m.room.name", "").ok()["name"],
        "old name"
    );
    let state = bob.get(&room_path(&room, "state")).ok();
    let name = find_state(&state, "m.room.name", "").unwrap();
    assert_eq!(name["content"]["name"], "old name");
    assert!(find_state(&state, "m.room.member", &carol.id).is_none());
    let own = find_state(&state, "m.room.member", &bob.id).unwrap();
    assert_eq!(own["content"]["membership"], "leave");
    let members = bob.get(&room_path(&room, "members")).ok();
    assert!(find_state(&members["chunk"], "m.room.member", &carol.id).is_none());
}

#[test]
fn the_banned_read_as_of_the_ban() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let before = alice.say(&room, "before");
    alice
        .post(&room_path(&room, "ban"), json!({"user_id": bob.id}))
        .ok();
    let after = alice.say(&room, "after");
    bob.get_event(&room, &before).ok();
    assert_ne!(bob.get_event(&room, &after).status, 200);
}

#[test]
fn context_hides_what_the_event_endpoint_hides() {
    let story = story("joined");
    let path = |event: &str| room_path(&story.room, &format!("context/{}?limit=50", encode(event)));
    assert_ne!(story.bob.get(&path(&story.before)).status, 200);
    assert_ne!(story.bob.get(&path(&story.after)).status, 200);
    let context = story.bob.get(&path(&story.joined)).ok();
    let all: Vec<&str> = [
        event_ids(&context["events_before"]),
        event_ids(&context["events_after"]),
    ]
    .concat();
    for hidden in [&story.before, &story.invited, &story.after] {
        assert!(!all.contains(&hidden.as_str()), "{context}");
    }
}

#[test]
fn every_event_says_the_readers_membership_at_it() {
    let story = story("shared");
    let messages = story.bob.messages(&story.room, "dir=b&limit=100");
    let membership = |id: &str| -> Value {
        let events = messages["chunk"].as_array().unwrap();
        events.iter().find(|event| event["event_id"] == id).unwrap()["unsigned"]["membership"]
            .clone()
    };
    // Optional, but right if it is there.
    for (id, expected) in [
        (&story.before, "leave"),
        (&story.invited, "invite"),
        (&story.joined, "join"),
    ] {
        let membership = membership(id);
        assert!(
            membership.is_null() || membership == expected,
            "{expected}: {membership}"
        );
    }
}
