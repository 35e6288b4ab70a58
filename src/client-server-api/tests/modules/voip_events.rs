//! [Voice over IP](https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip).

use config::Secret;
use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/voip/turnServer";

#[tokio::test]
async fn without_a_relay_the_answer_is_empty() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.get(PATH).await.ok(), json!({}));
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn the_relay_knows_the_password() {
    let server = TestServer::with(|config| {
        config.calls.turn_uris = vec!["turn:turn.example.org?transport=udp".to_owned()];
        config.calls.turn_shared_secret = Some(Secret::new(
            "n0t4ctuAllymatr1Xd0TorgSshar3d5ecret4obvIousreAsons",
        ));
        config.calls.turn_lifetime_ms = 3_600_000;
    })
    .await;
    let alice = server.register("alice").await;
    let answer = alice.get(PATH).await.ok();
    assert_eq!(
        answer,
        json!({
            "username": "1770003600:@alice:localhost",
            // echo -n USERNAME | openssl dgst -sha1 -hmac SECRET -binary | base64
            "password": "ABBoslvXwPUBS/lDTLIs4YdTAiw=",
            "uris": ["turn:turn.example.org?transport=udp"],
            "ttl": 3600,
        })
    );
    assert_eq!(alice.get(PATH).await.ok(), answer);
}
