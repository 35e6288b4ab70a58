//! Many who write and many who wait: nothing is lost and nothing comes twice.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{Syncer, encoded, say};
use crate::rooms::{act, public};

const WRITERS: usize = 4;
const MESSAGES: usize = 20;

/// Syncs until every room has said its last word; gives the messages in the order in which they came.
async fn listen(client: Client, rooms: usize) -> Vec<String> {
    let filter = encoded(
        &json!({ "room": { "timeline": { "limit": 100, "types": ["m.room.message"] } } })
            .to_string(),
    );
    let mut syncer = Syncer {
        parameters: format!("&filter={filter}"),
        ..Syncer::new(&client)
    };
    let (mut heard, mut over) = (Vec::new(), 0);
    while over < rooms {
        let answer = syncer.within(60_000).await;
        for room in answer["rooms"]["join"]
            .as_object()
            .into_iter()
            .flat_map(|rooms| rooms.values())
        {
            assert_ne!(room["timeline"]["limited"], true);
            for event in room["timeline"]["events"].as_array().into_iter().flatten() {
                over += usize::from(event["content"]["body"] == "over");
                heard.push(
                    event["event_id"]
                        .as_str()
                        .expect("an id is a string")
                        .to_owned(),
                );
            }
        }
    }
    heard
}

async fn write(client: Client, rooms: Vec<String>) -> Vec<String> {
    let mut said = Vec::new();
    for number in 0..MESSAGES {
        let room = &rooms[number % rooms.len()];
        said.push(say(&client, room, &number.to_string()).await);
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test's own tasks, to run at the same time"
)]
async fn nothing_is_lost_or_doubled() {
    let server = TestServer::with(|config| config.presence.enabled = false).await;
    let alice = server.register("alice").await;
    let rooms = vec![public(&alice).await, public(&alice).await];
    let mut listeners = Vec::new();
    for number in 0..12 {
        let client = server.register(&format!("u{number}")).await;
        for room in &rooms {
            act(&client, room, "join", json!({})).await;
        }
        // Two devices share one session.
        listeners.push(server.login(&format!("u{number}")).await);
        listeners.push(client);
    }
    let listening = join_all(
        listeners
            .into_iter()
            .map(|client| tokio::spawn(listen(client, rooms.len()))),
    );
    let writing = async {
        let writers = (0..WRITERS).map(|_| tokio::spawn(write(alice.clone(), rooms.clone())));
        let mut said = BTreeSet::new();
        for written in join_all(writers).await {
            said.extend(written.unwrap());
        }
        for room in &rooms {
            said.insert(say(&alice, room, "over").await);
        }
        said
    };
    let (heard, said) = tokio::join!(listening, writing);
    assert_eq!(said.len(), WRITERS * MESSAGES + rooms.len());
    for heard in heard {
        let heard = heard.unwrap();
        let once: BTreeSet<String> = heard.iter().cloned().collect();
        assert_eq!(once.len(), heard.len());
        assert_eq!(once, said);
    }
}

/// Rooms change hands while clients build their sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_is_being_built_misses_no_membership() {
    let server = TestServer::with(|config| config.presence.enabled = false).await;
    let alice = server.register("alice").await;
    let mut rooms = Vec::new();
    for _ in 0..6 {
        rooms.push(public(&alice).await);
    }
    for round in 0..8 {
        let bob = server.register(&format!("bob{round}")).await;
        for room in &rooms[..3] {
            act(&bob, room, "join", json!({})).await;
        }
        let moving = async {
            for (left, joined) in rooms[..3].iter().zip(&rooms[3..]) {
                act(&bob, left, "leave", json!({})).await;
                act(&bob, joined, "join", json!({})).await;
                say(&alice, joined, &format!("welcome {round}")).await;
            }
        };
        let welcome = format!("welcome {round}");
        let mut syncer = Syncer::new(&bob);
        let following = async {
            let mut joined: BTreeSet<String> = BTreeSet::new();
            let expected: BTreeSet<String> = rooms[3..].iter().cloned().collect();
            let mut welcomes = 0;
            while joined != expected || welcomes < 3 {
                let answer = syncer.within(60_000).await;
                let names = |section: &str| {
                    let of = answer["rooms"][section]
                        .as_object()
                        .cloned()
                        .unwrap_or_default();
                    of.into_iter().collect::<Vec<(String, Value)>>()
                };
                for (room, told) in names("join") {
                    welcomes += told["timeline"]["events"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter(|event| event["content"]["body"] == welcome.as_str())
                        .count();
                    joined.insert(room);
                }
                for (room, _) in names("leave") {
                    joined.remove(&room);
                }
            }
        };
        tokio::join!(moving, following);
    }
}
