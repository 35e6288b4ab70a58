//! [Third-party networks](https://spec.matrix.org/v1.19/client-server-api/#third-party-networks).

use serde_json::json;
use test_support::TestServer;

fn path(rest: &str) -> String {
    format!("/_matrix/client/v3/thirdparty/{rest}")
}

#[tokio::test]
async fn there_are_no_other_networks() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.get(&path("protocols")).await.ok(), json!({}));
    alice
        .get(&path("protocol/irc"))
        .await
        .is(404, "M_NOT_FOUND");
    for rest in [
        "location/irc?channel=x",
        "user/im.vector.protocol.sip_virtual?native_mxid=@a:b",
        "location?alias=%23a:b",
        "user?userid=@a:b",
    ] {
        assert_eq!(alice.get(&path(rest)).await.ok(), json!([]), "{rest}");
        server
            .anyone()
            .get(&path(rest))
            .await
            .is(401, "M_MISSING_TOKEN");
    }
    server
        .anyone()
        .get(&path("protocols"))
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .get(&path("user?userid=nobody"))
        .await
        .is(400, "M_INVALID_PARAM");
}
