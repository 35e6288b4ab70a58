//! [Typing notifications](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications).

use serde_json::{Value, json};
use test_support::Client;

use crate::{
    events::syncing::{NOTHING, Syncer, joined, names, sync, two_in_a_room},
    rooms::{act, path},
};

async fn set(client: &Client, room: &str, body: Value) {
    client
        .put(&path(room, &format!("typing/{}", client.user_id)), body)
        .await
        .ok();
}

fn typing(answer: &Value, room: &str) -> Value {
    joined(answer, room)["ephemeral"]["events"][0]["content"]["user_ids"].clone()
}

#[tokio::test]
async fn others_see_who_is_typing() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    set(&alice, &room, json!({ "typing": true, "timeout": 30_000 })).await;
    assert_eq!(
        typing(&syncer.within(60_000).await, &room),
        json!([alice.user_id])
    );
    // To go on typing is no news.
    set(&alice, &room, json!({ "typing": true, "timeout": 30_000 })).await;
    assert_eq!(names(&syncer.next().await), NOTHING);
    assert_eq!(typing(&sync(&bob, "").await, &room), json!([alice.user_id]));
    set(&bob, &room, json!({ "typing": true, "timeout": 30_000 })).await;
    assert_eq!(
        typing(&syncer.within(60_000).await, &room),
        json!([alice.user_id, bob.user_id])
    );
    for client in [&alice, &bob] {
        set(client, &room, json!({ "typing": false })).await;
    }
    let mut last = Value::Null;
    while last != json!([]) {
        last = typing(&syncer.within(60_000).await, &room);
    }
}

#[tokio::test]
async fn typing_stops_after_the_timeout() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    set(&alice, &room, json!({ "typing": true, "timeout": 60_000 })).await;
    assert_eq!(
        typing(&syncer.within(60_000).await, &room),
        json!([alice.user_id])
    );
    // A shorter time replaces a longer one.
    set(&alice, &room, json!({ "typing": true, "timeout": 1 })).await;
    assert_eq!(typing(&syncer.within(60_000).await, &room), json!([]));
}

#[tokio::test]
async fn whoever_leaves_types_no_longer() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    set(&alice, &room, json!({ "typing": true, "timeout": 60_000 })).await;
    let mut syncer = Syncer::started(&bob).await;
    act(&alice, &room, "leave", json!({})).await;
    let mut last = Value::Null;
    while last != json!([]) {
        last = typing(&syncer.within(60_000).await, &room);
    }
}

#[tokio::test]
async fn only_members_type_and_only_for_themselves() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let carol = server.register("carol").await;
    let body = json!({ "typing": true, "timeout": 1000 });
    let of = |user: &Client, room: &str| path(room, &format!("typing/{}", user.user_id));
    alice
        .put(&of(&bob, &room), body.clone())
        .await
        .is(403, "M_FORBIDDEN");
    carol
        .put(&of(&carol, &room), body.clone())
        .await
        .is(403, "M_FORBIDDEN");
    carol
        .put(&of(&carol, "!nowhere:localhost"), body.clone())
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .put(&of(&bob, &room), body)
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .put(&of(&alice, &room), json!({ "typing": "yes" }))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .put(
            &of(&alice, &room),
            json!({ "typing": true, "timeout": 9e99 }),
        )
        .await
        .is(400, "M_BAD_JSON");
}
