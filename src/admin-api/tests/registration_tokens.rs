use serde_json::json;
use test_support::TestServer;

use crate::administrator;

const TOKENS: &str = "/_synapse/admin/v1/registration_tokens";

#[tokio::test]
async fn tokens_are_made_used_changed_and_ended() {
    let server = TestServer::with(|config| {
        config.registration.mode = config::RegistrationMode::Open;
    })
    .await;
    let admin = administrator(&server).await;
    let new = format!("{TOKENS}/new");
    let made = admin
        .post(&new, json!({ "token": "open.sesame", "uses_allowed": 1 }))
        .await
        .ok();
    assert_eq!(
        made,
        json!({ "token": "open.sesame", "uses_allowed": 1, "pending": 0, "completed": 0, "expiry_time": null })
    );
    admin
        .post(&new, json!({ "token": "open.sesame" }))
        .await
        .is(400, "M_INVALID_PARAM");
    let generated = admin.post(&new, json!({ "length": 8 })).await.ok();
    assert_eq!(generated["token"].as_str().unwrap().len(), 8);
    let one = format!("{TOKENS}/open.sesame");
    let until_ms = test_support::START_MS + 1_000;
    let changed = admin
        .put(
            &one,
            json!({ "uses_allowed": null, "expiry_time": until_ms }),
        )
        .await
        .ok();
    assert_eq!(
        (&changed["uses_allowed"], &changed["expiry_time"]),
        (&json!(null), &json!(until_ms))
    );
    let valid = |wanted: bool| format!("{TOKENS}?valid={wanted}");
    let count = |answer: serde_json::Value| answer["registration_tokens"].as_array().unwrap().len();
    assert_eq!(count(admin.get(&valid(true)).await.ok()), 2);
    server.clock.advance(1_000);
    assert_eq!(count(admin.get(&valid(true)).await.ok()), 1);
    assert_eq!(count(admin.get(&valid(false)).await.ok()), 1);
    assert_eq!(count(admin.get(TOKENS).await.ok()), 2);
    admin.delete(&one, json!({})).await.ok();
    for gone in [
        admin.get(&one).await,
        admin.delete(&one, json!({})).await,
        admin.put(&one, json!({})).await,
    ] {
        gone.is(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let new = format!("{TOKENS}/new");
    for wrong in [
        json!({ "token": "a b" }),
        json!({ "token": "" }),
        json!({ "length": 0 }),
        json!({ "length": 65 }),
        json!({ "expiry_time": 1 }),
    ] {
        admin.post(&new, wrong).await.is(400, "M_INVALID_PARAM");
    }
    admin
        .post(&new, json!({ "uses_allowed": -1 }))
        .await
        .is(400, "M_BAD_JSON");
    admin.post(&new, json!({ "token": "a" })).await.ok();
    admin
        .put(&format!("{TOKENS}/a"), json!({ "uses_allowed": "two" }))
        .await
        .is(400, "M_INVALID_PARAM");
}
