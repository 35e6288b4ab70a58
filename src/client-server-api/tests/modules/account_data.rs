use serde_json::json;
use test_support::{Client, TestServer};

fn global(user: &Client, event_type: &str) -> String {
    format!(
        "/_matrix/client/v3/user/{}/account_data/{event_type}",
        user.user_id
    )
}

async fn in_room(user: &Client, event_type: &str) -> String {
    let room = user
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap_or_default();
    format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/account_data/{event_type}",
        user.user_id
    )
}

#[tokio::test]
async fn what_is_set_is_read_again() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for path in [
        global(&alice, "org.example.a"),
        in_room(&alice, "org.example.a").await,
    ] {
        alice.get(&path).await.is(404, "M_NOT_FOUND");
        assert_eq!(
            alice.put(&path, json!({ "b": [1, 1.5] })).await.ok(),
            json!({})
        );
        assert_eq!(alice.get(&path).await.ok(), json!({ "b": [1, 1.5] }));
        alice.put(&path, json!({})).await.ok();
        assert_eq!(alice.get(&path).await.ok(), json!({}));
    }
}

#[tokio::test]
async fn account_data_is_private() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for path in [global(&alice, "a"), in_room(&alice, "a").await] {
        alice.put(&path, json!({})).await.ok();
        bob.get(&path).await.is(403, "M_FORBIDDEN");
        bob.put(&path, json!({})).await.is(403, "M_FORBIDDEN");
        server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
        server
            .anyone()
            .put(&path, json!({}))
            .await
            .is(401, "M_MISSING_TOKEN");
    }
}

#[tokio::test]
async fn what_the_server_manages_is_read_only() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for event_type in ["m.fully_read", "m.push_rules"] {
        for path in [
            global(&alice, event_type),
            in_room(&alice, event_type).await,
        ] {
            alice.put(&path, json!({})).await.is(405, "M_BAD_JSON");
        }
    }
    let rules = alice.get(&global(&alice, "m.push_rules")).await.ok();
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn malformed_account_data_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for path in [global(&alice, "a"), in_room(&alice, "a").await] {
        alice.put(&path, json!([])).await.is(400, "M_BAD_JSON");
        alice.put(&path, json!("x")).await.is(400, "M_BAD_JSON");
        alice
            .send(http::Method::PUT, &path, "{\"a\":")
            .await
            .is(400, "M_NOT_JSON");
        let large = json!({ "a": "x".repeat(600 * 1024) });
        alice.put(&path, large).await.is(413, "M_TOO_LARGE");
        alice.get(&path).await.is(404, "M_NOT_FOUND");
    }
    let unknown = format!(
        "/_matrix/client/v3/user/{}/rooms/!unknown:localhost/account_data/a",
        alice.user_id
    );
    alice.put(&unknown, json!({})).await.is(404, "M_NOT_FOUND");
    alice.get(&unknown).await.is(404, "M_NOT_FOUND");
    let invalid = format!(
        "/_matrix/client/v3/user/{}/rooms/nonsense/account_data/a",
        alice.user_id
    );
    alice
        .put(&invalid, json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
    let long = global(&alice, &"a".repeat(300));
    alice.put(&long, json!({})).await.is(400, "M_INVALID_PARAM");
}
