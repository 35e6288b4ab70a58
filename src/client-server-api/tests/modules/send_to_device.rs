//! [Send-to-device messaging](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::events::syncing::{Syncer, sync};

fn path(txn: impl std::fmt::Display) -> String {
    format!("/_matrix/client/v3/sendToDevice/m.test/{txn}")
}

async fn send(client: &Client, txn: u32, (user_id, device_id): (&str, &str)) {
    let body = json!({ "messages": { user_id: { device_id: { "n": txn } } } });
    assert_eq!(client.put(&path(txn), body).await.ok(), json!({}));
}

fn told(answer: &Value) -> Vec<u64> {
    let events = answer["to_device"]["events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    events
        .iter()
        .map(|event| event["content"]["n"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_message_reaches_its_device_and_no_other_until_it_is_acknowledged() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let other = server.login("bob").await;
    let mut bobs = Syncer::started(&bob).await;
    send(&alice, 1, (&bob.user_id, &bob.device_id)).await;
    let since = bobs.since.clone();
    for _ in 0..2 {
        // Until the next token comes, the answer may have been lost.
        bobs.since.clone_from(&since);
        let answer = bobs.next().await;
        let expected = json!({ "type": "m.test", "sender": alice.user_id, "content": { "n": 1 } });
        assert_eq!(answer["to_device"]["events"], json!([expected]));
    }
    assert!(told(&sync(&other, "").await).is_empty());
    assert!(bobs.next().await.get("to_device").is_none());
    // Nobody waits for the deletion; whoever waits for a later commit has waited for it too.
    send(&alice, 2, (&alice.user_id, &alice.device_id)).await;
    assert!(
        told(&sync(&bob, "").await).is_empty(),
        "it was acknowledged"
    );
}

#[tokio::test]
async fn a_star_means_every_device_and_a_call_counts_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let other = server.login("bob").await;
    for _ in 0..2 {
        send(&alice, 1, (&bob.user_id, "*")).await;
    }
    let server = server.restart().await;
    let again = |client: &Client| {
        server
            .anyone()
            .with_token(client.access_token.as_deref().unwrap())
    };
    send(&again(&alice), 1, (&bob.user_id, "*")).await;
    for client in [&bob, &other] {
        assert_eq!(told(&sync(&again(client), "").await), [1]);
    }
    // Alice's other device may use the same name for another call.
    send(&server.login("alice").await, 1, (&bob.user_id, "*")).await;
    assert_eq!(told(&sync(&again(&bob), "").await), [1, 1]);
}

#[tokio::test]
async fn a_long_queue_comes_a_hundred_at_a_time_and_holds_up_nothing_else() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let mut bobs = Syncer::started(&bob).await;
    for txn in 0..250 {
        send(&alice, txn, (&bob.user_id, &bob.device_id)).await;
    }
    let room = crate::rooms::create(&bob, json!({})).await;
    let first = bobs.next().await;
    assert!(
        first["rooms"]["join"][&room].is_object(),
        "the room is told with the first"
    );
    // The answer is lost, and asked for again.
    let mut all = told(&first);
    assert_eq!(all.len(), 100);
    send(&alice, 250, (&bob.user_id, &bob.device_id)).await;
    // There is more, so nobody waits.
    let second = bobs.within(30_000).await;
    assert!(second.get("rooms").is_none());
    all.extend(told(&second));
    all.extend(told(&bobs.next().await));
    assert_eq!(all, (0..251).collect::<Vec<_>>());
    assert!(told(&bobs.next().await).is_empty());
    assert!(!bobs.since.unwrap().contains('~'));
}

#[tokio::test]
async fn a_first_sync_tells_a_long_queue_as_well() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for txn in 0..150 {
        send(&alice, txn, (&alice.user_id, &alice.device_id)).await;
    }
    let mut syncer = Syncer::new(&alice);
    let mut all = told(&syncer.next().await);
    let token = syncer.since.clone().unwrap();
    // The token does for other endpoints too.
    let changes = format!("/_matrix/client/v3/keys/changes?from={token}&to={token}");
    alice.get(&changes).await.ok();
    all.extend(told(&syncer.next().await));
    assert_eq!(all, (0..150).collect::<Vec<_>>());
    alice
        .get(&format!("/_matrix/client/v3/sync?since={token}x"))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_message_wakes_who_waits() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let mut syncer = Syncer::started(&alice).await;
    let began = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(
        syncer.within(60_000),
        send(&alice, 1, (&alice.user_id, &alice.device_id))
    );
    assert!(began.elapsed().as_secs() < 30);
    assert_eq!(told(&answer), [1]);
}

#[tokio::test]
async fn messages_to_nobody_are_passed_over_and_bad_ones_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let nobody = ["@nobody:localhost", "@x:elsewhere", &alice.user_id];
    for (txn, user_id) in (1..).zip(nobody) {
        send(&alice, txn, (user_id, "NODEVICE")).await;
    }
    assert!(told(&sync(&alice, "").await).is_empty());
    let to = |content: Value| json!({ "messages": { &alice.user_id: { "*": content } } });
    alice
        .put(&path("a"), to(json!(5)))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .put(&path("a"), to(json!([])))
        .await
        .is(400, "M_BAD_JSON");
    alice.put(&path("a"), json!({})).await.is(400, "M_BAD_JSON");
    alice
        .put(&path("a"), json!({ "messages": { "alice": {} } }))
        .await
        .is(400, "M_BAD_JSON");
    let large = json!({ "x": "x".repeat(70_000) });
    alice
        .put(&path("a"), to(large))
        .await
        .is(413, "M_TOO_LARGE");
    alice
        .put(&path("x".repeat(300)), to(json!({})))
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .anyone()
        .put(&path("a"), to(json!({})))
        .await
        .is(401, "M_MISSING_TOKEN");
    assert!(told(&sync(&alice, "").await).is_empty());
}

#[tokio::test]
async fn the_type_is_kept_as_spelled() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v3/sendToDevice/org.example%2Fstrange%20type/1";
    let body = json!({ "messages": { &alice.user_id: { "*": {} } } });
    alice.put(path, body).await.ok();
    let answer = sync(&alice, "").await;
    assert_eq!(
        answer["to_device"]["events"][0]["type"],
        "org.example/strange type"
    );
}

#[tokio::test]
async fn messages_go_with_their_device() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let second = server.login("alice").await;
    send(&alice, 1, (&alice.user_id, &second.device_id)).await;
    second
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password-of-alice",
        "device_id": second.device_id,
    });
    let answer = alice.post("/_matrix/client/v3/login", body).await.ok();
    let again = alice.with_token(answer["access_token"].as_str().unwrap());
    assert!(told(&sync(&again, "").await).is_empty());
}
