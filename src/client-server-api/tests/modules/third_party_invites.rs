//! [Third-party invites](https://spec.matrix.org/v1.19/client-server-api/#third-party-invites).

use serde_json::json;
use test_support::TestServer;

use crate::rooms::{path, public, timeline};

#[tokio::test]
async fn nobody_is_invited_by_email() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let before = timeline(&alice, &room).await.len();
    let invite = path(&room, "invite");
    let body = json!({
        "id_server": "example.org", "id_access_token": "t", "medium": "email",
        "address": "bob@example.org",
    });
    alice
        .post(&invite, body.clone())
        .await
        .is(403, "M_THREEPID_DENIED");
    bob.post(&invite, body.clone()).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .post(&invite, body)
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .post(&invite, json!({ "medium": "email" }))
        .await
        .is(400, "M_BAD_JSON");
    assert_eq!(timeline(&alice, &room).await.len(), before);
}
