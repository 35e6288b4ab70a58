use serde_json::{Value, json};
use test_support::TestServer;

const PASSWORD: &str = "/_matrix/client/v3/account/password";
const DEACTIVATE: &str = "/_matrix/client/v3/account/deactivate";
const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn auth(user: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": format!("password-of-{user}"),
    })
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_the_other_devices() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    let asked = alice
        .post(PASSWORD, json!({ "new_password": "battery staple" }))
        .await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.json["completed"], json!([]));
    server.register("bob").await;
    let body = json!({ "new_password": "battery staple", "auth": auth("bob") });
    alice.post(PASSWORD, body).await.is(401, "M_FORBIDDEN");
    let body = json!({ "new_password": "battery staple", "auth": auth("alice") });
    assert_eq!(alice.post(PASSWORD, body.clone()).await.ok(), json!({}));
    alice.get(WHOAMI).await.ok();
    other.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    // The old one is no longer right.
    alice.post(PASSWORD, body).await.is(401, "M_FORBIDDEN");
    let login =
        json!({ "type": "m.login.password", "user": "alice", "password": "battery staple" });
    server.anyone().post(LOGIN, login).await.ok();
}

#[tokio::test]
async fn the_other_devices_stay_if_asked() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    // As older clients name the user.
    let auth = json!({ "type": "m.login.password", "user": "@alice:localhost", "password": "password-of-alice" });
    let body = json!({ "new_password": "battery staple", "logout_devices": false, "auth": auth });
    alice.post(PASSWORD, body).await.ok();
    other.get(WHOAMI).await.ok();
}

#[tokio::test]
async fn bad_password_changes_are_refused_before_the_stages() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for (body, errcode) in [
        (json!({}), "M_BAD_JSON"),
        (json!({ "new_password": 7 }), "M_BAD_JSON"),
        (json!({ "new_password": "short" }), "M_WEAK_PASSWORD"),
        (
            json!({ "new_password": "battery staple", "auth": "x" }),
            "M_BAD_JSON",
        ),
        (
            json!({ "new_password": "battery staple", "auth": { "type": "m.login.password" } }),
            "M_MISSING_PARAM",
        ),
    ] {
        alice.post(PASSWORD, body).await.is(400, errcode);
    }
    let body = json!({ "new_password": "battery staple", "auth": { "type": "m.login.dummy" } });
    alice.post(PASSWORD, body).await.is(401, "M_UNRECOGNIZED");
    let body = json!({ "new_password": "battery staple" });
    server
        .anyone()
        .post(PASSWORD, body)
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_session_of_stages_counts_for_its_request_only() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let asked = alice
        .post(PASSWORD, json!({ "new_password": "battery staple" }))
        .await;
    let mut auth = auth("alice");
    auth["session"] = asked.json["session"].clone();
    alice
        .post(DEACTIVATE, json!({ "auth": auth }))
        .await
        .is(403, "M_FORBIDDEN");
    alice.get(WHOAMI).await.ok();
}

#[tokio::test]
async fn a_closed_account_is_gone_from_everywhere() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = bob
        .post(
            "/_matrix/client/v3/createRoom",
            json!({ "preset": "public_chat" }),
        )
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap();
    alice
        .post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await
        .ok();
    assert_eq!(alice.post(DEACTIVATE, json!({})).await.status, 401);
    let body = json!({ "auth": auth("alice"), "erase": true });
    let answer = alice.post(DEACTIVATE, body).await.ok();
    assert_eq!(answer, json!({ "id_server_unbind_result": "success" }));
    alice.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    let members = bob
        .get(&format!("/_matrix/client/v3/rooms/{room}/joined_members"))
        .await
        .ok();
    assert_eq!(
        members["joined"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["@bob:localhost"]
    );
    let login =
        json!({ "type": "m.login.password", "user": "alice", "password": "password-of-alice" });
    server
        .anyone()
        .post(LOGIN, login)
        .await
        .is(403, "M_FORBIDDEN");
    bob.get("/_matrix/client/v3/profile/@alice:localhost")
        .await
        .is(404, "M_NOT_FOUND");
    let register = json!({ "username": "alice", "password": "correct horse" });
    server
        .anyone()
        .post("/_matrix/client/v3/register", register)
        .await
        .is(400, "M_USER_IN_USE");
    server
        .anyone()
        .post(DEACTIVATE, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}
