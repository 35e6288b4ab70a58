//! [Event context](https://spec.matrix.org/v1.19/client-server-api/#event-context).

use ruma::api::client::context::get_context;
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::{
    events::getting_events::{bodies, encoded, messages, read},
    rooms::{act, path, public, say, set_state},
};

async fn context(client: &Client, room: &str, event_id: &str, query: &str) -> Value {
    let path = path(room, &format!("context/{event_id}?{query}"));
    read::<get_context::v3::Response>(client, &path).await
}

/// Alice's public room with nine messages.
async fn room() -> (TestServer, Client, String, Vec<String>) {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let mut said = Vec::new();
    for number in 0..9 {
        said.push(say(&alice, &room, &number.to_string(), &number.to_string()).await);
    }
    (server, alice, room, said)
}

#[tokio::test]
async fn an_event_comes_with_those_around_it() {
    let (_server, alice, room, said) = room().await;
    let answer = context(&alice, &room, &said[4], "limit=4").await;
    assert_eq!(bodies(&answer["events_before"]), ["3", "2"]);
    assert_eq!(answer["event"]["content"]["body"], "4");
    assert_eq!(bodies(&answer["events_after"]), ["5", "6"]);
    assert_eq!(answer["event"]["unsigned"]["membership"], "join");
    assert_eq!(answer["state"].as_array().unwrap().len(), 6);

    // The tokens lead on from both ends.
    let (start, end) = (
        answer["start"].as_str().unwrap(),
        answer["end"].as_str().unwrap(),
    );
    let older = messages(&alice, &room, &format!("dir=b&limit=2&from={start}")).await;
    assert_eq!(bodies(&older["chunk"]), ["1", "0"]);
    let newer = messages(&alice, &room, &format!("dir=f&limit=2&from={end}")).await;
    assert_eq!(bodies(&newer["chunk"]), ["7", "8"]);
}

#[tokio::test]
async fn the_limit_may_be_anything() {
    let (_server, alice, room, said) = room().await;
    let none = context(&alice, &room, &said[4], "limit=0").await;
    assert_eq!(
        (none["events_before"].clone(), none["events_after"].clone()),
        (json!([]), json!([]))
    );
    assert_eq!(none["event"]["event_id"], said[4]);
    let one = context(&alice, &room, &said[4], "limit=1").await;
    assert_eq!(bodies(&one["events_after"]), ["5"]);
    let ten = context(&alice, &room, &said[4], "").await;
    assert_eq!(
        bodies(&ten["events_before"]).len() + bodies(&ten["events_after"]).len(),
        8
    );
    let all = context(&alice, &room, &said[4], "limit=9007199254740991").await;
    assert_eq!(
        all["events_before"].as_array().unwrap().last().unwrap()["type"],
        "m.room.create"
    );
    alice
        .get(&path(&room, &format!("context/{}?limit=-1", said[4])))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn the_state_is_that_of_the_last_event() {
    let (_server, alice, room, said) = room().await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "later" })).await;
    let old = context(&alice, &room, &said[4], "limit=2").await;
    let names = |answer: &Value| {
        answer["state"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "m.room.name")
            .count()
    };
    assert_eq!(names(&old), 0);
    let new = context(&alice, &room, &said[8], "limit=2").await;
    assert_eq!(names(&new), 1);
}

#[tokio::test]
async fn a_filter_applies_to_all_but_the_event() {
    let (server, alice, room, said) = room().await;
    let bob = server.register("bob").await;
    act(&bob, &room, "join", json!({})).await;
    let last = say(&alice, &room, "last", "last").await;
    let filter = encoded(&json!({ "senders": [bob.user_id] }).to_string());
    let answer = context(&alice, &room, &last, &format!("limit=100&filter={filter}")).await;
    assert_eq!(answer["event"]["event_id"], last);
    let before = answer["events_before"].as_array().unwrap();
    assert_eq!(
        (before.len(), &before[0]["state_key"]),
        (1, &json!(bob.user_id))
    );

    let filter = encoded(&json!({ "lazy_load_members": true }).to_string());
    let answer = context(&alice, &room, &said[4], &format!("limit=2&filter={filter}")).await;
    let state = answer["state"].as_array().unwrap();
    let members: Vec<_> = state
        .iter()
        .filter(|event| event["type"] == "m.room.member")
        .collect();
    assert_eq!(
        (members.len(), &members[0]["state_key"]),
        (1, &json!(alice.user_id))
    );
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
}

#[tokio::test]
async fn the_context_of_what_is_not_visible_is_not_told() {
    let (server, alice, room, said) = room().await;
    let bob = server.register("bob").await;
    let place = path(&room, &format!("context/{}", said[4]));
    server.anyone().get(&place).await.is(401, "M_MISSING_TOKEN");
    bob.get(&place).await.is(403, "M_FORBIDDEN");
    alice
        .get(&path(&room, "context/$nothing"))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&path("!nowhere:localhost", &format!("context/{}", said[4])))
        .await
        .is(403, "M_FORBIDDEN");

    set_state(
        &alice,
        &room,
        "m.room.history_visibility",
        json!({ "history_visibility": "joined" }),
    )
    .await;
    let hidden = say(&alice, &room, "hidden", "t1").await;
    act(&bob, &room, "join", json!({})).await;
    let seen = say(&alice, &room, "seen", "t2").await;
    bob.get(&path(&room, &format!("context/{hidden}")))
        .await
        .is(404, "M_NOT_FOUND");
    let answer = context(&bob, &room, &seen, "limit=8").await;
    // The hidden one is left out, and what lies behind it is not.
    assert_eq!(answer["events_before"][0]["state_key"], bob.user_id);
    assert_eq!(
        answer["events_before"][1]["type"],
        "m.room.history_visibility"
    );
    assert_eq!(bodies(&answer["events_before"]), ["8", "7"]);
}
