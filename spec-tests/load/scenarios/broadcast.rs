//! One sends on schedule, others wait in `/sync`: the time from when a message was due to when it was heard, and whether
//! everybody heard everything once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Made, Numbers, Operation, Stage, Turn, in_tasks, with_rooms};
use crate::Result;
use crate::client::User;
use crate::measure::{Figure, Measured, number, watch};
use crate::pace;
use crate::target::Target;

/// Messages per second.
const PER_SECOND: f64 = 10.0;
/// Members who follow what is sent, however many there are.
const FOLLOWING: usize = 8;
/// How long the last message may be on its way.
const SETTLE: Duration = Duration::from_secs(30);
/// A sync waits this long for news, in ms.
const POLL_MS: u64 = 20_000;

/// When each message was due.
type Due = Mutex<HashMap<usize, Instant>>;

pub async fn fan_out(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = with_rooms(&target, numbers.some(0) + 1, 1).await?;
    Ok(stage(target, made, numbers.some(0), numbers.some(1)))
}

pub async fn among_members(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = with_rooms(&target, numbers.some(0).max(2), 1).await?;
    let following = FOLLOWING.min(made.users.len() - 1);
    Ok(stage(target, made, following, numbers.some(1)))
}

fn stage(target: Arc<Target>, made: Made, listeners: usize, messages: usize) -> Stage {
    Stage::whole(move || {
        let (target, made) = (Arc::clone(&target), made.clone());
        async move { broadcast(&target, made, listeners, messages).await }
    })
}

async fn broadcast(
    target: &Target,
    made: Made,
    listeners: usize,
    messages: usize,
) -> Result<Measured> {
    let (sender, room) = (made.users[0].clone(), made.rooms[0].clone());
    let run = target.fresh("broadcast");
    let listening: Vec<_> = made.users[1..=listeners].to_vec();
    let users = listening.clone();
    let tokens = in_tasks(8, listeners, move |index| {
        let user = users[index].clone();
        async move { Ok((user.now().await?, user)) }
    })
    .await?;
    let due = Arc::new(Due::default());
    let (hear, mut hearing) = mpsc::unbounded_channel();
    let (mut measured, counts) = watch(target, messages, async {
        let mut following = JoinSet::new();
        for (since, user) in tokens {
            let listener = Listener {
                user,
                room: room.clone(),
                run: run.clone(),
                messages,
                hear: hear.clone(),
            };
            following.spawn(listener.listen(since));
        }
        let operation = sending(sender, room.clone(), run.clone(), Arc::clone(&due));
        pace::open(&operation, PER_SECOND, 0, messages).await?;
        let mut counts = Vec::new();
        while let Some(heard) = following.join_next().await {
            counts.push(heard??);
        }
        Ok(counts)
    })
    .await?;
    drop(hear);
    let due = due.lock().map_err(|_| "a sender panicked")?.clone();
    let mut latencies = Vec::new();
    while let Some((message, at)) = hearing.recv().await {
        if let Some(due) = due.get(&message) {
            latencies.push(Instant::duration_since(&at, *due));
        }
    }
    measured.set_latencies(&mut latencies);
    measured.set(Figure::Schedule, PER_SECOND);
    let cpu = measured.get(Figure::Cpu).unwrap_or_default();
    let note = ("CPU µs per delivery".to_owned(), cpu / number(listeners));
    measured.notes.push(note);
    measured.notes.extend(lost_and_doubled(&counts, messages));
    Ok(measured)
}

/// Sends the message with this number, and notes when it was due.
fn sending(sender: User, room: String, run: String, due: Arc<Due>) -> Operation {
    Arc::new(move |turn| {
        let Turn { index, due: at } = turn;
        if let Ok(mut due) = due.lock() {
            due.insert(index, at);
        }
        let (sender, room, run) = (sender.clone(), room.clone(), run.clone());
        Box::pin(async move {
            let body = format!("{run} {index}");
            let transaction = format!("{run}-{index}");
            sender.send(&room, &transaction, &body).await.map(drop)
        })
    })
}

/// How many messages somebody never heard, and how many somebody heard twice.
pub fn lost_and_doubled(counts: &[HashMap<usize, u32>], messages: usize) -> [(String, f64); 2] {
    let lost: usize = counts
        .iter()
        .map(|heard| messages - heard.len().min(messages))
        .sum();
    let doubled = counts
        .iter()
        .flat_map(HashMap::values)
        .filter(|count| **count > 1);
    [
        ("lost".to_owned(), number(lost)),
        ("doubled".to_owned(), number(doubled.count())),
    ]
}

/// Waits in `/sync` for messages `{run} 0`, `{run} 1` and so on in a room.
struct Listener {
    user: User,
    room: String,
    run: String,
    messages: usize,
    /// Which message, and when it was heard first.
    hear: mpsc::UnboundedSender<(usize, Instant)>,
}

impl Listener {
    /// Until everything has been heard, or nothing more comes; gives how often each was heard.
    async fn listen(self, mut since: String) -> Result<HashMap<usize, u32>> {
        let mut counts = HashMap::new();
        let mut deadline = tokio::time::Instant::now() + self.longest();
        loop {
            // Once more after the last, when nothing may come again.
            let all = counts.len() >= self.messages;
            let timeout = if all { 0 } else { POLL_MS };
            let syncing = self.user.sync_since(&since, timeout);
            let Ok(answer) = tokio::time::timeout_at(deadline, syncing).await else {
                return Ok(counts);
            };
            let (answer, at) = (answer?.synced()?, Instant::now());
            for body in answer.bodies(&self.room) {
                let index = body.strip_prefix(&self.run);
                let Some(index) = index.and_then(|index| index.trim().parse().ok()) else {
                    continue;
                };
                let count: &mut u32 = counts.entry(index).or_default();
                *count += 1;
                if *count == 1 {
                    // The round may be over; the counts tell.
                    let _ = self.hear.send((index, at));
                }
            }
            since = answer.next_batch;
            if all {
                return Ok(counts);
            }
            deadline = deadline.max(tokio::time::Instant::now() + SETTLE);
        }
    }

    /// All messages on schedule, and then some.
    fn longest(&self) -> Duration {
        SETTLE + Duration::from_secs_f64(number(self.messages) / PER_SECOND)
    }
}
