//! Scenarios that read: initial and incremental syncs, paging.

use std::time::Duration;

use serde_json::json;

use super::{Prepared, in_tasks};
use crate::Result;
use crate::client::{encode, room_path, text};
use crate::target::Target;

/// Events of each room in the timeline of an initial sync.
const TIMELINE: usize = 20;
/// Initial syncs of a round.
const INITIAL_SYNCS: usize = 3;
/// Incremental syncs of a round.
const INCREMENTAL_SYNCS: usize = 500;
/// Events of a page.
const PAGE: usize = 100;
/// How often a round pages through the room.
const PASSES: usize = 10;

/// A reader in rooms that another made, with messages in each.
async fn reader_in_rooms(target: &Target, rooms: usize, messages: usize) -> Result<Prepared> {
    let users = target.users(2).await?;
    let (reader, author) = (users[0].clone(), users[1].clone());
    let run = target.fresh("txn");
    let made = in_tasks(8, rooms, move |_| {
        let (reader, author, run) = (reader.clone(), author.clone(), run.clone());
        async move {
            let room = author
                .create_room(&json!({"preset": "public_chat", "name": "A room to read"}))
                .await?;
            reader.join(&room).await?;
            for message in 0..messages {
                author
                    .send(
                        &room,
                        &format!("{run}-{message}"),
                        "Something to read, of ordinary length.",
                    )
                    .await?;
            }
            Ok(room)
        }
    });
    Ok(Prepared {
        users,
        rooms: made.await?,
        since: String::new(),
    })
}

pub async fn prepare_initial(target: &Target, rooms: usize) -> Result<Prepared> {
    reader_in_rooms(target, rooms, TIMELINE).await
}

pub async fn prepare_incremental(target: &Target, rooms: usize) -> Result<Prepared> {
    reader_in_rooms(target, rooms, 1).await
}

pub async fn prepare_messages(target: &Target, messages: usize) -> Result<Prepared> {
    reader_in_rooms(target, 1, messages).await
}

/// Initial syncs one after the other.
pub async fn initial(prepared: &Prepared, rooms: usize, lazy: bool) -> Result<Vec<Duration>> {
    let filter =
        json!({"room": {"timeline": {"limit": TIMELINE}, "state": {"lazy_load_members": lazy}}});
    let query = format!("filter={}", encode(&filter.to_string()));
    let mut latencies = Vec::new();
    for _ in 0..INITIAL_SYNCS {
        let answer = prepared.users[0].sync(&query).await?;
        latencies.push(answer.took);
        let seen = answer.json()?["rooms"]["join"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        if seen != rooms {
            return Err(format!("{seen} rooms instead of {rooms}").into());
        }
    }
    Ok(latencies)
}

/// The same incremental sync again and again: a token may be used more than once.
pub async fn incremental(prepared: &Prepared, changed: usize) -> Result<Vec<Duration>> {
    let query = format!(
        "since={}&timeout=0&set_presence=offline",
        encode(&prepared.since)
    );
    let mut latencies = Vec::with_capacity(INCREMENTAL_SYNCS);
    for _ in 0..INCREMENTAL_SYNCS {
        let answer = prepared.users[0].sync(&query).await?;
        latencies.push(answer.took);
        let seen = answer.json()?["rooms"]["join"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        if seen != changed {
            return Err(format!("{seen} rooms instead of {changed}").into());
        }
    }
    Ok(latencies)
}

/// Pages from the end of the room to its beginning, several times.
pub async fn page_back(prepared: &Prepared, messages: usize) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for _ in 0..PASSES {
        latencies.extend(page_back_once(prepared, messages).await?);
    }
    Ok(latencies)
}

async fn page_back_once(prepared: &Prepared, messages: usize) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut from = String::new();
    let mut seen = 0;
    loop {
        let path = room_path(
            &prepared.rooms[0],
            &format!("messages?dir=b&limit={PAGE}{from}"),
        );
        let answer = prepared.users[0].get(&path).await?;
        latencies.push(answer.took);
        let page = answer.json()?;
        seen += page["chunk"].as_array().map_or(0, Vec::len);
        match text(&page, "end") {
            Ok(end) => from = format!("&from={}", encode(end)),
            Err(_) if seen < messages => return Err(format!("{seen} events of {messages}").into()),
            Err(_) => return Ok(latencies),
        }
    }
}
