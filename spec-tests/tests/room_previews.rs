//! [Room previews](https://spec.matrix.org/v1.19/client-server-api/#room-previews): what a world-readable room shows without joining.

use serde_json::json;
use spec_tests::{encode, find_state, room_path, user};

#[test]
fn a_world_readable_room_is_read_without_joining() {
    let alice = user("alice");
    let content = json!({"history_visibility": "world_readable"});
    let room = alice.create_room(json!({
        "preset": "public_chat",
        "name": "Open house",
        "initial_state": [{"type": "m.room.history_visibility", "content": content}],
    }));
    let event = alice.say(&room, "come in");
    let bob = user("bob");
    assert_eq!(
        bob.get_event(&room, &event).ok()["content"]["body"],
        "come in"
    );
    assert_eq!(
        bob.get_state(&room, "m.room.name", "").ok()["name"],
        "Open house"
    );
    let state = bob.get(&room_path(&room, "state")).ok();
    assert!(find_state(&state, "m.room.create", "").is_some());
    // Reading is not joining.
    assert_eq!(bob.get("/v3/joined_rooms").ok()["joined_rooms"], json!([]));
    let sync = bob.sync(&[]);
    assert!(sync["rooms"]["join"].get(&room).is_none(), "{sync}");
}

#[test]
fn the_preview_ends_when_the_room_is_closed() {
    let alice = user("alice");
    let room = alice.public_room();
    let set = |value: &str| {
        let content = json!({"history_visibility": value});
        alice.set_state(&room, "m.room.history_visibility", "", content);
    };
    set("world_readable");
    let open = alice.say(&room, "open");
    set("shared");
    let closed = alice.say(&room, "closed");
    let bob = user("bob");
    bob.get_event(&room, &open).ok();
    assert_ne!(bob.get_event(&room, &closed).status, 200);
    bob.get_state(&room, "m.room.create", "")
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn a_world_readable_room_is_followed_without_joining() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    let content = json!({"history_visibility": "world_readable"});
    alice.set_state(&room, "m.room.history_visibility", "", content);
    alice.say(&room, "before");
    let initial = bob.get(&room_path(&room, "initialSync?limit=5")).ok();
    let chunk = initial["messages"]["chunk"].as_array().unwrap();
    assert_eq!(chunk.last().unwrap()["content"]["body"], "before");
    assert!(find_state(&initial["state"], "m.room.create", "").is_some());
    let end = initial["messages"]["end"].as_str().unwrap();
    let (query, event) = std::thread::scope(|scope| {
        let path = format!(
            "/v3/events?room_id={}&from={end}&timeout=20000",
            encode(&room)
        );
        let saying = scope.spawn(|| alice.say(&room, "after"));
        (bob.get(&path).ok(), saying.join().unwrap())
    });
    assert_eq!(query["chunk"][0]["event_id"], event.as_str());
    let one = alice.get(&format!("/v3/events/{}", encode(&event))).ok();
    assert_eq!(one["event_id"], event.as_str());
    let closed = alice.create_room(json!({"preset": "private_chat"}));
    bob.get(&room_path(&closed, "initialSync"))
        .fails(403, "M_FORBIDDEN");
}
