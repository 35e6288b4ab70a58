//! [Profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles).

use serde_json::json;
use spec_tests::{Feed, User, anonymous, encode, find_state, fresh, user};

fn profile(user: &User, key: &str) -> String {
    format!("/v3/profile/{}/{key}", encode(&user.id))
}

#[test]
fn displayname_and_avatar_are_kept() {
    let alice = user("alice");
    assert_eq!(
        alice
            .put(
                &profile(&alice, "displayname"),
                json!({"displayname": "Alice ❤"})
            )
            .ok(),
        json!({})
    );
    let avatar = json!({"avatar_url": "mxc://localhost/avatar"});
    assert_eq!(
        alice
            .put(&profile(&alice, "avatar_url"), avatar.clone())
            .ok(),
        json!({})
    );
    assert_eq!(
        alice.get(&profile(&alice, "displayname")).ok(),
        json!({"displayname": "Alice ❤"})
    );
    assert_eq!(alice.get(&profile(&alice, "avatar_url")).ok(), avatar);
    let whole = user("bob")
        .get(&format!("/v3/profile/{}", encode(&alice.id)))
        .ok();
    assert_eq!(whole["displayname"], "Alice ❤");
    assert_eq!(whole["avatar_url"], "mxc://localhost/avatar");
}

#[test]
fn profiles_are_read_without_a_login() {
    let alice = user("alice");
    alice
        .put(
            &profile(&alice, "displayname"),
            json!({"displayname": "Alice"}),
        )
        .ok();
    let answer = anonymous().get(&profile(&alice, "displayname"));
    // A server may restrict this (403); if it answers, it is this.
    if answer.status == 200 {
        assert_eq!(answer.ok()["displayname"], "Alice");
    } else {
        assert!([401, 403].contains(&answer.status), "{}", answer.text());
    }
}

#[test]
fn an_unknown_users_profile_is_not_found() {
    let alice = user("alice");
    let nobody = format!("@{}:{}", fresh("nobody"), alice.server_name());
    alice
        .get(&format!("/v3/profile/{}", encode(&nobody)))
        .fails(404, "M_NOT_FOUND");
    alice
        .get(&format!("/v3/profile/{}/displayname", encode(&nobody)))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn a_profile_is_changed_by_its_owner_only() {
    let alice = user("alice");
    let bob = user("bob");
    bob.put(
        &profile(&alice, "displayname"),
        json!({"displayname": "Mallory"}),
    )
    .fails(403, "M_FORBIDDEN");
    let body = json!({"displayname": "Mallory"});
    anonymous()
        .put(&profile(&alice, "displayname"), body)
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn a_displayname_of_wrong_type_is_refused() {
    let alice = user("alice");
    for body in [
        json!({"displayname": 3}),
        json!({"displayname": {}}),
        json!([]),
    ] {
        let answer = alice.put(&profile(&alice, "displayname"), body);
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM"]);
    }
}

#[test]
fn a_new_name_reaches_every_joined_room() {
    let alice = user("alice");
    let bob = user("bob");
    let rooms = [alice.public_room(), alice.public_room()];
    for room in &rooms {
        bob.join(room);
    }
    let mut feed = Feed::from_now(&bob);
    alice
        .put(
            &profile(&alice, "displayname"),
            json!({"displayname": "Alice Margatroid"}),
        )
        .ok();
    let pending = std::cell::RefCell::new(rooms.to_vec());
    feed.until("alice's new name in both rooms", |sync| {
        pending.borrow_mut().retain(|room| {
            let events = &sync["rooms"]["join"][room]["timeline"]["events"];
            let member = find_state(events, "m.room.member", &alice.id);
            member.is_none_or(|event| event["content"]["displayname"] != "Alice Margatroid")
        });
        pending.borrow().is_empty().then_some(())
    });
    let member = bob.get_state(&rooms[0], "m.room.member", &alice.id).ok();
    assert_eq!(member["membership"], "join");
}

#[test]
fn a_new_avatar_reaches_the_member_event_and_keeps_the_name() {
    let alice = user("alice");
    let room = alice.public_room();
    alice
        .put(
            &profile(&alice, "displayname"),
            json!({"displayname": "Alice"}),
        )
        .ok();
    let mut feed = Feed::from_now(&alice);
    alice
        .put(
            &profile(&alice, "avatar_url"),
            json!({"avatar_url": "mxc://localhost/a"}),
        )
        .ok();
    let member = feed.until("the new avatar", |sync| {
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        find_state(events, "m.room.member", &alice.id).cloned()
    });
    assert_eq!(member["content"]["avatar_url"], "mxc://localhost/a");
    assert_eq!(member["content"]["displayname"], "Alice");
    assert_eq!(member["unsigned"]["prev_content"]["displayname"], "Alice");
}

#[test]
fn joins_and_invites_carry_the_profile() {
    let alice = user("alice");
    let bob = user("bob");
    bob.put(&profile(&bob, "displayname"), json!({"displayname": "Bob"}))
        .ok();
    let room = alice.public_room();
    alice.invite(&room, &bob);
    let invite = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(invite["displayname"], "Bob");
    bob.join(&room);
    let join = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(join["displayname"], "Bob");
}

#[test]
fn a_name_is_removed_with_delete() {
    let alice = user("alice");
    alice
        .put(
            &profile(&alice, "displayname"),
            json!({"displayname": "Alice"}),
        )
        .ok();
    let answer = alice.delete(&profile(&alice, "displayname"));
    if answer.status == 405 || answer.status == 404 {
        // Deleting profile fields came with v1.16; a server that lacks it says so.
        answer.fails(answer.status, "M_UNRECOGNIZED");
        return;
    }
    answer.ok();
    let after = alice.get(&profile(&alice, "displayname"));
    let gone = after.status == 404 || after.json().get("displayname").is_none();
    assert!(gone, "{}", after.text());
}
