//! [Filters](https://spec.matrix.org/v1.19/client-server-api/#filtering), applied.

use serde_json::{Value, json};

use super::{Syncer, encoded, joined, names, said, say, send, two_in_a_room, words};
use crate::rooms::{create, path, set_state};

#[tokio::test]
async fn a_filter_is_named_or_sent() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let filter = json!({ "room": { "timeline": { "limit": 2 } } });
    let answer = bob
        .post(
            &format!("/_matrix/client/v3/user/{}/filter", bob.user_id),
            filter.clone(),
        )
        .await
        .ok();
    let id = answer["filter_id"].as_str().unwrap().to_owned();
    for text in ["one", "two", "three"] {
        say(&alice, &room, text).await;
    }
    for parameters in [
        format!("&filter={id}"),
        format!("&filter={}", encoded(&filter.to_string())),
    ] {
        let mut syncer = Syncer {
            parameters,
            ..Syncer::new(&bob)
        };
        assert_eq!(said(joined(&syncer.next().await, &room)), ["two", "three"]);
    }
    let cases = [
        ("999", "M_INVALID_PARAM"),
        ("x", "M_INVALID_PARAM"),
        ("%7B", "M_BAD_JSON"),
        ("%7B%22room%22%3A1%7D", "M_BAD_JSON"),
        (
            "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A-1%7D%7D%7D",
            "M_BAD_JSON",
        ),
    ];
    for (filter, errcode) in cases {
        bob.get(&format!("/_matrix/client/v3/sync?filter={filter}"))
            .await
            .is(400, errcode);
    }
}

#[tokio::test]
async fn events_are_chosen_by_type_sender_and_url() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let start = Syncer::started(&bob).await.since;
    say(&alice, &room, "alice").await;
    say(&bob, &room, "bob").await;
    send(
        &alice,
        &room,
        "m.room.message",
        json!({ "msgtype": "m.image", "body": "picture", "url": "mxc://localhost/a" }),
    )
    .await;
    send(&alice, &room, "x.y.z", json!({})).await;
    set_state(&alice, &room, "m.room.topic", json!({ "topic": "T" })).await;
    let rows = [
        (
            json!({}),
            vec!["alice", "bob", "picture", "x.y.z", "m.room.topic"],
        ),
        (
            json!({ "types": ["m.room.message"] }),
            vec!["alice", "bob", "picture"],
        ),
        (
            json!({ "types": ["m.*"] }),
            vec!["alice", "bob", "picture", "m.room.topic"],
        ),
        (
            json!({ "types": ["x.*", "m.room.topic"] }),
            vec!["x.y.z", "m.room.topic"],
        ),
        (
            json!({ "not_types": ["m.room.message"] }),
            vec!["x.y.z", "m.room.topic"],
        ),
        (
            json!({ "types": ["m.*"], "not_types": ["*.topic"] }),
            vec!["alice", "bob", "picture"],
        ),
        (json!({ "types": [] }), vec![]),
        (json!({ "senders": [bob.user_id] }), vec!["bob"]),
        (json!({ "not_senders": [alice.user_id] }), vec!["bob"]),
        (
            json!({ "senders": [bob.user_id], "not_senders": [bob.user_id] }),
            vec![],
        ),
        (json!({ "contains_url": true }), vec!["picture"]),
        (
            json!({ "contains_url": false }),
            vec!["alice", "bob", "x.y.z", "m.room.topic"],
        ),
        (
            json!({ "rooms": [room] }),
            vec!["alice", "bob", "picture", "x.y.z", "m.room.topic"],
        ),
        (json!({ "rooms": [] }), vec![]),
        (json!({ "not_rooms": [room] }), vec![]),
        (json!({ "limit": 1 }), vec!["m.room.topic"]),
        (json!({ "limit": 0 }), vec!["m.room.topic"]),
        (
            json!({ "limit": 9_007_199_254_740_991_u64 }),
            vec!["alice", "bob", "picture", "x.y.z", "m.room.topic"],
        ),
    ];
    for (timeline, expected) in rows {
        let mut syncer = Syncer::filtered(&bob, &json!({ "room": { "timeline": timeline } }));
        syncer.since.clone_from(&start);
        let answer = syncer.next().await;
        assert_eq!(said(joined(&answer, &room)), expected, "{timeline}");
        if expected.len() == 1 && timeline["limit"] != Value::Null {
            assert_eq!(joined(&answer, &room)["timeline"]["limited"], true);
        }
    }
}

#[tokio::test]
async fn state_account_data_and_ephemeral_events_have_filters_of_their_own() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let other = create(&bob, json!({})).await;
    let event_id = say(&alice, &room, "x").await;
    bob.put(
        &format!("/_matrix/client/v3/user/{}/account_data/x.one", bob.user_id),
        json!({}),
    )
    .await
    .ok();
    bob.put(
        &format!(
            "/_matrix/client/v3/user/{}/rooms/{room}/account_data/x.two",
            bob.user_id
        ),
        json!({}),
    )
    .await
    .ok();
    alice
        .post(
            &path(&room, &format!("receipt/m.read/{event_id}")),
            json!({}),
        )
        .await
        .ok();
    alice
        .put(
            &path(&room, &format!("typing/{}", alice.user_id)),
            json!({ "typing": true, "timeout": 30_000 }),
        )
        .await
        .ok();

    let answer = Syncer::new(&bob).next().await;
    assert_eq!(
        words(&answer["account_data"]["events"]),
        ["x.one", "m.push_rules"]
    );
    assert_eq!(
        words(&joined(&answer, &room)["account_data"]["events"]),
        ["x.two"]
    );
    assert_eq!(
        words(&joined(&answer, &room)["ephemeral"]["events"]),
        ["m.typing", "m.receipt"]
    );

    let filter = json!({
        "account_data": { "not_types": ["m.push_rules"] },
        "room": {
            "state": { "types": ["m.room.create"] },
            "account_data": { "types": ["y.*"] },
            "ephemeral": { "not_types": ["m.typing"] },
            "timeline": { "limit": 1 },
        },
    });
    let answer = Syncer::filtered(&bob, &filter).next().await;
    assert_eq!(words(&answer["account_data"]["events"]), ["x.one"]);
    assert_eq!(joined(&answer, &room)["account_data"], Value::Null);
    assert_eq!(
        words(&joined(&answer, &room)["ephemeral"]["events"]),
        ["m.receipt"]
    );
    assert_eq!(
        words(&joined(&answer, &room)["state"]["events"]),
        ["m.room.create"]
    );

    for rooms in [json!({ "rooms": [room] }), json!({ "not_rooms": [other] })] {
        let answer = Syncer::filtered(&bob, &json!({ "room": rooms }))
            .next()
            .await;
        assert_eq!(names(&answer["rooms"]["join"]), [&room], "{rooms}");
    }
    let answer = Syncer::filtered(&bob, &json!({ "room": { "rooms": [] } }))
        .next()
        .await;
    assert_eq!(answer["rooms"], Value::Null);
}

#[tokio::test]
async fn a_client_that_does_not_want_to_hear_is_not_woken() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let filter = json!({ "room": { "timeline": { "types": ["x.*"] }, "state": { "types": [] } } });
    let mut syncer = Syncer::filtered(&bob, &filter);
    syncer.next().await;
    let (answer, ()) = tokio::join!(syncer.within(60_000), async {
        say(&alice, &room, "not of interest").await;
        send(&alice, &room, "x.y", json!({})).await;
    });
    assert_eq!(said(joined(&answer, &room)), ["x.y"]);
}

#[tokio::test]
async fn events_come_in_part_or_as_other_servers_get_them() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let start = Syncer::started(&bob).await.since;
    say(&alice, &room, "hello").await;
    let first = async |filter: Value| {
        let mut syncer = Syncer::filtered(&bob, &filter);
        syncer.since.clone_from(&start);
        joined(&syncer.next().await, &room)["timeline"]["events"][0].clone()
    };
    let event = first(json!({ "event_fields": ["content.body", "type", "unsigned.age"] })).await;
    assert_eq!(
        event,
        json!({ "content": { "body": "hello" }, "type": "m.room.message", "unsigned": { "age": 0 } })
    );
    let event = first(json!({ "event_format": "federation" })).await;
    for name in [
        "auth_events",
        "prev_events",
        "hashes",
        "signatures",
        "depth",
        "content",
        "room_id",
        "type",
    ] {
        assert_ne!(event[name], Value::Null, "{name}: {event}");
    }
    assert_eq!(event["event_id"], Value::Null);
}
