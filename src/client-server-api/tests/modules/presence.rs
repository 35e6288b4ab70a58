//! [Presence](https://spec.matrix.org/v1.19/client-server-api/#presence).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::{
    events::syncing::{Syncer, sync},
    rooms::{act, public},
};

fn status(user: &Client) -> String {
    format!("/_matrix/client/v3/presence/{}/status", user.user_id)
}

fn of<'a>(answer: &'a Value, user: &Client) -> Option<&'a Value> {
    let events = answer["presence"]["events"].as_array()?;
    events
        .iter()
        .find(|event| event["sender"] == user.user_id.as_str())
        .map(|event| &event["content"])
}

async fn wait_for(syncer: &mut Syncer, user: &Client, state: &str) -> Value {
    loop {
        let answer = syncer.within(60_000).await;
        if let Some(content) = of(&answer, user).filter(|content| content["presence"] == state) {
            return content.clone();
        }
    }
}

#[tokio::test]
async fn those_who_share_a_room_see_who_is_online() {
    let server = TestServer::new().await;
    let (alice, bob, carol) = (
        server.register("alice").await,
        server.register("bob").await,
        server.register("carol").await,
    );
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let (mut bobs, mut carols) = (Syncer::started(&bob).await, Syncer::started(&carol).await);
    bob.get(&status(&alice)).await.is(404, "M_NOT_FOUND");
    sync(&alice, "").await;
    wait_for(&mut bobs, &alice, "online").await;
    alice
        .put(
            &status(&alice),
            json!({ "presence": "unavailable", "status_msg": "lunch" }),
        )
        .await
        .ok();
    let content = wait_for(&mut bobs, &alice, "unavailable").await;
    assert_eq!(
        (&content["status_msg"], &content["last_active_ago"]),
        (&json!("lunch"), &json!(0))
    );
    assert_eq!(bob.get(&status(&alice)).await.ok()["status_msg"], "lunch");
    assert_eq!(
        alice.get(&status(&alice)).await.ok()["presence"],
        "unavailable"
    );
    // A first sync tells of those who are there; strangers hear nothing.
    assert!(of(&sync(&bob, "").await, &alice).is_some());
    assert!(of(&carols.next().await, &alice).is_none());
    carol.get(&status(&alice)).await.is(403, "M_FORBIDDEN");
    carol
        .get("/_matrix/client/v3/presence/@nobody:localhost/status")
        .await
        .is(403, "M_FORBIDDEN");
    // Who comes in is introduced.
    act(&carol, &room, "join", json!({})).await;
    wait_for(&mut carols, &bob, "online").await;
    wait_for(&mut bobs, &carol, "online").await;
    let filter = json!({ "presence": { "not_types": ["m.presence"] } });
    assert_eq!(
        Syncer::filtered(&bob, &filter).next().await["presence"],
        Value::Null
    );
}

#[tokio::test]
async fn a_client_may_sync_unseen() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    sync(&alice, "set_presence=offline").await;
    bob.get(&status(&alice)).await.is(404, "M_NOT_FOUND");
    sync(&alice, "set_presence=unavailable").await;
    assert_eq!(
        bob.get(&status(&alice)).await.ok()["presence"],
        "unavailable"
    );
}

#[tokio::test]
async fn the_silent_are_idle_and_then_offline() {
    let server = TestServer::with(|config| {
        config.presence.idle_after_ms = 20;
        config.presence.offline_after_ms = 60;
    })
    .await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let mut bobs = Syncer::started(&bob).await;
    alice
        .put(&status(&alice), json!({ "presence": "online" }))
        .await
        .ok();
    wait_for(&mut bobs, &alice, "online").await;
    wait_for(&mut bobs, &alice, "unavailable").await;
    wait_for(&mut bobs, &alice, "offline").await;
}

#[tokio::test]
async fn presence_is_set_by_oneself_in_the_specs_words() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    server
        .anyone()
        .get(&status(&alice))
        .await
        .is(401, "M_MISSING_TOKEN");
    bob.put(&status(&alice), json!({ "presence": "online" }))
        .await
        .is(403, "M_FORBIDDEN");
    alice
        .put(&status(&alice), json!({ "presence": "asleep" }))
        .await
        .is(400, "M_INVALID_PARAM");
    alice
        .put(&status(&alice), json!({}))
        .await
        .is(400, "M_BAD_JSON");
    let long = "x".repeat(5_000);
    alice
        .put(
            &status(&alice),
            json!({ "presence": "online", "status_msg": long }),
        )
        .await
        .is(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn presence_can_be_switched_off() {
    let server = TestServer::with(|config| config.presence.enabled = false).await;
    let alice = server.register("alice").await;
    alice
        .put(&status(&alice), json!({ "presence": "online" }))
        .await
        .ok();
    alice.get(&status(&alice)).await.is(404, "M_NOT_FOUND");
}
