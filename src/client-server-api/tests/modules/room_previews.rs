//! [Room previews](https://spec.matrix.org/v1.19/client-server-api/#room-previews): `/initialSync` and `/events`.

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, path, public, say, set_state};

async fn open_room(owner: &Client) -> String {
    let setting = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } });
    create(
        owner,
        json!({ "preset": "public_chat", "name": "Open", "initial_state": [setting] }),
    )
    .await
}

fn events(room: &str, from: &str, timeout_ms: u64) -> String {
    format!("/_matrix/client/v3/events?room_id={room}&from={from}&timeout={timeout_ms}")
}

fn bodies(answer: &Value) -> Vec<&Value> {
    let chunk = answer["chunk"].as_array().unwrap().iter();
    chunk.map(|event| &event["content"]["body"]).collect()
}

#[tokio::test]
async fn an_open_room_is_read_from_outside() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = open_room(&alice).await;
    say(&alice, &room, "one", "1").await;
    say(&alice, &room, "two", "2").await;
    let answer = bob.get(&path(&room, "initialSync?limit=2")).await.ok();
    assert_eq!(answer["room_id"], room.as_str());
    assert_eq!(answer.get("membership"), None);
    assert_eq!(answer["visibility"], "private");
    assert_eq!(bodies(&answer["messages"]), ["one", "two"]);
    let state = answer["state"].as_array().unwrap();
    assert!(
        state
            .iter()
            .any(|event| event["type"] == "m.room.name" && event["content"]["name"] == "Open")
    );
    assert_eq!(
        alice.get(&path(&room, "initialSync")).await.ok()["membership"],
        "join"
    );
    // The page goes on in both directions.
    let start = answer["messages"]["start"].as_str().unwrap();
    let older = bob
        .get(&path(
            &room,
            &format!("messages?dir=b&limit=1&from={start}"),
        ))
        .await
        .ok();
    assert_eq!(older["chunk"][0]["type"], "m.room.name", "{older}");
    let end = answer["messages"]["end"].as_str().unwrap();
    say(&alice, &room, "three", "3").await;
    let news = bob.get(&events(&room, end, 0)).await.ok();
    assert_eq!(bodies(&news), ["three"]);
    assert_eq!(news["chunk"][0]["room_id"], room.as_str());
    let again = bob
        .get(&events(&room, news["end"].as_str().unwrap(), 0))
        .await
        .ok();
    assert_eq!((bodies(&again).len(), &again["end"]), (0, &news["end"]));
}

#[tokio::test]
async fn peeking_waits_for_the_next_event_until_the_room_is_closed() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = open_room(&alice).await;
    let answer = bob.get(&path(&room, "initialSync")).await.ok();
    let from = answer["messages"]["end"].as_str().unwrap().to_owned();
    let path = events(&room, &from, 90_000);
    let (news, _) = tokio::join!(bob.get(&path), say(&alice, &room, "news", "1"));
    let news = news.ok();
    assert_eq!(bodies(&news), ["news"]);
    let path = events(&room, news["end"].as_str().unwrap(), 90_000);
    let closed = json!({ "history_visibility": "shared" });
    let closing = set_state(&alice, &room, "m.room.history_visibility/", closed);
    let (refused, _) = tokio::join!(bob.get(&path), closing);
    refused.is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_closed_room_is_not_read_from_outside() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    let event = say(&alice, &room, "hello", "1").await;
    bob.get(&path(&room, "initialSync"))
        .await
        .is(403, "M_FORBIDDEN");
    bob.get(&events(&room, "", 0)).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&events(&room, "", 0))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .get(&path(&room, "initialSync"))
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .get(&path(&room, "initialSync?limit=x"))
        .await
        .is(400, "M_INVALID_PARAM");
    alice
        .get(&events(&room, "x", 0))
        .await
        .is(400, "M_INVALID_PARAM");
    let one = format!("/_matrix/client/v3/events/{event}");
    assert_eq!(alice.get(&one).await.ok()["content"]["body"], "hello");
    bob.get(&one).await.is(404, "M_NOT_FOUND");
    alice
        .get("/_matrix/client/v3/events/$none")
        .await
        .is(404, "M_NOT_FOUND");
    act(&bob, &room, "join", json!({})).await;
    bob.get(&one).await.ok();
}
