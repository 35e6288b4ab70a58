use serde_json::json;
use test_support::TestServer;

use super::{CROSS_SIGNING, cross_signing, public, query, signed, upload_identity};

const SIGNATURES: &str = "/_matrix/client/v3/keys/signatures/upload";

#[tokio::test]
async fn the_first_keys_and_the_same_keys_need_no_password_and_others_do() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for _ in 0..2 {
        let keys = cross_signing(&alice, "master");
        assert_eq!(alice.post(CROSS_SIGNING, keys).await.ok(), json!({}));
    }
    let mut others = cross_signing(&alice, "other");
    let challenge = alice.post(CROSS_SIGNING, others.clone()).await;
    assert_eq!(challenge.status, 401);
    assert!(challenge.json["flows"].is_array(), "{}", challenge.json);
    let answer = query(&bob, &alice.user_id).await;
    let shown = &answer["master_keys"][&alice.user_id];
    assert_eq!(*shown, cross_signing(&alice, "master")["master_key"]);

    others["auth"] = json!({
        "type": "m.login.password",
        "session": challenge.json["session"],
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password-of-alice",
    });
    alice.post(CROSS_SIGNING, others).await.ok();
    let expected = cross_signing(&alice, "other");
    let answer = query(&bob, &alice.user_id).await;
    assert_eq!(
        answer["master_keys"][&alice.user_id],
        expected["master_key"]
    );
    assert_eq!(
        answer["self_signing_keys"][&alice.user_id],
        expected["self_signing_key"]
    );
    assert!(answer["user_signing_keys"].get(&alice.user_id).is_none());
    let answer = query(&alice, &alice.user_id).await;
    assert_eq!(
        answer["user_signing_keys"][&alice.user_id],
        expected["user_signing_key"]
    );
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let post = |body| alice.post(CROSS_SIGNING, body);
    post(json!({})).await.is(400, "M_MISSING_PARAM");
    post(json!({ "master_key": {} }))
        .await
        .is(400, "M_BAD_JSON");
    post(cross_signing(&bob, "master"))
        .await
        .is(400, "M_INVALID_PARAM");
    let mut unsigned = cross_signing(&alice, "master");
    unsigned["self_signing_key"]["signatures"] = json!({});
    post(unsigned).await.is(400, "M_INVALID_SIGNATURE");
    let mut without = cross_signing(&alice, "master");
    without.as_object_mut().unwrap().remove("master_key");
    post(without).await.is(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn signatures_are_merged_into_what_is_served_and_bad_ones_are_told() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let device = upload_identity(&alice).await;
    alice
        .post(CROSS_SIGNING, cross_signing(&alice, "master"))
        .await
        .ok();
    let seed = format!("{} self", alice.user_id);
    let good = signed(&device, &alice.user_id, (&seed, &public(&seed)));
    let bad = signed(&device, &alice.user_id, ("wrong", &public(&seed)));
    let body = |key: &serde_json::Value| json!({ &alice.user_id: { &alice.device_id: key } });
    let answer = alice.post(SIGNATURES, body(&bad)).await.ok();
    let failure = &answer["failures"][&alice.user_id][&alice.device_id];
    assert_eq!(failure["errcode"], "M_INVALID_SIGNATURE");
    let answer = bob.post(SIGNATURES, body(&good)).await.ok();
    let failure = &answer["failures"][&alice.user_id][&alice.device_id];
    assert_eq!(
        failure["errcode"], "M_NOT_FOUND",
        "nobody signs another's devices"
    );
    for _ in 0..2 {
        assert_eq!(alice.post(SIGNATURES, body(&good)).await.ok(), json!({}));
    }
    let answer = query(&bob, &alice.user_id).await;
    let shown = &answer["device_keys"][&alice.user_id][&alice.device_id];
    assert_eq!(shown["signatures"], good["signatures"]);
    assert_eq!(
        shown["signatures"][&alice.user_id]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    alice
        .post(SIGNATURES, json!({ "alice": {} }))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .post(SIGNATURES, json!({ "@a:localhost": [] }))
        .await
        .is(400, "M_BAD_JSON");
}
