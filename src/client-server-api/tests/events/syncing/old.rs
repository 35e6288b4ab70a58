//! The deprecated `/initialSync` and `/events`, and waits whose session ends.

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, path, public, say, set_state};

const INITIAL: &str = "/_matrix/client/v3/initialSync";

fn events(from: &str, timeout_ms: u64) -> String {
    format!("/_matrix/client/v3/events?from={from}&timeout={timeout_ms}")
}

fn room<'a>(answer: &'a Value, room: &str) -> Option<&'a Value> {
    let rooms = answer["rooms"].as_array().unwrap().iter();
    rooms.into_iter().find(|told| told["room_id"] == room)
}

fn bodies(chunk: &Value) -> Vec<&str> {
    let events = chunk.as_array().unwrap().iter();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

async fn set_account_data(client: &Client, rest: &str, content: Value) {
    let path = format!("/_matrix/client/v3/user/{}/{rest}", client.user_id);
    client.put(&path, content).await.ok();
}

#[tokio::test]
async fn everything_is_told_at_once() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let joined = create(
        &alice,
        json!({ "preset": "public_chat", "visibility": "public" }),
    )
    .await;
    act(&bob, &joined, "join", json!({})).await;
    say(&alice, &joined, "one", "1").await;
    say(&alice, &joined, "two", "2").await;
    let invited = create(&alice, json!({ "invite": [bob.user_id] })).await;
    let left = public(&alice).await;
    act(&bob, &left, "join", json!({})).await;
    say(&alice, &left, "while you were here", "1").await;
    act(&bob, &left, "leave", json!({})).await;
    say(&alice, &left, "behind your back", "2").await;
    set_account_data(&bob, "account_data/org.example.global", json!({ "a": 1 })).await;
    let rest = format!("rooms/{joined}/account_data/org.example.room");
    set_account_data(&bob, &rest, json!({ "b": 2 })).await;
    let rest = format!("rooms/{joined}/tags/u.work");
    set_account_data(&bob, &rest, json!({ "order": 0.5 })).await;
    alice.get("/_matrix/client/v3/sync").await.ok();
    bob.get("/_matrix/client/v3/sync").await.ok();

    let answer = bob.get(&format!("{INITIAL}?limit=1")).await.ok();
    let told = room(&answer, &joined).unwrap();
    assert_eq!(told["membership"], "join");
    assert_eq!(told["visibility"], "public");
    assert_eq!(bodies(&told["messages"]["chunk"]), ["two"]);
    let mut state = told["state"].as_array().unwrap().iter();
    assert!(state.any(|event| event["type"] == "m.room.create" && event["room_id"] == *joined));
    let private = json!([
        { "type": "m.tag", "content": { "tags": { "u.work": { "order": 0.5 } } } },
        { "type": "org.example.room", "content": { "b": 2 } },
    ]);
    assert_eq!(told["account_data"], private);
    let start = told["messages"]["start"].as_str().unwrap();
    let older = format!("messages?dir=b&limit=1&from={start}");
    let older = bob.get(&path(&joined, &older)).await.ok();
    assert_eq!(bodies(&older["chunk"]), ["one"]);

    let told = room(&answer, &invited).unwrap();
    assert_eq!(told["membership"], "invite");
    assert_eq!(told["invite"]["state_key"], bob.user_id.as_str());
    assert_eq!(told["invite"]["content"]["membership"], "invite");
    assert_eq!(told.get("messages").or(told.get("state")), None);
    assert!(room(&answer, &left).is_none());
    assert_eq!(answer["rooms"].as_array().unwrap().len(), 2);

    let global = answer["account_data"].as_array().unwrap();
    let of = |name: &str| global.iter().find(|event| event["type"] == name);
    assert_eq!(
        of("org.example.global").unwrap()["content"],
        json!({ "a": 1 })
    );
    assert!(of("m.push_rules").is_some() && of("org.example.room").is_none());
    assert_eq!(answer["presence"][0]["sender"], alice.user_id.as_str());
    assert_eq!(answer["presence"][0]["type"], "m.presence");
    assert_eq!(answer["presence"][0]["content"]["presence"], "online");
    assert_eq!(answer["presence"].as_array().unwrap().len(), 1);

    // Rooms that were left are told of up to the leaving.
    let archived = bob.get(&format!("{INITIAL}?archived=true")).await.ok();
    let told = room(&archived, &left).unwrap();
    assert_eq!(told["membership"], "leave");
    assert_eq!(bodies(&told["messages"]["chunk"]), ["while you were here"]);
    assert_eq!(archived["rooms"].as_array().unwrap().len(), 3);
    act(&bob, &left, "forget", json!({})).await;
    let archived = bob.get(&format!("{INITIAL}?archived=true")).await.ok();
    assert!(room(&archived, &left).is_none());
}

#[tokio::test]
async fn more_rooms_than_one_piece_holds_are_told_too() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let mut rooms = Vec::new();
    for _ in 0..30 {
        rooms.push(public(&alice).await);
    }
    let answer = alice.get(INITIAL).await;
    assert!(answer.bytes.len() > 2 * 64 * 1024, "{}", answer.bytes.len());
    let answer = answer.ok();
    assert!(rooms.iter().all(|name| room(&answer, name).is_some()));
    assert_eq!(answer["rooms"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn nobody_and_nonsense_are_refused() {
    let server = TestServer::new().await;
    let (anyone, alice) = (server.anyone(), server.register("alice").await);
    anyone.get(INITIAL).await.is(401, "M_MISSING_TOKEN");
    anyone.get(&events("", 0)).await.is(401, "M_MISSING_TOKEN");
    for path in [
        &format!("{INITIAL}?limit=x"),
        &format!("{INITIAL}?archived=x"),
        &events("nonsense", 0),
        "/_matrix/client/v3/events?timeout=x",
    ] {
        alice.get(path).await.is(400, "M_INVALID_PARAM");
    }
    let empty = alice.get(INITIAL).await.ok();
    assert_eq!(
        (&empty["rooms"], &empty["presence"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn the_stream_goes_on_where_the_initial_sync_ends() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (one, other) = (public(&alice).await, public(&alice).await);
    for room in [&one, &other] {
        act(&bob, room, "join", json!({})).await;
    }
    let end = bob.get(INITIAL).await.ok()["end"]
        .as_str()
        .unwrap()
        .to_owned();
    say(&alice, &one, "first", "1").await;
    say(&alice, &other, "second", "2").await;
    say(&alice, &one, "third", "3").await;
    let invited = create(&alice, json!({ "invite": [bob.user_id] })).await;
    let elsewhere = public(&alice).await;
    say(&alice, &elsewhere, "not for you", "1").await;
    let answer = bob.get(&events(&end, 0)).await.ok();
    assert_eq!(bodies(&answer["chunk"]), ["first", "second", "third"]);
    assert_eq!(answer["start"], end.as_str());
    let chunk = answer["chunk"].as_array().unwrap();
    let rooms: Vec<_> = chunk.iter().map(|event| &event["room_id"]).collect();
    assert_eq!(rooms, [&*one, &*other, &*one, &*invited]);
    assert_eq!(chunk[3]["content"]["membership"], "invite");
    let end = answer["end"].as_str().unwrap();
    let nothing = bob.get(&events(end, 0)).await.ok();
    assert_eq!(nothing["chunk"], json!([]));
    // From here it waits.
    let path = events(nothing["end"].as_str().unwrap(), 90_000);
    let (news, _) = tokio::join!(bob.get(&path), say(&alice, &other, "news", "4"));
    assert_eq!(bodies(&news.ok()["chunk"]), ["news"]);
    // Without a token it begins now.
    let now = bob.get("/_matrix/client/v3/events").await.ok();
    assert_eq!(now["chunk"], json!([]));
}

#[tokio::test]
async fn a_long_stream_comes_in_pages_without_gaps() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let rooms = [public(&alice).await, public(&alice).await];
    for room in &rooms {
        act(&bob, room, "join", json!({})).await;
    }
    let mut from = bob.get(INITIAL).await.ok()["end"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    for (number, body) in expected.iter().enumerate() {
        // A burst in one room, then turns.
        let room = if number < 120 { 0 } else { number % 2 };
        say(&alice, &rooms[room], body, body).await;
    }
    let mut heard: Vec<String> = Vec::new();
    for _ in 0..3 {
        let answer = bob.get(&events(&from, 0)).await.ok();
        let page = bodies(&answer["chunk"]);
        assert!(page.len() <= 100);
        heard.extend(page.into_iter().map(str::to_owned));
        answer["end"].as_str().unwrap().clone_into(&mut from);
    }
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn the_stream_tells_of_leaving_and_not_of_the_ignored() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let ignored = json!({ "ignored_users": { &alice.user_id: {} } });
    set_account_data(&bob, "account_data/m.ignored_user_list", ignored).await;
    say(&alice, &room, "unheard", "1").await;
    let initial = bob.get(INITIAL).await.ok();
    let told = self::room(&initial, &room).unwrap();
    assert!(bodies(&told["messages"]["chunk"]).is_empty());
    let end = initial["end"].as_str().unwrap();
    say(&alice, &room, "unheard again", "2").await;
    set_state(
        &alice,
        &room,
        "m.room.topic/",
        json!({ "topic": "state is told" }),
    )
    .await;
    act(&bob, &room, "leave", json!({})).await;
    say(&alice, &room, "too late", "3").await;
    let answer = bob.get(&events(end, 0)).await.ok();
    let chunk = answer["chunk"].as_array().unwrap();
    let types: Vec<_> = chunk.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["m.room.topic", "m.room.member"]);
    // A wait is not cut short by what is not told.
    let waited = bob.get(&events(answer["end"].as_str().unwrap(), 50)).await;
    assert_eq!(waited.ok()["chunk"], json!([]));
}

#[tokio::test]
async fn who_is_logged_out_waits_no_longer() {
    let server = TestServer::new().await;
    let phone = server.register("alice").await;
    let room = public(&phone).await;
    for path in ["sync?since=", "events?from=", "events?room_id=ROOM&from="] {
        let (laptop, other) = (server.login("alice").await, server.login("alice").await);
        let sync = phone.get("/_matrix/client/v3/sync").await.ok();
        let since = sync["next_batch"].as_str().unwrap();
        let path = path.replace("ROOM", &room);
        let path = format!("/_matrix/client/v3/{path}{since}&timeout=600000");
        let logout = async {
            laptop
                .post("/_matrix/client/v3/logout", json!({}))
                .await
                .ok();
            // The other one still waits.
            say(&phone, &room, "news", &laptop.device_id).await;
        };
        let (ended, goes_on, ()) = tokio::join!(laptop.get(&path), other.get(&path), logout);
        ended.is(401, "M_UNKNOWN_TOKEN");
        assert!(goes_on.ok().to_string().contains("news"));
    }
}

#[tokio::test]
async fn one_event_is_told_to_who_may_see_it() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = create(&alice, json!({})).await;
    let event = say(&alice, &room, "hello", "1").await;
    let one = format!("/_matrix/client/v3/events/{event}");
    assert_eq!(alice.get(&one).await.ok()["content"]["body"], "hello");
    bob.get(&one).await.is(404, "M_NOT_FOUND");
    server.anyone().get(&one).await.is(401, "M_MISSING_TOKEN");
}
