//! First and later answers, waiting, tokens.

use serde_json::{Value, json};
use test_support::TestServer;

use super::{NOTHING, Syncer, joined, names, said, say, sync, two_in_a_room, words};
use crate::rooms::{act, create, path, set_state};

/// Something that a client should hear of.
type Act = std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[tokio::test]
async fn the_first_answer_tells_of_every_room_with_its_latest_events() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let quiet = create(&alice, json!({ "name": "Quiet" })).await;
    let busy = create(&alice, json!({ "name": "Busy", "topic": "much" })).await;
    for number in 0..30 {
        say(&alice, &busy, &number.to_string()).await;
    }
    let answer = sync(&alice, "").await;
    assert_eq!(names(&answer["rooms"]["join"]).len(), 2);
    let room = joined(&answer, &busy);
    let expected: Vec<String> = (10..30).map(|number| number.to_string()).collect();
    assert_eq!(said(room), expected);
    assert_eq!(room["timeline"]["limited"], true);
    let state = words(&room["state"]["events"]);
    assert!(state.contains(&"m.room.name".to_owned()), "{state:?}");
    assert!(
        state.contains(&format!("m.room.member {}", alice.user_id)),
        "{state:?}"
    );
    assert_eq!(
        room["summary"],
        json!({ "m.joined_member_count": 1, "m.invited_member_count": 0 })
    );
    assert_eq!(
        room["unread_notifications"],
        json!({ "notification_count": 0, "highlight_count": 0 })
    );

    // The whole life of the other room is in its timeline: nothing is left for the state.
    let room = joined(&answer, &quiet);
    assert_eq!(room["timeline"]["limited"], false);
    assert_eq!(said(room)[0], "m.room.create");
    assert_eq!(room["state"], Value::Null);
}

#[tokio::test]
async fn rooms_come_in_the_order_of_their_latest_change() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let mut rooms = Vec::new();
    for _ in 0..4 {
        rooms.push(create(&alice, json!({})).await);
    }
    say(&alice, &rooms[1], "latest").await;
    let body = alice.get("/_matrix/client/v3/sync").await;
    let text = String::from_utf8(body.bytes.to_vec()).unwrap();
    let place = |room: &String| text.find(&format!("{room:?}:{{")).unwrap();
    let mut order = rooms.clone();
    order.sort_by_key(place);
    assert_eq!(
        order,
        [&rooms[1], &rooms[3], &rooms[2], &rooms[0]].map(Clone::clone)
    );
}

#[tokio::test]
async fn a_later_answer_tells_what_has_changed_and_no_more() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let other = create(&bob, json!({})).await;
    let mut syncer = Syncer::started(&bob).await;
    let before = syncer.since.clone();
    assert_eq!(names(&syncer.next().await), NOTHING);
    assert_eq!(syncer.since, before);

    let event_id = say(&alice, &room, "hello").await;
    let answer = syncer.next().await;
    assert_eq!(names(&answer["rooms"]), ["join"]);
    assert_eq!(names(&answer["rooms"]["join"]), [&room]);
    let told = joined(&answer, &room);
    assert_eq!(names(told), ["timeline", "unread_notifications"]);
    let event = &told["timeline"]["events"][0];
    assert_eq!(
        (&event["event_id"], &event["sender"]),
        (&json!(event_id), &json!(alice.user_id))
    );
    assert_eq!(event["unsigned"], json!({ "age": 0, "membership": "join" }));
    assert_eq!(event["room_id"], Value::Null);
    assert_eq!(told["timeline"]["limited"], false);
    assert_eq!(names(&syncer.next().await), NOTHING);

    set_state(&bob, &other, "m.room.topic", json!({ "topic": "one" })).await;
    set_state(&bob, &other, "m.room.topic", json!({ "topic": "two" })).await;
    let answer = syncer.next().await;
    let events = &joined(&answer, &other)["timeline"]["events"];
    assert_eq!(words(events), ["m.room.topic", "m.room.topic"]);
    assert_eq!(
        events[1]["unsigned"]["prev_content"],
        json!({ "topic": "one" })
    );
    assert_eq!(
        events[1]["unsigned"]["replaces_state"],
        events[0]["event_id"]
    );
}

#[tokio::test]
async fn a_waiting_client_is_woken() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let phone = server.login("bob").await;
    let (mut one, mut two) = (Syncer::started(&bob).await, Syncer::started(&phone).await);
    let hear = async |one: &mut Syncer, two: &mut Syncer, act: Act| {
        let (first, second, ()) = tokio::join!(one.within(60_000), two.within(60_000), act);
        (first, second)
    };
    let (alice, bob_too) = (alice.clone(), bob.clone());
    let news: Vec<(&str, Act)> = vec![
        ("/timeline/events/0/content/body", {
            let (alice, room) = (alice.clone(), room.clone());
            Box::pin(async move { drop(say(&alice, &room, "hello").await) })
        }),
        ("/ephemeral/events/0/content/user_ids/0", {
            let (alice, room) = (alice.clone(), room.clone());
            Box::pin(async move {
                let rest = format!("typing/{}", alice.user_id);
                alice
                    .put(
                        &path(&room, &rest),
                        json!({ "typing": true, "timeout": 30_000 }),
                    )
                    .await
                    .ok();
            })
        }),
        ("/account_data/events/0/content/tags", {
            let (bob, room) = (bob_too.clone(), room.clone());
            Box::pin(async move {
                let path = format!(
                    "/_matrix/client/v3/user/{}/rooms/{room}/tags/u.x",
                    bob.user_id
                );
                bob.put(&path, json!({})).await.ok();
            })
        }),
    ];
    for (place, act) in news {
        let (first, second) = hear(&mut one, &mut two, act).await;
        for answer in [&first, &second] {
            assert!(
                joined(answer, &room).pointer(place).is_some(),
                "{place}: {answer}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_wait_ends_with_an_empty_answer() {
    let (_server, _alice, bob, _room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    let began = tokio::time::Instant::now();
    assert_eq!(names(&syncer.within(30_000).await), NOTHING);
    assert_eq!(began.elapsed().as_secs(), 30);
    // Nobody waits longer than the server wants, whatever they ask for.
    let began = tokio::time::Instant::now();
    assert_eq!(names(&syncer.within(1_000_000_000).await), NOTHING);
    assert_eq!(began.elapsed().as_secs(), 90);
}

#[tokio::test]
async fn a_server_that_stops_ends_every_wait() {
    let (server, _alice, bob, _room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    let (answer, ()) = tokio::join!(syncer.within(60_000), async { server.shutdown.start() });
    assert_eq!(names(&answer), NOTHING);
}

#[tokio::test]
async fn tokens() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    say(&alice, &room, "while down").await;
    // A restart forgets sessions, not tokens.
    let server = server.restart().await;
    syncer.client = server
        .anyone()
        .with_token(bob.access_token.as_deref().unwrap());
    let answer = syncer.next().await;
    assert_eq!(said(joined(&answer, &room)), ["while down"]);
    assert_eq!(joined(&answer, &room)["state"], Value::Null);

    let token = syncer.since.clone().unwrap();
    let instance = token.split('_').nth(1).unwrap();
    // A token of another database starts over.
    let answer = sync(
        &syncer.client,
        &format!("since={}", token.replace(instance, "1234")),
    )
    .await;
    assert_eq!(
        joined(&answer, &room)["timeline"]["events"][0]["type"],
        "m.room.create"
    );
    // One from the future is one from now.
    let future = format!("since=m1_{instance}_4000000000000000000&timeout=0");
    assert_eq!(
        sync(&syncer.client, &future).await["next_batch"],
        json!(token)
    );
    for bad in [
        "x",
        "s72594_4483_1934",
        "m1_1_x",
        "%00",
        "m1__",
        "m1_1_99999999999999999999999999",
    ] {
        let path = format!("/_matrix/client/v3/sync?since={bad}");
        syncer.client.get(&path).await.is(400, "M_INVALID_PARAM");
    }
    for bad in [
        "timeout=x",
        "timeout=-1",
        "timeout=99999999999999999999",
        "full_state=maybe",
    ] {
        syncer
            .client
            .get(&format!("/_matrix/client/v3/sync?{bad}"))
            .await
            .is(400, "M_INVALID_PARAM");
    }
    server
        .anyone()
        .get("/_matrix/client/v3/sync")
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_client_that_answers_late_gets_what_it_missed_once() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    let token = syncer.since.clone();
    say(&alice, &room, "one").await;
    assert_eq!(said(joined(&syncer.next().await, &room)), ["one"]);
    say(&alice, &room, "two").await;
    // The first answer was lost on the way.
    syncer.since = token;
    assert_eq!(said(joined(&syncer.next().await, &room)), ["one", "two"]);
}

#[tokio::test]
async fn a_gap_is_filled_by_the_tokens_on_its_edges() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    let from = syncer.since.clone().unwrap();
    set_state(
        &alice,
        &room,
        "m.room.topic",
        json!({ "topic": "in the gap" }),
    )
    .await;
    for number in 0..25 {
        say(&alice, &room, &number.to_string()).await;
    }
    let answer = syncer.next().await;
    let told = joined(&answer, &room);
    assert_eq!(told["timeline"]["limited"], true);
    assert_eq!(
        said(told),
        (15..25)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    );
    assert_eq!(words(&told["state"]["events"]), ["m.room.topic"]);
    let to = told["timeline"]["prev_batch"].as_str().unwrap();
    let page = bob
        .get(&path(
            &room,
            &format!("messages?dir=f&from={from}&to={to}&limit=100"),
        ))
        .await
        .ok();
    let expected: Vec<String> = std::iter::once("m.room.topic".to_owned())
        .chain((0..15).map(|number| number.to_string()))
        .collect();
    assert_eq!(words(&page["chunk"]), expected);
    let page = bob
        .get(&path(&room, &format!("messages?dir=b&from={to}&limit=3")))
        .await
        .ok();
    assert_eq!(words(&page["chunk"]), ["14", "13", "12"]);
}

#[tokio::test]
async fn only_the_device_that_sent_an_event_gets_its_transaction_id() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let phone = server.login("alice").await;
    let mut syncers = Vec::new();
    for client in [&alice, &phone, &bob] {
        syncers.push(Syncer::started(client).await);
    }
    alice
        .put(
            &path(&room, "send/m.room.message/mine"),
            json!({ "body": "x", "msgtype": "m.text" }),
        )
        .await
        .ok();
    let mut told = Vec::new();
    for syncer in &mut syncers {
        let answer = syncer.next().await;
        told.push(
            joined(&answer, &room)["timeline"]["events"][0]["unsigned"]["transaction_id"].clone(),
        );
    }
    assert_eq!(told, [json!("mine"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn the_full_state_comes_when_asked_for() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    say(&alice, &room, "one").await;
    syncer.parameters = "&full_state=true".to_owned();
    let answer = syncer.within(60_000).await;
    let told = joined(&answer, &room);
    assert_eq!(said(told), ["one"]);
    let state = words(&told["state"]["events"]);
    for part in [
        "m.room.create",
        "m.room.power_levels",
        "m.room.member @alice:localhost",
        "m.room.member @bob:localhost",
    ] {
        assert!(state.contains(&part.to_owned()), "{part}: {state:?}");
    }
    // Even where nothing has happened.
    let answer = syncer.within(60_000).await;
    assert!(
        words(&joined(&answer, &room)["state"]["events"]).contains(&"m.room.create".to_owned())
    );
    act(&bob, &room, "leave", json!({})).await;
    let answer = syncer.within(60_000).await;
    assert_eq!(names(&answer["rooms"]), ["leave"]);
}
