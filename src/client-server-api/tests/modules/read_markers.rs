//! [Read markers](https://spec.matrix.org/v1.19/client-server-api/#read-and-unread-markers).

use serde_json::json;

use crate::{
    events::syncing::{Syncer, joined, say, two_in_a_room, words},
    rooms::path,
};

#[tokio::test]
async fn markers_are_account_data_and_receipts() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let event_id = say(&alice, &room, "one").await;
    let mut syncer = Syncer::started(&bob).await;
    let body = json!({ "m.fully_read": event_id, "m.read": event_id, "m.read.private": event_id });
    bob.post(&path(&room, "read_markers"), body).await.ok();
    let answer = syncer.next().await;
    let told = joined(&answer, &room);
    assert_eq!(
        told["account_data"]["events"],
        json!([{ "type": "m.fully_read", "content": { "event_id": event_id } }])
    );
    let content = &told["ephemeral"]["events"][0]["content"][&event_id];
    assert!(
        content["m.read"].is_object() && content["m.read.private"].is_object(),
        "{content}"
    );
    assert_eq!(told["unread_notifications"]["notification_count"], 0);

    let event_id = say(&alice, &room, "two").await;
    syncer.next().await;
    bob.post(
        &path(&room, &format!("receipt/m.fully_read/{event_id}")),
        json!({}),
    )
    .await
    .ok();
    let answer = syncer.next().await;
    assert_eq!(
        words(&joined(&answer, &room)["account_data"]["events"]),
        ["m.fully_read"]
    );
}

#[tokio::test]
async fn who_may_set_which_marker() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let carol = server.register("carol").await;
    let event_id = say(&alice, &room, "one").await;
    let markers = path(&room, "read_markers");
    server
        .anyone()
        .post(&markers, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    for marker in ["m.fully_read", "m.read"] {
        carol
            .post(&markers, json!({ marker: event_id }))
            .await
            .is(403, "M_FORBIDDEN");
        bob.post(&markers, json!({ marker: "$unknown" }))
            .await
            .is(404, "M_NOT_FOUND");
        bob.post(&markers, json!({ marker: 3 }))
            .await
            .is(400, "M_BAD_JSON");
    }
    bob.post(&markers, json!({})).await.ok();
}
