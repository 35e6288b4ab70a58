//! [Room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, content, create, path, public, say, set_state};

async fn upgrade(client: &Client, room: &str, body: Value) -> String {
    let answer = client.post(&path(room, "upgrade"), body).await.ok();
    let new = answer["replacement_room"].as_str();
    new.expect("an upgrade gives a room").to_owned()
}

async fn has_state(client: &Client, room: &str, rest: &str) -> bool {
    client
        .get(&path(room, &format!("state/{rest}")))
        .await
        .status
        == 200
}

#[tokio::test]
async fn a_room_moves_with_its_state_aliases_and_bans() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    let old = create(
        &alice,
        json!({
            "room_version": "10", "preset": "public_chat", "name": "Nerves", "topic": "fast", "room_alias_name": "nerves",
            "visibility": "public", "creation_content": { "type": "org.example.type", "m.federate": false },
            "power_level_content_override": { "users": { "@alice:localhost": 100, "@bob:localhost": 50 } },
        }),
    )
    .await;
    act(&bob, &old, "join", json!({})).await;
    act(
        &alice,
        &old,
        "ban",
        json!({ "user_id": carol.user_id, "reason": "spam" }),
    )
    .await;
    let acl = json!({ "allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": false });
    set_state(&alice, &old, "m.room.server_acl", acl.clone()).await;
    set_state(
        &alice,
        &old,
        "m.room.encryption",
        json!({ "algorithm": "m.megolm.v1.aes-sha2" }),
    )
    .await;
    set_state(&alice, &old, "org.example.mine", json!({ "a": 1 })).await;
    let last = say(&alice, &old, "bye", "t1").await;

    let new = upgrade(&alice, &old, json!({ "new_version": "11" })).await;
    assert_ne!(new, old);
    let created = content(&alice, &new, "m.room.create", "").await;
    assert_eq!(
        created["predecessor"],
        json!({ "room_id": old, "event_id": last })
    );
    assert_eq!(created["room_version"], "11");
    assert_eq!(created["type"], "org.example.type");
    assert_eq!(created["m.federate"], false);
    for event_type in [
        "m.room.name",
        "m.room.topic",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.encryption",
    ] {
        assert_eq!(
            content(&alice, &new, event_type, "").await,
            content(&alice, &old, event_type, "").await,
            "{event_type}"
        );
    }
    assert_eq!(content(&alice, &new, "m.room.server_acl", "").await, acl);
    assert!(!has_state(&alice, &new, "org.example.mine").await);
    let levels = content(&alice, &new, "m.room.power_levels", "").await;
    assert_eq!(
        levels["users"],
        json!({ "@alice:localhost": 100, "@bob:localhost": 50 })
    );
    assert_eq!(levels["events_default"], 0);

    // Nobody but the creator has moved; who was banned is banned.
    assert!(!has_state(&alice, &new, &format!("m.room.member/{}", bob.user_id)).await);
    let banned = content(&alice, &new, "m.room.member", &carol.user_id).await;
    assert_eq!(banned, json!({ "membership": "ban", "reason": "spam" }));
    act(&bob, &new, "join", json!({})).await;
    carol
        .post(&path(&new, "join"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");

    // The alias and the place in the directory have gone over.
    let found = alice
        .get("/_matrix/client/v3/directory/room/%23nerves:localhost")
        .await
        .ok();
    assert_eq!(found["room_id"], new);
    assert_eq!(
        content(&alice, &new, "m.room.canonical_alias", "").await,
        json!({ "alias": "#nerves:localhost" })
    );
    assert_eq!(
        content(&alice, &old, "m.room.canonical_alias", "").await,
        json!({})
    );
    let published = alice.get("/_matrix/client/v3/publicRooms").await.ok();
    assert_eq!(
        (
            published["chunk"].as_array().unwrap().len(),
            &published["chunk"][0]["room_id"]
        ),
        (1, &json!(new))
    );
}

#[tokio::test]
async fn creators_become_privileged_and_ordinary_again() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let eleven = create(
        &alice,
        json!({ "room_version": "11", "preset": "public_chat" }),
    )
    .await;
    let body = json!({ "new_version": "12", "additional_creators": [bob.user_id] });
    let twelve = upgrade(&alice, &eleven, body).await;
    let created = content(&alice, &twelve, "m.room.create", "").await;
    assert_eq!(created["additional_creators"], json!([bob.user_id]));
    let levels = content(&alice, &twelve, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({}));
    assert!(levels["events"]["m.room.tombstone"].as_i64() > levels["state_default"].as_i64());

    // Bob is a creator there, and so may do it again.
    act(&bob, &twelve, "join", json!({})).await;
    let ten = upgrade(
        &bob,
        &twelve,
        json!({ "new_version": "10", "additional_creators": [alice.user_id] }),
    )
    .await;
    let created = content(&bob, &ten, "m.room.create", "").await;
    assert_eq!(
        (&created["additional_creators"], &created["creator"]),
        (&Value::Null, &json!(bob.user_id))
    );
    let users = &content(&bob, &ten, "m.room.power_levels", "").await["users"];
    assert!(
        users[&bob.user_id].as_i64() >= Some(100) && users[&alice.user_id].as_i64() >= Some(100),
        "{users}"
    );
    upgrade(&bob, &ten, json!({ "new_version": "12" })).await;
}

#[tokio::test]
async fn every_version_can_be_left_for_the_newest() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for version in 1..=12 {
        let old = create(&alice, json!({ "room_version": version.to_string() })).await;
        let new = upgrade(&alice, &old, json!({ "new_version": "12" })).await;
        say(&alice, &new, "hello", "t1").await;
        assert_eq!(
            content(&alice, &old, "m.room.tombstone", "").await["replacement_room"],
            new,
            "{version}"
        );
    }
}

#[tokio::test]
async fn levels_that_are_texts_become_numbers() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let levels = json!({ "users": { "@alice:localhost": "100" }, "events": { "m.room.name": "30" }, "ban": "60" });
    let old = create(
        &alice,
        json!({ "room_version": "9", "power_level_content_override": levels }),
    )
    .await;
    let new = upgrade(&alice, &old, json!({ "new_version": "10" })).await;
    let levels = content(&alice, &new, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({ "@alice:localhost": 100 }));
    assert_eq!(
        (&levels["events"]["m.room.name"], &levels["ban"]),
        (&json!(30), &json!(60))
    );
}

#[tokio::test]
async fn a_space_keeps_its_rooms() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let space = create(&alice, json!({ "creation_content": { "type": "m.space" } })).await;
    let (kept, removed) = (public(&alice).await, public(&alice).await);
    let via = json!({ "via": ["localhost"] });
    for child in [&kept, &removed] {
        set_state(
            &alice,
            &space,
            &format!("m.space.child/{child}"),
            via.clone(),
        )
        .await;
    }
    set_state(
        &alice,
        &space,
        &format!("m.space.child/{removed}"),
        json!({}),
    )
    .await;
    let new = upgrade(&alice, &space, json!({ "new_version": "12" })).await;
    assert_eq!(content(&alice, &new, "m.space.child", &kept).await, via);
    assert!(!has_state(&alice, &new, &format!("m.space.child/{removed}")).await);
}

#[tokio::test]
async fn only_those_with_the_power_upgrade_a_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let place = path(&room, "upgrade");
    let body = json!({ "new_version": "12" });
    server
        .anyone()
        .post(&place, body.clone())
        .await
        .is(401, "M_MISSING_TOKEN");
    bob.post(&place, body.clone()).await.is(403, "M_FORBIDDEN");
    act(&bob, &room, "join", json!({})).await;
    bob.post(&place, body.clone()).await.is(403, "M_FORBIDDEN");
    alice
        .post(&path("!nowhere:localhost", "upgrade"), body)
        .await
        .is(404, "M_NOT_FOUND");
    for version in ["13", "org.example", "0"] {
        alice
            .post(&place, json!({ "new_version": version }))
            .await
            .is(400, "M_UNSUPPORTED_ROOM_VERSION");
    }
    for malformed in [
        json!({}),
        json!({ "new_version": 12 }),
        json!({ "new_version": "12", "additional_creators": ["bob"] }),
        json!({ "new_version": "12", "additional_creators": "@bob:localhost" }),
    ] {
        alice.post(&place, malformed).await.is(400, "M_BAD_JSON");
    }
    assert!(!has_state(&alice, &room, "m.room.tombstone").await);
}

#[tokio::test]
async fn a_room_can_be_upgraded_twice() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let first = upgrade(&alice, &room, json!({ "new_version": "12" })).await;
    let second = upgrade(&alice, &room, json!({ "new_version": "12" })).await;
    assert_ne!(first, second);
    assert_eq!(
        content(&alice, &room, "m.room.tombstone", "").await["replacement_room"],
        second
    );
}

#[tokio::test]
async fn an_upgrade_survives_a_restart_whole() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let new = upgrade(&alice, &room, json!({ "new_version": "12" })).await;
    let server = server.restart().await;
    let alice = server
        .anyone()
        .with_token(alice.access_token.as_deref().unwrap());
    assert_eq!(
        content(&alice, &room, "m.room.tombstone", "").await["replacement_room"],
        new
    );
    assert_eq!(
        content(&alice, &new, "m.room.create", "").await["predecessor"]["room_id"],
        room
    );
    say(&alice, &new, "hello", "t1").await;
    say(&alice, &room, "still here", "t2").await;
}

#[tokio::test]
async fn the_old_room_leads_to_the_new_one_and_is_closed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let old = public(&alice).await;
    let new = upgrade(&alice, &old, json!({ "new_version": "12" })).await;
    assert_eq!(
        content(&alice, &old, "m.room.tombstone", "").await["replacement_room"],
        new
    );
    let levels = content(&alice, &old, "m.room.power_levels", "").await;
    assert_eq!(
        (&levels["events_default"], &levels["invite"]),
        (&json!(50), &json!(50))
    );
    let dave = server.register("dave").await;
    act(&dave, &old, "join", json!({})).await;
    let text = json!({ "msgtype": "m.text", "body": "too late" });
    dave.put(&path(&old, "send/m.room.message/t1"), text)
        .await
        .is(403, "M_FORBIDDEN");
}

async fn account_data(client: &Client, place: &str) -> Value {
    let user_id = &client.user_id;
    let place = format!("/_matrix/client/v3/user/{user_id}/{place}");
    client.get(&place).await.json
}

async fn set_account_data(client: &Client, place: &str, content: Value) {
    let user_id = &client.user_id;
    let place = format!("/_matrix/client/v3/user/{user_id}/{place}");
    client.put(&place, content).await.ok();
}

/// Tags a room, mutes it and makes it a direct chat.
async fn settle(client: &Client, room: &str) {
    set_account_data(
        client,
        &format!("rooms/{room}/tags/m.favourite"),
        json!({ "order": 0.5 }),
    )
    .await;
    let direct = json!({ "@dave:localhost": ["!other:localhost", room], "@eve:localhost": [] });
    set_account_data(client, "account_data/m.direct", direct).await;
    let rule = json!({
        "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": room }],
        "actions": [],
    });
    for (kind, rule) in [
        ("override", rule),
        ("room", json!({ "actions": ["notify"] })),
    ] {
        let place = format!("/_matrix/client/v3/pushrules/global/{kind}/{room}");
        client.put(&place, rule).await.ok();
    }
}

async fn assert_settled(client: &Client, old: &str, new: &str) {
    let tags = account_data(client, &format!("rooms/{new}/tags")).await;
    assert_eq!(tags, json!({ "tags": { "m.favourite": { "order": 0.5 } } }));
    let direct = account_data(client, "account_data/m.direct").await;
    assert_eq!(
        direct,
        json!({ "@dave:localhost": ["!other:localhost", old, new], "@eve:localhost": [] })
    );
    let rule = |kind: &str| format!("/_matrix/client/v3/pushrules/global/{kind}/{new}");
    let muted = client.get(&rule("override")).await.ok();
    assert_eq!(muted["conditions"][0]["pattern"], new);
    assert_eq!(muted["actions"], json!([]));
    assert_eq!(
        client.get(&rule("room")).await.ok()["actions"],
        json!(["notify"])
    );
}

#[tokio::test]
async fn personal_settings_follow_who_joins_the_new_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let old = public(&alice).await;
    let mut members = Vec::new();
    for name in ["bob", "carol", "dave"] {
        let member = server.register(name).await;
        act(&member, &old, "join", json!({})).await;
        settle(&member, &old).await;
        members.push(member);
    }
    settle(&alice, &old).await;
    let new = upgrade(&alice, &old, json!({ "new_version": "12" })).await;
    assert_settled(&alice, &old, &new).await;

    let place = format!("rooms/{new}/tags");
    assert_eq!(
        account_data(&members[0], &place).await,
        json!({ "tags": {} })
    );
    act(&members[0], &new, "join", json!({})).await;
    members[1]
        .post(&format!("/_matrix/client/v3/join/{new}"), json!({}))
        .await
        .ok();
    let member = format!("m.room.member/{}", members[2].user_id);
    set_state(&members[2], &new, &member, json!({ "membership": "join" })).await;
    for member in &members {
        assert_settled(member, &old, &new).await;
    }

    // Who has changed their mind is not overruled.
    let bob = &members[0];
    let tag = format!(
        "/_matrix/client/v3/user/{}/rooms/{new}/tags/m.favourite",
        bob.user_id
    );
    bob.delete(&tag, json!({})).await.ok();
    act(bob, &new, "join", json!({})).await;
    assert_eq!(account_data(bob, &place).await, json!({ "tags": {} }));
}

#[tokio::test]
async fn a_false_successor_gets_nothing() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let old = public(&alice).await;
    act(&bob, &old, "join", json!({})).await;
    settle(&bob, &old).await;
    for predecessor in [old.as_str(), "!nowhere:localhost"] {
        let predecessor = json!({ "room_id": predecessor, "event_id": "$x" });
        let body =
            json!({ "preset": "public_chat", "creation_content": { "predecessor": predecessor } });
        let fake = create(&alice, body).await;
        act(&bob, &fake, "join", json!({})).await;
        let tags = account_data(&bob, &format!("rooms/{fake}/tags")).await;
        assert_eq!(tags, json!({ "tags": {} }));
    }
}

#[tokio::test]
async fn spaces_lead_to_the_new_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let space = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let (own, foreign, left) = (
        create(&alice, space.clone()).await,
        create(&bob, space.clone()).await,
        create(&alice, space).await,
    );
    act(&alice, &foreign, "join", json!({})).await;
    let old = public(&alice).await;
    let via = json!({ "via": ["localhost"], "suggested": true });
    let link = |room: &str| format!("m.space.child/{room}");
    for (owner, space) in [(&alice, &own), (&bob, &foreign), (&alice, &left)] {
        set_state(owner, space, &link(&old), via.clone()).await;
        let parent = format!("m.space.parent/{space}");
        set_state(&alice, &old, &parent, json!({ "via": ["localhost"] })).await;
    }
    act(&bob, &left, "join", json!({})).await;
    act(&alice, &left, "leave", json!({})).await;
    let new = upgrade(&alice, &old, json!({ "new_version": "12" })).await;
    assert_eq!(content(&alice, &own, "m.space.child", &new).await, via);
    assert_eq!(
        content(&alice, &own, "m.space.child", &old).await,
        json!({})
    );
    assert!(has_state(&alice, &new, &format!("m.space.parent/{own}")).await);
    for space in [&foreign, &left] {
        assert!(!has_state(&bob, space, &link(&new)).await);
        assert_eq!(content(&bob, space, "m.space.child", &old).await, via);
        assert!(!has_state(&alice, &new, &format!("m.space.parent/{space}")).await);
    }
}
