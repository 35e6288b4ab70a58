use config::RegistrationMode;
use serde_json::{Value, json};
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/register";
const AVAILABLE: &str = "/_matrix/client/v3/register/available?username=";
const VALIDITY: &str = "/_matrix/client/v1/register/m.login.registration_token/validity?token=";
const PASSWORD: &str = "correct horse";

async fn server(mode: RegistrationMode) -> TestServer {
    TestServer::with(|config| config.registration.mode = mode).await
}

fn dummy(username: &str) -> Value {
    json!({ "username": username, "password": PASSWORD, "auth": { "type": "m.login.dummy" } })
}

#[tokio::test]
async fn an_account_comes_with_a_device_and_a_token() {
    let server = TestServer::new().await;
    let mut body = dummy("Alice");
    body["device_id"] = json!("PHONE");
    body["initial_device_display_name"] = json!("My phone");
    let answer = server.anyone().post(PATH, body).await.ok();
    assert_eq!(answer["user_id"], "@alice:localhost");
    assert_eq!(answer["device_id"], "PHONE");
    assert!(answer.get("refresh_token").is_none() && answer.get("expires_in_ms").is_none());
    let alice = server
        .anyone()
        .with_token(answer["access_token"].as_str().unwrap());
    let devices = alice.get("/_matrix/client/v3/devices").await.ok();
    assert_eq!(devices["devices"][0]["display_name"], "My phone");
}

#[tokio::test]
async fn clients_ask_for_the_stages_first() {
    let server = TestServer::new().await;
    let asked = server.anyone().post(PATH, json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.json["flows"][0]["stages"], json!(["m.login.dummy"]));
    assert_eq!(asked.json["params"], json!({}));
    assert!(asked.json.get("errcode").is_none());
    let session = &asked.json["session"];
    let body = json!({
        "username": "alice",
        "password": PASSWORD,
        "auth": { "type": "m.login.dummy", "session": session },
    });
    server.anyone().post(PATH, body).await.ok();
}

#[tokio::test]
async fn who_inhibits_the_login_gets_no_device() {
    let server = TestServer::new().await;
    let mut body = dummy("alice");
    body["inhibit_login"] = json!(true);
    let answer = server.anyone().post(PATH, body).await.ok();
    assert_eq!(answer["user_id"], "@alice:localhost");
    // Not even `null`: the definition knows a string or nothing.
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let body = json!({ "type": "m.login.password", "user": "alice", "password": PASSWORD });
    server
        .anyone()
        .post("/_matrix/client/v3/login", body)
        .await
        .ok();
}

#[tokio::test]
async fn a_name_is_given_to_who_has_none() {
    let server = TestServer::new().await;
    let body = json!({ "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    let answer = server.anyone().post(PATH, body).await.ok();
    assert!(answer["user_id"].as_str().unwrap().ends_with(":localhost"));
}

#[tokio::test]
async fn a_client_that_can_refresh_gets_a_refresh_token() {
    let server = TestServer::new().await;
    let mut body = dummy("alice");
    body["refresh_token"] = json!(true);
    let answer = server.anyone().post(PATH, body).await.ok();
    assert!(answer["refresh_token"].is_string());
    assert_eq!(answer["expires_in_ms"], 300_000);
}

#[tokio::test]
async fn names_are_checked_before_the_stages() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let anyone = server.anyone();
    for (username, errcode) in [
        ("alice", "M_USER_IN_USE"),
        ("ALICE", "M_USER_IN_USE"),
        ("", "M_INVALID_USERNAME"),
        ("@bob:localhost", "M_INVALID_USERNAME"),
        ("b%b", "M_INVALID_USERNAME"),
        ("_bob", "M_INVALID_USERNAME"),
        ("123", "M_INVALID_USERNAME"),
        (&"b".repeat(300), "M_INVALID_USERNAME"),
    ] {
        let body = json!({ "username": username, "password": PASSWORD });
        anyone.post(PATH, body).await.is(400, errcode);
        let path = format!("{AVAILABLE}{}", username.replace('%', "%25"));
        anyone.get(&path).await.is(400, errcode);
    }
    assert_eq!(
        anyone.get(&format!("{AVAILABLE}bob")).await.ok(),
        json!({ "available": true })
    );
    anyone
        .get(AVAILABLE.trim_end_matches("?username="))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let server = TestServer::new().await;
    let anyone = server.anyone();
    let auth = json!({ "type": "m.login.dummy" });
    for (body, errcode) in [
        (json!([]), "M_BAD_JSON"),
        (json!({ "username": 7 }), "M_BAD_JSON"),
        (json!({ "auth": 7 }), "M_BAD_JSON"),
        (json!({ "auth": { "type": 7 } }), "M_BAD_JSON"),
        (json!({ "auth": { "session": {} } }), "M_BAD_JSON"),
        (
            json!({ "auth": { "type": "m.login.registration_token" } }),
            "M_MISSING_PARAM",
        ),
        (
            json!({ "username": "alice", "auth": auth }),
            "M_MISSING_PARAM",
        ),
        (
            json!({ "password": "short", "auth": auth }),
            "M_WEAK_PASSWORD",
        ),
        (
            json!({ "password": "x".repeat(600), "auth": auth }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "password": PASSWORD, "device_id": "x".repeat(300), "auth": auth }),
            "M_INVALID_PARAM",
        ),
    ] {
        anyone.post(PATH, body).await.is(400, errcode);
    }
    for body in ["{", "\"", "nonsense"] {
        anyone
            .send(http::Method::POST, PATH, body)
            .await
            .is(400, "M_NOT_JSON");
    }
    let refused = anyone.post(&format!("{PATH}?kind=guest"), json!({})).await;
    refused.is(403, "M_GUEST_ACCESS_FORBIDDEN");
    let body = json!({ "type": "m.login.application_service", "username": "bot" });
    anyone.post(PATH, body).await.is(401, "M_UNKNOWN_TOKEN");
    // None of it left anything behind.
    anyone.get(&format!("{AVAILABLE}alice")).await.ok();
}

#[tokio::test]
async fn closed_is_closed() {
    let server = server(RegistrationMode::Closed).await;
    let anyone = server.anyone();
    anyone
        .post(PATH, dummy("alice"))
        .await
        .is(403, "M_FORBIDDEN");
    anyone
        .get(&format!("{AVAILABLE}alice"))
        .await
        .is(403, "M_FORBIDDEN");
    anyone
        .get(&format!("{VALIDITY}x"))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_token_opens_once_and_makes_the_first_administrator() {
    let server = server(RegistrationMode::Token).await;
    let users = server.services.users.clone();
    let anyone = server.anyone();
    let token = users.bootstrap_token().await.unwrap().unwrap();
    assert_eq!(
        anyone.get(&format!("{VALIDITY}{token}")).await.ok(),
        json!({ "valid": true })
    );
    let asked = anyone.post(PATH, dummy("alice")).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.json["flows"],
        json!([{ "stages": ["m.login.registration_token"] }])
    );
    let body = |username: &str, token: &str| {
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        json!({ "username": username, "password": PASSWORD, "auth": auth })
    };
    let refused = anyone.post(PATH, body("alice", "wrong")).await;
    assert!(refused.json["session"].is_string());
    refused.is(401, "M_FORBIDDEN");
    anyone.post(PATH, body("alice", &token)).await.ok();
    anyone
        .post(PATH, body("bob", &token))
        .await
        .is(401, "M_FORBIDDEN");
    assert_eq!(
        anyone.get(&format!("{VALIDITY}{token}")).await.ok(),
        json!({ "valid": false })
    );
    let alice = users
        .number(ruma::user_id!("@alice:localhost"))
        .await
        .unwrap()
        .unwrap();
    assert!(users.is_admin(alice).await.unwrap());
}

#[tokio::test]
async fn accounts_and_tokens_survive_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let server = server.restart().await;
    let token = alice.access_token.unwrap();
    let whoami = server
        .anyone()
        .with_token(&token)
        .get("/_matrix/client/v3/account/whoami")
        .await
        .ok();
    assert_eq!(whoami["user_id"], "@alice:localhost");
    server
        .anyone()
        .post(PATH, dummy("alice"))
        .await
        .is(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn who_registers_too_often_has_to_wait() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.registration.burst = 2;
    })
    .await;
    for name in ["alice", "bob"] {
        server.anyone().post(PATH, dummy(name)).await.ok();
    }
    let refused = server.anyone().post(PATH, dummy("carol")).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.is(429, "M_LIMIT_EXCEEDED");
}
