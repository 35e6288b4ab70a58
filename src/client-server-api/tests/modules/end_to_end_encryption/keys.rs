use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{identity, one_time_keys, query, upload, upload_identity};
use crate::events::syncing::{Syncer, sync};

const CLAIM: &str = "/_matrix/client/v3/keys/claim";

async fn claim(client: &Client, of: &Client) -> Value {
    let body = json!({ "one_time_keys": { &of.user_id: { &of.device_id: "signed_curve25519" } } });
    let answer = client.post(CLAIM, body).await.ok();
    answer["one_time_keys"][&of.user_id][&of.device_id].clone()
}

#[tokio::test]
async fn keys_are_uploaded_queried_and_claimed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let keys = identity(&alice);
    let body = json!({ "device_keys": keys, "one_time_keys": one_time_keys(0..2) });
    for _ in 0..2 {
        let answer = upload(&alice, body.clone()).await.ok();
        assert_eq!(
            answer,
            json!({ "one_time_key_counts": { "signed_curve25519": 2 } })
        );
    }
    let answer = query(&bob, &alice.user_id).await;
    let device = &answer["device_keys"][&alice.user_id][&alice.device_id];
    assert_eq!(device["keys"], keys["keys"]);
    assert_eq!(device["signatures"], keys["signatures"]);
    assert_eq!(device["algorithms"], keys["algorithms"]);

    let (first, second) = (claim(&bob, &alice).await, claim(&bob, &alice).await);
    assert_ne!(first, second);
    assert!(
        first["signed_curve25519:0000"]["key"].is_string(),
        "{first}"
    );
    assert_eq!(claim(&bob, &alice).await, Value::Null);
    let answer = upload(&alice, json!({})).await.ok();
    assert_eq!(
        answer,
        json!({ "one_time_key_counts": { "signed_curve25519": 0 } })
    );
}

#[tokio::test]
async fn every_sync_tells_what_others_can_claim() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let mut syncer = Syncer::new(&alice);
    let answer = syncer.next().await;
    assert_eq!(
        answer["device_one_time_keys_count"],
        json!({ "signed_curve25519": 0 })
    );
    assert_eq!(answer["device_unused_fallback_key_types"], json!([]));
    let fallback = json!({ "signed_curve25519:f": { "key": "a2V5", "fallback": true } });
    let body = json!({ "one_time_keys": one_time_keys(0..1), "fallback_keys": fallback });
    upload(&alice, body).await.ok();
    let answer = syncer.next().await;
    assert_eq!(
        answer["device_one_time_keys_count"],
        json!({ "signed_curve25519": 1 })
    );
    assert_eq!(
        answer["device_unused_fallback_key_types"],
        json!(["signed_curve25519"])
    );
    claim(&bob, &alice).await;
    let answer = syncer.next().await;
    assert_eq!(
        answer["device_one_time_keys_count"],
        json!({ "signed_curve25519": 0 })
    );
    assert_eq!(
        answer["device_unused_fallback_key_types"],
        json!(["signed_curve25519"])
    );
    for _ in 0..2 {
        let key = claim(&bob, &alice).await;
        assert_eq!(key["signed_curve25519:f"]["fallback"], true);
    }
    assert_eq!(
        syncer.next().await["device_unused_fallback_key_types"],
        json!([])
    );
    let other = server.login("alice").await;
    assert_eq!(
        sync(&other, "").await["device_one_time_keys_count"],
        json!({ "signed_curve25519": 0 })
    );
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let keys = json!({ "device_keys": identity(&bob) });
    upload(&alice, keys).await.is(400, "M_INVALID_PARAM");
    upload(&alice, json!({ "device_keys": {} }))
        .await
        .is(400, "M_BAD_JSON");
    upload(&alice, json!({ "device_keys": 5 }))
        .await
        .is(400, "M_BAD_JSON");
    upload(&alice, json!({ "one_time_keys": { "x": {} } }))
        .await
        .is(400, "M_BAD_JSON");
    upload(&alice, json!({ "one_time_keys": { "a:b": 5 } }))
        .await
        .is(400, "M_BAD_JSON");
    upload(&alice, json!({ "one_time_keys": one_time_keys(0..1) }))
        .await
        .ok();
    let other = json!({ "signed_curve25519:0000": { "key": "other" } });
    upload(&alice, json!({ "one_time_keys": other }))
        .await
        .is(400, "M_INVALID_PARAM");
    alice.post(CLAIM, json!({})).await.is(400, "M_BAD_JSON");
    alice
        .post(CLAIM, json!({ "one_time_keys": { "alice": {} } }))
        .await
        .is(400, "M_BAD_JSON");
    let query = "/_matrix/client/v3/keys/query";
    alice.post(query, json!({})).await.is(400, "M_BAD_JSON");
    alice
        .post(query, json!({ "device_keys": [] }))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .post(query, json!({ "device_keys": { "alice": [] } }))
        .await
        .is(400, "M_BAD_JSON");
    for path in ["from=x&to=x", "from=x", ""] {
        let path = format!("/_matrix/client/v3/keys/changes?{path}");
        alice.get(&path).await.is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn only_users_ask() {
    let server = TestServer::new().await;
    for path in [
        "keys/upload",
        "keys/query",
        "keys/claim",
        "keys/signatures/upload",
        "keys/device_signing/upload",
    ] {
        let path = format!("/_matrix/client/v3/{path}");
        server
            .anyone()
            .post(&path, json!({}))
            .await
            .is(401, "M_MISSING_TOKEN");
    }
    let path = "/_matrix/client/v3/keys/changes?from=a&to=b";
    server.anyone().get(path).await.is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn who_is_not_known_is_left_out_and_who_is_elsewhere_is_told() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let body =
        json!({ "device_keys": { "@nobody:localhost": [], "@x:elsewhere": [], &bob.user_id: [] } });
    let path = "/_matrix/client/v3/keys/query";
    let answer = alice.post(path, body).await.ok();
    assert_eq!(
        answer["device_keys"],
        json!({ &bob.user_id: {} }),
        "bob has no keys"
    );
    assert!(answer["failures"]["elsewhere"].is_object());
    let claims = json!({ "A": "signed_curve25519" });
    let body = json!({ "one_time_keys": { "@nobody:localhost": claims, "@x:elsewhere": claims, &bob.user_id: claims } });
    let answer = alice.post(CLAIM, body).await.ok();
    assert_eq!(answer["one_time_keys"], json!({}));
    assert!(answer["failures"]["elsewhere"].is_object());
}

#[tokio::test]
async fn answers_have_all_their_members_even_empty_ones() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let answer = query(&alice, "@nobody:localhost").await;
    assert_eq!(
        answer,
        json!({
            "device_keys": {},
            "failures": {},
            "master_keys": {},
            "self_signing_keys": {},
            "user_signing_keys": {},
        })
    );
    let answer = alice.post(CLAIM, json!({ "one_time_keys": {} })).await.ok();
    assert_eq!(answer, json!({ "failures": {}, "one_time_keys": {} }));
}

#[tokio::test]
async fn a_devices_name_and_its_end_show_in_its_keys() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let second = server.login("alice").await;
    upload_identity(&alice).await;
    upload_identity(&second).await;
    let path = format!("/_matrix/client/v3/devices/{}", second.device_id);
    alice
        .put(&path, json!({ "display_name": "Telephone" }))
        .await
        .ok();
    let answer = query(&bob, &alice.user_id).await;
    let devices = &answer["device_keys"][&alice.user_id];
    assert_eq!(
        devices[&second.device_id]["unsigned"]["device_display_name"],
        "Telephone"
    );
    second
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    let answer = query(&bob, &alice.user_id).await;
    let devices = answer["device_keys"][&alice.user_id].as_object().unwrap();
    assert_eq!(devices.keys().collect::<Vec<_>>(), [&alice.device_id]);
    assert_eq!(claim(&bob, &second).await, Value::Null);
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    upload_identity(&alice).await;
    upload(&alice, json!({ "one_time_keys": one_time_keys(0..3) }))
        .await
        .ok();
    let server = server.restart().await;
    let bob = server.register("bob").await;
    let answer = query(&bob, &alice.user_id).await;
    assert!(answer["device_keys"][&alice.user_id][&alice.device_id].is_object());
    assert!(claim(&bob, &alice).await.is_object());
}
