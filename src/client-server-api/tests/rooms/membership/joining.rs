//! [Joining rooms](https://spec.matrix.org/v1.19/client-server-api/#joining-rooms).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::Cast;
use crate::rooms::{act, content, create, path, public, set_state, timeline};

#[tokio::test]
async fn who_may_join_and_knock() {
    let cast = Cast::new().await;
    // Join rule, what bob is, whether he may join, and whether he may knock.
    for (join_rule, prior, join, knock) in [
        ("public", "none", 200, 403),
        ("public", "invite", 200, 403),
        ("public", "join", 200, 403),
        ("public", "leave", 200, 403),
        ("public", "ban", 403, 403),
        ("public", "knock", 200, 200),
        ("invite", "none", 403, 403),
        ("invite", "invite", 200, 403),
        ("invite", "join", 200, 403),
        ("invite", "leave", 403, 403),
        ("invite", "ban", 403, 403),
        ("invite", "knock", 403, 200),
        ("knock", "none", 403, 200),
        ("knock", "invite", 200, 403),
        ("knock", "join", 200, 403),
        ("knock", "leave", 403, 200),
        ("knock", "ban", 403, 403),
        // Knocking twice changes nothing.
        ("knock", "knock", 403, 200),
    ] {
        let shown = format!("{join_rule}, {prior}");
        let room = cast.room(join_rule, prior).await;
        let answer = cast
            .bob
            .post(&format!("/_matrix/client/v3/knock/{room}"), json!({}))
            .await;
        assert_eq!(answer.status, knock, "knock: {shown}: {}", answer.json);
        let expected = if knock == 200 { "knock" } else { prior };
        assert_eq!(cast.membership(&room).await, expected, "{shown}");

        let room = cast.room(join_rule, prior).await;
        let answer = cast.bob.post(&path(&room, "join"), json!({})).await;
        assert_eq!(answer.status, join, "join: {shown}: {}", answer.json);
        if join == 200 {
            assert_eq!(answer.json, json!({ "room_id": room }), "{shown}");
            assert_eq!(cast.membership(&room).await, "join", "{shown}");
        } else {
            assert_eq!(answer.json["errcode"], "M_FORBIDDEN", "{shown}");
            assert_eq!(cast.membership(&room).await, prior, "{shown}");
        }
    }
}

#[tokio::test]
async fn who_may_invite_whom() {
    let cast = Cast::new().await;
    for (prior, expected) in [
        ("none", 200),
        ("invite", 200),
        ("join", 403),
        ("leave", 200),
        ("ban", 403),
        ("knock", 200),
    ] {
        let room = cast.room("invite", prior).await;
        let body = json!({ "user_id": cast.bob.user_id, "reason": "because" });
        for powerless in [&cast.carol, &cast.dave] {
            let answer = powerless.post(&path(&room, "invite"), body.clone()).await;
            answer.is(403, "M_FORBIDDEN");
        }
        assert_eq!(cast.membership(&room).await, prior);
        let answer = cast.alice.post(&path(&room, "invite"), body).await;
        assert_eq!(answer.status, expected, "{prior}: {}", answer.json);
        if expected == 200 {
            assert_eq!(answer.json, json!({}));
            let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
            assert_eq!(member["membership"], "invite");
            assert_eq!(member["reason"], "because");
            act(&cast.bob, &room, "join", json!({})).await;
        }
    }
}

#[tokio::test]
async fn joining_twice_is_one_event() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({ "reason": "why not" })).await;
    act(&bob, &room, "join", json!({ "reason": "again" })).await;
    let member = content(&bob, &room, "m.room.member", &bob.user_id).await;
    assert_eq!(
        member,
        json!({ "displayname": "bob", "membership": "join", "reason": "why not" })
    );
    assert_eq!(timeline(&bob, &room).await.len(), 7);
}

#[tokio::test]
async fn rooms_are_joined_by_alias_too() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let body = json!({ "preset": "public_chat", "room_alias_name": "nerves" });
    let room = create(&alice, body).await;
    let join = |name: &str| format!("/_matrix/client/v3/join/{name}");
    for name in [
        "%23nerves:localhost".to_owned(),
        "%23nerves%3Alocalhost?server_name=elsewhere&via=one.example&via=two.example".to_owned(),
        room.clone(),
        room.replace('!', "%21"),
    ] {
        let answer = bob.post(&join(&name), json!({})).await;
        assert_eq!(answer.ok(), json!({ "room_id": room }));
        act(&bob, &room, "leave", json!({})).await;
    }
    for (name, status, errcode) in [
        ("%23nothing:localhost", 404, "M_NOT_FOUND"),
        ("%23nerves:elsewhere", 404, "M_NOT_FOUND"),
        ("!nothing:localhost", 404, "M_NOT_FOUND"),
        ("!nothing", 404, "M_NOT_FOUND"),
        ("nerves", 400, "M_INVALID_PARAM"),
    ] {
        bob.post(&join(name), json!({})).await.is(status, errcode);
        let knock = format!("/_matrix/client/v3/knock/{name}");
        bob.post(&knock, json!({})).await.is(status, errcode);
    }
    bob.post(&path("!nothing", "join"), json!({}))
        .await
        .is(404, "M_NOT_FOUND");
    bob.post(&path("%23nerves:localhost", "join"), json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_knock_is_accepted_by_inviting() {
    let cast = Cast::new().await;
    let room = create(
        &cast.alice,
        json!({
            "room_alias_name": "door",
            "initial_state": [{ "type": "m.room.join_rules", "content": { "join_rule": "knock" } }],
        }),
    )
    .await;
    let knock = "/_matrix/client/v3/knock/%23door:localhost";
    let answer = cast.bob.post(knock, json!({ "reason": "please" })).await;
    assert_eq!(answer.ok(), json!({ "room_id": room }));
    let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
    assert_eq!(
        member,
        json!({ "displayname": "bob", "membership": "knock", "reason": "please" })
    );
    act(
        &cast.alice,
        &room,
        "invite",
        json!({ "user_id": cast.bob.user_id }),
    )
    .await;
    act(&cast.bob, &room, "join", json!({})).await;
    assert_eq!(cast.membership(&room).await, "join");

    // Versions before 7 know no knocking.
    let body = json!({ "room_version": "6", "preset": "public_chat" });
    let old = create(&cast.alice, body).await;
    let answer = cast
        .bob
        .post(&format!("/_matrix/client/v3/knock/{old}"), json!({}))
        .await;
    answer.is(403, "M_FORBIDDEN");
}

/// A room whose rules let the members of `allowed` in.
async fn restricted(alice: &Client, version: &str, join_rule: &str, allowed: &str) -> String {
    let rules = json!({
        "join_rule": join_rule,
        "allow": [
            { "type": "org.example.unknown" },
            { "type": "m.room_membership", "room_id": allowed },
        ],
    });
    let body = json!({
        "room_version": version,
        "power_level_content_override": { "invite": 50 },
        "initial_state": [{ "type": "m.room.join_rules", "content": rules }],
    });
    create(alice, body).await
}

#[tokio::test]
async fn members_of_one_room_may_join_another() {
    let cast = Cast::new().await;
    let lobby = public(&cast.alice).await;
    for (version, join_rule) in [
        ("8", "restricted"),
        ("9", "restricted"),
        ("10", "restricted"),
        ("10", "knock_restricted"),
        ("11", "restricted"),
        ("12", "restricted"),
        ("12", "knock_restricted"),
    ] {
        let shown = format!("version {version}, {join_rule}");
        let room = restricted(&cast.alice, version, join_rule, &lobby).await;
        let answer = cast.bob.post(&path(&room, "join"), json!({})).await;
        assert_eq!(answer.status, 403, "{shown}: {}", answer.json);
        let knock = cast
            .bob
            .post(&format!("/_matrix/client/v3/knock/{room}"), json!({}))
            .await;
        let may_knock = if join_rule == "restricted" { 403 } else { 200 };
        assert_eq!(knock.status, may_knock, "{shown}: {}", knock.json);

        act(&cast.bob, &lobby, "join", json!({})).await;
        act(&cast.bob, &room, "join", json!({})).await;
        let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
        let voucher = &member["join_authorised_via_users_server"];
        assert_eq!(voucher, &json!(cast.alice.user_id), "{shown}");
        // Whoever is in needs nobody to vouch for them.
        let named = json!({ "membership": "join", "displayname": "Bob" });
        let rest = format!("m.room.member/{}", cast.bob.user_id);
        set_state(&cast.bob, &room, &rest, named.clone()).await;
        let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
        assert_eq!(member, named, "{shown}");
        act(&cast.bob, &lobby, "leave", json!({})).await;
        // An invitation is as good.
        let carol = json!({ "user_id": cast.carol.user_id });
        act(&cast.alice, &room, "invite", carol).await;
        act(&cast.carol, &room, "join", json!({})).await;
    }
}

#[tokio::test]
async fn nobody_vouches_for_themselves() {
    let cast = Cast::new().await;
    let lobby = public(&cast.alice).await;
    let room = restricted(&cast.alice, "12", "restricted", &lobby).await;
    let join = json!({
        "membership": "join",
        "join_authorised_via_users_server": cast.alice.user_id,
    });
    let state = path(&room, &format!("state/m.room.member/{}", cast.bob.user_id));
    cast.bob
        .put(&state, join.clone())
        .await
        .is(403, "M_FORBIDDEN");
    cast.bob
        .post(&path(&room, "join"), join.clone())
        .await
        .is(403, "M_FORBIDDEN");
    act(&cast.bob, &lobby, "join", json!({})).await;
    cast.bob
        .put(&state, json!({ "membership": "join" }))
        .await
        .ok();
    let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
    assert_eq!(member, join);
}

#[tokio::test]
async fn nobody_can_vouch_where_nobody_may_invite() {
    let cast = Cast::new().await;
    let lobby = public(&cast.alice).await;
    act(&cast.bob, &lobby, "join", json!({})).await;
    let room = restricted(&cast.alice, "11", "restricted", &lobby).await;
    act(&cast.alice, &room, "leave", json!({})).await;
    cast.bob
        .post(&path(&room, "join"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn invitations_need_a_user_and_a_sender() {
    let cast = Cast::new().await;
    let room = cast.room("invite", "none").await;
    let invite = path(&room, "invite");
    for (body, status, errcode) in [
        (json!({}), 400, "M_BAD_JSON"),
        (json!({ "user_id": "bob" }), 400, "M_BAD_JSON"),
        (json!({ "user_id": 5 }), 400, "M_BAD_JSON"),
        (json!({ "user_id": "@bob:elsewhere" }), 403, "M_FORBIDDEN"),
        (json!({ "user_id": "@alice:localhost" }), 403, "M_FORBIDDEN"),
    ] {
        cast.alice.post(&invite, body).await.is(status, errcode);
    }
    let body = json!({ "user_id": cast.bob.user_id });
    cast.alice
        .post(&path("!nothing", "invite"), body.clone())
        .await
        .is(403, "M_FORBIDDEN");
    let anyone = cast.server.anyone();
    for path in [
        invite,
        path(&room, "join"),
        format!("/_matrix/client/v3/join/{room}"),
        format!("/_matrix/client/v3/knock/{room}"),
    ] {
        anyone
            .post(&path, body.clone())
            .await
            .is(401, "M_MISSING_TOKEN");
        let reason = json!({ "user_id": cast.bob.user_id, "reason": 5 });
        cast.alice.post(&path, reason).await.is(400, "M_BAD_JSON");
    }
}

#[tokio::test]
async fn joining_and_inviting_are_limited() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.join.burst = 1;
        config.rate_limits.invite.burst = 1;
    })
    .await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let limited = |reply: test_support::Reply| -> Value { reply.is(429, "M_LIMIT_EXCEEDED") };
    act(&bob, &room, "join", json!({})).await;
    limited(bob.post(&path(&room, "join"), json!({})).await);
    limited(
        bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
            .await,
    );
    limited(
        bob.post(&format!("/_matrix/client/v3/knock/{room}"), json!({}))
            .await,
    );
    let carol = json!({ "user_id": "@carol:localhost" });
    act(&alice, &room, "invite", carol.clone()).await;
    limited(alice.post(&path(&room, "invite"), carol).await);
}
