//! [Listing notifications](https://spec.matrix.org/v1.19/client-server-api/#listing-notifications).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, path, public, say};

const PATH: &str = "/_matrix/client/v3/notifications";

fn bodies(answer: &Value) -> Vec<&Value> {
    let list = answer["notifications"].as_array().unwrap().iter();
    list.map(|notification| &notification["event"]["content"]["body"])
        .collect()
}

async fn two() -> (TestServer, Client, Client, String) {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    say(&alice, &room, "before bob came", "0").await;
    act(&bob, &room, "join", json!({})).await;
    (server, alice, bob, room)
}

#[tokio::test]
async fn what_notified_is_listed_latest_first_page_by_page() {
    let (_server, alice, bob, room) = two().await;
    let other = public(&alice).await;
    act(&bob, &other, "join", json!({})).await;
    let first = say(&alice, &room, "one", "1").await;
    say(&alice, &other, "two", "2").await;
    say(&bob, &room, "my own", "3").await;
    say(&alice, &room, "three", "4").await;
    let answer = bob.get(PATH).await.ok();
    assert_eq!(bodies(&answer), ["three", "two", "one"], "{answer}");
    assert_eq!(answer.get("next_token"), None);
    let oldest = &answer["notifications"][2];
    assert_eq!(oldest["room_id"], room.as_str());
    assert_eq!(oldest["event"]["event_id"], first.as_str());
    assert_eq!(oldest["ts"], oldest["event"]["origin_server_ts"]);
    assert_eq!(oldest["actions"][0], "notify");
    // Whoever writes has read.
    let read: Vec<bool> = answer["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["read"] == true)
        .collect();
    assert_eq!(read, [false, false, true]);

    let page = bob.get(&format!("{PATH}?limit=2")).await.ok();
    assert_eq!(bodies(&page), ["three", "two"]);
    let token = page["next_token"].as_str().unwrap();
    let rest = bob.get(&format!("{PATH}?limit=2&from={token}")).await.ok();
    assert_eq!(bodies(&rest), ["one"]);
    assert_eq!(bodies(&alice.get(PATH).await.ok()), ["my own"]);
}

#[tokio::test]
async fn highlights_alone_can_be_asked_for() {
    let (_server, alice, bob, room) = two().await;
    say(&alice, &room, "to all", "1").await;
    let content = json!({ "msgtype": "m.text", "body": "to bob", "m.mentions": { "user_ids": [bob.user_id] } });
    alice
        .put(&path(&room, "send/m.room.message/2"), content)
        .await
        .ok();
    let answer = bob.get(&format!("{PATH}?only=highlight")).await.ok();
    assert_eq!(bodies(&answer), ["to bob"]);
}

#[tokio::test]
async fn an_invitation_notifies_and_a_muted_room_does_not() {
    let (_server, alice, bob, room) = two().await;
    let carols = public(&alice).await;
    act(&alice, &carols, "invite", json!({ "user_id": bob.user_id })).await;
    say(&alice, &room, "shh", "1").await;
    let mute = format!("/_matrix/client/v3/pushrules/global/room/{room}");
    bob.put(&mute, json!({ "actions": [] })).await.ok();
    let answer = bob.get(PATH).await.ok();
    let list = answer["notifications"].as_array().unwrap();
    assert_eq!(list.len(), 1, "{answer}");
    assert_eq!(list[0]["event"]["content"]["membership"], "invite");
}

#[tokio::test]
async fn a_bad_token_is_refused() {
    let (server, _alice, bob, _room) = two().await;
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
    bob.get(&format!("{PATH}?from=x"))
        .await
        .is(400, "M_INVALID_PARAM");
    bob.get(&format!("{PATH}?limit=many"))
        .await
        .is(400, "M_INVALID_PARAM");
}
