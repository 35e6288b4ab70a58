//! Scenarios that write: logins, messages, joins, and who hears of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Prepared, WRITERS, in_tasks};
use crate::Result;
use crate::client::{User, encode, room_path, text};
use crate::target::Target;

/// Messages of a fan-out.
const FAN_OUT_MESSAGES: usize = 20;
/// How long a fan-out may take, in seconds.
const FAN_OUT_SECONDS: u64 = 60;

/// Logins by password, four at once.
pub async fn log_in(user: &User, count: usize) -> Result<Vec<Duration>> {
    let user = user.clone();
    in_tasks(4, count, move |_| {
        let user = user.clone();
        async move {
            let body = json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": user.id},
                "password": user.password,
            });
            Ok(user
                .api
                .call(Method::POST, "/_matrix/client/v3/login", None, &body)
                .await?
                .took)
        }
    })
    .await
}

/// Bytes of a file of the media scenario.
const FILE_BYTES: usize = 10_000_000;

/// Files uploaded and downloaded again, all at once. Each is one byte shorter than the one before, so that none is known.
pub async fn exchange_files(user: &User, count: usize) -> Result<Vec<Duration>> {
    let file = Bytes::from(vec![0x5a; FILE_BYTES]);
    let user = user.clone();
    in_tasks(count, count, move |index| {
        let (user, file) = (user.clone(), file.slice(index % FILE_BYTES..));
        async move { user.exchange(file).await }
    })
    .await
}

/// Messages of one user in one room, each after the answer to the one before.
pub async fn one_after_the_other(
    target: &Target,
    prepared: &Prepared,
    count: usize,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let sent = prepared.users[0]
            .send(&prepared.rooms[0], &target.fresh("txn"), BODY)
            .await?;
        latencies.push(sent.took);
    }
    Ok(latencies)
}

/// A message of ordinary length.
const BODY: &str =
    "The quick brown fox jumps over the lazy dog, and then it goes home and has some tea.";

/// Messages sent in a room with many members.
const MESSAGES_AMONG_MEMBERS: usize = 500;
/// Members who follow what is sent, however many there are.
const FOLLOWING: usize = 8;

/// Messages of one user, one after the other, in a room where a few follow and the others are idle.
///
/// # Errors
/// A message that a follower heard twice or never.
pub async fn among_members(target: &Target, prepared: &Prepared) -> Result<Vec<Duration>> {
    let room = &prepared.rooms[0];
    let run = target.fresh("members");
    let (heard, _hearing) = mpsc::unbounded_channel();
    let mut followers = JoinSet::new();
    for follower in prepared.users[1..].iter().take(FOLLOWING) {
        let since = follower.now().await?;
        let listening = Listening {
            room: room.clone(),
            run: run.clone(),
            messages: MESSAGES_AMONG_MEMBERS,
        };
        followers.spawn(listen(follower.clone(), listening, since, heard.clone()));
    }
    let mut latencies = Vec::with_capacity(MESSAGES_AMONG_MEMBERS);
    for message in 0..MESSAGES_AMONG_MEMBERS {
        let body = format!("{run} {message}");
        let sent = prepared.users[0]
            .send(room, &target.fresh("txn"), &body)
            .await?;
        latencies.push(sent.took);
    }
    heard_once_each(&mut followers, MESSAGES_AMONG_MEMBERS).await?;
    Ok(latencies)
}

/// Messages by all writers at once, in one room or each in a room of its own.
pub async fn in_parallel(
    target: &Target,
    prepared: &Prepared,
    count: usize,
) -> Result<Vec<Duration>> {
    let (users, rooms) = (prepared.users.clone(), prepared.rooms.clone());
    let run = target.fresh("txn");
    in_tasks(WRITERS, count, move |index| {
        let user = users[index % users.len()].clone();
        let room = rooms[index % rooms.len()].clone();
        let transaction = format!("{run}-{index}");
        async move { Ok(user.send(&room, &transaction, BODY).await?.took) }
    })
    .await
}

/// Everybody joins a new room, eight at once.
pub async fn join_storm(prepared: &Prepared) -> Result<Vec<Duration>> {
    let (users, room) = (prepared.users[1..].to_vec(), prepared.rooms[0].clone());
    in_tasks(8, users.len(), move |index| {
        let (user, room) = (users[index].clone(), room.clone());
        async move { Ok(user.join(&room).await?.took) }
    })
    .await
}

/// One sends, all others wait in `/sync`: the time from sending to hearing, for each message and each listener.
///
/// # Errors
/// A message that a listener heard twice or never.
pub async fn fan_out(target: &Target, prepared: &Prepared) -> Result<Vec<Duration>> {
    let room = &prepared.rooms[0];
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let run = target.fresh("fan-out");
    let mut listeners = JoinSet::new();
    for listener in &prepared.users[1..] {
        let since = listener.now().await?;
        let listening = Listening {
            room: room.clone(),
            run: run.clone(),
            messages: FAN_OUT_MESSAGES,
        };
        listeners.spawn(listen(listener.clone(), listening, since, heard.clone()));
    }
    drop(heard);
    let expected = listeners.len();
    let mut latencies = Vec::new();
    for message in 0..FAN_OUT_MESSAGES {
        let body = format!("{run} {message}");
        let sent = Instant::now();
        prepared.users[0]
            .send(room, &target.fresh("txn"), &body)
            .await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(FAN_OUT_SECONDS);
        let mut count = 0;
        while count < expected {
            let next = tokio::time::timeout_at(deadline, hearing.recv()).await;
            let Ok(Some((index, at))) = next else {
                return Err(
                    format!("message {message}: only {count} of {expected} heard it").into(),
                );
            };
            if index != message {
                return Err(format!("message {index} came while {message} was due").into());
            }
            latencies.push(Instant::duration_since(&at, sent));
            count += 1;
        }
    }
    heard_once_each(&mut listeners, FAN_OUT_MESSAGES).await?;
    Ok(latencies)
}

/// Waits for those who listen.
async fn heard_once_each(
    listeners: &mut JoinSet<Result<HashMap<usize, u32>>>,
    messages: usize,
) -> Result<()> {
    while let Some(listener) = listeners.join_next().await {
        let counts = listener??;
        let lost = messages - counts.len().min(messages);
        let doubled = counts.values().filter(|count| **count != 1).count();
        if lost + doubled > 0 {
            return Err(format!("of {messages} messages {lost} lost, {doubled} doubled").into());
        }
    }
    Ok(())
}

/// What is listened to: messages `{run} 0`, `{run} 1` and so on in a room.
struct Listening {
    room: String,
    run: String,
    messages: usize,
}

/// Follows `/sync` until the last message; gives how often each was heard.
async fn listen(
    user: User,
    Listening {
        room,
        run,
        messages,
    }: Listening,
    mut since: String,
    heard: mpsc::UnboundedSender<(usize, Instant)>,
) -> Result<HashMap<usize, u32>> {
    let mut counts = HashMap::new();
    // Nobody falls so far behind that a sync leaves some out.
    let filter = encode(r#"{"room":{"timeline":{"limit":100}}}"#);
    while !counts.contains_key(&(messages - 1)) {
        let query = format!(
            "filter={filter}&since={}&timeout=30000&set_presence=offline",
            encode(&since)
        );
        let answer = user.sync(&query).await?;
        let at = Instant::now();
        let answer = answer.json()?;
        text(&answer, "next_batch")?.clone_into(&mut since);
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array();
        for event in events.into_iter().flatten() {
            let index = event["content"]["body"]
                .as_str()
                .and_then(|body| body.strip_prefix(&run));
            let Some(index) = index.and_then(|index| index.trim().parse().ok()) else {
                continue;
            };
            *counts.entry(index).or_default() += 1;
            // The sender may have given up; the counts tell.
            let _ = heard.send((index, at));
        }
    }
    Ok(counts)
}

/// What clients do all day: of twenty requests nine syncs, six messages, three receipts, one typing, one page.
pub async fn mixed(target: &Target, prepared: &Prepared, count: usize) -> Result<Vec<Duration>> {
    let (users, rooms) = (prepared.users.clone(), prepared.rooms.clone());
    let run = target.fresh("txn");
    let each = count.div_ceil(users.len());
    let mut set = JoinSet::new();
    for (number, user) in users.into_iter().enumerate() {
        let (rooms, run) = (rooms.clone(), format!("{run}-{number}"));
        set.spawn(async move {
            let mut day = Day {
                since: user.now().await?,
                user,
                event: String::new(),
            };
            let mut latencies = Vec::with_capacity(each);
            for step in 0..each {
                let room = &rooms[(number + step / 20) % rooms.len()];
                latencies.push(day.step(step, room, &format!("{run}-{step}")).await?);
            }
            Result::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = set.join_next().await {
        all.extend(latencies??);
    }
    Ok(all)
}

/// One user of the mixed scenario.
struct Day {
    user: User,
    since: String,
    /// The event this user sent last.
    event: String,
}

impl Day {
    async fn step(&mut self, step: usize, room: &str, transaction: &str) -> Result<Duration> {
        let answer = match step % 20 {
            0 | 3 | 6 | 9 | 12 | 15 => {
                let answer = self.user.send(room, transaction, BODY).await?;
                text(&answer.json()?, "event_id")?.clone_into(&mut self.event);
                answer
            }
            1 | 7 | 13 => {
                let path = room_path(room, &format!("receipt/m.read/{}", encode(&self.event)));
                self.user.post(&path, &json!({})).await?
            }
            18 => {
                let path = room_path(room, &format!("typing/{}", encode(&self.user.id)));
                self.user
                    .put(&path, &json!({"typing": true, "timeout": 5_000}))
                    .await?
            }
            19 => {
                self.user
                    .get(&room_path(room, "messages?dir=b&limit=20"))
                    .await?
            }
            _ => {
                let query = format!("since={}&timeout=0", encode(&self.since));
                let answer = self.user.sync(&query).await?;
                let json: Value = answer.json()?;
                text(&json, "next_batch")?.clone_into(&mut self.since);
                answer
            }
        };
        Ok(answer.took)
    }
}
