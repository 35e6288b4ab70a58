//! [Room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging).

use serde_json::json;
use spec_tests::{Feed, User, anonymous, encode, find_event, user};

fn tags(alice: &User, room: &str) -> String {
    format!("/v3/user/{}/rooms/{}/tags", encode(&alice.id), encode(room))
}

fn tag(alice: &User, room: &str, name: &str) -> String {
    format!("{}/{}", tags(alice, room), encode(name))
}

#[test]
fn tags_are_set_listed_and_removed() {
    let alice = user("alice");
    let room = alice.public_room();
    assert_eq!(alice.get(&tags(&alice, &room)).ok()["tags"], json!({}));
    alice
        .put(&tag(&alice, &room, "m.favourite"), json!({"order": 0.25}))
        .ok();
    alice.put(&tag(&alice, &room, "u.work"), json!({})).ok();
    let listed = alice.get(&tags(&alice, &room)).ok();
    assert_eq!(
        listed["tags"],
        json!({"m.favourite": {"order": 0.25}, "u.work": {}})
    );
    assert_eq!(alice.delete(&tag(&alice, &room, "u.work")).ok(), json!({}));
    let listed = alice.get(&tags(&alice, &room)).ok();
    assert_eq!(listed["tags"], json!({"m.favourite": {"order": 0.25}}));
}

#[test]
fn a_tag_comes_down_sync() {
    let alice = user("alice");
    let room = alice.public_room();
    let mut feed = Feed::from_now(&alice);
    alice
        .put(&tag(&alice, &room, "m.favourite"), json!({"order": 0.5}))
        .ok();
    let event = feed.until("m.tag", |sync| {
        let events = &sync["rooms"]["join"][&room]["account_data"]["events"];
        find_event(events, |event| event["type"] == "m.tag").cloned()
    });
    assert_eq!(
        event["content"]["tags"],
        json!({"m.favourite": {"order": 0.5}})
    );
    alice.delete(&tag(&alice, &room, "m.favourite")).ok();
    let event = feed.until("m.tag without the tag", |sync| {
        let events = &sync["rooms"]["join"][&room]["account_data"]["events"];
        find_event(events, |event| event["type"] == "m.tag").cloned()
    });
    assert_eq!(event["content"]["tags"], json!({}));
}

#[test]
fn removing_an_absent_tag_succeeds() {
    let alice = user("alice");
    let room = alice.public_room();
    alice.delete(&tag(&alice, &room, "u.none")).ok();
}

#[test]
fn tags_are_the_users_own() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    alice.put(&tag(&alice, &room, "u.mine"), json!({})).ok();
    bob.get(&tags(&alice, &room)).fails(403, "M_FORBIDDEN");
    bob.put(&tag(&alice, &room, "u.yours"), json!({}))
        .fails(403, "M_FORBIDDEN");
    bob.delete(&tag(&alice, &room, "u.mine"))
        .fails(403, "M_FORBIDDEN");
    assert_eq!(bob.get(&tags(&bob, &room)).ok()["tags"], json!({}));
    anonymous()
        .get(&tags(&alice, &room))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn a_tag_of_wrong_shape_is_refused() {
    let alice = user("alice");
    let room = alice.public_room();
    let answer = alice.put(&tag(&alice, &room, "u.x"), json!([]));
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
}
