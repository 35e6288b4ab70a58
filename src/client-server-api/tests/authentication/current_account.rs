use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/account/whoami";

#[tokio::test]
async fn a_token_tells_its_user_and_device() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let answer = alice.get(PATH).await.ok();
    assert_eq!(
        answer,
        json!({ "user_id": "@alice:localhost", "device_id": alice.device_id })
    );
}

#[tokio::test]
async fn nobody_is_nobody() {
    let server = TestServer::new().await;
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
    let error = server
        .anyone()
        .with_token("unknown")
        .get(PATH)
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    assert_eq!(error["soft_logout"], false);
    server
        .anyone()
        .get(&format!("{PATH}?access_token="))
        .await
        .is(401, "M_MISSING_TOKEN");
}
