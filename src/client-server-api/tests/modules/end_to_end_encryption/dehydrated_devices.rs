use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{identity, query};

const PATH: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";

fn device(client: &Client, device_id: &str) -> Value {
    let mut as_device = client.clone();
    device_id.clone_into(&mut as_device.device_id);
    let mut keys = identity(&as_device);
    keys["dehydrated"] = json!(true);
    json!({
        "device_id": device_id,
        "initial_device_display_name": "Dehydrated device",
        "device_data": { "algorithm": "org.matrix.msc3814.v2", "device_pickle": "cGlja2xl", "nonce": "bm9uY2U" },
        "device_keys": keys,
        "one_time_keys": super::one_time_keys(0..2),
    })
}

async fn send(client: &Client, to: &Client, txn: u32) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    let body = json!({ "messages": { &to.user_id: { "*": { "n": txn } } } });
    client.put(&path, body).await.ok();
}

#[tokio::test]
async fn messages_wait_for_a_dehydrated_device() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    alice.get(PATH).await.is(404, "M_NOT_FOUND");
    let sent = device(&alice, "DEHYDRATED");
    assert_eq!(
        alice.put(PATH, sent.clone()).await.ok(),
        json!({ "device_id": "DEHYDRATED" })
    );
    let expected = json!({ "device_id": "DEHYDRATED", "device_data": sent["device_data"] });
    assert_eq!(alice.get(PATH).await.ok(), expected);
    let answer = query(&bob, &alice.user_id).await;
    let shown = &answer["device_keys"][&alice.user_id]["DEHYDRATED"];
    assert_eq!(shown["dehydrated"], true);

    for txn in 0..120 {
        send(&bob, &alice, txn).await;
    }
    let path = format!("{PATH}/DEHYDRATED/events");
    let (mut body, mut told) = (json!({}), Vec::new());
    loop {
        let answer = alice.post(&path, body).await.ok();
        let events = answer["events"].as_array().unwrap().clone();
        if events.is_empty() {
            break;
        }
        assert!(events.len() <= 100);
        told.extend(
            events
                .iter()
                .map(|event| event["content"]["n"].as_u64().unwrap()),
        );
        body = json!({ "next_batch": answer["next_batch"] });
    }
    assert_eq!(told, (0..120).collect::<Vec<_>>());
    alice
        .post(&format!("{PATH}/OTHER/events"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    alice
        .post(&path, json!({ "next_batch": "x" }))
        .await
        .is(400, "M_INVALID_PARAM");

    alice.put(PATH, device(&alice, "SECOND")).await.ok();
    alice.post(&path, json!({})).await.is(403, "M_FORBIDDEN");
    assert_eq!(
        alice.delete(PATH, json!({})).await.ok(),
        json!({ "device_id": "SECOND" })
    );
    alice.delete(PATH, json!({})).await.is(404, "M_NOT_FOUND");
    let answer = query(&bob, &alice.user_id).await;
    assert_eq!(answer["device_keys"][&alice.user_id], json!({}));
}

#[tokio::test]
async fn what_is_no_dehydrated_device_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let in_use = device(&alice, &alice.device_id);
    alice.put(PATH, in_use).await.is(400, "M_INVALID_PARAM");
    alice
        .put(PATH, device(&bob, "D"))
        .await
        .is(400, "M_INVALID_PARAM");
    alice.put(PATH, json!({})).await.is(400, "M_BAD_JSON");
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .put(PATH, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_dehydrated_device_is_listed_and_deleted_like_the_others() {
    const DEVICES: &str = "/_matrix/client/v3/devices";
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    alice.put(PATH, device(&alice, "DEHYDRATED")).await.ok();
    let listed = alice.get(DEVICES).await.ok();
    let listed = listed["devices"].as_array().unwrap();
    let shown = json!({ "device_id": "DEHYDRATED", "display_name": "Dehydrated device" });
    assert_eq!((listed.len(), &listed[1]), (2, &shown));
    let own = format!("{DEVICES}/DEHYDRATED");
    assert_eq!(alice.get(&own).await.ok(), shown);
    bob.get(&own).await.is(404, "M_NOT_FOUND");

    let auth = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password-of-alice",
    });
    alice.delete(&own, json!({ "auth": auth })).await.ok();
    alice.get(PATH).await.is(404, "M_NOT_FOUND");
    assert_eq!(
        alice.get(DEVICES).await.ok()["devices"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    alice.put(PATH, device(&alice, "NEXT")).await.ok();
    let body = json!({ "devices": ["NEXT", "UNKNOWN"], "auth": auth });
    let place = "/_matrix/client/v3/delete_devices";
    alice.post(place, body).await.ok();
    alice.get(PATH).await.is(404, "M_NOT_FOUND");
}
