use serde_json::json;
use test_support::{Client, TestServer};

async fn tags(user: &Client) -> (String, String) {
    let room = user
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap_or_default().to_owned();
    (
        format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", user.user_id),
        room,
    )
}

#[tokio::test]
async fn tags_are_set_changed_and_removed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let (path, room) = tags(&alice).await;
    assert_eq!(alice.get(&path).await.ok(), json!({ "tags": {} }));
    alice
        .put(&format!("{path}/m.favourite"), json!({ "order": 0.5 }))
        .await
        .ok();
    alice
        .put(
            &format!("{path}/u.work"),
            json!({ "org.example.colour": "red" }),
        )
        .await
        .ok();
    alice
        .put(&format!("{path}/m.favourite"), json!({ "order": 0.25 }))
        .await
        .ok();
    let expected = json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.work": { "org.example.colour": "red" } } });
    assert_eq!(alice.get(&path).await.ok(), expected);
    let account_data = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.tag",
        alice.user_id
    );
    assert_eq!(alice.get(&account_data).await.ok(), expected);
    for _ in 0..2 {
        alice
            .delete(&format!("{path}/u.work"), json!({}))
            .await
            .ok();
    }
    assert_eq!(
        alice.get(&path).await.ok(),
        json!({ "tags": { "m.favourite": { "order": 0.25 } } })
    );
}

#[tokio::test]
async fn tags_are_private_and_bounded() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (path, _) = tags(&alice).await;
    let tag = format!("{path}/u.a");
    bob.get(&path).await.is(403, "M_FORBIDDEN");
    bob.put(&tag, json!({})).await.is(403, "M_FORBIDDEN");
    bob.delete(&tag, json!({})).await.is(403, "M_FORBIDDEN");
    server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .put(&tag, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .delete(&tag, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .put(&format!("{path}/{}", "x".repeat(256)), json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
    alice.put(&tag, json!([])).await.is(400, "M_BAD_JSON");
    alice
        .put(&tag, json!({ "order": "high" }))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .put(&tag, json!({ "x": "x".repeat(5_000) }))
        .await
        .is(413, "M_TOO_LARGE");
}
