use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/capabilities";

#[tokio::test]
async fn room_versions_and_what_users_may_do_are_told() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let answer = alice.get(PATH).await.ok();
    let capabilities = &answer["capabilities"];
    assert_eq!(capabilities["m.room_versions"]["default"], "12");
    for version in 1..=12 {
        assert_eq!(
            capabilities["m.room_versions"]["available"][version.to_string()],
            "stable"
        );
    }
    assert_eq!(
        capabilities["m.change_password"],
        json!({ "enabled": true })
    );
}

#[tokio::test]
async fn the_configured_version_is_the_default() {
    let server =
        TestServer::with(|config| config.rooms.default_version = "10".try_into().unwrap()).await;
    let answer = server.register("alice").await.get(PATH).await.ok();
    assert_eq!(answer["capabilities"]["m.room_versions"]["default"], "10");
}

#[tokio::test]
async fn only_users_are_told() {
    let server = TestServer::new().await;
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .with_token("nonsense")
        .get(PATH)
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let path = format!("{PATH}?access_token=nonsense");
    server.anyone().get(&path).await.is(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn the_token_may_stand_in_the_query() {
    let server = TestServer::new().await;
    let token = server.register("alice").await.access_token.unwrap();
    server
        .anyone()
        .get(&format!("{PATH}?access_token={token}"))
        .await
        .ok();
}
