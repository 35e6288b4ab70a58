//! [User directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, public};

const PATH: &str = "/_matrix/client/v3/user_directory/search";

async fn find(client: &Client, term: &str) -> Vec<Value> {
    let answer = client.post(PATH, json!({ "search_term": term })).await.ok();
    assert_eq!(answer["limited"], false, "{answer}");
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|user| user["user_id"].clone()).collect()
}

async fn rename(client: &Client, name: &str) {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", client.user_id);
    client.put(&path, json!({ "displayname": name })).await.ok();
}

#[tokio::test]
async fn users_are_found_by_their_names_the_best_first() {
    let server = TestServer::new().await;
    let mut users = Vec::new();
    for name in ["alice", "ann", "annabel", "susi", "mary", "zoe"] {
        users.push(server.register(name).await);
    }
    let room = public(&users[0]).await;
    for user in &users[1..] {
        act(user, &room, "join", json!({})).await;
    }
    rename(&users[3], "Ann Summers").await;
    rename(&users[4], "Mary-Ann ÉCOLE").await;
    let alice = &users[0];
    let expected = [
        "@ann:localhost",
        "@annabel:localhost",
        "@susi:localhost",
        "@mary:localhost",
    ];
    assert_eq!(find(alice, "ann").await, expected);
    assert_eq!(find(alice, "ANN ").await, expected);
    assert_eq!(find(alice, "école").await, ["@mary:localhost"]);
    assert_eq!(find(alice, "ann mar").await, ["@mary:localhost"]);
    assert_eq!(find(alice, "@zoe:localhost").await, ["@zoe:localhost"]);
    for nobody in ["", "nn", "alice", "@", "ann nobody"] {
        assert_eq!(find(alice, nobody).await, [] as [&str; 0], "{nobody}");
    }
    let answer = alice
        .post(PATH, json!({ "search_term": "ann", "limit": 1 }))
        .await
        .ok();
    assert_eq!(answer["limited"], true);
    let one = json!([{ "user_id": "@ann:localhost", "display_name": "ann" }]);
    assert_eq!(answer["results"], one);
    // What was found is found anew.
    rename(&users[3], "Susi").await;
    let expected = ["@ann:localhost", "@annabel:localhost", "@mary:localhost"];
    assert_eq!(find(alice, "ann").await, expected);
}

#[tokio::test]
async fn only_those_who_can_be_met_are_found() {
    let server = TestServer::new().await;
    let (alice, bob, carol) = (
        server.register("alice").await,
        server.register("bob").await,
        server.register("carol").await,
    );
    assert_eq!(find(&alice, "bob").await, [] as [&str; 0]);
    let room = create(&alice, json!({ "preset": "private_chat" })).await;
    act(&alice, &room, "invite", json!({ "user_id": bob.user_id })).await;
    assert_eq!(find(&alice, "bob").await, [] as [&str; 0]);
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(find(&alice, "bob").await, ["@bob:localhost"]);
    assert_eq!(find(&carol, "bob").await, [] as [&str; 0]);
    public(&bob).await;
    assert_eq!(find(&carol, "bob").await, ["@bob:localhost"]);
    let gone = json!({ "auth": { "type": "m.login.password", "password": "password-of-bob",
        "identifier": { "type": "m.id.user", "user": "bob" } } });
    bob.post("/_matrix/client/v3/account/deactivate", gone)
        .await
        .ok();
    assert_eq!(find(&alice, "bob").await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_search_without_a_term_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let body = json!({ "search_term": "a" });
    server
        .anyone()
        .post(PATH, body)
        .await
        .is(401, "M_MISSING_TOKEN");
    alice.post(PATH, json!({})).await.is(400, "M_BAD_JSON");
    alice
        .post(PATH, json!({ "search_term": 7 }))
        .await
        .is(400, "M_BAD_JSON");
}
