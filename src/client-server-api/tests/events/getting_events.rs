//! [Getting events for a room](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room). Answers are written
//! as bytes, so every one is read by ruma's type as well.

use std::fmt::Write as _;

use ruma::api::{
    IncomingResponse, IncomingResponseExt,
    client::{
        membership::{get_member_events, joined_members},
        message::get_message_events,
        room::{get_event_by_timestamp, get_room_event},
        state::{get_state_event_for_key, get_state_events},
    },
};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, path, public, say, set_state};

/// An answer, once ruma has read it and every event in it.
pub(crate) async fn read<R: IncomingResponse>(client: &Client, path: &str) -> Value {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.json);
    assert_eq!(reply.headers["content-type"], "application/json");
    let mut response = http::Response::new(&*reply.bytes);
    response.headers_mut().clone_from(&reply.headers);
    let understood = R::try_from_http_response(response).is_ok();
    assert!(understood, "ruma cannot read {}", reply.json);
    reply.json
}

/// `GET /messages`
pub(crate) async fn messages(client: &Client, room: &str, query: &str) -> Value {
    let path = path(room, &format!("messages?{query}"));
    read::<get_message_events::v3::Response>(client, &path).await
}

/// Every byte percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        write!(encoded, "%{byte:02X}").expect("memory takes it");
    }
    encoded
}

fn list(events: &Value) -> &[Value] {
    events.as_array().expect("a list of events")
}

fn ids(events: &Value) -> Vec<&str> {
    let id = |event: &'_ Value| event["event_id"].as_str().is_some();
    assert!(list(events).iter().all(id), "{events}");
    list(events)
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

/// The texts of the messages among `events`.
pub(crate) fn bodies(events: &Value) -> Vec<&str> {
    list(events)
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

async fn visibility(client: &Client, room: &str, setting: &str) {
    set_state(
        client,
        room,
        "m.room.history_visibility",
        json!({ "history_visibility": setting }),
    )
    .await;
}

/// Alice's public room, and Bob, who is not in it.
async fn room() -> (TestServer, Client, Client, String) {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    (server, alice, bob, room)
}

#[tokio::test]
async fn an_event_is_read_by_its_id() {
    let (server, alice, bob, room) = room().await;
    server.clock.advance(5);
    let event_id = say(&alice, &room, "hello", "t1").await;
    server.clock.advance(1234);
    let event_path = path(&room, &format!("event/{event_id}"));
    let event = read::<get_room_event::v3::Response>(&alice, &event_path).await;
    assert_eq!(event["event_id"], event_id);
    assert_eq!(event["room_id"], room);
    assert_eq!(event["sender"], alice.user_id);
    assert_eq!(
        event["content"],
        json!({ "msgtype": "m.text", "body": "hello" })
    );
    assert_eq!(
        event["unsigned"],
        json!({ "age": 1234, "transaction_id": "t1", "membership": "join" })
    );
    for hidden in [
        "auth_events",
        "prev_events",
        "hashes",
        "signatures",
        "depth",
    ] {
        assert_eq!(event[hidden], Value::Null, "{hidden}");
    }

    // The transaction id is for the device that sent it.
    let phone = server.login("alice").await;
    let event = read::<get_room_event::v3::Response>(&phone, &event_path).await;
    assert_eq!(
        event["unsigned"],
        json!({ "age": 1234, "membership": "join" })
    );
    act(&bob, &room, "join", json!({})).await;
    let event = read::<get_room_event::v3::Response>(&bob, &event_path).await;
    assert_eq!(
        event["unsigned"],
        json!({ "age": 1234, "membership": "leave" })
    );
}

#[tokio::test]
async fn an_event_that_the_reader_may_not_see_does_not_exist() {
    let (server, alice, bob, room) = room().await;
    let event_id = say(&alice, &room, "hello", "t1").await;
    let elsewhere = public(&alice).await;
    let rest = format!("event/{event_id}");
    bob.get(&path(&room, &rest)).await.is(404, "M_NOT_FOUND");
    alice
        .get(&path(&elsewhere, &rest))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&path("!nowhere:localhost", &rest))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&path(&room, "event/$nothing"))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&path(&room, "event/nothing"))
        .await
        .is(400, "M_INVALID_PARAM");
    alice
        .get(&path("nowhere", &rest))
        .await
        .is(400, "M_INVALID_PARAM");
    server
        .anyone()
        .get(&path(&room, &rest))
        .await
        .is(401, "M_MISSING_TOKEN");

    visibility(&alice, &room, "world_readable").await;
    let open = say(&alice, &room, "open", "t2").await;
    bob.get(&path(&room, &format!("event/{open}"))).await.ok();
    bob.get(&path(&room, &rest)).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn an_invited_user_sees_what_the_setting_lets_them() {
    let (_server, alice, bob, room) = room().await;
    visibility(&alice, &room, "invited").await;
    let before = say(&alice, &room, "before", "t1").await;
    act(&alice, &room, "invite", json!({ "user_id": bob.user_id })).await;
    let after = say(&alice, &room, "after", "t2").await;
    bob.get(&path(&room, &format!("event/{before}")))
        .await
        .is(404, "M_NOT_FOUND");
    let event = bob.get(&path(&room, &format!("event/{after}"))).await.ok();
    assert_eq!(event["unsigned"]["membership"], "invite");
    // The room itself is still closed.
    for rest in ["messages?dir=b", "state", "members", "joined_members"] {
        bob.get(&path(&room, rest)).await.is(403, "M_FORBIDDEN");
    }
    act(&bob, &room, "join", json!({})).await;
    let seen = messages(&bob, &room, "dir=b&limit=100").await;
    assert_eq!(bodies(&seen["chunk"]), ["after"]);
}

#[tokio::test]
async fn a_redacted_event_has_lost_its_content() {
    let (_server, alice, _bob, room) = room().await;
    let event_id = say(&alice, &room, "regretted", "t1").await;
    let redaction = format!("redact/{event_id}/t2");
    let answer = alice
        .put(&path(&room, &redaction), json!({ "reason": "typo" }))
        .await
        .ok();
    let event_path = path(&room, &format!("event/{event_id}"));
    for event in [
        read::<get_room_event::v3::Response>(&alice, &event_path).await,
        messages(&alice, &room, "dir=b&limit=2").await["chunk"][1].clone(),
    ] {
        assert_eq!(event["content"], json!({}));
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!(because["event_id"], answer["event_id"]);
        assert_eq!(because["content"]["reason"], "typo");
    }
    let context = alice
        .get(&path(&room, &format!("context/{event_id}?limit=0")))
        .await
        .ok();
    assert_eq!(context["event"]["content"], json!({}));
}

#[tokio::test]
async fn paging_both_ways_gives_each_event_once() {
    let (_server, alice, _bob, room) = room().await;
    for number in 0..60 {
        say(&alice, &room, &number.to_string(), &number.to_string()).await;
    }
    let walk = async |direction: &str| {
        let mut all = Vec::new();
        let mut page = messages(&alice, &room, &format!("dir={direction}&limit=7")).await;
        loop {
            all.extend(ids(&page["chunk"]).into_iter().map(str::to_owned));
            let Some(end) = page["end"].as_str().map(str::to_owned) else {
                return all;
            };
            page = messages(
                &alice,
                &room,
                &format!("dir={direction}&limit=7&from={end}"),
            )
            .await;
            assert_eq!(page["start"], end);
        }
    };
    let forward = walk("f").await;
    let mut backward = walk("b").await;
    backward.reverse();
    assert_eq!(forward, backward);
    let all = messages(&alice, &room, "dir=f&limit=100").await;
    assert_eq!(ids(&all["chunk"]), forward);
    assert_eq!(all["chunk"][0]["type"], "m.room.create");
    assert_eq!(all["end"], Value::Null);
    assert_eq!(bodies(&all["chunk"]).len(), 60);
    // Ten unless the client says otherwise; the last page read again is the same.
    let ten = messages(&alice, &room, "dir=b").await;
    assert_eq!(ids(&ten["chunk"]).len(), 10);
    let again = messages(
        &alice,
        &room,
        &format!("dir=b&from={}", ten["start"].as_str().unwrap()),
    )
    .await;
    assert_eq!(again["chunk"], ten["chunk"]);
}

#[tokio::test]
async fn paging_stops_at_the_token_given() {
    let (_server, alice, _bob, room) = room().await;
    for number in 0..6 {
        say(&alice, &room, &number.to_string(), &number.to_string()).await;
    }
    let newest = messages(&alice, &room, "dir=b&limit=4").await;
    let to = newest["end"].as_str().unwrap();
    let page = messages(&alice, &room, &format!("dir=b&limit=100&to={to}")).await;
    assert_eq!(page["chunk"], newest["chunk"]);
    assert_eq!(page["end"], Value::Null);
    let page = messages(&alice, &room, &format!("dir=f&limit=2&from={to}")).await;
    assert_eq!(bodies(&page["chunk"]), ["2", "3"]);
}

#[tokio::test]
async fn bad_tokens_limits_and_filters_are_refused() {
    let (server, alice, bob, room) = room().await;
    server
        .anyone()
        .get(&path(&room, "messages?dir=b"))
        .await
        .is(401, "M_MISSING_TOKEN");
    bob.get(&path(&room, "messages?dir=b"))
        .await
        .is(403, "M_FORBIDDEN");
    bob.get(&path("!nowhere:localhost", "messages?dir=b"))
        .await
        .is(403, "M_FORBIDDEN");
    for query in [
        "",
        "dir=x",
        "dir=b&from=bogus",
        "dir=b&to=bogus",
        "dir=b&from=m1_1_9223372036854775807",
        "dir=b&limit=-1",
        "dir=b&limit=many",
        "dir=b&limit=1.5",
        "dir=b&filter=x",
        "dir=b&filter=%7B%22types%22%3A1%7D",
    ] {
        alice
            .get(&path(&room, &format!("messages?{query}")))
            .await
            .is(400, "M_INVALID_PARAM");
    }
    // Absurd but harmless.
    for query in [
        "dir=b&limit=9007199254740991",
        "dir=b&limit=0",
        "dir=b&from=",
    ] {
        messages(&alice, &room, query).await;
    }
    // A token of another database starts over.
    let whole = messages(&alice, &room, "dir=b&limit=3").await;
    let over = messages(&alice, &room, "dir=b&limit=3&from=m1_1_1").await;
    assert_eq!(over["chunk"], whole["chunk"]);
}

#[tokio::test]
async fn a_filter_chooses_among_the_events() {
    let (_server, alice, bob, room) = room().await;
    act(&bob, &room, "join", json!({})).await;
    say(&alice, &room, "from alice", "t1").await;
    say(&bob, &room, "from bob", "t2").await;
    let image = json!({ "msgtype": "m.image", "body": "image", "url": "mxc://localhost/abc" });
    bob.put(&path(&room, "send/m.room.message/t3"), image)
        .await
        .ok();
    for (filter, expected) in [
        (
            json!({ "types": ["m.room.message"] }),
            vec!["image", "from bob", "from alice"],
        ),
        (
            json!({ "types": ["m.room.mess*"], "limit": 1 }),
            vec!["image"],
        ),
        (json!({ "not_types": ["m.*"] }), vec![]),
        (
            json!({ "senders": [bob.user_id] }),
            vec!["image", "from bob"],
        ),
        (json!({ "not_senders": [bob.user_id] }), vec!["from alice"]),
        (json!({ "contains_url": true }), vec!["image"]),
        (json!({ "not_rooms": [room] }), vec![]),
    ] {
        let query = format!("dir=b&limit=50&filter={}", encoded(&filter.to_string()));
        let page = messages(&alice, &room, &query).await;
        assert_eq!(bodies(&page["chunk"]), expected, "{filter}");
    }
}

#[tokio::test]
async fn lazy_loading_tells_the_senders_members() {
    let (server, alice, bob, room) = room().await;
    let carol = server.register("carol").await;
    act(&bob, &room, "join", json!({})).await;
    act(&carol, &room, "join", json!({})).await;
    say(&bob, &room, "hello", "t1").await;
    say(&bob, &room, "again", "t2").await;
    let filter = encoded(&json!({ "lazy_load_members": true }).to_string());
    let page = messages(&alice, &room, &format!("dir=b&limit=2&filter={filter}")).await;
    let state = page["state"].as_array().unwrap();
    assert_eq!(state.len(), 1);
    assert_eq!(
        (&state[0]["type"], &state[0]["state_key"]),
        (&json!("m.room.member"), &json!(bob.user_id))
    );
    let page = messages(&alice, &room, "dir=b&limit=2").await;
    assert_eq!(page["state"], Value::Null);
}

#[tokio::test]
async fn whoever_has_left_reads_the_room_as_of_leaving() {
    let (_server, alice, bob, room) = room().await;
    act(&bob, &room, "join", json!({})).await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "before" })).await;
    say(&alice, &room, "during", "t1").await;
    act(&bob, &room, "leave", json!({})).await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "after" })).await;
    let after = say(&alice, &room, "after", "t2").await;

    let page = messages(&bob, &room, "dir=b&limit=2").await;
    assert_eq!(page["chunk"][0]["content"]["membership"], "leave");
    assert_eq!(page["chunk"][1]["content"]["body"], "during");
    let forward = messages(&bob, &room, "dir=f&limit=100").await;
    assert_eq!(bodies(&forward["chunk"]), ["during"]);
    assert_eq!(forward["end"], Value::Null);
    bob.get(&path(&room, &format!("event/{after}")))
        .await
        .is(404, "M_NOT_FOUND");
    bob.get(&path(&room, &format!("context/{after}")))
        .await
        .is(404, "M_NOT_FOUND");

    let name = path(&room, "state/m.room.name");
    assert_eq!(bob.get(&name).await.ok(), json!({ "name": "before" }));
    let state = read::<get_state_events::v3::Response>(&bob, &path(&room, "state")).await;
    let names: Vec<_> = state
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["name"].as_str())
        .collect();
    assert_eq!(names, ["before"]);
    let members =
        read::<get_member_events::v3::Response>(&bob, &path(&room, "members?membership=leave"))
            .await;
    assert_eq!(members["chunk"][0]["state_key"], bob.user_id);
    bob.get(&path(&room, "joined_members"))
        .await
        .is(403, "M_FORBIDDEN");

    // Forgotten is forgotten.
    act(&bob, &room, "forget", json!({})).await;
    for rest in [
        "messages?dir=b",
        "state",
        "state/m.room.name",
        "members",
        "timestamp_to_event?ts=0&dir=f",
    ] {
        let place = path(&room, rest).replace(
            "v3/rooms",
            if rest.starts_with("time") {
                "v1/rooms"
            } else {
                "v3/rooms"
            },
        );
        bob.get(&place).await.is(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn whoever_is_banned_reads_up_to_the_ban() {
    let (_server, alice, bob, room) = room().await;
    act(&bob, &room, "join", json!({})).await;
    say(&alice, &room, "during", "t1").await;
    act(
        &alice,
        &room,
        "ban",
        json!({ "user_id": bob.user_id, "reason": "spam" }),
    )
    .await;
    say(&alice, &room, "after", "t2").await;
    let page = messages(&bob, &room, "dir=b&limit=100").await;
    assert_eq!(bodies(&page["chunk"]), ["during"]);
    assert_eq!(page["chunk"][0]["content"]["reason"], "spam");
}

#[tokio::test]
async fn a_world_readable_room_is_open_to_everybody_with_an_account() {
    let (server, alice, bob, room) = room().await;
    say(&alice, &room, "closed", "t1").await;
    visibility(&alice, &room, "world_readable").await;
    say(&alice, &room, "open", "t2").await;
    let page = messages(&bob, &room, "dir=b&limit=100").await;
    assert_eq!(bodies(&page["chunk"]), ["open"]);
    assert_eq!(page["chunk"][0]["unsigned"]["membership"], "leave");
    bob.get(&path(&room, "state")).await.ok();
    bob.get(&path(&room, "members")).await.ok();
    bob.get(&path(&room, "joined_members"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&path(&room, "messages?dir=b"))
        .await
        .is(401, "M_MISSING_TOKEN");
    visibility(&alice, &room, "joined").await;
    bob.get(&path(&room, "messages?dir=b"))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn the_whole_state_is_a_list_of_events() {
    let (server, alice, bob, room) = room().await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "one" })).await;
    set_state(&alice, &room, "m.room.name", json!({ "name": "two" })).await;
    let state = read::<get_state_events::v3::Response>(&alice, &path(&room, "state")).await;
    let state = state.as_array().unwrap();
    let names: Vec<_> = state
        .iter()
        .filter(|event| event["type"] == "m.room.name")
        .collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["content"], json!({ "name": "two" }));
    assert_eq!(
        names[0]["unsigned"]["prev_content"],
        json!({ "name": "one" })
    );
    assert_eq!(names[0]["room_id"], room);
    for event_type in [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
    ] {
        assert!(
            state.iter().any(|event| event["type"] == event_type),
            "{event_type}"
        );
    }
    bob.get(&path(&room, "state")).await.is(403, "M_FORBIDDEN");
    bob.get(&path("!nowhere:localhost", "state"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&path(&room, "state"))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn one_state_event_is_read_in_both_formats() {
    let (server, alice, bob, room) = room().await;
    set_state(&alice, &room, "org.example.state/key", json!({ "a": 1 })).await;
    set_state(&alice, &room, "org.example.state", json!({ "b": 2 })).await;
    let get = async |rest: &str| {
        read::<get_state_event_for_key::v3::Response>(
            &alice,
            &path(&room, &format!("state/{rest}")),
        )
        .await
    };
    assert_eq!(get("org.example.state/key").await, json!({ "a": 1 }));
    for empty in [
        "org.example.state",
        "org.example.state/",
        "org.example.state?format=content",
    ] {
        assert_eq!(get(empty).await, json!({ "b": 2 }), "{empty}");
    }
    let event = get("org.example.state/key?format=event").await;
    assert_eq!(
        (&event["content"], &event["state_key"]),
        (&json!({ "a": 1 }), &json!("key"))
    );
    assert_eq!(
        (&event["sender"], &event["room_id"]),
        (&json!(alice.user_id), &json!(room))
    );
    assert!(event["event_id"].is_string() && event["origin_server_ts"].is_u64());

    alice
        .get(&path(&room, "state/org.example.state/other"))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .get(&path(&room, "state/org.example.nothing"))
        .await
        .is(404, "M_NOT_FOUND");
    bob.get(&path(&room, "state/org.example.state"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&path(&room, "state/org.example.state"))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn members_are_listed_by_membership_and_time() {
    let (server, alice, bob, room) = room().await;
    let carol = server.register("carol").await;
    let early = messages(&alice, &room, "dir=b&limit=1").await["start"]
        .as_str()
        .unwrap()
        .to_owned();
    act(&bob, &room, "join", json!({})).await;
    act(&alice, &room, "invite", json!({ "user_id": carol.user_id })).await;
    let late = messages(&alice, &room, "dir=b&limit=1").await["start"]
        .as_str()
        .unwrap()
        .to_owned();
    act(&bob, &room, "leave", json!({})).await;
    for (query, expected) in [
        (String::new(), vec!["alice", "carol", "bob"]),
        ("membership=join".to_owned(), vec!["alice"]),
        ("membership=invite".to_owned(), vec!["carol"]),
        ("not_membership=join".to_owned(), vec!["carol", "bob"]),
        (
            "membership=join&not_membership=leave".to_owned(),
            vec!["alice", "carol"],
        ),
        ("membership=ban".to_owned(), vec![]),
        (format!("at={late}"), vec!["alice", "bob", "carol"]),
        (format!("at={late}&membership=join"), vec!["alice", "bob"]),
        (format!("at={early}"), vec!["alice"]),
    ] {
        let answer = read::<get_member_events::v3::Response>(
            &alice,
            &path(&room, &format!("members?{query}")),
        )
        .await;
        let members: Vec<_> = answer["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|name| format!("@{name}:localhost"))
            .collect();
        assert_eq!(members, expected, "{query}");
    }
    alice
        .get(&path(&room, "members?at=bogus"))
        .await
        .is(400, "M_INVALID_PARAM");
    carol
        .get(&path(&room, "members"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&path(&room, "members"))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn joined_members_come_with_their_profiles() {
    let (server, alice, bob, room) = room().await;
    act(&bob, &room, "join", json!({})).await;
    let member = json!({ "membership": "join", "displayname": "Bob", "avatar_url": 7 });
    set_state(
        &bob,
        &room,
        &format!("m.room.member/{}", bob.user_id),
        member,
    )
    .await;
    let answer = read::<joined_members::v3::Response>(&alice, &path(&room, "joined_members")).await;
    assert_eq!(answer["joined"].as_object().unwrap().len(), 2);
    assert_eq!(
        answer["joined"][&bob.user_id],
        json!({ "display_name": "Bob" })
    );
    act(&bob, &room, "leave", json!({})).await;
    let answer = read::<joined_members::v3::Response>(&alice, &path(&room, "joined_members")).await;
    assert!(answer["joined"][&bob.user_id].is_null());
    bob.get(&path(&room, "joined_members"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&path(&room, "joined_members"))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn the_event_nearest_to_a_time_is_found() {
    let (server, alice, bob, room) = room().await;
    server.clock.advance(1000);
    let first = say(&alice, &room, "first", "t1").await;
    server.clock.advance(1000);
    let second = say(&alice, &room, "second", "t2").await;
    let sent = test_support::START_MS + 1000;
    let place = |query: &str| format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?{query}");
    for (ts, direction, expected, at) in [
        (sent, "f", &first, sent),
        (sent + 1, "f", &second, sent + 1000),
        (sent + 999, "b", &first, sent),
        (sent + 5000, "b", &second, sent + 1000),
    ] {
        let query = format!("ts={ts}&dir={direction}");
        let answer = read::<get_event_by_timestamp::v1::Response>(&alice, &place(&query)).await;
        assert_eq!(
            answer,
            json!({ "event_id": expected, "origin_server_ts": at }),
            "{query}"
        );
    }
    alice
        .get(&place(&format!("ts={}&dir=f", sent + 1001)))
        .await
        .is(404, "M_NOT_FOUND");
    alice.get(&place("ts=0&dir=b")).await.is(404, "M_NOT_FOUND");
    alice.get(&place("ts=0")).await.is(400, "M_INVALID_PARAM");
    alice
        .get(&place("ts=x&dir=b"))
        .await
        .is(400, "M_INVALID_PARAM");
    bob.get(&place("ts=0&dir=f")).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&place("ts=0&dir=f"))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn what_was_read_is_read_the_same_after_a_restart() {
    let (server, alice, bob, room) = room().await;
    visibility(&alice, &room, "joined").await;
    say(&alice, &room, "before", "t1").await;
    act(&bob, &room, "join", json!({})).await;
    say(&alice, &room, "during", "t2").await;
    let page = messages(&bob, &room, "dir=b&limit=3").await;
    let state = bob.get(&path(&room, "state")).await.ok();
    let server = server.restart().await;
    let bob = server
        .anyone()
        .with_token(bob.access_token.as_deref().unwrap());
    assert_eq!(
        messages(&bob, &room, "dir=b&limit=3").await["chunk"],
        page["chunk"]
    );
    assert_eq!(bob.get(&path(&room, "state")).await.ok(), state);
    let end = page["end"].as_str().unwrap();
    let older = messages(&bob, &room, &format!("dir=b&limit=100&from={end}")).await;
    assert!(bodies(&older["chunk"]).is_empty());
}

#[tokio::test]
async fn ids_in_the_path_may_be_percent_encoded() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    // Room versions 1 to 11 have a colon in the room's id, which clients encode.
    let room = create(&alice, json!({ "room_version": "11" })).await;
    let event_id = say(&alice, &room, "hello", "t1").await;
    let rest = format!("event/{}", encoded(&event_id));
    let event = alice.get(&path(&encoded(&room), &rest)).await.ok();
    assert_eq!(
        (&event["room_id"], &event["event_id"]),
        (&json!(room), &json!(event_id))
    );
}

#[tokio::test]
async fn a_member_reads_a_room_at_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = create(&alice, json!({})).await;
    say(&alice, &room, "hello", "1").await;
    let told = alice.get(&path(&room, "initialSync?limit=1")).await.ok();
    assert_eq!(told["membership"], "join");
    assert_eq!(told["messages"]["chunk"][0]["content"]["body"], "hello");
    server
        .anyone()
        .get(&path(&room, "initialSync"))
        .await
        .is(401, "M_MISSING_TOKEN");
}
