//! A server stops and starts: when asked to, and killed while everybody writes. What it acknowledged must be there, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::broadcast::lost_and_doubled;
use super::{Made, Numbers, Stage, in_tasks};
use crate::Result;
use crate::client::{User, encode, room_path, text};
use crate::measure::{Measured, millis, number};
use crate::target::{End, Target};

/// Writers, each in a room of their own.
const WRITERS: usize = 8;
/// How long they write until the server is killed.
const WRITE: Duration = Duration::from_secs(2);
/// Events of a page.
const PAGE: usize = 500;

pub async fn prepare(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let users = target.users(WRITERS).await?;
    let mut rooms = Vec::new();
    for user in &users {
        rooms.push(user.create_room().await?);
    }
    let (writing, into) = (users.clone(), rooms.clone());
    in_tasks(WRITERS, numbers.some(0), move |index| {
        let (user, room) = (
            writing[index % WRITERS].clone(),
            into[index % WRITERS].clone(),
        );
        async move {
            user.send(&room, &format!("history-{index}"), "history")
                .await
        }
    })
    .await?;
    let made = Made { users, rooms };
    Ok(Stage::whole(move || {
        let (target, made) = (Arc::clone(&target), made.clone());
        async move { round(&target, made).await }
    }))
}

async fn round(target: &Target, Made { users, rooms }: Made) -> Result<Measured> {
    let (stop, start) = target.restart(End::Asked).await?;
    let run = target.fresh("restart");
    let mut writing = JoinSet::new();
    for (number, (user, room)) in users.iter().zip(&rooms).enumerate() {
        let (user, room, run) = (user.clone(), room.clone(), run.clone());
        writing.spawn(async move { (number, write(&user, &room, &run).await) });
    }
    tokio::time::sleep(WRITE).await;
    target.end(End::Killed).await?;
    let acknowledged = writing.join_all().await;
    let killed = target.start_again().await?;
    let mut counts = Vec::new();
    let mut all = 0;
    for (number, acknowledged) in acknowledged {
        let (user, room) = (&users[number], &rooms[number]);
        // The one that was not answered, once more, as clients do: the transaction makes it one message.
        user.send(
            room,
            &format!("{run}-{acknowledged}"),
            &format!("{run} {acknowledged}"),
        )
        .await?;
        let seen = seen(user, room, &run).await?;
        counts.extend(lost_and_doubled(&[seen], acknowledged + 1));
        all += acknowledged;
    }
    let mut measured = Measured::default();
    for (name, value) in [
        ("stop ms", millis(stop)),
        ("start ms", millis(start)),
        ("start after kill -9 ms", millis(killed)),
        ("acknowledged before kill -9", number(all)),
    ] {
        measured.notes.push((name.to_owned(), value));
    }
    for what in ["lost", "doubled"] {
        let sum = counts.iter().filter(|(name, _)| name == what);
        let sum = sum.map(|(_, count)| count).sum();
        measured.notes.push((what.to_owned(), sum));
    }
    Ok(measured)
}

/// Writes `{run} 0`, `{run} 1` and so on, until one is not answered; gives which.
async fn write(user: &User, room: &str, run: &str) -> usize {
    let mut next = 0;
    while user
        .send(room, &format!("{run}-{next}"), &format!("{run} {next}"))
        .await
        .is_ok()
    {
        next += 1;
    }
    next
}

/// How often each message of this run is in the room.
async fn seen(user: &User, room: &str, run: &str) -> Result<HashMap<usize, u32>> {
    let mut counts: HashMap<usize, u32> = HashMap::new();
    let mut from = String::new();
    loop {
        let path = room_path(room, &format!("messages?dir=b&limit={PAGE}{from}"));
        let page = user.get(&path).await?.json()?;
        let mut found = 0;
        for event in page["chunk"].as_array().into_iter().flatten() {
            let body = event["content"]["body"].as_str().unwrap_or_default();
            let index = body.strip_prefix(run);
            if let Some(index) = index.and_then(|index| index.trim().parse().ok()) {
                *counts.entry(index).or_default() += 1;
                found += 1;
            }
        }
        match text(&page, "end") {
            // What lies before the run is of no interest.
            Ok(end) if found > 0 => from = format!("&from={}", encode(end)),
            _ => return Ok(counts),
        }
    }
}
