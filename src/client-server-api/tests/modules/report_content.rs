//! [Reporting content](https://spec.matrix.org/v1.19/client-server-api/#reporting-content).

use serde_json::{Value, json};
use store::{Scan, tables::Reports};
use test_support::TestServer;

use crate::rooms::{act, path, public, say};

async fn reports(server: &TestServer) -> Vec<Value> {
    let store = server.services.rooms.store();
    let rows = store
        .scan::<Reports>(Scan::prefix::<Reports>(&()))
        .await
        .unwrap();
    rows.iter().map(|(_, row)| row.parse().unwrap()).collect()
}

#[tokio::test]
async fn reports_are_kept_for_the_administrator() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    let event = say(&alice, &room, "rude", "1").await;
    act(&bob, &room, "join", json!({})).await;
    let reason = json!({ "reason": "rude", "score": -100 });
    assert_eq!(
        bob.post(&path(&room, &format!("report/{event}")), reason.clone())
            .await
            .ok(),
        json!({})
    );
    bob.post(&path(&room, "report"), reason.clone()).await.ok();
    let user = format!("/_matrix/client/v3/users/{}/report", alice.user_id);
    for _ in 0..2 {
        bob.post(&user, reason.clone()).await.ok();
    }
    let server = server.restart().await;
    let of = |what: Value| {
        let mut report =
            json!({ "by": "@bob:localhost", "reason": "rude", "at_ms": test_support::START_MS });
        report
            .as_object_mut()
            .unwrap()
            .extend(what.as_object().unwrap().clone());
        report
    };
    let user = of(json!({ "what": "user", "user_id": alice.user_id }));
    assert_eq!(
        reports(&server).await,
        [
            of(json!({ "what": "event", "room_id": room, "event_id": event })),
            of(json!({ "what": "room", "room_id": room })),
            user.clone(),
            user,
        ]
    );
}

#[tokio::test]
async fn only_what_is_there_can_be_reported() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    let event = say(&alice, &room, "rude", "1").await;
    let report = path(&room, &format!("report/{event}"));
    let body = json!({ "reason": "rude" });
    // Not in the room, though it is open to them.
    bob.post(&report, body.clone()).await.is(404, "M_NOT_FOUND");
    server
        .anyone()
        .post(&report, body.clone())
        .await
        .is(401, "M_MISSING_TOKEN");
    for path in [
        path(&room, "report/$none"),
        path("!none:localhost", "report"),
        "/_matrix/client/v3/users/@none:localhost/report".to_owned(),
    ] {
        alice.post(&path, body.clone()).await.is(404, "M_NOT_FOUND");
    }
    alice
        .post(&report, json!({ "reason": 7 }))
        .await
        .is(400, "M_BAD_JSON");
    let long = json!({ "reason": "x".repeat(5_000) });
    alice.post(&report, long).await.is(413, "M_TOO_LARGE");
    assert_eq!(reports(&server).await.len(), 0);
}
