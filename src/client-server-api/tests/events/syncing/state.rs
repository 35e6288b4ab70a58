//! `state`, `state_after` and lazily loaded members.

use serde_json::{Value, json};

use super::{NOTHING, Syncer, joined, names, said, say, send, two_in_a_room, words};
use crate::rooms::{act, set_state};

fn member(user: &str) -> String {
    format!("m.room.member {user}")
}

fn members(events: &Value) -> Vec<String> {
    let mut members = words(events);
    members.retain(|word| word.starts_with("m.room.member"));
    members.sort();
    members
}

#[tokio::test]
async fn state_after_is_the_state_at_the_end_of_the_timeline() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut before = Syncer::started(&bob).await;
    let mut after = Syncer {
        parameters: "&use_state_after=true".to_owned(),
        ..Syncer::new(&bob)
    };
    let first = after.next().await;
    let told = joined(&first, &room);
    assert_eq!(told["state"], Value::Null);
    assert!(words(&told["state_after"]["events"]).contains(&member(&bob.user_id)));

    set_state(&alice, &room, "m.room.topic", json!({ "topic": "one" })).await;
    set_state(&alice, &room, "m.room.topic", json!({ "topic": "two" })).await;
    let told = after.next().await;
    let told = joined(&told, &room);
    assert_eq!(said(told), ["m.room.topic", "m.room.topic"]);
    assert_eq!(told["state_after"]["events"].as_array().unwrap().len(), 1);
    assert_eq!(told["state_after"]["events"][0]["content"]["topic"], "two");
    let told = before.next().await;
    assert_eq!(joined(&told, &room)["state"], Value::Null);

    // Required even if it is empty.
    say(&alice, &room, "hello").await;
    assert_eq!(
        joined(&after.next().await, &room)["state_after"],
        json!({ "events": [] })
    );

    // A gap, with a change before it and one in the timeline.
    set_state(&alice, &room, "m.room.name", json!({ "name": "N" })).await;
    for number in 0..15 {
        say(&alice, &room, &number.to_string()).await;
    }
    set_state(&alice, &room, "m.room.topic", json!({ "topic": "three" })).await;
    let told = after.next().await;
    assert_eq!(
        words(&joined(&told, &room)["state_after"]["events"]),
        ["m.room.name", "m.room.topic"]
    );
    let told = before.next().await;
    assert_eq!(
        words(&joined(&told, &room)["state"]["events"]),
        ["m.room.name"]
    );
    act(&bob, &room, "leave", json!({})).await;
    let told = after.next().await;
    assert_eq!(
        words(&told["rooms"]["leave"][&room]["state_after"]["events"]),
        [member(&bob.user_id)]
    );
}

#[tokio::test]
async fn members_are_told_when_they_matter_and_once() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let carol = server.register("carol").await;
    act(&carol, &room, "join", json!({})).await;
    set_state(
        &alice,
        &room,
        "m.room.name",
        json!({ "name": "Named, so that nobody is a hero" }),
    )
    .await;
    for number in 0..25 {
        say(&alice, &room, &number.to_string()).await;
    }
    let filter = json!({ "room": { "state": { "lazy_load_members": true } } });
    let mut syncer = Syncer::filtered(&bob, &filter);
    let answer = syncer.next().await;
    let state = &joined(&answer, &room)["state"]["events"];
    // Who speaks in the timeline, and the user.
    assert_eq!(
        members(state),
        [member(&alice.user_id), member(&bob.user_id)]
    );
    assert!(words(state).contains(&"m.room.name".to_owned()));

    let lost = syncer.since.clone();
    say(&alice, &room, "known").await;
    say(&carol, &room, "unknown").await;
    let answer = syncer.next().await;
    assert_eq!(
        members(&joined(&answer, &room)["state"]["events"]),
        [member(&carol.user_id)]
    );
    // That answer was lost: the client does not know carol yet.
    syncer.since = lost;
    let answer = syncer.next().await;
    assert_eq!(
        members(&joined(&answer, &room)["state"]["events"]),
        [member(&carol.user_id)]
    );
    say(&carol, &room, "known now").await;
    let answer = syncer.next().await;
    assert_eq!(joined(&answer, &room)["state"], Value::Null);

    // Changes in a gap are told whoever they are about.
    let dora = server.register("dora").await;
    act(&dora, &room, "join", json!({})).await;
    for number in 0..15 {
        say(&alice, &room, &number.to_string()).await;
    }
    let answer = syncer.next().await;
    assert_eq!(
        members(&joined(&answer, &room)["state"]["events"]),
        [member(&dora.user_id)]
    );

    let filter = json!({ "room": { "state": { "lazy_load_members": true, "include_redundant_members": true } } });
    let mut redundant = Syncer::filtered(&bob, &filter);
    redundant.next().await;
    say(&alice, &room, "known").await;
    let answer = redundant.next().await;
    assert_eq!(
        members(&joined(&answer, &room)["state"]["events"]),
        [member(&alice.user_id)]
    );
}

#[tokio::test]
async fn a_gap_tells_each_state_once_and_in_its_latest_form() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    for number in 0..8 {
        set_state(
            &alice,
            &room,
            "m.room.topic",
            json!({ "topic": format!("{number}") }),
        )
        .await;
        set_state(
            &alice,
            &room,
            &format!("x.y/{number}"),
            json!({ "number": number }),
        )
        .await;
    }
    let answer = syncer.next().await;
    let told = joined(&answer, &room);
    assert_eq!(said(told).len(), 10);
    let state = told["state"]["events"].as_array().unwrap();
    assert_eq!(state.len(), 4);
    let topic: Vec<_> = state
        .iter()
        .filter(|event| event["type"] == "m.room.topic")
        .collect();
    assert_eq!(
        (topic.len(), &topic[0]["content"]["topic"]),
        (1, &json!("2"))
    );
}

#[tokio::test]
async fn state_that_the_timelines_filter_leaves_out_is_told_as_state() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let filter = json!({ "room": { "timeline": { "types": ["m.room.message"] } } });
    let mut syncer = Syncer::filtered(&bob, &filter);
    let answer = syncer.next().await;
    assert!(said(joined(&answer, &room)).is_empty());
    assert!(
        words(&joined(&answer, &room)["state"]["events"]).contains(&"m.room.create".to_owned())
    );
    say(&alice, &room, "one").await;
    set_state(&alice, &room, "m.room.topic", json!({ "topic": "T" })).await;
    send(&alice, &room, "x.other", json!({})).await;
    say(&alice, &room, "two").await;
    let answer = syncer.next().await;
    assert_eq!(said(joined(&answer, &room)), ["one", "two"]);
    assert_eq!(
        words(&joined(&answer, &room)["state"]["events"]),
        ["m.room.topic"]
    );
    send(&alice, &room, "x.other", json!({})).await;
    assert_eq!(names(&syncer.next().await), NOTHING);
}
