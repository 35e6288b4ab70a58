//! [Mutual rooms](https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms).

use serde_json::json;
use test_support::TestServer;

use crate::rooms::{act, public};

fn path(user: &str) -> String {
    format!("/_matrix/client/v1/mutual_rooms?user_id={user}")
}

#[tokio::test]
async fn the_rooms_of_two_users_are_listed() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (first, second) = (public(&alice).await, public(&alice).await);
    public(&bob).await;
    let nothing = json!({ "joined": [], "count": 0 });
    assert_eq!(alice.get(&path("@bob:localhost")).await.ok(), nothing);
    for room in [&second, &first] {
        act(&bob, room, "join", json!({})).await;
    }
    let both = json!({ "joined": [first, second], "count": 2 });
    assert_eq!(alice.get(&path("@bob:localhost")).await.ok(), both);
    assert_eq!(bob.get(&path("@alice:localhost")).await.ok(), both);
    act(&bob, &first, "leave", json!({})).await;
    let one = json!({ "joined": [second], "count": 1 });
    assert_eq!(alice.get(&path("@bob:localhost")).await.ok(), one);
    assert_eq!(alice.get(&path("@nobody:localhost")).await.ok(), nothing);
}

#[tokio::test]
async fn many_rooms_come_in_pages() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for _ in 0..101 {
        let room = public(&alice).await;
        act(&bob, &room, "join", json!({})).await;
    }
    let page = alice.get(&path("@bob:localhost")).await.ok();
    assert_eq!(
        (page["joined"].as_array().unwrap().len(), &page["count"]),
        (100, &json!(101))
    );
    let from = page["next_batch"].as_str().unwrap();
    let rest = alice
        .get(&format!("{}&from={from}", path("@bob:localhost")))
        .await
        .ok();
    assert_eq!(rest["joined"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("next_batch"), None);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    server
        .anyone()
        .get(&path("@bob:localhost"))
        .await
        .is(401, "M_MISSING_TOKEN");
    for wrong in [
        path("@alice:localhost"),
        path("bob"),
        path("@bob:localhost&from=x"),
        "/_matrix/client/v1/mutual_rooms".to_owned(),
    ] {
        alice.get(&wrong).await.is(400, "M_INVALID_PARAM");
    }
}
