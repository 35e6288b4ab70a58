//! [Room membership](https://spec.matrix.org/v1.19/client-server-api/#room-membership): invite, join, leave, forget, kick, ban, knock, restricted.

use serde_json::{Value, json};
use spec_tests::{
    Response, User, anonymous, encode, event_ids, find_state, fresh, room_path, user,
};

fn act(by: &User, room: &str, action: &str, on: &User) -> Response {
    by.post(&room_path(room, action), json!({"user_id": on.id}))
}

fn join(user: &User, room: &str) -> Response {
    user.post(&room_path(room, "join"), json!({}))
}

fn knock(user: &User, room: &str) -> Response {
    user.post(
        &format!("/v3/knock/{}", encode(room)),
        json!({"reason": "please"}),
    )
}

fn room_with_rule(alice: &User, rule: &Value) -> String {
    let state = json!([{"type": "m.room.join_rules", "state_key": "", "content": rule}]);
    alice.create_room(json!({"initial_state": state}))
}

#[test]
fn a_public_room_is_joined_by_id_and_by_alias() {
    let alice = user("alice");
    let name = fresh("pub");
    let room = alice.create_room(json!({"preset": "public_chat", "room_alias_name": name}));
    let bob = user("bob");
    assert_eq!(join(&bob, &room).ok()["room_id"], room);
    let carol = user("carol");
    let alias = format!("#{name}:{}", alice.server_name());
    let answer = carol
        .post(&format!("/v3/join/{}", encode(&alias)), json!({}))
        .ok();
    assert_eq!(answer["room_id"], room);
    let dave = user("dave");
    dave.post(&format!("/v3/join/{}", encode(&room)), json!({}))
        .ok();
    for user in [&bob, &carol, &dave] {
        assert_eq!(alice.membership_of(&room, user), "join");
    }
}

#[test]
fn joining_twice_changes_nothing() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let state = || bob.get(&room_path(&room, "state")).ok();
    let before = state();
    assert_eq!(join(&bob, &room).ok()["room_id"], room);
    assert_eq!(event_ids(&state()), event_ids(&before));
}

#[test]
fn unknown_rooms_are_not_joined() {
    let bob = user("bob");
    let unknown_id = format!("!{}:{}", fresh("none"), bob.server_name());
    let answer = join(&bob, &unknown_id);
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    let alias = format!("#{}:{}", fresh("none"), bob.server_name());
    bob.post(&format!("/v3/join/{}", encode(&alias)), json!({}))
        .fails(404, "M_NOT_FOUND");
    let answer = bob.post(
        &format!("/v3/join/{}", encode("neither id nor alias")),
        json!({}),
    );
    answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_BAD_JSON"]);
}

#[test]
fn an_invite_room_wants_an_invite() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({}));
    join(&bob, &room).fails(403, "M_FORBIDDEN");
    alice.invite(&room, &bob);
    join(&bob, &room).ok();
    assert_eq!(alice.membership_of(&room, &bob), "join");
}

#[test]
fn a_reason_is_kept() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({}));
    let reason_of = || alice.get_state(&room, "m.room.member", &bob.id).ok()["reason"].clone();
    let body = json!({"user_id": bob.id, "reason": "welcome"});
    alice.post(&room_path(&room, "invite"), body).ok();
    assert_eq!(reason_of(), "welcome");
    bob.post(&room_path(&room, "join"), json!({"reason": "thanks"}))
        .ok();
    assert_eq!(reason_of(), "thanks");
    bob.post(&room_path(&room, "leave"), json!({"reason": "bye"}))
        .ok();
    assert_eq!(reason_of(), "bye");
}

#[test]
fn an_invite_is_rejected_by_leaving() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({}));
    alice.invite(&room, &bob);
    bob.leave(&room);
    assert_eq!(alice.membership_of(&room, &bob), "leave");
    join(&bob, &room).fails(403, "M_FORBIDDEN");
}

#[test]
fn inviting_needs_to_be_in_the_room_with_the_power() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let body = json!({"preset": "public_chat", "power_level_content_override": {"invite": 50}});
    let room = alice.create_room(body);
    act(&bob, &room, "invite", &carol).fails(403, "M_FORBIDDEN");
    bob.join(&room);
    act(&bob, &room, "invite", &carol).fails(403, "M_FORBIDDEN");
    act(&alice, &room, "invite", &carol).ok();
}

#[test]
fn members_and_banned_users_are_not_invited() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    act(&alice, &room, "invite", &bob).fails(403, "M_FORBIDDEN");
    act(&alice, &room, "ban", &bob).ok();
    act(&alice, &room, "invite", &bob).fails(403, "M_FORBIDDEN");
}

#[test]
fn malformed_invites_are_refused() {
    let alice = user("alice");
    let room = alice.create_room(json!({}));
    for body in [
        json!({}),
        json!({"user_id": 3}),
        json!({"user_id": "bob"}),
        json!([]),
    ] {
        let answer = alice.post(&room_path(&room, "invite"), body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    anonymous()
        .post(&room_path(&room, "invite"), json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn leaving_ends_sending() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    bob.leave(&room);
    let path = room_path(&room, "send/m.room.message/1");
    bob.put(&path, json!({"msgtype": "m.text", "body": "x"}))
        .fails(403, "M_FORBIDDEN");
    assert_eq!(bob.get("/v3/joined_rooms").ok()["joined_rooms"], json!([]));
}

#[test]
fn leaving_twice_or_a_room_never_entered() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let answer = bob.post(&room_path(&room, "leave"), json!({}));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    bob.join(&room);
    bob.leave(&room);
    let again = bob.post(&room_path(&room, "leave"), json!({}));
    assert!([200, 403].contains(&again.status), "{}", again.text());
}

#[test]
fn a_left_room_is_forgotten_and_a_joined_one_is_not() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    bob.post(&room_path(&room, "forget"), json!({}))
        .fails(400, "M_UNKNOWN");
    bob.leave(&room);
    bob.post(&room_path(&room, "forget"), json!({})).ok();
    let answer = bob.get(&room_path(&room, "messages?dir=b"));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    let filter = json!({"room": {"include_leave": true}}).to_string();
    let sync = bob.sync(&[("filter", &filter)]);
    assert!(sync["rooms"]["leave"].get(&room).is_none(), "{sync}");
    // One may come back.
    bob.join(&room);
    assert!(bob.sync(&[])["rooms"]["join"].get(&room).is_some());
}

#[test]
fn a_kick_makes_leave_and_needs_power() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let room = alice.public_room();
    bob.join(&room);
    carol.join(&room);
    act(&bob, &room, "kick", &carol).fails(403, "M_FORBIDDEN");
    let body = json!({"user_id": bob.id, "reason": "spam"});
    alice.post(&room_path(&room, "kick"), body).ok();
    let member = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(member["membership"], "leave");
    assert_eq!(member["reason"], "spam");
    // Nobody is kicked who is not there.
    act(&alice, &room, "kick", &user("dave")).fails(403, "M_FORBIDDEN");
}

#[test]
fn an_invite_is_taken_back_with_a_kick() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({}));
    alice.invite(&room, &bob);
    act(&alice, &room, "kick", &bob).ok();
    join(&bob, &room).fails(403, "M_FORBIDDEN");
}

#[test]
fn a_ban_holds_until_it_is_lifted() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    act(&bob, &room, "ban", &alice).fails(403, "M_FORBIDDEN");
    act(&alice, &room, "ban", &bob).ok();
    assert_eq!(alice.membership_of(&room, &bob), "ban");
    join(&bob, &room).fails(403, "M_FORBIDDEN");
    act(&bob, &room, "unban", &bob).fails(403, "M_FORBIDDEN");
    act(&alice, &room, "unban", &bob).ok();
    assert_eq!(alice.membership_of(&room, &bob), "leave");
    join(&bob, &room).ok();
}

#[test]
fn only_the_banned_are_unbanned() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    act(&alice, &room, "unban", &bob).fails_with_one_of(403, &["M_FORBIDDEN", "M_BAD_STATE"]);
    assert_eq!(alice.membership_of(&room, &bob), "join");
}

#[test]
fn somebody_is_banned_before_coming() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    act(&alice, &room, "ban", &bob).ok();
    join(&bob, &room).fails(403, "M_FORBIDDEN");
}

#[test]
fn one_does_not_join_for_somebody_else() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    let path = room_path(&room, &format!("state/m.room.member/{}", encode(&bob.id)));
    alice
        .put(&path, json!({"membership": "join"}))
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn membership_is_changed_by_state_too() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.create_room(json!({}));
    alice.set_state(
        &room,
        "m.room.member",
        &bob.id,
        json!({"membership": "invite"}),
    );
    bob.set_state(
        &room,
        "m.room.member",
        &bob.id,
        json!({"membership": "join"}),
    );
    assert_eq!(alice.membership_of(&room, &bob), "join");
    alice.set_state(
        &room,
        "m.room.member",
        &bob.id,
        json!({"membership": "ban"}),
    );
    assert_eq!(alice.membership_of(&room, &bob), "ban");
}

#[test]
fn a_knock_is_answered_with_an_invite() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with_rule(&alice, &json!({"join_rule": "knock"}));
    join(&bob, &room).fails(403, "M_FORBIDDEN");
    assert_eq!(knock(&bob, &room).ok()["room_id"], room);
    let member = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(member["membership"], "knock");
    assert_eq!(member["reason"], "please");
    let sync = bob.sync(&[]);
    let state = &sync["rooms"]["knock"][&room]["knock_state"]["events"];
    assert!(find_state(state, "m.room.create", "").is_some(), "{sync}");
    alice.invite(&room, &bob);
    join(&bob, &room).ok();
}

#[test]
fn a_knock_is_taken_back_or_declined() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with_rule(&alice, &json!({"join_rule": "knock"}));
    knock(&bob, &room).ok();
    bob.leave(&room);
    assert_eq!(alice.membership_of(&room, &bob), "leave");
    knock(&bob, &room).ok();
    act(&alice, &room, "kick", &bob).ok();
    assert_eq!(alice.membership_of(&room, &bob), "leave");
}

#[test]
fn knocking_is_refused_where_it_is_not_set_up() {
    let alice = user("alice");
    let bob = user("bob");
    knock(&bob, &alice.create_room(json!({}))).fails(403, "M_FORBIDDEN");
    let room = room_with_rule(&alice, &json!({"join_rule": "knock"}));
    act(&alice, &room, "ban", &bob).ok();
    knock(&bob, &room).fails(403, "M_FORBIDDEN");
    knock(&alice, &room).fails(403, "M_FORBIDDEN");
    let alias = format!("#{}:{}", fresh("none"), bob.server_name());
    knock(&bob, &alias).fails(404, "M_NOT_FOUND");
}

#[test]
fn a_restricted_room_opens_to_members_of_the_other() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let space = alice.public_room();
    let allow = json!([{"type": "m.room_membership", "room_id": space}]);
    let room = room_with_rule(&alice, &json!({"join_rule": "restricted", "allow": allow}));
    join(&carol, &room).fails(403, "M_FORBIDDEN");
    bob.join(&space);
    join(&bob, &room).ok();
    let member = alice.get_state(&room, "m.room.member", &bob.id).ok();
    assert_eq!(member["join_authorised_via_users_server"], alice.id);
    // An invite opens it for everybody.
    alice.invite(&room, &carol);
    join(&carol, &room).ok();
    let member = alice.get_state(&room, "m.room.member", &carol.id).ok();
    assert!(
        member.get("join_authorised_via_users_server").is_none(),
        "{member}"
    );
}

#[test]
fn a_restricted_room_closes_when_the_other_is_left() {
    let alice = user("alice");
    let bob = user("bob");
    let space = alice.public_room();
    let allow = json!([{"type": "m.room_membership", "room_id": space}]);
    let room = room_with_rule(&alice, &json!({"join_rule": "restricted", "allow": allow}));
    bob.join(&space);
    join(&bob, &room).ok();
    bob.leave(&room);
    bob.leave(&space);
    join(&bob, &room).fails(403, "M_FORBIDDEN");
}

#[test]
fn a_knock_restricted_room_takes_knocks_and_members() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let space = alice.public_room();
    let allow = json!([{"type": "m.room_membership", "room_id": space}]);
    let room = room_with_rule(
        &alice,
        &json!({"join_rule": "knock_restricted", "allow": allow}),
    );
    knock(&carol, &room).ok();
    bob.join(&space);
    join(&bob, &room).ok();
    assert_eq!(alice.membership_of(&room, &carol), "knock");
}

#[test]
fn private_means_nobody() {
    let alice = user("alice");
    let bob = user("bob");
    let room = room_with_rule(&alice, &json!({"join_rule": "private"}));
    join(&bob, &room).fails(403, "M_FORBIDDEN");
}

#[test]
fn joined_rooms_lists_the_joined_only() {
    let alice = user("alice");
    let bob = user("bob");
    let joined = alice.public_room();
    let left = alice.public_room();
    let invited = alice.public_room();
    bob.join(&joined);
    bob.join(&left);
    bob.leave(&left);
    alice.invite(&invited, &bob);
    assert_eq!(
        bob.get("/v3/joined_rooms").ok()["joined_rooms"],
        json!([joined])
    );
    anonymous()
        .get("/v3/joined_rooms")
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn somebody_of_higher_rank_is_not_kicked_or_banned() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let levels =
        json!({"users": {alice.id.clone(): 100, bob.id.clone(): 50, carol.id.clone(): 50}});
    let room = alice.create_room(json!({
        "preset": "public_chat", "room_version": "11", "power_level_content_override": levels,
    }));
    bob.join(&room);
    carol.join(&room);
    act(&bob, &room, "kick", &carol).fails(403, "M_FORBIDDEN");
    act(&bob, &room, "ban", &alice).fails(403, "M_FORBIDDEN");
    act(&alice, &room, "kick", &carol).ok();
}

#[test]
fn the_last_one_leaves_and_the_room_is_closed() {
    let alice = user("alice");
    let room = alice.create_room(json!({}));
    alice.leave(&room);
    join(&alice, &room).fails_with_one_of(403, &["M_FORBIDDEN"]);
}
