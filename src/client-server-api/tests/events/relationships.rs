//! [Forming relationships between events](https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events).
//! Answers are written as bytes, so every one is read by ruma's type as well.

use ruma::api::client::{
    context::get_context,
    message::get_message_events,
    relations::{
        get_relating_events, get_relating_events_with_rel_type,
        get_relating_events_with_rel_type_and_event_type,
    },
    room::get_room_event,
};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::getting_events::{bodies, encoded, read};
use crate::rooms::{act, path, public, say, set_state};

/// An endpoint of an event's relations.
pub(crate) fn relations(room: &str, event: &str, rest: &str) -> String {
    let event = encoded(event);
    format!("/_matrix/client/v1/rooms/{room}/relations/{event}{rest}")
}

/// Sends an event, successfully, and gives its id. A test needs as many transactions as it has texts.
pub(crate) async fn send(client: &Client, room: &str, event_type: &str, content: Value) -> String {
    let txn = encoded(&content.to_string());
    let rest = format!("send/{event_type}/{txn}");
    let answer = client.put(&path(room, &rest), content).await.ok();
    answer["event_id"].as_str().unwrap().to_owned()
}

pub(crate) fn related(body: &str, rel_type: &str, event: &str) -> Value {
    json!({
        "msgtype": "m.text",
        "body": body,
        "m.relates_to": { "rel_type": rel_type, "event_id": event },
    })
}

pub(crate) async fn edit(client: &Client, room: &str, event: &str, body: &str) -> String {
    let mut content = related(&format!("* {body}"), "m.replace", event);
    content["m.new_content"] = json!({ "msgtype": "m.text", "body": body });
    send(client, room, "m.room.message", content).await
}

pub(crate) async fn reply(client: &Client, room: &str, root: &str, body: &str) -> String {
    send(
        client,
        room,
        "m.room.message",
        related(body, "m.thread", root),
    )
    .await
}

async fn react(client: &Client, room: &str, event: &str, key: &str) -> String {
    let relates_to = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
    send(
        client,
        room,
        "m.reaction",
        json!({ "m.relates_to": relates_to }),
    )
    .await
}

pub(crate) async fn redact(client: &Client, room: &str, event: &str) {
    let rest = format!("redact/{}/{}", encoded(event), encoded(event));
    client.put(&path(room, &rest), json!({})).await.ok();
}

/// `unsigned.m.relations` of an event.
pub(crate) async fn bundle(client: &Client, room: &str, event: &str) -> Value {
    let path = path(room, &format!("event/{}", encoded(event)));
    let event = read::<get_room_event::v3::Response>(client, &path).await;
    event["unsigned"]["m.relations"].clone()
}

pub(crate) fn ids(events: &Value) -> Vec<&str> {
    let events = events.as_array().expect("a list of events").iter();
    events
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

/// Alice's public room with Bob and a message of Alice.
pub(crate) async fn room() -> (TestServer, Client, Client, String, String) {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let event = say(&alice, &room, "original", "original").await;
    (server, alice, bob, room, event)
}

#[tokio::test]
async fn relations_are_found_by_type_of_relation_and_type_of_event() {
    let (_server, alice, bob, room, event) = room().await;
    let edit = edit(&alice, &room, &event, "edited").await;
    let answer = reply(&bob, &room, &event, "reply").await;
    let like = react(&bob, &room, &event, "+1").await;
    let custom = send(
        &bob,
        &room,
        "org.example",
        related("x", "org.example.rel", &event),
    )
    .await;
    let vote = send(&bob, &room, "org.vote", related("y", "m.reference", &event)).await;
    // What is no relation is none.
    send(
        &bob,
        &room,
        "org.example",
        json!({ "m.relates_to": { "event_id": event } }),
    )
    .await;
    send(&bob, &room, "org.example", json!({ "m.relates_to": 7 })).await;

    let all = read::<get_relating_events::v1::Response>(&bob, &relations(&room, &event, "")).await;
    assert_eq!(ids(&all["chunk"]), [&vote, &custom, &like, &answer, &edit]);
    assert_eq!(all["chunk"][0]["room_id"], room);
    assert!(
        all["next_batch"].is_null()
            && all["prev_batch"].is_null()
            && all["recursion_depth"].is_null()
    );

    for (rest, expected) in [
        ("/m.replace", vec![&edit]),
        ("/m.thread", vec![&answer]),
        ("/m.annotation", vec![&like]),
        ("/m.reference", vec![&vote]),
        ("/org.example.rel", vec![&custom]),
        ("/org.example", vec![]),
    ] {
        let path = relations(&room, &event, rest);
        let some = read::<get_relating_events_with_rel_type::v1::Response>(&bob, &path).await;
        assert_eq!(ids(&some["chunk"]), expected, "{rest}");
    }
    for (rest, expected) in [
        ("/m.annotation/m.reaction", vec![&like]),
        ("/m.annotation/m.room.message", vec![]),
        ("/m.reference/org.vote", vec![&vote]),
    ] {
        let path = relations(&room, &event, rest);
        let some =
            read::<get_relating_events_with_rel_type_and_event_type::v1::Response>(&bob, &path)
                .await;
        assert_eq!(ids(&some["chunk"]), expected, "{rest}");
    }
}

#[tokio::test]
async fn relations_come_page_by_page_in_both_directions() {
    let (_server, alice, _bob, room, event) = room().await;
    let mut sent = Vec::new();
    for number in 0..7 {
        sent.push(react(&alice, &room, &event, &number.to_string()).await);
        say(&alice, &room, "between", &number.to_string()).await;
    }
    for direction in ["b", "f"] {
        let mut expected = sent.clone();
        if direction == "b" {
            expected.reverse();
        }
        let mut found = Vec::new();
        let mut from = String::new();
        loop {
            let path = relations(&room, &event, &format!("?limit=3&dir={direction}{from}"));
            let page = read::<get_relating_events::v1::Response>(&alice, &path).await;
            assert_eq!(page["prev_batch"].is_null(), from.is_empty());
            found.extend(ids(&page["chunk"]).into_iter().map(str::to_owned));
            let Some(next) = page["next_batch"].as_str() else {
                break;
            };
            from = format!("&from={next}");
        }
        assert_eq!(found, expected, "{direction}");
    }
    // Only what lies before a token, and after another.
    let path = relations(&room, &event, "?limit=2");
    let first = alice.get(&path).await.ok();
    let middle = first["next_batch"].as_str().unwrap();
    let path = relations(&room, &event, &format!("?to={middle}"));
    let top = alice.get(&path).await.ok();
    assert_eq!(ids(&top["chunk"]), [&sent[6], &sent[5]]);
    for bad in ["?from=nonsense", "?to=nonsense"] {
        alice
            .get(&relations(&room, &event, bad))
            .await
            .is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn recursion_follows_relations_of_relations() {
    let (_server, alice, bob, room, event) = room().await;
    let first = reply(&bob, &room, &event, "1").await;
    let second = react(&alice, &room, &first, "2").await;
    let third = send(&alice, &room, "x", related("3", "m.reference", &second)).await;
    let fourth = send(&alice, &room, "x", related("4", "m.reference", &third)).await;
    let path = relations(&room, &event, "?recurse=true");
    let answer = read::<get_relating_events::v1::Response>(&alice, &path).await;
    assert_eq!(ids(&answer["chunk"]), [&third, &second, &first]);
    assert_eq!(answer["recursion_depth"], 3);
    let path = relations(&room, &event, "/m.reference?recurse=true");
    let answer = alice.get(&path).await.ok();
    assert_eq!(ids(&answer["chunk"]), [&third]);
    // From the middle, the whole rest.
    let path = relations(&room, &first, "?recurse=true&dir=f&limit=2");
    let answer = alice.get(&path).await.ok();
    assert_eq!(ids(&answer["chunk"]), [&second, &third]);
    let next = answer["next_batch"].as_str().unwrap();
    let path = relations(&room, &first, &format!("?recurse=true&dir=f&from={next}"));
    assert_eq!(ids(&alice.get(&path).await.ok()["chunk"]), [&fourth]);
}

#[tokio::test]
async fn relations_are_for_those_who_may_see_the_event() {
    let (server, alice, bob, room, event) = room().await;
    let before = react(&alice, &room, &event, "before").await;
    act(&bob, &room, "leave", json!({})).await;
    react(&alice, &room, &event, "after").await;
    // Whoever has left sees what was there.
    let answer = bob.get(&relations(&room, &event, "")).await.ok();
    assert_eq!(ids(&answer["chunk"]), [&before]);
    let stranger = server.register("stranger").await;
    stranger
        .get(&relations(&room, &event, ""))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&relations(&room, "$nothing", ""))
        .await
        .is(404, "M_NOT_FOUND");
    let elsewhere = public(&alice).await;
    alice
        .get(&relations(&elsewhere, &event, ""))
        .await
        .is(404, "M_NOT_FOUND");
    let anyone = server.anyone();
    anyone
        .get(&relations(&room, &event, ""))
        .await
        .is(401, "M_MISSING_TOKEN");
    // A later message with the same name of an event in another room has nothing to do with it.
    react(&alice, &elsewhere, &event, "there").await;
    let answer = alice.get(&relations(&room, &event, "")).await.ok();
    assert_eq!(ids(&answer["chunk"]).len(), 2);
}

#[tokio::test]
async fn the_latest_valid_edit_is_told_with_the_event() {
    let (server, alice, bob, room, event) = room().await;
    assert!(bundle(&bob, &room, &event).await.is_null());
    let first = edit(&alice, &room, &event, "first").await;
    assert_eq!(
        bundle(&bob, &room, &event).await["m.replace"]["event_id"],
        first
    );
    server.clock.advance(1);
    let second = edit(&alice, &room, &event, "second").await;
    server.clock.advance(1);
    // Not by another, not of another type, not without new content, not of an edit.
    edit(&bob, &room, &event, "bob").await;
    let mut other = related("x", "m.replace", &event);
    send(&alice, &room, "m.room.message", other.clone()).await;
    other["m.new_content"] = json!({});
    send(&alice, &room, "org.example", other).await;
    edit(&alice, &room, &second, "of an edit").await;

    let told = bundle(&bob, &room, &event).await;
    assert_eq!(told["m.replace"]["event_id"], second);
    assert_eq!(
        told["m.replace"]["content"]["m.new_content"]["body"],
        "second"
    );
    assert_eq!(told["m.replace"]["room_id"], room);
    assert!(bundle(&bob, &room, &second).await.is_null());
    // The event's own content stays.
    let messages = path(&room, "messages?dir=b&limit=50");
    let answer = read::<get_message_events::v3::Response>(&bob, &messages).await;
    assert!(bodies(&answer["chunk"]).contains(&"original"));
    let all = answer["chunk"].as_array().unwrap();
    let told = all.iter().find(|told| told["event_id"] == event).unwrap();
    assert_eq!(
        told["unsigned"]["m.relations"]["m.replace"]["event_id"],
        second
    );
    let context = path(&room, &format!("context/{}", encoded(&event)));
    let answer = read::<get_context::v3::Response>(&bob, &context).await;
    assert_eq!(
        answer["event"]["unsigned"]["m.relations"]["m.replace"]["event_id"],
        second
    );

    // A redacted edit is as if it had never been; a redacted event has none.
    redact(&alice, &room, &second).await;
    assert_eq!(
        bundle(&bob, &room, &event).await["m.replace"]["event_id"],
        first
    );
    let path = relations(&room, &event, "/m.replace");
    let left = bob.get(&path).await.ok();
    assert!(!ids(&left["chunk"]).contains(&second.as_str()));
    redact(&alice, &room, &event).await;
    assert!(bundle(&bob, &room, &event).await.is_null());
}

#[tokio::test]
async fn encrypted_edits_need_no_new_content_in_the_clear() {
    let (_server, alice, _bob, room, _event) = room().await;
    let encrypted =
        |n: u8| json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": n.to_string() });
    let event = send(&alice, &room, "m.room.encrypted", encrypted(1)).await;
    let mut content = encrypted(2);
    content["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": event });
    let edit = send(&alice, &room, "m.room.encrypted", content).await;
    assert_eq!(
        bundle(&alice, &room, &event).await["m.replace"]["event_id"],
        edit
    );
}

#[tokio::test]
async fn references_are_told_with_the_event_and_annotations_are_not() {
    let (_server, alice, bob, room, event) = room().await;
    react(&bob, &room, &event, "+1").await;
    assert!(bundle(&bob, &room, &event).await.is_null());
    let one = send(&bob, &room, "x", related("1", "m.reference", &event)).await;
    let two = send(&alice, &room, "x", related("2", "m.reference", &event)).await;
    let told = bundle(&bob, &room, &event).await;
    assert_eq!(
        told,
        json!({ "m.reference": { "chunk": [{ "event_id": one }, { "event_id": two }] } })
    );
    redact(&bob, &room, &one).await;
    let told = bundle(&bob, &room, &event).await;
    assert_eq!(told["m.reference"]["chunk"], json!([{ "event_id": two }]));
    // State events have nothing told with them.
    let topic = set_state(&alice, &room, "m.room.topic", json!({ "topic": "t" })).await;
    send(&bob, &room, "x", related("3", "m.reference", &topic)).await;
    assert!(bundle(&bob, &room, &topic).await.is_null());
}

#[tokio::test]
async fn an_annotation_is_made_once() {
    let (_server, alice, bob, room, event) = room().await;
    let like = react(&alice, &room, &event, "+1").await;
    react(&alice, &room, &event, "-1").await;
    react(&bob, &room, &event, "+1").await;
    let relates_to = json!({ "rel_type": "m.annotation", "event_id": event, "key": "+1" });
    let content = json!({ "m.relates_to": relates_to });
    let again = path(&room, "send/m.reaction/again");
    let refused = alice.put(&again, content.clone()).await;
    refused.is(400, "M_DUPLICATE_ANNOTATION");
    // Another type of event is another annotation, and one that is gone may come again.
    send(&alice, &room, "org.example", content.clone()).await;
    redact(&alice, &room, &like).await;
    alice.put(&again, content.clone()).await.ok();
    // The same request again is answered as before.
    alice.put(&again, content).await.ok();
}

#[tokio::test]
async fn of_two_annotations_at_once_one_is_refused() {
    let (_server, alice, _bob, room, event) = room().await;
    let content =
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": "k" } });
    let (one, other) = (
        path(&room, "send/m.reaction/1"),
        path(&room, "send/m.reaction/2"),
    );
    let (one, other) = tokio::join!(alice.put(&one, content.clone()), alice.put(&other, content));
    let mut answers = [one.status, other.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 400]);
}

#[tokio::test]
async fn a_sync_with_a_gap_tells_what_relates_to_its_events() {
    let (_server, alice, bob, room, event) = room().await;
    let edit = edit(&alice, &room, &event, "edited").await;
    let answer = bob.get("/_matrix/client/v3/sync").await.ok();
    let timeline = &answer["rooms"]["join"][&room]["timeline"]["events"];
    let events = timeline.as_array().unwrap();
    let told = events
        .iter()
        .find(|told| told["event_id"] == event)
        .unwrap();
    assert_eq!(
        told["unsigned"]["m.relations"]["m.replace"]["event_id"],
        edit
    );
}

#[tokio::test]
async fn relations_outlive_a_restart() {
    let (server, alice, _bob, room, event) = room().await;
    let edit = edit(&alice, &room, &event, "edited").await;
    let server = server.restart().await;
    let alice = server.login("alice").await;
    assert_eq!(
        bundle(&alice, &room, &event).await["m.replace"]["event_id"],
        edit
    );
    let answer = alice.get(&relations(&room, &event, "")).await.ok();
    assert_eq!(ids(&answer["chunk"]), [&edit]);
}
