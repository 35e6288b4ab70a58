use http::Method;
use serde_json::json;
use test_support::TestServer;

#[tokio::test]
async fn versions_are_told_to_anyone() {
    let server = TestServer::new().await;
    let reply = server.anyone().get("/_matrix/client/versions").await;
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    let versions = reply.ok()["versions"].clone();
    for version in ["r0.0.1", "r0.6.1", "v1.1", "v1.5", "v1.11"] {
        assert!(
            versions.as_array().unwrap().contains(&json!(version)),
            "{version}"
        );
    }
}

#[tokio::test]
async fn clients_are_told_the_base_url() {
    let path = "/.well-known/matrix/client";
    let server = TestServer::new().await;
    let answer = server.anyone().get(path).await.ok();
    assert_eq!(
        answer,
        json!({ "m.homeserver": { "base_url": "http://127.0.0.1:8008" } })
    );
    let server = TestServer::with(|config| {
        config.public_base_url = Some("https://matrix.example.org/".to_owned());
    });
    let answer = server.await.anyone().get(path).await.ok();
    assert_eq!(
        answer["m.homeserver"]["base_url"],
        "https://matrix.example.org"
    );
}

#[tokio::test]
async fn contacts_and_delegation_are_told_if_there_are_any() {
    let (support, delegated) = ("/.well-known/matrix/support", "/.well-known/matrix/server");
    let server = TestServer::new().await;
    server.anyone().get(support).await.is(404, "M_NOT_FOUND");
    server.anyone().get(delegated).await.is(404, "M_NOT_FOUND");
    let server = TestServer::with(|config| {
        config.well_known.server = Some("matrix.example.org:443".to_owned());
        config.well_known.support_email = Some("help@example.org".to_owned());
        config.well_known.support_matrix_id = Some("@help:example.org".to_owned());
        config.well_known.support_page = Some("https://example.org/help".to_owned());
    })
    .await;
    let contact = json!({
        "role": "m.role.admin",
        "email_address": "help@example.org",
        "matrix_id": "@help:example.org",
    });
    assert_eq!(
        server.anyone().get(support).await.ok(),
        json!({ "contacts": [contact], "support_page": "https://example.org/help" })
    );
    let answer = server.anyone().get(delegated).await.ok();
    assert_eq!(answer, json!({ "m.server": "matrix.example.org:443" }));
}

#[tokio::test]
async fn what_does_not_exist_is_unrecognized() {
    let server = TestServer::new().await;
    let anyone = server.anyone();
    anyone
        .get("/_matrix/client/v3/nonsense")
        .await
        .is(404, "M_UNRECOGNIZED");
    anyone
        .get("/_matrix/client/unstable/org.example/x")
        .await
        .is(404, "M_UNRECOGNIZED");
    anyone
        .post("/_matrix/client/versions", json!({}))
        .await
        .is(405, "M_UNRECOGNIZED");
    let preflight = anyone
        .send(Method::OPTIONS, "/_matrix/client/v3/login", "")
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "*");
}
