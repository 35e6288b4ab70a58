//! [OpenID](https://spec.matrix.org/v1.19/client-server-api/#openid).

use serde_json::json;
use test_support::TestServer;

#[tokio::test]
async fn a_token_proves_who_somebody_is_for_an_hour() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!(
        "/_matrix/client/v3/user/{}/openid/request_token",
        alice.user_id
    );
    let answer = alice.post(&path, json!({})).await.ok();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["matrix_server_name"], "localhost");
    assert_eq!(answer["expires_in"], 3600);
    let again = alice.post(&path, json!({})).await.ok();
    assert_ne!(again["access_token"], token.as_str());
    // It opens nothing here.
    let thief = alice.with_token(&token);
    thief
        .get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");

    bob.post(&path, json!({})).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .post(&path, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    let wrong = "/_matrix/client/v3/user/alice/openid/request_token";
    alice
        .post(wrong, json!({}))
        .await
        .is(400, "M_INVALID_PARAM");

    let server = server.restart().await;
    let users = &server.services.users;
    let user = users.openid_user(&token).await.unwrap();
    assert_eq!(user.unwrap(), "@alice:localhost");
    server.clock.advance(3_600_000);
    assert_eq!(
        server.services.users.openid_user(&token).await.unwrap(),
        None
    );
    assert_eq!(
        server.services.users.openid_user("myo_x").await.unwrap(),
        None
    );
}
