//! First and later syncs, paging.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::json;

use super::{Made, Numbers, Stage, in_tasks};
use crate::Result;
use crate::client::{User, encode, room_path, text};
use crate::measure::number;
use crate::target::Target;

/// First syncs of a round, as fast as they go.
const INITIAL_SYNCS: usize = 5;
/// Later syncs of a round, as fast as they go.
const LATER_SYNCS: usize = 500;
/// Of so many rooms one has changed when a client comes back.
const CHANGED_OF: usize = 10;
/// Events of a page.
const PAGE: usize = 100;

/// A reader in rooms that another made and writes in, with others who say nothing: users 0, 1 and from 2.
pub async fn library(
    target: &Target,
    rooms: usize,
    messages: usize,
    members: usize,
) -> Result<Made> {
    let name = format!("{rooms} rooms, {messages} messages, {members} members");
    let making = async {
        let users = target.users(members.max(2)).await?;
        let run = target.fresh("txn");
        let writing = users.clone();
        let made = in_tasks(8, rooms, move |_| {
            let (users, run) = (writing.clone(), run.clone());
            async move { room_with(&users, &run, messages).await }
        });
        Ok(Made {
            rooms: made.await?,
            users,
        })
    };
    target.library.get(name, making).await
}

async fn room_with(users: &[User], run: &str, messages: usize) -> Result<String> {
    let author = &users[1];
    let room = author.create_room().await?;
    for member in users.iter().filter(|user| user.id != author.id) {
        member.join(&room).await?;
    }
    for message in 0..messages {
        let transaction = format!("{run}-{message}");
        let body = "Something to read, of ordinary length.";
        author.send(&room, &transaction, body).await?;
    }
    Ok(room)
}

pub async fn initial_lazy(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    initial(&target, &numbers, true).await
}

pub async fn initial_full(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    initial(&target, &numbers, false).await
}

async fn initial(target: &Target, numbers: &Numbers, lazy: bool) -> Result<Stage> {
    let (rooms, events) = (numbers.some(0), numbers.some(1));
    let made = library(target, rooms, events, numbers.some(2)).await?;
    let filter =
        json!({"room": {"timeline": {"limit": events}, "state": {"lazy_load_members": lazy}}});
    let query = format!(
        "filter={}&set_presence=offline",
        encode(&filter.to_string())
    );
    Ok(Stage::each(1, INITIAL_SYNCS, move |_| {
        let (user, query) = (made.users[0].clone(), query.clone());
        async move {
            let answer = user.sync(&query).await?;
            must_be(answer.synced()?.joined_rooms(), rooms, "rooms")
        }
    }))
}

pub async fn incremental(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    later(target, numbers.some(0), 1).await
}

pub async fn idle(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    later(target, numbers.some(0), 0).await
}

pub async fn resume(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let rooms = numbers.some(0);
    later(target, rooms, rooms.div_ceil(CHANGED_OF)).await
}

/// The same sync again and again, for what a token allows once it allows again: some of the rooms have changed since.
async fn later(target: Arc<Target>, rooms: usize, changed: usize) -> Result<Stage> {
    let made = library(&target, rooms, 1, 2).await?;
    let since = Arc::new(RwLock::new(String::new()));
    let token = Arc::clone(&since);
    let reader = made.users[0].clone();
    let syncs = if changed > 1 {
        LATER_SYNCS / 50
    } else {
        LATER_SYNCS
    };
    let stage = Stage::each(1, syncs, move |_| {
        let user = reader.clone();
        let since = token.read().unwrap_or_else(PoisonError::into_inner).clone();
        async move {
            let answer = user.sync_since(&since, 0).await?;
            must_be(answer.synced()?.joined_rooms(), changed, "rooms")
        }
    });
    Ok(stage.before(move || {
        let (target, made, since) = (Arc::clone(&target), made.clone(), Arc::clone(&since));
        async move {
            let now = made.users[0].now().await?;
            *since.write().unwrap_or_else(PoisonError::into_inner) = now;
            for room in &made.rooms[made.rooms.len() - changed..] {
                let transaction = target.fresh("txn");
                made.users[1].send(room, &transaction, "a change").await?;
            }
            Ok(())
        }
    }))
}

pub async fn messages(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let messages = numbers.some(0);
    let made = library(&target, 1, messages, 2).await?;
    let reader = made.users[0].clone();
    let pages = Arc::new(pages(&reader, &made.rooms[0], messages).await?);
    Ok(Stage::each(1, (pages.len() * 5).max(20), move |index| {
        let (user, pages) = (reader.clone(), Arc::clone(&pages));
        async move {
            let (path, events) = &pages[index % pages.len()];
            must_be(user.get(path).await?.chunk_len()?, *events, "events")
        }
    }))
}

/// The paths of a room's pages, from its end to its beginning, each with the number of its events.
async fn pages(reader: &User, room: &str, messages: usize) -> Result<Vec<(String, usize)>> {
    let mut pages = Vec::new();
    let (mut from, mut seen) = (String::new(), 0);
    loop {
        let path = room_path(room, &format!("messages?dir=b&limit={PAGE}{from}"));
        let answer = reader.get(&path).await?;
        let events = answer.chunk_len()?;
        seen += events;
        pages.push((path, events));
        match text(&answer.json()?, "end") {
            Ok(end) if events > 0 => from = format!("&from={}", encode(end)),
            _ if seen < messages => return Err(format!("{seen} events of {messages}").into()),
            _ => return Ok(pages),
        }
    }
}

/// # Errors
/// An answer of another size than it has to be: what is wrong is not measured.
pub fn must_be(seen: usize, expected: usize, what: &str) -> Result<()> {
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{} {what} instead of {}", number(seen), number(expected)).into())
    }
}
