//! Logins, typing and reading, files.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::{BODY, Numbers, Stage, with_rooms};
use crate::Result;
use crate::client::{User, text};
use crate::target::Target;

/// Logins at once.
const LOGGING_IN: usize = 64;

pub async fn logins(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let user = target.users(1).await?.remove(0);
    Ok(Stage::each(LOGGING_IN, numbers.some(0), move |_| {
        let user = user.clone();
        async move {
            let body = json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": user.id},
                "password": user.password,
            });
            let path = "/_matrix/client/v3/login";
            user.api
                .call(Method::POST, path, None, &body)
                .await
                .map(drop)
        }
    }))
}

/// Files, up and down again. Each is one byte shorter than the one before, so that none is known.
pub async fn media(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let (files, length) = (numbers.some(0), numbers.some(1));
    let file = Bytes::from(vec![0x5a; length]);
    let user = target.users(1).await?.remove(0);
    Ok(Stage::each(files, files, move |index| {
        let (user, file) = (user.clone(), file.slice(index % length..));
        async move { user.exchange(file).await }
    }))
}

/// Users who follow the room.
const FOLLOWING: usize = 8;
/// Messages to read.
const MESSAGES: usize = 20;
/// A sync waits this long for news, in ms.
const POLL_MS: u64 = 10_000;

/// An operation is a user who types, or one who has read the latest message.
pub async fn ephemeral(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = with_rooms(&target, numbers.some(0), 1).await?;
    let (users, room) = (made.users, made.rooms[0].clone());
    let mut events = Vec::new();
    for _ in 0..MESSAGES {
        let sent = users[0].send(&room, &target.fresh("txn"), BODY).await?;
        events.push(text(&sent.json()?, "event_id")?.to_owned());
    }
    let following: Vec<_> = users.iter().take(FOLLOWING).cloned().collect();
    let count = users.len() * 2;
    let mut stage = Stage::each(users.len(), count, move |index| {
        // First everybody types, then everybody has read; and the next message.
        let user = users[index % users.len()].clone();
        let turn = index / users.len();
        let types = turn % 2 == 0;
        let (room, event) = (room.clone(), events[turn / 2 % events.len()].clone());
        async move {
            if types {
                user.set_typing(&room).await.map(drop)
            } else {
                user.read_up_to(&room, &event).await.map(drop)
            }
        }
    });
    for user in following {
        let since = user.now().await?;
        stage.beside.spawn(follow(user, since));
    }
    Ok(stage)
}

/// Syncs until the stage is over or the server is.
pub async fn follow(user: User, mut since: String) {
    while let Ok(answer) = user.sync_since(&since, POLL_MS).await {
        match answer.synced() {
            Ok(synced) => since = synced.next_batch,
            Err(_) => return,
        }
    }
}
