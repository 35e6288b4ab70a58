//! [`POST /createRoom`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{content, create, path, say, timeline};

const CREATE_ROOM: &str = "/_matrix/client/v3/createRoom";

/// Type and state key of each event.
fn outline(events: &[Value]) -> Vec<(&str, &str)> {
    let outline = events.iter();
    outline
        .map(|event| (word(&event["type"]), word(&event["state_key"])))
        .collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("none")
}

async fn check_preset(alice: &Client, version: u32, preset: &str) {
    let case = format!("version {version}, {preset}");
    let body = json!({
        "preset": preset,
        "room_version": version.to_string(),
        "invite": ["@bob:localhost"],
    });
    let room = create(alice, body).await;
    let events = timeline(alice, &room).await;
    assert_eq!(
        outline(&events),
        [
            ("m.room.create", ""),
            ("m.room.member", "@alice:localhost"),
            ("m.room.power_levels", ""),
            ("m.room.join_rules", ""),
            ("m.room.history_visibility", ""),
            ("m.room.guest_access", ""),
            ("m.room.member", "@bob:localhost"),
        ],
        "{case}"
    );
    let trusted = preset == "trusted_private_chat";

    let mut create = json!({ "room_version": version.to_string() });
    if version <= 10 {
        create["creator"] = json!("@alice:localhost");
    }
    if version >= 12 && trusted {
        create["additional_creators"] = json!(["@bob:localhost"]);
    }
    assert_eq!(events[0]["content"], create, "{case}");
    let create_id = word(&events[0]["event_id"]);
    assert_eq!(room[1..] == create_id[1..], version >= 12, "{case}");
    assert_eq!(room.ends_with(":localhost"), version < 12, "{case}");
    assert_eq!(create_id.ends_with(":localhost"), version < 3, "{case}");

    let power = &events[2]["content"];
    let users = match (version, trusted) {
        (12.., _) => json!({}),
        (_, false) => json!({ "@alice:localhost": 100 }),
        (_, true) => json!({ "@alice:localhost": 100, "@bob:localhost": 100 }),
    };
    assert_eq!(power["users"], users, "{case}");
    let tombstone = if version >= 12 { 150 } else { 100 };
    assert_eq!(power["events"]["m.room.tombstone"], tombstone, "{case}");
    assert_eq!(power["state_default"], 50, "{case}");

    let (join_rule, guest_access) = match preset {
        "public_chat" => ("public", "forbidden"),
        _ => ("invite", "can_join"),
    };
    assert_eq!(
        events[3]["content"],
        json!({ "join_rule": join_rule }),
        "{case}"
    );
    assert_eq!(
        events[4]["content"],
        json!({ "history_visibility": "shared" }),
        "{case}"
    );
    assert_eq!(
        events[5]["content"],
        json!({ "guest_access": guest_access }),
        "{case}"
    );
    assert_eq!(events[6]["content"]["membership"], "invite", "{case}");
    assert_eq!(events[6]["sender"], "@alice:localhost", "{case}");
}

#[tokio::test]
async fn each_preset_makes_its_state_in_every_version() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    for version in 1..=12 {
        for preset in ["private_chat", "trusted_private_chat", "public_chat"] {
            check_preset(&alice, version, preset).await;
        }
    }
}

#[tokio::test]
async fn nothing_asked_for_makes_a_private_room_of_the_default_version() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for body in [
        json!({}),
        json!({ "preset": null, "room_version": null, "name": null, "creation_content": null }),
    ] {
        let room = create(&alice, body).await;
        assert_eq!(
            content(&alice, &room, "m.room.create", "").await["room_version"],
            "12"
        );
        assert_eq!(
            content(&alice, &room, "m.room.join_rules", "").await["join_rule"],
            "invite"
        );
    }
    let empty = alice.send(http::Method::POST, CREATE_ROOM, "").await;
    empty.ok();
    let other = TestServer::with(|config| {
        config.rooms.default_version = ruma::RoomVersionId::V10;
    });
    let other = other.await;
    let alice = other.register("alice").await;
    let room = create(&alice, json!({})).await;
    assert_eq!(
        content(&alice, &room, "m.room.create", "").await["room_version"],
        "10"
    );
}

#[tokio::test]
async fn visibility_chooses_the_preset_and_publishes() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for (visibility, preset, join_rule) in [
        ("public", None, "public"),
        ("private", None, "invite"),
        ("public", Some("private_chat"), "invite"),
        ("private", Some("public_chat"), "public"),
    ] {
        let mut body = json!({ "visibility": visibility });
        if let Some(preset) = preset {
            body["preset"] = json!(preset);
        }
        let room = create(&alice, body).await;
        assert_eq!(
            content(&alice, &room, "m.room.join_rules", "").await["join_rule"],
            join_rule
        );
        let listed = alice
            .get(&format!("/_matrix/client/v3/directory/list/room/{room}"))
            .await;
        assert_eq!(listed.ok()["visibility"], visibility);
    }
}

#[tokio::test]
async fn initial_state_overrides_the_preset_and_name_and_topic_override_it() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let body = json!({
        "preset": "private_chat",
        "name": "The name",
        "topic": "The topic",
        "initial_state": [
            { "type": "m.room.join_rules", "content": { "join_rule": "knock" } },
            { "type": "m.room.name", "state_key": "", "content": { "name": "Another" } },
            { "type": "m.room.topic", "content": { "topic": "Another" } },
            { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
            { "type": "org.example.x", "state_key": "k", "content": { "number": 5 } },
            { "type": "m.room.guest_access", "state_key": "not the real one", "content": {} },
        ],
    });
    let room = create(&alice, body).await;
    let events = timeline(&alice, &room).await;
    assert_eq!(
        outline(&events),
        [
            ("m.room.create", ""),
            ("m.room.member", "@alice:localhost"),
            ("m.room.power_levels", ""),
            ("m.room.history_visibility", ""),
            ("m.room.guest_access", ""),
            ("m.room.join_rules", ""),
            ("m.room.encryption", ""),
            ("org.example.x", "k"),
            ("m.room.guest_access", "not the real one"),
            ("m.room.name", ""),
            ("m.room.topic", ""),
        ]
    );
    assert_eq!(events[5]["content"], json!({ "join_rule": "knock" }));
    assert_eq!(events[9]["content"], json!({ "name": "The name" }));
    let topic = &events[10]["content"];
    assert_eq!(topic["topic"], "The topic");
    assert_eq!(
        topic["m.topic"],
        json!({ "m.text": [{ "body": "The topic" }] })
    );
}

#[tokio::test]
async fn power_levels_can_be_overridden() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for version in ["11", "12"] {
        let body = json!({
            "preset": "public_chat",
            "room_version": version,
            "power_level_content_override": { "events_default": 50, "org.example": { "a": 1 } },
        });
        let room = create(&alice, body).await;
        let power = content(&alice, &room, "m.room.power_levels", "").await;
        assert_eq!(power["events_default"], 50);
        assert_eq!(power["org.example"], json!({ "a": 1 }));
        assert_eq!(power["kick"], 50);
        bob.post(&path(&room, "join"), json!({})).await.ok();
        let send = path(&room, "send/m.room.message/1");
        bob.put(&send, json!({ "body": "a" }))
            .await
            .is(403, "M_FORBIDDEN");
        say(&alice, &room, "I may", "1").await;
    }
}

#[tokio::test]
async fn contradictions_are_an_invalid_room_state() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    let power = |version: &str, users: Value| {
        json!({
            "room_version": version,
            "name": "x",
            "power_level_content_override": { "users": users },
        })
    };
    for body in [
        // The creator cannot set the name.
        power("11", json!({})),
        // Creators stay out of the power levels from version 12 on.
        power("12", json!({ "@alice:localhost": 100 })),
        power("12", json!({ "not a user": 100 })),
        power("10", json!({ "@alice:localhost": "100" })),
        json!({ "creation_content": { "additional_creators": ["nobody"] } }),
        json!({ "initial_state": [{ "type": "m.room.create", "content": {} }] }),
        json!({ "initial_state": [
            { "type": "m.room.member", "state_key": "@bob:localhost", "content": { "membership": "join" } },
        ] }),
    ] {
        let answer = alice.post(CREATE_ROOM, body.clone()).await;
        let errcode = answer.json["errcode"].as_str().unwrap_or_default();
        assert_eq!(
            (answer.status, errcode),
            (400, "M_INVALID_ROOM_STATE"),
            "{body}"
        );
    }
    let joined = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined, json!({ "joined_rooms": [] }));
}

#[tokio::test]
async fn creators_of_version_12_have_all_the_power() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    let body = json!({
        "preset": "trusted_private_chat",
        "invite": [bob.user_id],
        "creation_content": { "additional_creators": [carol.user_id, bob.user_id] },
    });
    let room = create(&alice, body).await;
    let creators = content(&alice, &room, "m.room.create", "").await;
    assert_eq!(
        creators["additional_creators"],
        json!([carol.user_id, bob.user_id])
    );
    bob.post(&path(&room, "join"), json!({})).await.ok();
    let tombstone = json!({ "body": "gone", "replacement_room": "!elsewhere" });
    bob.put(&path(&room, "state/m.room.tombstone/"), tombstone)
        .await
        .ok();
    // Nobody outranks a creator.
    let kick = alice
        .post(&path(&room, "kick"), json!({ "user_id": bob.user_id }))
        .await;
    kick.is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn creation_content_is_kept_but_for_what_the_server_knows_better() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let body = json!({
        "room_version": "10",
        "creation_content": {
            "m.federate": false, "type": "m.space", "creator": "@eve:localhost",
            "room_version": "1", "org.example": [1, 2],
        },
    });
    let room = create(&alice, body).await;
    assert_eq!(
        content(&alice, &room, "m.room.create", "").await,
        json!({
            "m.federate": false, "type": "m.space", "creator": "@alice:localhost",
            "room_version": "10", "org.example": [1, 2],
        })
    );
}

#[tokio::test]
async fn invitations_are_direct_if_asked_and_carry_profiles() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    bob.put(&name, json!({ "displayname": "Bob" })).await.ok();
    let body = json!({ "invite": [bob.user_id, bob.user_id], "is_direct": true });
    let room = create(&alice, body).await;
    let invitation = content(&alice, &room, "m.room.member", &bob.user_id).await;
    assert_eq!(
        invitation,
        json!({ "membership": "invite", "is_direct": true, "displayname": "Bob" })
    );
    assert_eq!(timeline(&alice, &room).await.len(), 7);
}

#[tokio::test]
async fn an_alias_belongs_to_the_first_who_asks() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = create(&alice, json!({ "room_alias_name": "nerves" })).await;
    let alias = content(&alice, &room, "m.room.canonical_alias", "").await;
    assert_eq!(alias, json!({ "alias": "#nerves:localhost" }));
    let again = alice
        .post(CREATE_ROOM, json!({ "room_alias_name": "nerves" }))
        .await;
    again.is(400, "M_ROOM_IN_USE");
    let at_once = json!({ "room_alias_name": "race" });
    let (one, two) = tokio::join!(
        alice.post(CREATE_ROOM, at_once.clone()),
        alice.post(CREATE_ROOM, at_once)
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let joined = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), 2);

    // The first state can name no other alias either.
    let named = |canonical: &str| {
        let content = json!({ "alias": canonical });
        let state = json!({ "type": "m.room.canonical_alias", "content": content });
        json!({ "room_alias_name": "mine", "initial_state": [state] })
    };
    let other = alice.post(CREATE_ROOM, named("#nerves:localhost")).await;
    other.is(400, "M_BAD_ALIAS");
    create(&alice, named("#mine:localhost")).await;

    for malformed in ["", "a:b", "a b", "a\u{0}b", &"x".repeat(250)] {
        let answer = alice
            .post(CREATE_ROOM, json!({ "room_alias_name": malformed }))
            .await;
        answer.is(400, "M_INVALID_PARAM");
    }

    let server = server.restart().await;
    let found = server
        .anyone()
        .get("/_matrix/client/v3/directory/room/%23nerves:localhost")
        .await;
    assert_eq!(found.ok()["room_id"], json!(room));
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let many: Vec<_> = (0..501)
        .map(|number| format!("@u{number}:localhost"))
        .collect();
    let state = json!({ "type": "org.example", "content": {} });
    for (body, status, errcode) in [
        (
            json!({ "room_version": "13" }),
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
        (
            json!({ "room_version": "org.example" }),
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
        (json!({ "room_version": 12 }), 400, "M_BAD_JSON"),
        (json!({ "invite": "@bob:localhost" }), 400, "M_BAD_JSON"),
        (json!({ "invite": ["bob"] }), 400, "M_BAD_JSON"),
        (json!({ "invite": ["@bob:elsewhere"] }), 403, "M_FORBIDDEN"),
        (
            json!({ "invite": ["@alice:localhost"] }),
            403,
            "M_FORBIDDEN",
        ),
        (json!({ "invite": many }), 400, "M_INVALID_PARAM"),
        (json!({ "preset": "cosy_chat" }), 400, "M_INVALID_PARAM"),
        (json!({ "name": 5 }), 400, "M_BAD_JSON"),
        (json!({ "creation_content": [] }), 400, "M_BAD_JSON"),
        (
            json!({ "power_level_content_override": "x" }),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({ "initial_state": [{ "type": "x" }] }),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({ "initial_state": [{ "type": "x", "content": [] }] }),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({ "initial_state": [{ "type": "x", "content": { "a": 0.5 } }] }),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({ "initial_state": vec![state; 501] }),
            400,
            "M_INVALID_PARAM",
        ),
        (json!({ "name": "x".repeat(70_000) }), 413, "M_TOO_LARGE"),
        (
            json!({ "invite_3pid": [{
                "id_server": "example.org", "id_access_token": "t", "medium": "email",
                "address": "bob@example.org",
            }] }),
            403,
            "M_THREEPID_DENIED",
        ),
        (json!([]), 400, "M_BAD_JSON"),
    ] {
        let answer = alice.post(CREATE_ROOM, body.clone()).await;
        let found = answer.json["errcode"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let body: String = body.to_string().chars().take(200).collect();
        assert_eq!((answer.status, &*found), (status, errcode), "{body}");
    }
    let not_json = alice.send(http::Method::POST, CREATE_ROOM, "{").await;
    not_json.is(400, "M_NOT_JSON");
    let nobody = server.anyone().post(CREATE_ROOM, json!({})).await;
    nobody.is(401, "M_MISSING_TOKEN");
    let joined = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined, json!({ "joined_rooms": [] }));
}

#[tokio::test]
async fn creating_rooms_is_limited() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.create_room.burst = 2;
    })
    .await;
    let alice = server.register("alice").await;
    create(&alice, json!({})).await;
    create(&alice, json!({})).await;
    let third = alice.post(CREATE_ROOM, json!({})).await;
    let wait_ms = third.is(429, "M_LIMIT_EXCEEDED")["retry_after_ms"]
        .as_u64()
        .unwrap();
    server.clock.advance(wait_ms);
    create(&alice, json!({})).await;
}
