use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/account/3pid";

#[tokio::test]
async fn there_is_nothing_and_that_is_told() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.get(PATH).await.ok(), json!({ "threepids": [] }));
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
}
