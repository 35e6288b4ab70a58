//! [Spaces](https://spec.matrix.org/v1.19/client-server-api/#spaces) and
//! [room summaries](https://spec.matrix.org/v1.19/client-server-api/#room-summaries).

use serde_json::{Value, json};
use spec_tests::{User, encode, user};

fn space(owner: &User) -> String {
    owner.create_room(json!({
        "preset": "public_chat",
        "name": "A space",
        "creation_content": {"type": "m.space"},
    }))
}

fn ids(answer: &Value) -> Vec<String> {
    let rooms = answer["rooms"].as_array().unwrap().iter();
    rooms
        .map(|room| room["room_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_space_shows_the_rooms_below_it() {
    let (alice, bob) = (user("alice"), user("bob"));
    let (root, below, room) = (space(&alice), space(&alice), alice.public_room());
    let hidden = alice.create_room(json!({"preset": "private_chat"}));
    for (parent, child, order) in [
        (&root, &room, "b"),
        (&root, &below, "a"),
        (&below, &hidden, "a"),
    ] {
        let content = json!({"via": [alice.server_name()], "order": order});
        alice.set_state(parent, "m.space.child", child, content);
    }
    let path = format!("/v1/rooms/{}/hierarchy", encode(&root));
    let answer = bob.get(&path).ok();
    assert_eq!(ids(&answer), [root.clone(), below.clone(), room.clone()]);
    assert_eq!(
        answer["rooms"][0]["children_state"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        ids(&alice.get(&path).ok()),
        [root.clone(), below, hidden.clone(), room]
    );
    let page = bob.get(&format!("{path}?limit=1")).ok();
    assert_eq!(ids(&page), [root]);
    let token = page["next_batch"].as_str().unwrap();
    let rest = bob.get(&format!("{path}?from={}", encode(token))).ok();
    assert_eq!(ids(&rest).len(), 2);
    let path = format!("/v1/rooms/{}/hierarchy", encode(&hidden));
    bob.get(&path).fails(403, "M_FORBIDDEN");
}

#[test]
fn a_room_is_summed_up() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = space(&alice);
    let path = format!("/v1/room_summary/{}", encode(&room));
    let answer = bob.get(&path).ok();
    assert_eq!(answer["room_id"], room.as_str());
    assert_eq!(
        (&answer["name"], &answer["room_type"]),
        (&json!("A space"), &json!("m.space"))
    );
    assert_eq!(
        (&answer["join_rule"], &answer["num_joined_members"]),
        (&json!("public"), &json!(1))
    );
    assert_eq!(alice.get(&path).ok()["membership"], "join");
    let path = format!("/v1/room_summary/{}", encode("!none:nowhere"));
    bob.get(&path).fails(404, "M_NOT_FOUND");
}
