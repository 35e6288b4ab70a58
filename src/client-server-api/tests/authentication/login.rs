use config::Secret;
use serde_json::{Value, json};
use test_support::{Client, TestServer};

const PATH: &str = "/_matrix/client/v3/login";
const REFRESH: &str = "/_matrix/client/v3/refresh";
const LOGOUT: &str = "/_matrix/client/v3/logout";
const LOGOUT_ALL: &str = "/_matrix/client/v3/logout/all";
const GET_TOKEN: &str = "/_matrix/client/v1/login/get_token";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn password(user: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": password,
    })
}

fn with(client: &Client, answer: &Value) -> Client {
    client.with_token(answer["access_token"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn the_flows_are_those_that_work() {
    let server = TestServer::new().await;
    let flows = server.anyone().get(PATH).await.ok();
    let expected = json!({ "flows": [
        { "type": "m.login.password" },
        { "type": "m.login.token", "get_login_token": true },
    ] });
    assert_eq!(flows, expected);
}

#[tokio::test]
async fn a_user_logs_in_by_id_localpart_case_and_the_legacy_key() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let secret = "password-of-alice";
    for body in [
        password("alice", secret),
        password("Alice", secret),
        password("@alice:localhost", secret),
        json!({ "type": "m.login.password", "user": "alice", "password": secret }),
    ] {
        let answer = server.anyone().post(PATH, body).await.ok();
        assert_eq!(answer["user_id"], "@alice:localhost");
        assert!(answer["device_id"].is_string());
        assert!(answer.get("well_known").is_none());
        assert_eq!(
            with(&server.anyone(), &answer).get(WHOAMI).await.ok()["user_id"],
            "@alice:localhost"
        );
    }
}

#[tokio::test]
async fn wrong_users_and_passwords_are_forbidden() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let identified = |identifier: Value| json!({ "type": "m.login.password", "identifier": identifier, "password": "x" });
    for body in [
        password("alice", "wrong"),
        password("bob", "password-of-alice"),
        password("@alice:elsewhere", "password-of-alice"),
        identified(json!({ "type": "m.id.thirdparty", "medium": "email", "address": "a@b.c" })),
        identified(json!({ "type": "m.id.phone", "country": "GB", "phone": "1" })),
        json!({ "type": "m.login.password", "password": "x" }),
        json!({ "type": "m.login.token", "token": "unknown" }),
    ] {
        server
            .anyone()
            .post(PATH, body)
            .await
            .is(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn malformed_logins_are_refused() {
    let server = TestServer::new().await;
    let anyone = server.anyone();
    for (body, errcode) in [
        (json!({}), "M_MISSING_PARAM"),
        (json!({ "type": 7 }), "M_BAD_JSON"),
        (json!({ "type": null }), "M_BAD_JSON"),
        (json!([]), "M_BAD_JSON"),
        (json!({ "type": "m.login.password" }), "M_BAD_JSON"),
        (json!({ "type": "m.login.token" }), "M_BAD_JSON"),
        (json!({ "type": "org.matrix.login.jwt" }), "M_MISSING_PARAM"),
        (
            json!({ "type": "org.matrix.login.jwt", "token": "x" }),
            "M_UNKNOWN",
        ),
        (json!({ "type": "m.login.dummy" }), "M_UNKNOWN"),
    ] {
        anyone.post(PATH, body).await.is(400, errcode);
    }
    anyone
        .send(http::Method::POST, PATH, "")
        .await
        .is(400, "M_MISSING_PARAM");
    anyone
        .send(http::Method::POST, PATH, "{")
        .await
        .is(400, "M_NOT_JSON");
    anyone
        .send(http::Method::POST, PATH, vec![0xFF, 0xFE])
        .await
        .is(400, "M_NOT_JSON");
    let body = json!({ "type": "m.login.application_service" });
    anyone.post(PATH, body).await.is(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn logging_in_again_with_a_device_ends_its_earlier_token() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let mut body = password("alice", "password-of-alice");
    body["device_id"] = json!(alice.device_id);
    let answer = server.anyone().post(PATH, body).await.ok();
    assert_eq!(answer["device_id"], alice.device_id);
    alice.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    let devices = with(&alice, &answer)
        .get("/_matrix/client/v3/devices")
        .await
        .ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_public_base_url_is_told_if_it_is_known() {
    let server = TestServer::with(|config| {
        config.public_base_url = Some("https://matrix.example.org".to_owned());
    })
    .await;
    server.register("alice").await;
    let answer = server
        .anyone()
        .post(PATH, password("alice", "password-of-alice"))
        .await
        .ok();
    assert_eq!(
        answer["well_known"]["m.homeserver"]["base_url"],
        "https://matrix.example.org"
    );
}

#[tokio::test]
async fn tokens_are_refreshed_and_a_stolen_one_ends_the_session() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let mut body = password("alice", "password-of-alice");
    body["refresh_token"] = json!(true);
    let anyone = server.anyone();
    let first = anyone.post(PATH, body).await.ok();
    assert_eq!(first["expires_in_ms"], 300_000);
    server.clock.advance(300_000);
    let expired = with(&anyone, &first)
        .get(WHOAMI)
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    assert_eq!(expired["soft_logout"], true);
    let refresh = json!({ "refresh_token": first["refresh_token"] });
    let second = anyone.post(REFRESH, refresh.clone()).await.ok();
    assert_eq!(second["expires_in_ms"], 300_000);
    with(&anyone, &second).get(WHOAMI).await.ok();
    let reused = anyone
        .post(REFRESH, refresh)
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    assert_eq!(reused["soft_logout"], true);
    with(&anyone, &second)
        .get(WHOAMI)
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let unknown = anyone
        .post(REFRESH, json!({ "refresh_token": "unknown" }))
        .await;
    assert_eq!(unknown.is(401, "M_UNKNOWN_TOKEN")["soft_logout"], false);
    anyone.post(REFRESH, json!({})).await.is(400, "M_BAD_JSON");
}

#[tokio::test]
async fn logout_ends_one_session_and_logout_all_every() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let (second, third) = (server.login("alice").await, server.login("alice").await);
    alice.post(LOGOUT, json!({})).await.ok();
    alice.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    alice
        .post(LOGOUT, json!({}))
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    second.get(WHOAMI).await.ok();
    third.post(LOGOUT_ALL, json!({})).await.ok();
    second.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    third.get(WHOAMI).await.is(401, "M_UNKNOWN_TOKEN");
    server
        .anyone()
        .post(LOGOUT, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .post(LOGOUT_ALL, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_login_token_is_given_to_who_knows_the_password_and_works_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    server
        .anyone()
        .post(GET_TOKEN, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    let asked = alice.post(GET_TOKEN, json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.json["flows"],
        json!([{ "stages": ["m.login.password"] }])
    );
    let mut auth = password("alice", "wrong");
    auth["session"] = asked.json["session"].clone();
    let refused = alice.post(GET_TOKEN, json!({ "auth": auth })).await;
    assert_eq!(
        refused.is(401, "M_FORBIDDEN")["session"],
        asked.json["session"]
    );
    auth["password"] = json!("password-of-alice");
    let token = alice.post(GET_TOKEN, json!({ "auth": auth })).await.ok();
    assert_eq!(token["expires_in_ms"], 120_000);
    let body = json!({ "type": "m.login.token", "token": token["login_token"] });
    let answer = server.anyone().post(PATH, body.clone()).await.ok();
    assert_eq!(answer["user_id"], "@alice:localhost");
    server
        .anyone()
        .post(PATH, body)
        .await
        .is(403, "M_FORBIDDEN");
    // Each token asks for the password anew.
    assert_eq!(alice.post(GET_TOKEN, json!({})).await.status, 401);
}

#[tokio::test]
async fn a_json_web_token_logs_in_where_it_is_wanted() {
    let server = TestServer::with(|config| {
        config.jwt.enabled = true;
        config.jwt.key = Some(Secret::new("secret"));
    })
    .await;
    let flows = server.anyone().get(PATH).await.ok();
    assert!(
        flows["flows"]
            .as_array()
            .unwrap()
            .contains(&json!({ "type": "org.matrix.login.jwt" }))
    );
    // {"alg":"HS256","typ":"JWT"} and {"sub":"alice"}, signed with "secret" by Python's hmac.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.c3brGQkxoiCgrl5LGiV0go9qgN0MtrdnDBCCfJ45f_Q";
    let body = |token: &str| json!({ "type": "org.matrix.login.jwt", "token": token });
    let answer = server.anyone().post(PATH, body(token)).await.ok();
    assert_eq!(answer["user_id"], "@alice:localhost");
    server
        .anyone()
        .post(PATH, body(&token[..token.len() - 4]))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn who_guesses_too_often_has_to_wait() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.login_failed.burst = 2;
    })
    .await;
    server.register("alice").await;
    for _ in 0..2 {
        server
            .anyone()
            .post(PATH, password("alice", "wrong"))
            .await
            .is(403, "M_FORBIDDEN");
    }
    let right = password("ALICE", "password-of-alice");
    let refused = server.anyone().post(PATH, right.clone()).await;
    let wait_ms = refused.is(429, "M_LIMIT_EXCEEDED")["retry_after_ms"]
        .as_u64()
        .unwrap();
    server.clock.advance(wait_ms);
    server.anyone().post(PATH, right).await.ok();
}
