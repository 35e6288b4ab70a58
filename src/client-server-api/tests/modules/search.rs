//! [Server Side Search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search). Answers are read by ruma's type as
//! well.

use ruma::api::{IncomingResponseExt, client::search::search_events};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::{
    events::relationships::{edit, ids, redact, send},
    rooms::{act, create, path, public, say, set_state},
};

const SEARCH: &str = "/_matrix/client/v3/search";

/// `room_events` of an answer to `criteria`.
async fn search_from(client: &Client, criteria: Value, next_batch: Option<&str>) -> Value {
    let path = next_batch.map_or(SEARCH.to_owned(), |next| {
        format!("{SEARCH}?next_batch={next}")
    });
    let body = json!({ "search_categories": { "room_events": criteria } });
    let reply = client.post(&path, body).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    let response = http::Response::new(&*reply.bytes);
    let understood = search_events::v3::Response::try_from_http_response(response);
    assert!(understood.is_ok(), "{}", reply.json);
    reply.json["search_categories"]["room_events"].clone()
}

async fn search(client: &Client, criteria: Value) -> Value {
    search_from(client, criteria, None).await
}

fn events(found: &Value) -> Value {
    let results = found["results"].as_array().expect("a list of results");
    results
        .iter()
        .map(|result| result["result"].clone())
        .collect()
}

/// The ids of what is found, newest first.
async fn find(client: &Client, term: &str) -> Vec<String> {
    let found = search(client, json!({ "search_term": term, "order_by": "recent" })).await;
    ids(&events(&found))
        .into_iter()
        .map(str::to_owned)
        .collect()
}

async fn room() -> (TestServer, Client, String) {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    (server, alice, room)
}

#[tokio::test]
async fn events_are_found_by_all_their_words() {
    let (_server, alice, room) = room().await;
    let one = say(&alice, &room, "The quick brown Fox", "1").await;
    let two = say(&alice, &room, "a lazy fox, and the dog", "2").await;
    let chinese = say(&alice, &room, "我们去北京吃烤鸭", "3").await;
    assert_eq!(find(&alice, "fox").await, [two.clone(), one.clone()]);
    assert_eq!(find(&alice, "FOX quick").await, [one]);
    assert_eq!(find(&alice, "dog fox").await, [two]);
    assert_eq!(find(&alice, "北京").await, [chinese]);
    assert!(find(&alice, "fox cat").await.is_empty());
    assert!(find(&alice, "").await.is_empty());
    assert!(find(&alice, "?!").await.is_empty());
}

#[tokio::test]
async fn a_result_tells_all_that_is_known_of_it() {
    let (_server, alice, room) = room().await;
    say(&alice, &room, "before", "1").await;
    let needle = say(&alice, &room, "a needle", "2").await;
    say(&alice, &room, "after", "3").await;
    let criteria = json!({
        "search_term": "Needle",
        "event_context": { "before_limit": 1, "after_limit": 5, "include_profile": true },
        "include_state": true,
        "groupings": { "group_by": [{ "key": "room_id" }, { "key": "sender" }] },
    });
    let found = search(&alice, criteria).await;
    assert_eq!(found["count"], 1);
    assert_eq!(found["highlights"], json!(["needle"]));
    let result = &found["results"][0];
    assert_eq!(result["result"]["event_id"], needle);
    assert_eq!(result["result"]["room_id"], room);
    assert!(result["rank"].as_f64().unwrap() > 0.0);
    let context = &result["context"];
    assert_eq!(context["events_before"][0]["content"]["body"], "before");
    assert_eq!(context["events_before"].as_array().unwrap().len(), 1);
    assert_eq!(context["events_after"][0]["content"]["body"], "after");
    assert_eq!(
        context["profile_info"][&alice.user_id]["displayname"],
        "alice"
    );
    let start = context["start"].as_str().unwrap();
    let older = path(&room, &format!("messages?dir=b&limit=1&from={start}"));
    alice.get(&older).await.ok();
    let state = found["state"][&room].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    for (key, id) in [("room_id", &room), ("sender", &alice.user_id)] {
        let group = &found["groups"][key][id];
        assert_eq!(group["results"], json!([needle]));
        assert_eq!(group["order"], 1);
    }
    assert!(found["next_batch"].is_null());
}

#[tokio::test]
async fn names_and_topics_are_found_too_where_they_are_asked_for() {
    let (_server, alice, room) = room().await;
    let name = set_state(&alice, &room, "m.room.name", json!({ "name": "marmot" })).await;
    let topic = set_state(&alice, &room, "m.room.topic", json!({ "topic": "marmot" })).await;
    let body = say(&alice, &room, "marmot", "1").await;
    send(&alice, &room, "org.example", json!({ "body": "marmot" })).await;
    assert_eq!(
        find(&alice, "marmot").await,
        [body.clone(), topic.clone(), name.clone()]
    );
    for (keys, expected) in [
        (json!(["content.body"]), vec![&body]),
        (json!(["content.name"]), vec![&name]),
        (json!(["content.topic"]), vec![&topic]),
        (json!(["content.name", "content.body"]), vec![&body, &name]),
    ] {
        let criteria = json!({ "search_term": "marmot", "keys": keys, "order_by": "recent" });
        assert_eq!(ids(&events(&search(&alice, criteria).await)), expected);
    }
}

#[tokio::test]
async fn filters_choose_rooms_senders_and_types() {
    let (server, alice, room) = room().await;
    let bob = server.register("bob").await;
    act(&bob, &room, "join", json!({})).await;
    let other = public(&alice).await;
    let mine = say(&alice, &room, "owl", "1").await;
    let his = say(&bob, &room, "owl", "2").await;
    let there = say(&alice, &other, "owl", "3").await;
    for (filter, expected) in [
        (json!({ "rooms": [room] }), vec![&his, &mine]),
        (json!({ "not_rooms": [room] }), vec![&there]),
        (json!({ "senders": [bob.user_id] }), vec![&his]),
        (json!({ "not_senders": [bob.user_id] }), vec![&there, &mine]),
        (json!({ "types": ["m.room.name"] }), vec![]),
        (json!({ "limit": 1 }), vec![&there]),
    ] {
        let criteria = json!({ "search_term": "owl", "order_by": "recent", "filter": filter });
        let found = search(&alice, criteria).await;
        assert_eq!(ids(&events(&found)), expected, "{filter}");
    }
}

#[tokio::test]
async fn results_come_page_by_page_and_group_by_group() {
    let (_server, alice, room) = room().await;
    let other = public(&alice).await;
    let mut sent = Vec::new();
    for number in 0..7 {
        let room = if number % 2 == 0 { &room } else { &other };
        sent.push(say(&alice, room, &format!("newt {number}"), &number.to_string()).await);
    }
    sent.reverse();
    let criteria = json!({
        "search_term": "newt",
        "order_by": "recent",
        "filter": { "limit": 2 },
        "groupings": { "group_by": [{ "key": "room_id" }] },
    });
    let (mut found, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = search_from(&alice, criteria.clone(), next.as_deref()).await;
        assert_eq!(page["count"], 7);
        found.extend(ids(&events(&page)).into_iter().map(str::to_owned));
        let Some(token) = page["next_batch"].as_str() else {
            break;
        };
        next = Some(token.to_owned());
        // What comes later changes nothing.
        if found.len() == 2 {
            say(&alice, &room, "newt, late", "late").await;
        }
    }
    assert_eq!(found, sent);

    let first = search(&alice, criteria.clone()).await;
    assert_eq!(ids(&events(&first))[1], sent[0]);
    let of_room = first["groups"]["room_id"][&room]["next_batch"].as_str();
    assert!(of_room.is_some());
    let page = search_from(&alice, criteria, of_room).await;
    assert_eq!(ids(&events(&page)), [&sent[2], &sent[4]]);
    let body = json!({ "search_categories": { "room_events": { "search_term": "newt" } } });
    let bad = format!("{SEARCH}?next_batch=nonsense");
    alice.post(&bad, body).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_fits_best_comes_first() {
    let (_server, alice, room) = room().await;
    let best = say(&alice, &room, "heron heron", "1").await;
    let good = say(&alice, &room, "heron", "2").await;
    let poor = say(
        &alice,
        &room,
        "a long text in which a heron stands somewhere",
        "3",
    )
    .await;
    let found = search(&alice, json!({ "search_term": "heron" })).await;
    let order = events(&found);
    assert_eq!(ids(&order)[2], poor);
    assert!(ids(&order).contains(&&*best) && ids(&order).contains(&&*good));
    let found = search(
        &alice,
        json!({ "search_term": "heron", "order_by": "recent" }),
    )
    .await;
    assert_eq!(ids(&events(&found)), [&poor, &good, &best]);
}

#[tokio::test]
async fn edits_are_found_instead_of_what_they_replace() {
    let (_server, alice, room) = room().await;
    let event = say(&alice, &room, "colour grene", "1").await;
    let first = edit(&alice, &room, &event, "colour green").await;
    assert_eq!(find(&alice, "green").await, std::slice::from_ref(&event));
    assert!(find(&alice, "grene").await.is_empty());
    let found = search(&alice, json!({ "search_term": "green" })).await;
    let relations = &found["results"][0]["result"]["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["event_id"], first);
    // Without its edit it reads as before.
    redact(&alice, &room, &first).await;
    assert_eq!(find(&alice, "grene").await, std::slice::from_ref(&event));
    assert!(find(&alice, "green").await.is_empty());
    redact(&alice, &room, &event).await;
    assert!(find(&alice, "colour").await.is_empty());
}

#[tokio::test]
async fn only_what_the_searcher_may_see_is_found() {
    let (server, alice, room) = room().await;
    let bob = server.register("bob").await;
    let early = say(&alice, &room, "badger early", "1").await;
    let secret = create(&alice, json!({ "preset": "private_chat" })).await;
    say(&alice, &secret, "badger secret", "2").await;
    assert!(find(&bob, "badger").await.is_empty());
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(find(&bob, "badger").await, std::slice::from_ref(&early));
    let hidden = json!({ "history_visibility": "joined" });
    set_state(&alice, &room, "m.room.history_visibility", hidden).await;
    act(&bob, &room, "leave", json!({})).await;
    say(&alice, &room, "badger late", "3").await;
    assert_eq!(find(&bob, "badger").await, [early]);
    act(&bob, &room, "forget", json!({})).await;
    assert!(find(&bob, "badger").await.is_empty());
    let body = json!({ "search_categories": { "room_events": { "search_term": "badger" } } });
    server
        .anyone()
        .post(SEARCH, body)
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn encrypted_rooms_are_never_searched() {
    let (_server, alice, room) = room().await;
    say(&alice, &room, "stoat before", "1").await;
    assert_eq!(find(&alice, "stoat").await.len(), 1);
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    set_state(&alice, &room, "m.room.encryption", algorithm).await;
    say(&alice, &room, "stoat after", "2").await;
    assert!(find(&alice, "stoat").await.is_empty());
}

#[tokio::test]
async fn the_index_goes_on_after_a_restart() {
    let (server, alice, room) = room().await;
    let before = say(&alice, &room, "otter", "1").await;
    assert_eq!(find(&alice, "otter").await, std::slice::from_ref(&before));
    let after = say(&alice, &room, "otter again", "2").await;
    let server = server.restart().await;
    let alice = server.login("alice").await;
    assert_eq!(find(&alice, "otter").await, [after, before]);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let (_server, alice, _room) = room().await;
    for (criteria, errcode) in [
        (
            json!({ "search_term": "x", "order_by": "x" }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "search_term": "x", "keys": ["x"] }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "search_term": "x", "groupings": { "group_by": [{ "key": "x" }] } }),
            "M_INVALID_PARAM",
        ),
        (json!({ "search_term": 7 }), "M_BAD_JSON"),
        (json!({}), "M_BAD_JSON"),
    ] {
        let body = json!({ "search_categories": { "room_events": criteria } });
        alice.post(SEARCH, body).await.is(400, errcode);
    }
    // Nothing asked, nothing told.
    let body = json!({ "search_categories": {} });
    assert_eq!(
        alice.post(SEARCH, body).await.ok(),
        json!({ "search_categories": {} })
    );
}

#[tokio::test]
async fn whoever_searches_too_often_has_to_wait() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.registration.burst = 100;
        config.rate_limits.search.burst = 1;
        config.rate_limits.search.per_second = 0.01;
        config.rate_limits.keys.burst = 1;
        config.rate_limits.keys.per_second = 0.01;
    })
    .await;
    let room = crate::rooms::public(&server.register("alice").await).await;
    let hierarchy = format!("/_matrix/client/v1/rooms/{room}/hierarchy");
    let summary = format!("/_matrix/client/v1/room_summary/{room}");
    let term = json!({ "search_term": "x" });
    let events = json!({ "search_categories": { "room_events": term } });
    let keys = json!({ "device_keys": {} });
    let claim = json!({ "one_time_keys": {} });
    // Each by a user of their own: they share one limit.
    for (name, path, body) in [
        ("search", "/_matrix/client/v3/search", Some(events)),
        (
            "users",
            "/_matrix/client/v3/user_directory/search",
            Some(term),
        ),
        ("rooms", "/_matrix/client/v3/publicRooms", Some(json!({}))),
        ("spaces", &*hierarchy, None),
        ("summary", &*summary, None),
        (
            "mutual",
            "/_matrix/client/v1/mutual_rooms?user_id=@alice:localhost",
            None,
        ),
        ("query", "/_matrix/client/v3/keys/query", Some(keys)),
        ("claim", "/_matrix/client/v3/keys/claim", Some(claim)),
    ] {
        let client = server.register(name).await;
        for expected in [200, 429] {
            let answer = match &body {
                Some(body) => client.post(path, body.clone()).await,
                None => client.get(path).await,
            };
            assert_eq!(answer.status, expected, "{path}: {}", answer.json);
        }
    }
    let anyone = server.anyone();
    anyone.get("/_matrix/client/v3/publicRooms").await.ok();
    anyone.get(&summary).await.is(429, "M_LIMIT_EXCEEDED");
}
