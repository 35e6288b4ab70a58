//! [Threading](https://spec.matrix.org/v1.19/client-server-api/#threading).

use ruma::api::client::threads::get_threads;
use serde_json::{Value, json};
use test_support::Client;

use crate::{
    events::{
        getting_events::read,
        relationships::{bundle, edit, ids, redact, related, reply, room, send},
    },
    rooms::{act, path, say},
};

async fn threads(client: &Client, room: &str, query: &str) -> Value {
    let path = format!("/_matrix/client/v1/rooms/{room}/threads{query}");
    read::<get_threads::v1::Response>(client, &path).await
}

async fn ignore(client: &Client, user_id: &str) {
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        client.user_id
    );
    let content = json!({ "ignored_users": { user_id: {} } });
    client.put(&path, content).await.ok();
}

#[tokio::test]
async fn a_thread_is_told_with_its_root() {
    let (server, alice, bob, room, root) = room().await;
    act(&server.register("carol").await, &room, "join", json!({})).await;
    reply(&bob, &room, &root, "1").await;
    let last = reply(&bob, &room, &root, "2").await;
    let told = bundle(&alice, &room, &root).await["m.thread"].clone();
    assert_eq!(told["latest_event"]["event_id"], last);
    assert_eq!(told["latest_event"]["content"]["body"], "2");
    assert_eq!(
        (
            told["count"].clone(),
            told["current_user_participated"].clone()
        ),
        (json!(2), json!(true))
    );
    assert!(told["latest_event"]["unsigned"]["m.relations"].is_null());

    // Edits do not count, and come with the latest event.
    let newer = edit(&bob, &room, &last, "2, edited").await;
    let told = bundle(&bob, &room, &root).await["m.thread"].clone();
    assert_eq!(told["count"], 2);
    assert_eq!(
        told["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"],
        newer
    );
    let carol = server.login("carol").await;
    let told = bundle(&carol, &room, &root).await["m.thread"].clone();
    assert_eq!(told["current_user_participated"], false);

    // A redacted event is no part of it.
    redact(&bob, &room, &last).await;
    let told = bundle(&alice, &room, &root).await["m.thread"].clone();
    assert_eq!(
        (
            told["count"].clone(),
            told["latest_event"]["content"]["body"].clone()
        ),
        (json!(1), json!("1"))
    );
}

#[tokio::test]
async fn ignored_users_do_not_count() {
    let (_server, alice, bob, room, root) = room().await;
    let mine = reply(&alice, &room, &root, "mine").await;
    reply(&bob, &room, &root, "his").await;
    ignore(&alice, &bob.user_id).await;
    let told = bundle(&alice, &room, &root).await["m.thread"].clone();
    assert_eq!(
        (
            told["count"].clone(),
            told["latest_event"]["event_id"].clone()
        ),
        (json!(1), json!(mine))
    );
    assert_eq!(bundle(&bob, &room, &root).await["m.thread"]["count"], 2);

    // A thread of an ignored user has a root without content.
    let his = say(&bob, &room, "his root", "root").await;
    reply(&alice, &room, &his, "reply").await;
    let list = threads(&alice, &room, "").await;
    assert_eq!(ids(&list["chunk"]), [&his, &root]);
    assert_eq!(list["chunk"][0]["content"], json!({}));
    assert_eq!(
        threads(&bob, &room, "").await["chunk"][0]["content"]["body"],
        "his root"
    );
}

#[tokio::test]
async fn threads_cannot_start_from_events_that_relate_to_others() {
    let (_server, alice, bob, room, root) = room().await;
    let inside = reply(&bob, &room, &root, "inside").await;
    let content = related("nested", "m.thread", &inside);
    let refused = alice
        .put(&path(&room, "send/m.room.message/n"), content)
        .await;
    refused.is(400, "M_UNKNOWN");
    // A reply without `rel_type` is no such event.
    let replied = json!({ "msgtype": "m.text", "body": "r", "m.relates_to": { "m.in_reply_to": { "event_id": root } } });
    let replied = send(&bob, &room, "m.room.message", replied).await;
    reply(&alice, &room, &replied, "fine").await;
}

#[tokio::test]
async fn threads_are_listed_by_their_latest_event() {
    let (_server, alice, bob, room, first) = room().await;
    let second = say(&bob, &room, "second", "2").await;
    let third = say(&bob, &room, "third", "3").await;
    assert_eq!(threads(&alice, &room, "").await["chunk"], json!([]));
    for (root, body) in [
        (&first, "a"),
        (&second, "b"),
        (&third, "c"),
        (&third, "d"),
        (&first, "e"),
    ] {
        reply(&bob, &room, root, body).await;
    }
    let list = threads(&alice, &room, "").await;
    assert_eq!(ids(&list["chunk"]), [&first, &third, &second]);
    assert!(list["next_batch"].is_null());
    let thread = &list["chunk"][1]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["latest_event"]["content"]["body"], "d");

    // Page by page, each once.
    let mut found = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = threads(&alice, &room, &query).await;
        found.extend(ids(&page["chunk"]).into_iter().map(str::to_owned));
        let Some(next) = page["next_batch"].as_str() else {
            break;
        };
        query = format!("?limit=1&from={next}");
    }
    assert_eq!(found, [first.clone(), third.clone(), second.clone()]);

    // Alice takes part in her own, and where she answers.
    let mine = threads(&alice, &room, "?include=participated").await;
    assert_eq!(ids(&mine["chunk"]), [&first]);
    reply(&alice, &room, &second, "me too").await;
    let mine = threads(&alice, &room, "?include=participated").await;
    assert_eq!(ids(&mine["chunk"]), [&second, &first]);
}

#[tokio::test]
async fn the_list_is_for_those_who_may_look_into_the_room() {
    let (server, alice, bob, room, root) = room().await;
    let before = reply(&bob, &room, &root, "before").await;
    act(&bob, &room, "leave", json!({})).await;
    reply(&alice, &room, &root, "after").await;
    let list = threads(&bob, &room, "").await;
    assert_eq!(ids(&list["chunk"]), [&root]);
    let thread = &list["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(
        (
            thread["latest_event"]["event_id"].clone(),
            thread["count"].clone()
        ),
        (json!(before), json!(1))
    );

    let path = format!("/_matrix/client/v1/rooms/{room}/threads");
    server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
    let stranger = server.register("stranger").await;
    stranger.get(&path).await.is(403, "M_FORBIDDEN");
    for bad in ["?from=nonsense", "?limit=0", "?include=some"] {
        alice
            .get(&format!("{path}{bad}"))
            .await
            .is(400, "M_INVALID_PARAM");
    }
}
