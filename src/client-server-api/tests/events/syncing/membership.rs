//! Rooms entered, left, offered and asked for.

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{NOTHING, Syncer, joined, names, said, say, sync, two_in_a_room, words};
use crate::rooms::{act, create, path, set_state};

async fn three() -> (TestServer, Client, Client, Client) {
    let server = TestServer::with(|config| config.presence.enabled = false).await;
    let (alice, bob, carol) = (
        server.register("alice").await,
        server.register("bob").await,
        server.register("carol").await,
    );
    (server, alice, bob, carol)
}

fn stripped(answer: &Value, section: &str, room: &str) -> Vec<String> {
    let mut words = words(&answer["rooms"][section][room][format!("{section}_state")]["events"]);
    words.sort();
    words
}

#[tokio::test]
async fn an_invitation_tells_what_the_room_is() {
    let (_server, alice, bob, _) = three().await;
    let room = create(&alice, json!({ "name": "Nerves", "topic": "Myelin" })).await;
    let mut syncer = Syncer::started(&bob).await;
    let (answer, ()) = tokio::join!(
        syncer.within(60_000),
        act(&alice, &room, "invite", json!({ "user_id": bob.user_id })),
    );
    assert_eq!(names(&answer["rooms"]), ["invite"]);
    let expected = [
        "m.room.create",
        "m.room.history_visibility",
        "m.room.join_rules",
        "m.room.member @alice:localhost",
        "m.room.member @bob:localhost",
        "m.room.name",
        "m.room.topic",
    ];
    assert_eq!(stripped(&answer, "invite", &room), expected);
    let events = &answer["rooms"]["invite"][&room]["invite_state"]["events"];
    for event in events.as_array().unwrap() {
        assert_eq!(names(event), ["content", "sender", "state_key", "type"]);
    }
    // Once; and again to a client that knows nothing.
    say(&alice, &room, "not for outsiders").await;
    assert_eq!(names(&syncer.next().await), NOTHING);
    assert_eq!(stripped(&sync(&bob, "").await, "invite", &room), expected);
    act(&bob, &room, "leave", json!({})).await;
    let answer = syncer.next().await;
    assert_eq!(names(&answer["rooms"]), ["leave"]);
    let left = &answer["rooms"]["leave"][&room];
    assert_eq!(said(left), ["m.room.member @bob:localhost"]);
    assert_eq!(
        left["timeline"]["events"][0]["content"]["membership"],
        "leave"
    );
    assert_eq!(left["state"], Value::Null);
    assert_eq!(sync(&bob, "").await["rooms"], Value::Null);
}

#[tokio::test]
async fn a_knock_is_told_to_the_one_who_knocks() {
    let (_server, alice, bob, _) = three().await;
    let room = create(&alice, json!({ "preset": "public_chat", "name": "Nerves" })).await;
    set_state(
        &alice,
        &room,
        "m.room.join_rules",
        json!({ "join_rule": "knock" }),
    )
    .await;
    let mut syncer = Syncer::started(&bob).await;
    bob.post(&format!("/_matrix/client/v3/knock/{room}"), json!({}))
        .await
        .ok();
    let answer = syncer.next().await;
    assert_eq!(names(&answer["rooms"]), ["knock"]);
    let told = stripped(&answer, "knock", &room);
    assert!(
        told.contains(&"m.room.name".to_owned())
            && told.contains(&"m.room.member @bob:localhost".to_owned())
    );
    act(&alice, &room, "invite", json!({ "user_id": bob.user_id })).await;
    assert_eq!(names(&syncer.next().await["rooms"]), ["invite"]);
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(names(&syncer.next().await["rooms"]), ["join"]);
}

#[tokio::test]
async fn a_room_that_was_joined_comes_whole() {
    let (_server, alice, bob, _) = three().await;
    let room = create(&alice, json!({ "preset": "public_chat", "name": "Nerves" })).await;
    for number in 0..30 {
        say(&alice, &room, &number.to_string()).await;
    }
    let mut syncer = Syncer::started(&bob).await;
    let (answer, ()) = tokio::join!(syncer.within(60_000), act(&bob, &room, "join", json!({})));
    let told = joined(&answer, &room);
    assert_eq!(told["timeline"]["limited"], true);
    assert_eq!(said(told).last().unwrap(), "m.room.member @bob:localhost");
    assert_eq!(
        told["timeline"]["events"][0]["unsigned"]["membership"],
        "leave"
    );
    let state = words(&told["state"]["events"]);
    assert!(
        state.contains(&"m.room.name".to_owned()) && state.contains(&"m.room.create".to_owned()),
        "{state:?}"
    );
    assert_eq!(told["summary"]["m.joined_member_count"], 2);
    // From now on it is a room like any other.
    say(&alice, &room, "welcome").await;
    let answer = syncer.next().await;
    assert_eq!(said(joined(&answer, &room)), ["welcome"]);
    assert_eq!(joined(&answer, &room)["state"], Value::Null);
}

#[tokio::test]
async fn who_may_not_see_the_past_is_not_told_of_it() {
    let (_server, alice, bob, _) = three().await;
    let room = create(&alice, json!({ "preset": "public_chat" })).await;
    set_state(
        &alice,
        &room,
        "m.room.history_visibility",
        json!({ "history_visibility": "joined" }),
    )
    .await;
    say(&alice, &room, "secret").await;
    set_state(&alice, &room, "m.room.topic", json!({ "topic": "current" })).await;
    let mut syncer = Syncer::started(&bob).await;
    act(&bob, &room, "join", json!({})).await;
    say(&alice, &room, "for bob").await;
    for answer in [syncer.next().await, sync(&bob, "").await] {
        let told = joined(&answer, &room);
        let said = said(told);
        assert!(!said.contains(&"secret".to_owned()), "{said:?}");
        assert_eq!(
            said.iter().rev().take(2).rev().collect::<Vec<_>>(),
            ["m.room.member @bob:localhost", "for bob"]
        );
        // Current state is everybody's who is in the room.
        assert!(words(&told["state"]["events"]).contains(&"m.room.topic".to_owned()));
    }
}

#[tokio::test]
async fn a_room_that_was_left_is_told_up_to_the_leaving() {
    for how in ["leave", "kick", "ban"] {
        let (_server, alice, bob, room) = two_in_a_room().await;
        let mut syncer = Syncer::started(&bob).await;
        say(&alice, &room, "before").await;
        if how == "leave" {
            act(&bob, &room, "leave", json!({})).await;
        } else {
            act(
                &alice,
                &room,
                how,
                json!({ "user_id": bob.user_id, "reason": "out" }),
            )
            .await;
        }
        say(&alice, &room, "after").await;
        set_state(&alice, &room, "m.room.topic", json!({ "topic": "after" })).await;
        let answer = syncer.next().await;
        assert_eq!(names(&answer["rooms"]), ["leave"], "{how}");
        let left = &answer["rooms"]["leave"][&room];
        assert_eq!(
            said(left),
            ["before", "m.room.member @bob:localhost"],
            "{how}"
        );
        assert_eq!(left["unread_notifications"], Value::Null);
        assert_eq!(names(&syncer.next().await), NOTHING, "{how}");

        // A first sync tells of rooms left if asked to, and then all that the user may see.
        assert_eq!(sync(&bob, "").await["rooms"], Value::Null, "{how}");
        let filter = json!({ "room": { "include_leave": true } });
        let answer = Syncer::filtered(&bob, &filter).next().await;
        let left = &answer["rooms"]["leave"][&room];
        let said = said(left);
        assert_eq!(
            said.last().unwrap(),
            "m.room.member @bob:localhost",
            "{how}"
        );
        assert!(
            said.contains(&"before".to_owned()) && !said.contains(&"after".to_owned()),
            "{how}: {said:?}"
        );

        bob.post(&path(&room, "forget"), json!({})).await.ok();
        let answer = Syncer::filtered(&bob, &filter).next().await;
        assert_eq!(answer["rooms"], Value::Null, "{how}");
    }
}

#[tokio::test]
async fn whoever_comes_back_gets_the_state_anew() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let mut syncer = Syncer::started(&bob).await;
    act(&bob, &room, "leave", json!({})).await;
    set_state(
        &alice,
        &room,
        "m.room.topic",
        json!({ "topic": "while away" }),
    )
    .await;
    for number in 0..30 {
        say(&alice, &room, &number.to_string()).await;
    }
    act(&bob, &room, "join", json!({})).await;
    let answer = syncer.next().await;
    assert_eq!(names(&answer["rooms"]), ["join"]);
    let told = joined(&answer, &room);
    let state = words(&told["state"]["events"]);
    assert!(
        state.contains(&"m.room.topic".to_owned()) && state.contains(&"m.room.create".to_owned()),
        "{state:?}"
    );
    assert_eq!(said(told).last().unwrap(), "m.room.member @bob:localhost");
}

#[tokio::test]
async fn ignored_users_are_not_heard() {
    let (_server, alice, bob, carol) = three().await;
    let room = create(&alice, json!({ "preset": "public_chat" })).await;
    for client in [&bob, &carol] {
        act(client, &room, "join", json!({})).await;
    }
    let mut syncer = Syncer::started(&bob).await;
    let list = json!({ "ignored_users": { (&carol.user_id): {} } });
    let account_data = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        bob.user_id
    );
    bob.put(&account_data, list).await.ok();
    say(&carol, &room, "nasty").await;
    say(&alice, &room, "nice").await;
    set_state(
        &carol,
        &room,
        &format!("m.room.member/{}", carol.user_id),
        json!({ "membership": "join", "displayname": "C" }),
    )
    .await;
    let carols = create(&carol, json!({ "invite": [bob.user_id] })).await;
    let answer = syncer.next().await;
    assert_eq!(
        answer["account_data"]["events"][0]["type"],
        "m.ignored_user_list"
    );
    // State is not a message: the client must know who is in the room.
    assert_eq!(
        said(joined(&answer, &room)),
        ["nice", "m.room.member @carol:localhost"]
    );
    assert_eq!(answer["rooms"]["invite"][&carols], Value::Null);
}

#[tokio::test]
async fn the_summary_counts_and_names_members() {
    let (_server, alice, bob, carol) = three().await;
    let room = create(&alice, json!({ "preset": "public_chat" })).await;
    act(&bob, &room, "join", json!({})).await;
    let mut syncer = Syncer::started(&alice).await;
    act(&alice, &room, "invite", json!({ "user_id": carol.user_id })).await;
    let answer = syncer.next().await;
    let summary = &joined(&answer, &room)["summary"];
    assert_eq!(
        *summary,
        json!({
            "m.heroes": [bob.user_id, carol.user_id],
            "m.joined_member_count": 2,
            "m.invited_member_count": 1,
        })
    );
    say(&bob, &room, "unchanged").await;
    assert_eq!(joined(&syncer.next().await, &room)["summary"], Value::Null);
    set_state(&alice, &room, "m.room.name", json!({ "name": "Named" })).await;
    act(&carol, &room, "join", json!({})).await;
    let answer = syncer.next().await;
    let expected = json!({ "m.joined_member_count": 3, "m.invited_member_count": 0 });
    assert_eq!(joined(&answer, &room)["summary"], expected);
    for client in [&bob, &carol] {
        act(client, &room, "leave", json!({})).await;
    }
    set_state(&alice, &room, "m.room.name", json!({ "name": "" })).await;
    let answer = sync(&alice, "").await;
    assert_eq!(
        joined(&answer, &room)["summary"]["m.heroes"],
        json!([bob.user_id, carol.user_id])
    );
}
