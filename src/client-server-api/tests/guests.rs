//! [Guest access](https://spec.matrix.org/v1.19/client-server-api/#guest-access).

use config::Config;
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, content, create, path, public, say, set_state};

const REGISTER: &str = "/_matrix/client/v3/register";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn server() -> TestServer {
    with(|_| {}).await
}

async fn with(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.registration.guests = true;
        change(config);
    })
    .await
}

async fn guest(server: &TestServer) -> Client {
    let answer = server
        .anyone()
        .post(&format!("{REGISTER}?kind=guest"), json!({}))
        .await
        .ok();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    let mut guest = server.anyone().with_token(&text("access_token"));
    guest.user_id = text("user_id");
    guest.device_id = text("device_id");
    guest
}

/// A room that anybody may join, guests too.
async fn open_room(owner: &Client) -> String {
    let room = public(owner).await;
    set_guest_access(owner, &room, "can_join").await;
    room
}

async fn set_guest_access(owner: &Client, room: &str, access: &str) -> String {
    let access = json!({ "guest_access": access });
    set_state(owner, room, "m.room.guest_access/", access).await
}

async fn membership(reader: &Client, room: &str, user_id: &str) -> Value {
    content(reader, room, "m.room.member", user_id).await["membership"].clone()
}

#[tokio::test]
async fn guests_are_kept_out_unless_the_server_says_otherwise() {
    let server = TestServer::new().await;
    let refused = server
        .anyone()
        .post(&format!("{REGISTER}?kind=guest"), json!({}))
        .await;
    refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    let refused = server
        .anyone()
        .post(&format!("{REGISTER}?kind=pirate"), json!({}))
        .await;
    refused.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_guest_gets_what_the_server_chooses() {
    // Whether others may register is another question.
    let server = with(|config| config.registration.mode = config::RegistrationMode::Closed).await;
    let body = json!({
        "username": "alice",
        "password": "short",
        "device_id": "PHONE",
        "inhibit_login": true,
        "refresh_token": true,
        "auth": { "type": "nonsense" },
        "type": "m.login.application_service",
        "initial_device_display_name": "A browser",
    });
    let answer = server
        .anyone()
        .post(&format!("{REGISTER}?kind=guest"), body)
        .await
        .ok();
    let user_id = answer["user_id"].as_str().unwrap();
    let localpart = user_id.strip_prefix('@').unwrap();
    let localpart = localpart.strip_suffix(":localhost").unwrap();
    assert!(localpart.bytes().all(|byte| byte.is_ascii_digit()));
    assert_ne!(answer["device_id"], "PHONE");
    assert!(answer.get("refresh_token").is_none());
    let guest = server
        .anyone()
        .with_token(answer["access_token"].as_str().unwrap());
    let who = guest.get(WHOAMI).await.ok();
    assert_eq!(who["is_guest"], true);
    assert_eq!(who["user_id"], user_id);
    assert_eq!(who["device_id"], answer["device_id"]);
    let devices = guest.get("/_matrix/client/v3/devices").await.ok();
    assert_eq!(devices["devices"][0]["display_name"], "A browser");
}

#[tokio::test]
async fn users_are_no_guests() {
    let server = server().await;
    let alice = server.register("alice").await;
    let who = alice.get(WHOAMI).await.ok();
    assert_ne!(who.get("is_guest"), Some(&json!(true)));
    let guest = guest(&server).await;
    assert_ne!(guest.user_id, self::guest(&server).await.user_id);
}

#[tokio::test]
async fn guests_read_and_send_and_keep_their_account() {
    let server = server().await;
    let alice = server.register("alice").await;
    let guest = guest(&server).await;
    let room = open_room(&alice).await;
    act(&guest, &room, "join", json!({})).await;
    let event = say(&guest, &room, "hello", "1").await;
    let everybody = json!({ "events_default": 0, "state_default": 0 });
    set_state(&alice, &room, "m.room.power_levels/", everybody).await;
    set_state(&guest, &room, "org.example.note/", json!({})).await;
    let me = &guest.user_id;
    let device = format!("devices/{}", guest.device_id);
    for rest in [
        &path(&room, "state"),
        &path(&room, &format!("context/{event}")),
        &path(&room, &format!("event/{event}")),
        &path(&room, "state/m.room.create/"),
        &path(&room, "messages?dir=b"),
        &path(&room, "members"),
        &path(&room, "initialSync"),
        "/_matrix/client/v3/sync",
        &format!("/_matrix/client/v3/events?room_id={room}"),
        "/_matrix/client/v3/devices",
        &format!("/_matrix/client/v3/{device}"),
        &format!("/_matrix/client/r0/{device}"),
        WHOAMI,
    ] {
        guest.get(rest).await.ok();
    }
    guest.send(http::Method::HEAD, WHOAMI, "").await;
    guest
        .get("/_matrix/client/v1/media/download/localhost/none")
        .await
        .is(404, "M_NOT_FOUND");
    for (rest, body) in [
        (device.as_str(), json!({ "display_name": "Mine" })),
        (
            &format!("profile/{me}/displayname"),
            json!({ "displayname": "A guest" }),
        ),
        (
            "sendToDevice/org.example.hello/1",
            json!({ "messages": {} }),
        ),
    ] {
        guest
            .put(&format!("/_matrix/client/v3/{rest}"), body)
            .await
            .ok();
    }
    for (rest, body) in [
        ("keys/upload", json!({})),
        ("keys/query", json!({ "device_keys": { me: [] } })),
        ("keys/claim", json!({ "one_time_keys": {} })),
        (&format!("rooms/{room}/leave"), json!({})),
    ] {
        guest
            .post(&format!("/_matrix/client/v3/{rest}"), body)
            .await
            .ok();
    }
    let name = format!("/_matrix/client/v3/profile/{me}/displayname");
    guest.delete(&name, json!({})).await.ok();
}

#[tokio::test]
async fn guests_may_nothing_else() {
    let server = server().await;
    let alice = server.register("alice").await;
    let room = open_room(&alice).await;
    let guest = guest(&server).await;
    act(&guest, &room, "join", json!({})).await;
    let me = &guest.user_id;
    for rest in [
        "v3/joined_rooms",
        "v3/capabilities",
        "v3/pushrules/",
        "v3/pushers",
        "v3/notifications",
        "v3/account/3pid",
        "v3/voip/turnServer",
        "v3/initialSync",
        // What is told of all rooms at once is for users.
        "v3/events",
        "v1/media/config",
        &format!("v3/presence/{me}/status"),
        &format!("v3/user/{me}/account_data/org.example"),
        &format!("v3/rooms/{room}/joined_members"),
        &format!("v3/rooms/{room}/aliases"),
        &format!("v1/rooms/{room}/hierarchy"),
        &format!("v1/rooms/{room}/threads"),
    ] {
        let refused = guest.get(&format!("/_matrix/client/{rest}")).await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    for rest in [
        "createRoom",
        "logout",
        "logout/all",
        "search",
        "user_directory/search",
        "account/password",
        "account/deactivate",
        "delete_devices",
        "keys/signatures/upload",
        &format!("user/{me}/filter"),
        &format!("user/{me}/openid/request_token"),
        &format!("knock/{room}"),
        &format!("rooms/{room}/invite"),
        &format!("rooms/{room}/kick"),
        &format!("rooms/{room}/forget"),
        &format!("rooms/{room}/receipt/m.read/$event"),
    ] {
        let path = format!("/_matrix/client/v3/{rest}");
        let refused = guest.post(&path, json!({})).await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    for rest in [
        &format!("profile/{me}/avatar_url"),
        &format!("profile/{me}/org.example.field"),
        &format!("presence/{me}/status"),
        &format!("rooms/{room}/typing/{me}"),
        &format!("rooms/{room}/redact/$event/1"),
        "directory/room/%23room:localhost",
    ] {
        let path = format!("/_matrix/client/v3/{rest}");
        let refused = guest.put(&path, json!({})).await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    let device = format!("/_matrix/client/v3/devices/{}", guest.device_id);
    let refused = guest.delete(&device, json!({})).await;
    refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    // What needs no token is not closed to who has one.
    let summary = format!("/_matrix/client/v1/room_summary/{room}");
    assert_eq!(guest.get(&summary).await.ok().get("membership"), None);
    assert_eq!(alice.get(&summary).await.ok()["membership"], "join");
    guest.get("/_matrix/client/versions").await.ok();
}

#[tokio::test]
async fn guests_join_only_where_guests_may() {
    let server = server().await;
    let alice = server.register("alice").await;
    let guest = guest(&server).await;
    // Presets of public rooms forbid guests; other rooms may say nothing at all, or nonsense.
    let room = public(&alice).await;
    let member = format!("state/m.room.member/{}", guest.user_id);
    for access in ["forbidden", "CAN_JOIN", ""] {
        set_guest_access(&alice, &room, access).await;
        let refused = guest.post(&path(&room, "join"), json!({})).await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
        let join = format!("/_matrix/client/v3/join/{room}");
        let refused = guest.post(&join, json!({})).await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
        let refused = guest
            .put(&path(&room, &member), json!({ "membership": "join" }))
            .await;
        refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    set_state(
        &alice,
        &room,
        "m.room.guest_access/",
        json!({ "guest_access": [] }),
    )
    .await;
    let refused = guest.post(&path(&room, "join"), json!({})).await;
    refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    set_guest_access(&alice, &room, "can_join").await;
    act(&guest, &room, "join", json!({})).await;
    // Twice is once.
    act(&guest, &room, "join", json!({})).await;
    say(&guest, &room, "hello", "1").await;
    // The join rules hold besides.
    let closed = create(&alice, json!({ "preset": "private_chat" })).await;
    let refused = guest.post(&path(&closed, "join"), json!({})).await;
    refused.is(403, "M_FORBIDDEN");
    let invited = json!({ "user_id": guest.user_id });
    act(&alice, &closed, "invite", invited).await;
    act(&guest, &closed, "join", json!({})).await;
}

#[tokio::test]
async fn guests_leave_when_they_are_no_longer_admitted() {
    let server = server().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (one, other, invited) = (
        guest(&server).await,
        guest(&server).await,
        guest(&server).await,
    );
    let room = open_room(&alice).await;
    for client in [&bob, &one, &other] {
        act(client, &room, "join", json!({})).await;
    }
    act(&other, &room, "leave", json!({})).await;
    act(
        &alice,
        &room,
        "invite",
        json!({ "user_id": invited.user_id }),
    )
    .await;
    set_guest_access(&alice, &room, "forbidden").await;
    for (client, expected) in [
        (&alice, "join"),
        (&bob, "join"),
        (&one, "leave"),
        (&other, "leave"),
        (&invited, "leave"),
    ] {
        assert_eq!(membership(&alice, &room, &client.user_id).await, expected);
    }
    let left = content_sender(&alice, &room, &one.user_id).await;
    assert_eq!(left, one.user_id);
    let refused = one
        .put(&path(&room, "send/m.room.message/1"), json!({}))
        .await;
    refused.is(403, "M_FORBIDDEN");
    // A redaction of the setting closes the room as well.
    let setting = set_guest_access(&alice, &room, "can_join").await;
    act(&one, &room, "join", json!({})).await;
    let redact = path(&room, &format!("redact/{setting}/1"));
    alice.put(&redact, json!({})).await.ok();
    assert_eq!(membership(&alice, &room, &one.user_id).await, "leave");
}

async fn content_sender(reader: &Client, room: &str, user_id: &str) -> Value {
    let rest = format!("state/m.room.member/{user_id}?format=event");
    reader.get(&path(room, &rest)).await.ok()["sender"].clone()
}

#[tokio::test]
async fn many_guests_leave_together() {
    let server = server().await;
    let alice = server.register("alice").await;
    let room = open_room(&alice).await;
    // More than leave in one commit.
    for _ in 0..110 {
        let guest = guest(&server).await;
        act(&guest, &room, "join", json!({})).await;
    }
    set_guest_access(&alice, &room, "forbidden").await;
    let members = alice
        .get(&path(&room, "members?membership=leave"))
        .await
        .ok();
    assert_eq!(members["chunk"].as_array().unwrap().len(), 110);
    let joined = alice.get(&path(&room, "joined_members")).await.ok();
    assert_eq!(joined["joined"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn guests_are_not_found_and_see_nobody() {
    let server = server().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let guest = guest(&server).await;
    let room = open_room(&alice).await;
    for client in [&bob, &guest] {
        act(client, &room, "join", json!({})).await;
    }
    let search = "/_matrix/client/v3/user_directory/search";
    let localpart = guest.user_id.trim_start_matches('@').split(':').next();
    let term = json!({ "search_term": localpart });
    let found = alice.post(search, term).await.ok();
    assert_eq!(found["results"], json!([]));
    alice.get("/_matrix/client/v3/sync").await.ok();
    let seen = |answer: Value| answer["presence"]["events"].as_array().cloned();
    let users = seen(bob.get("/_matrix/client/v3/sync").await.ok());
    assert!(users.is_some_and(|events| !events.is_empty()));
    let guests = seen(guest.get("/_matrix/client/v3/sync").await.ok());
    assert!(guests.is_none_or(|events| events.is_empty()));
}

#[tokio::test]
async fn a_guest_becomes_a_user() {
    let server = server().await;
    let alice = server.register("alice").await;
    let guest = guest(&server).await;
    let room = open_room(&alice).await;
    act(&guest, &room, "join", json!({})).await;
    let token = guest.access_token.clone().unwrap();
    let localpart = guest.user_id[1..].split(':').next().unwrap();
    let body = |username: Value, token: &str| {
        json!({
            "username": username,
            "password": "a good long password",
            "guest_access_token": token,
            "auth": { "type": "m.login.dummy" },
        })
    };
    let anyone = server.anyone();
    for (username, token, status, errcode) in [
        (json!(null), &*token, 400, "M_MISSING_PARAM"),
        (json!("another"), &token, 403, "M_FORBIDDEN"),
        (json!(localpart), "nonsense", 403, "M_FORBIDDEN"),
        (
            json!("alice"),
            alice.access_token.as_deref().unwrap(),
            403,
            "M_FORBIDDEN",
        ),
    ] {
        let refused = anyone.post(REGISTER, body(username, token)).await;
        refused.is(status, errcode);
    }
    let answer = anyone
        .post(REGISTER, body(json!(localpart), &token))
        .await
        .ok();
    assert_eq!(answer["user_id"], guest.user_id.as_str());
    guest.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    let user = guest.with_token(answer["access_token"].as_str().unwrap());
    assert_eq!(user.get(WHOAMI).await.ok().get("is_guest"), None);
    user.get("/_matrix/client/v3/capabilities").await.ok();
    say(&user, &room, "still here", "1").await;
    set_guest_access(&alice, &room, "forbidden").await;
    assert_eq!(membership(&alice, &room, &user.user_id).await, "join");
    // Twice is not.
    let again = anyone.post(REGISTER, body(json!(localpart), &token)).await;
    again.is(403, "M_FORBIDDEN");
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": localpart },
        "password": "a good long password",
    });
    anyone.post("/_matrix/client/v3/login", login).await.ok();
}

#[tokio::test]
async fn guests_are_limited_more_than_others() {
    let server = with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.registration.burst = 2;
        config.rate_limits.guest.burst = 2;
    })
    .await;
    let guest = guest(&server).await;
    self::guest(&server).await;
    let refused = server
        .anyone()
        .post(&format!("{REGISTER}?kind=guest"), json!({}))
        .await;
    refused.is(429, "M_LIMIT_EXCEEDED");
    let name = format!("/_matrix/client/v3/profile/{}/displayname", guest.user_id);
    for name_of in ["one", "two"] {
        let body = json!({ "displayname": name_of });
        guest.put(&name, body).await.ok();
    }
    let refused = guest.put(&name, json!({ "displayname": "three" })).await;
    refused.is(429, "M_LIMIT_EXCEEDED");
    // Looking costs nothing.
    for _ in 0..10 {
        guest.get(WHOAMI).await.ok();
    }
    server.clock.advance(1_000);
    guest
        .put(&name, json!({ "displayname": "three" }))
        .await
        .ok();
}

#[tokio::test]
async fn guests_are_still_guests_after_a_restart() {
    let server = server().await;
    let guest = guest(&server).await;
    let token = guest.access_token.unwrap();
    let server = server.restart().await;
    let guest = server.anyone().with_token(&token);
    assert_eq!(guest.get(WHOAMI).await.ok()["is_guest"], true);
    let refused = guest.post("/_matrix/client/v3/createRoom", json!({})).await;
    refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
}
