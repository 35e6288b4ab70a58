use config::{RegistrationMode, Secret};
use serde_json::{Value, json};
use test_support::TestServer;
use users::{SharedSecretRegistration, shared_secret_mac};

const PATH: &str = "/_synapse/admin/v1/register";

async fn server() -> TestServer {
    TestServer::with(|config| {
        config.registration.mode = RegistrationMode::Closed;
        config.registration.shared_secret = Some(Secret::new("shared"));
    })
    .await
}

async fn signed(server: &TestServer, username: &str, admin: bool) -> Value {
    let nonce = server.anyone().get(PATH).await.ok()["nonce"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let request = SharedSecretRegistration {
        nonce: nonce.clone(),
        username: username.to_owned(),
        password: "pw".to_owned(),
        admin,
        ..SharedSecretRegistration::default()
    };
    json!({
        "nonce": nonce,
        "username": username,
        "password": "pw",
        "admin": admin,
        "user_type": null,
        "mac": shared_secret_mac("shared", &request),
    })
}

#[tokio::test]
async fn a_tool_that_knows_the_secret_creates_accounts() {
    let server = server().await;
    let mut body = signed(&server, "root", true).await;
    body["displayname"] = json!("The Root");
    let answer = server.anyone().post(PATH, body.clone()).await.ok();
    assert_eq!(answer["user_id"], "@root:localhost");
    assert_eq!(answer["home_server"], "localhost");
    assert!(answer["device_id"].is_string());
    let root = server
        .anyone()
        .with_token(answer["access_token"].as_str().unwrap());
    root.get("/_matrix/client/v3/account/whoami").await.ok();
    let profile = root
        .get("/_matrix/client/v3/profile/@root:localhost")
        .await
        .ok();
    assert_eq!(profile, json!({ "displayname": "The Root" }));
    let user = server
        .services
        .users
        .number(ruma::user_id!("@root:localhost"))
        .await
        .unwrap()
        .unwrap();
    assert!(server.services.users.is_admin(user).await.unwrap());
    server.anyone().post(PATH, body).await.is(400, "M_UNKNOWN");
    let again = signed(&server, "root", true).await;
    server
        .anyone()
        .post(PATH, again)
        .await
        .is(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn what_was_not_signed_is_refused() {
    let server = server().await;
    let mut body = signed(&server, "alice", false).await;
    body["admin"] = json!(true);
    server
        .anyone()
        .post(PATH, body)
        .await
        .is(403, "M_FORBIDDEN");
    let mut body = signed(&server, "alice", false).await;
    body["nonce"] = json!("unknown");
    server.anyone().post(PATH, body).await.is(400, "M_UNKNOWN");
    server
        .anyone()
        .post(PATH, json!({}))
        .await
        .is(400, "M_BAD_JSON");
    server
        .anyone()
        .send(http::Method::POST, PATH, "nonsense")
        .await
        .is(400, "M_NOT_JSON");
}

#[tokio::test]
async fn without_a_secret_it_is_off() {
    let server = TestServer::new().await;
    server.anyone().get(PATH).await.is(400, "M_UNKNOWN");
}
