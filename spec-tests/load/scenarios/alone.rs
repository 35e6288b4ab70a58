//! What a server takes when nobody uses it: memory at rest, bytes on the disk. Each has a server to itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{BODY, Numbers, Stage, in_tasks, with_rooms};
use crate::Result;
use crate::client::room_path;
use crate::measure::{Measured, mib, millis, number, number_u64, usage};
use crate::target::{End, Target};

/// A server is at rest so long after its start: what it does at first is done.
const AFTER_START: Duration = Duration::from_secs(2);
/// One state event for so many messages.
const STATE_OF: usize = 4;
/// State keys that the state events go round.
const STATE_KEYS: usize = 100;

/// Its memory after accounts and rooms were made, and after a restart.
pub async fn rest(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let (accounts, rooms) = (numbers.at(0), numbers.at(1));
    let users = target.users(accounts.max(usize::from(rooms > 0))).await?;
    in_tasks(8, rooms, move |index| {
        let (owner, other) = (
            &users[index % users.len()],
            &users[(index + 1) % users.len()],
        );
        let (owner, other) = (owner.clone(), other.clone());
        async move {
            let room = owner.create_room().await?;
            other.join(&room).await.map(drop)
        }
    })
    .await?;
    Ok(Stage::whole(move || {
        let target = Arc::clone(&target);
        async move {
            let mut measured = Measured::default();
            let before = usage(&target)?;
            target.end(End::Asked).await?;
            let disk = target.disk_bytes().await.unwrap_or_default();
            let start = target.start_again().await?;
            tokio::time::sleep(AFTER_START).await;
            let after = usage(&target)?;
            for (name, value) in [
                ("start ms", millis(start)),
                ("RSS before a restart MiB", mib(before.resident_kib)),
                ("RSS MiB", mib(after.resident_kib)),
                ("PSS MiB", mib(after.proportional_kib)),
                ("disk MiB", mib(disk / 1024)),
            ] {
                measured.notes.push((name.to_owned(), value));
            }
            Ok(measured)
        }
    }))
}

/// How the data grow by messages, and by state events; looked at while the server is not there, so that nothing is on its way.
pub async fn disk(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let messages = numbers.some(1);
    let made = with_rooms(&target, numbers.some(0), 1).await?;
    let writers = made.users.len().min(8);
    Ok(Stage::whole(move || {
        let (target, made) = (Arc::clone(&target), made.clone());
        let (users, room) = (made.users, made.rooms[0].clone());
        async move {
            let before = disk_at_rest(&target).await?;
            let (writing, into, run) = (users.clone(), room.clone(), target.fresh("txn"));
            in_tasks(writers, messages, move |index| {
                let user = writing[index % writers].clone();
                let (into, transaction) = (into.clone(), format!("{run}-{index}"));
                async move { user.send(&into, &transaction, BODY).await.map(drop) }
            })
            .await?;
            let with_messages = disk_at_rest(&target).await?;
            let states = messages.div_ceil(STATE_OF);
            for index in 0..states {
                let path = format!("state/org.example.load/{}", index % STATE_KEYS);
                let content = json!({"value": BODY, "number": index});
                users[0].put(&room_path(&room, &path), &content).await?;
            }
            let with_states = disk_at_rest(&target).await?;
            let mut measured = Measured::default();
            for (name, grown, count) in [
                (
                    "disk B per message",
                    with_messages.saturating_sub(before),
                    messages,
                ),
                (
                    "disk B per state event",
                    with_states.saturating_sub(with_messages),
                    states,
                ),
            ] {
                let each = number_u64(grown) / number(count);
                measured.notes.push((name.to_owned(), each));
            }
            Ok(measured)
        }
    }))
}

/// Ends the server, looks, and starts it again.
async fn disk_at_rest(target: &Target) -> Result<u64> {
    target.end(End::Asked).await?;
    let bytes = target.disk_bytes().await;
    target.start_again().await?;
    Ok(bytes.ok_or("it is not known where this server's data are")?)
}
