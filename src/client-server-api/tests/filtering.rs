use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/user/@alice:localhost/filter";

#[tokio::test]
async fn a_filter_is_kept_as_it_came_and_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let filter = json!({
        "room": { "timeline": { "limit": 20 }, "state": { "lazy_load_members": true } },
        "org.example.unknown": [1],
    });
    let id = alice.post(PATH, filter.clone()).await.ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!id.starts_with('{'));
    assert_eq!(alice.get(&format!("{PATH}/{id}")).await.ok(), filter);
    assert_eq!(alice.post(PATH, filter.clone()).await.ok()["filter_id"], id);
    assert_ne!(alice.post(PATH, json!({})).await.ok()["filter_id"], id);
    let server = server.restart().await;
    let alice = server.login("alice").await;
    assert_eq!(alice.get(&format!("{PATH}/{id}")).await.ok(), filter);
}

#[tokio::test]
async fn filters_are_private() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let id = alice.post(PATH, json!({})).await.ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.get(&format!("{PATH}/{id}"))
        .await
        .is(403, "M_FORBIDDEN");
    bob.post(PATH, json!({})).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&format!("{PATH}/{id}"))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .post(PATH, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn what_is_no_filter_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for body in [
        json!([]),
        json!({ "room": 7 }),
        json!({ "room": { "timeline": { "limit": "x" } } }),
    ] {
        alice.post(PATH, body).await.is(400, "M_BAD_JSON");
    }
    let large = json!({ "event_fields": ["x".repeat(70_000)] });
    alice.post(PATH, large).await.is(413, "M_TOO_LARGE");
    for id in ["1", "-1", "x", "99999999999999999999", "%7B%7D"] {
        alice
            .get(&format!("{PATH}/{id}"))
            .await
            .is(404, "M_NOT_FOUND");
    }
}
