//! A day of many users in the same rooms, in minutes: everybody follows `/sync` all the time, and now and then does something.
//!
//! Each message carries a number, and each user counts the numbers that they hear, as each device counts what is sent to it: at
//! the end everything has been heard once by everybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::broadcast::lost_and_doubled;
use super::{Made, Numbers, Stage, with_rooms};
use crate::Result;
use crate::client::{Answer, User, encode, room_path, text};
use crate::measure::{Measured, mib, number, percentile, usage, watch};
use crate::target::Target;

/// A user does something this often; between them they act at different times.
const ACT_EVERY: Duration = Duration::from_secs(4);
/// How often the memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How long the last messages may be on their way.
const SETTLE: Duration = Duration::from_mins(1);
/// A sync waits this long for news, in milliseconds.
const POLL_MS: u64 = 10_000;
/// Parts of the time whose latencies are shown one by one: whether it gets slower.
const PARTS: usize = 6;
const TO_DEVICE_TYPE: &str = "org.example.load";

/// What everybody shares.
struct Shared {
    users: Vec<User>,
    rooms: Vec<String>,
    run: String,
    /// Messages sent to rooms so far, and messages sent to devices: the number of the next.
    messages: AtomicUsize,
    to_devices: AtomicUsize,
    /// Nobody acts any more.
    quiet: AtomicBool,
}

/// What one user has heard.
#[derive(Default)]
struct Heard {
    messages: HashMap<usize, u32>,
    to_device: HashMap<usize, u32>,
    syncs: usize,
    gaps: usize,
}

pub async fn prepare(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = with_rooms(&target, numbers.some(0), numbers.some(1)).await?;
    let length = Duration::from_secs(numbers.some(2) as u64);
    Ok(Stage::whole(move || {
        let (target, made) = (Arc::clone(&target), made.clone());
        async move { pass(&target, made, length).await }
    }))
}

/// Everybody acts for so long; the latencies are those of what they did, not of the syncs, which wait.
async fn pass(target: &Arc<Target>, made: Made, length: Duration) -> Result<Measured> {
    let shared = Arc::new(Shared {
        users: made.users,
        rooms: made.rooms,
        run: target.fresh("day"),
        messages: AtomicUsize::new(0),
        to_devices: AtomicUsize::new(0),
        quiet: AtomicBool::new(false),
    });
    let (mut following, mut acting) = (JoinSet::new(), JoinSet::new());
    for number in 0..shared.users.len() {
        let since = shared.users[number].now().await?;
        following.spawn(follow(Arc::clone(&shared), number, since));
    }
    let begin = Instant::now();
    let end = begin + length;
    let mut memory = JoinSet::new();
    memory.spawn(sample(Arc::clone(target), end));
    let (mut measured, acts) = watch(target, 1, async {
        for number in 0..shared.users.len() {
            acting.spawn(act(Arc::clone(&shared), number, end));
        }
        let mut latencies = Vec::new();
        while let Some(done) = acting.join_next().await {
            latencies.extend(done??);
        }
        Ok(latencies)
    })
    .await?;
    let parts = parts(&acts, begin, length);
    let mut latencies: Vec<_> = acts.into_iter().map(|(_, took)| took).collect();
    measured.share(latencies.len());
    measured.set_latencies(&mut latencies);
    shared.quiet.store(true, Ordering::SeqCst);
    let mut all = Vec::new();
    while let Some(heard) = following.join_next().await {
        all.push(heard??);
    }
    let memory = memory.join_all().await.concat();
    eprintln!("{}\n{parts}", summary(&shared, &all, &memory));
    measured.notes.extend(check(&shared, &all));
    Ok(measured)
}

/// Resident memory now and then, in MiB.
async fn sample(target: Arc<Target>, end: Instant) -> Vec<f64> {
    let mut samples = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(SAMPLE_EVERY.min(end.saturating_duration_since(Instant::now()))).await;
        let resident = usage(&target).map_or(0, |usage| usage.resident_kib);
        samples.push(mib(resident).round());
    }
    samples
}

/// The median and the 99th percentile, in ms, of what was begun in each part of the time.
fn parts(acts: &[(Instant, Duration)], begin: Instant, length: Duration) -> String {
    let mut parts = vec![Vec::new(); PARTS];
    for (at, took) in acts {
        let part = at.duration_since(begin).as_secs_f64() / length.as_secs_f64() * number(PARTS);
        if let Some(part) = (0..PARTS).rev().find(|known| number(*known) <= part) {
            parts[part].push(*took);
        }
    }
    let shown = parts.iter_mut().map(|latencies| {
        latencies.sort_unstable();
        let of = |per_mille| percentile(latencies, per_mille).unwrap_or_default();
        format!("{:.1} / {:.1}", of(500), of(990))
    });
    format!(
        "p50 / p99 ms by sixths of the time: {}",
        shown.collect::<Vec<_>>().join(", ")
    )
}

/// How many MiB an hour the memory grew in the second half, as a straight line through the samples has it.
fn slope(memory: &[f64]) -> f64 {
    let half = &memory[memory.len() / 2..];
    let count = number(half.len());
    let hours = |index: usize| number(index) * SAMPLE_EVERY.as_secs_f64() / 3_600.0;
    let mean_time = (0..half.len()).map(hours).sum::<f64>() / count;
    let mean = half.iter().sum::<f64>() / count;
    let pairs = half.iter().enumerate();
    let (mut across, mut along) = (0.0, 0.0);
    for (index, sample) in pairs {
        across += (hours(index) - mean_time) * (sample - mean);
        along += (hours(index) - mean_time).powi(2);
    }
    if along > 0.0 { across / along } else { 0.0 }
}

/// Syncs until everybody is quiet and nothing is missing, or has been for too long.
async fn follow(shared: Arc<Shared>, number: usize, mut since: String) -> Result<(usize, Heard)> {
    let user = &shared.users[number];
    let filter = encode(r#"{"room":{"timeline":{"limit":100}}}"#);
    let mut heard = Heard::default();
    let mut deadline = None;
    loop {
        let query = format!("filter={filter}&since={}&timeout={POLL_MS}", encode(&since));
        let quiet = shared.quiet.load(Ordering::SeqCst);
        let answer = user.sync(&query).await?.json()?;
        text(&answer, "next_batch")?.clone_into(&mut since);
        heard.syncs += 1;
        heard.listen(&answer, &shared.run);
        if quiet {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + SETTLE);
            let all = heard.messages.len() == shared.messages.load(Ordering::SeqCst);
            // One more after the last, in which nothing may come again.
            if (all && is_empty(&answer)) || Instant::now() > deadline {
                return Ok((number, heard));
            }
        }
    }
}

fn is_empty(answer: &Value) -> bool {
    answer["rooms"]["join"].is_null() && answer["to_device"].is_null()
}

impl Heard {
    fn listen(&mut self, answer: &Value, run: &str) {
        let count = |counts: &mut HashMap<usize, u32>, text: &Value| {
            let number = text.as_str().and_then(|text| text.strip_prefix(run));
            if let Some(number) = number.and_then(|number| number.trim().parse().ok()) {
                *counts.entry(number).or_default() += 1;
            }
        };
        let rooms = answer["rooms"]["join"].as_object().into_iter().flatten();
        for (_, room) in rooms {
            let timeline = &room["timeline"];
            self.gaps += usize::from(timeline["limited"] == true);
            for event in timeline["events"].as_array().into_iter().flatten() {
                count(&mut self.messages, &event["content"]["body"]);
            }
        }
        for event in answer["to_device"]["events"]
            .as_array()
            .into_iter()
            .flatten()
        {
            count(&mut self.to_device, &event["content"]["body"]);
        }
    }
}

/// Does one thing after the other until the end.
async fn act(shared: Arc<Shared>, number: usize, end: Instant) -> Result<Vec<(Instant, Duration)>> {
    let offset = ACT_EVERY * u32::try_from(number)? / u32::try_from(shared.users.len())?;
    tokio::time::sleep(offset).await;
    let mut ticking = tokio::time::interval(ACT_EVERY);
    let mut latencies = Vec::new();
    let mut event = String::new();
    // Each begins elsewhere, so that at no time all do the same.
    for step in number.. {
        ticking.tick().await;
        if Instant::now() >= end {
            break;
        }
        let room = &shared.rooms[(number * 7 + step) % shared.rooms.len()];
        let at = Instant::now();
        let done = step_of(&shared, number, step, room, &mut event).await?;
        latencies.push((at, done.took));
    }
    Ok(latencies)
}

/// Of twenty things ten are messages, five receipts, two typing, two to a device, one a page of history.
async fn step_of(
    shared: &Shared,
    number: usize,
    step: usize,
    room: &str,
    event: &mut String,
) -> Result<Answer> {
    let user = &shared.users[number];
    let transaction = format!("{}-{number}-{step}", shared.run);
    match step % 20 {
        1 | 5 | 9 | 13 | 17 if !event.is_empty() => {
            let (room, event) = event.split_once(' ').ok_or("no event")?;
            let path = room_path(room, &format!("receipt/m.read/{}", encode(event)));
            user.post(&path, &json!({})).await
        }
        7 | 15 => {
            let path = room_path(room, &format!("typing/{}", encode(&user.id)));
            let body = json!({"typing": true, "timeout": 5_000});
            user.put(&path, &body).await
        }
        3 | 11 => {
            let index = shared.to_devices.fetch_add(1, Ordering::SeqCst);
            let to = &shared.users[receiver(index, shared.users.len())];
            let content = json!({"body": format!("{} {index}", shared.run)});
            let messages = [(to, content)].into_iter();
            user.send_to_devices(TO_DEVICE_TYPE, &transaction, messages)
                .await
        }
        19 => user.get(&room_path(room, "messages?dir=b&limit=20")).await,
        _ => {
            let index = shared.messages.fetch_add(1, Ordering::SeqCst);
            let body = format!("{} {index}", shared.run);
            let answer = user.send(room, &transaction, &body).await?;
            *event = format!("{room} {}", text(&answer.json()?, "event_id")?);
            Ok(answer)
        }
    }
}

/// To whom the message to a device with this number goes.
const fn receiver(index: usize, users: usize) -> usize {
    index * 31 % users
}

fn summary(shared: &Shared, all: &[(usize, Heard)], memory: &[f64]) -> String {
    let sent = shared.messages.load(Ordering::SeqCst);
    let heard: usize = all.iter().map(|(_, heard)| heard.messages.len()).sum();
    let to_device: usize = all.iter().map(|(_, heard)| heard.to_device.len()).sum();
    let syncs: usize = all.iter().map(|(_, heard)| heard.syncs).sum();
    let gaps: usize = all.iter().map(|(_, heard)| heard.gaps).sum();
    format!(
        "{sent} messages heard {heard} times, {} to devices heard {to_device} times, {syncs} syncs, {gaps} gaps\n\
         resident MiB every {} s: {memory:?}, in the second half {:+.1} MiB an hour",
        shared.to_devices.load(Ordering::SeqCst),
        SAMPLE_EVERY.as_secs(),
        slope(memory),
    )
}

/// How many messages somebody did not hear, to a room or to a device, and how many somebody heard twice.
fn check(shared: &Shared, all: &[(usize, Heard)]) -> Vec<(String, f64)> {
    let sent = shared.messages.load(Ordering::SeqCst);
    let to_devices = shared.to_devices.load(Ordering::SeqCst);
    let mut notes: Vec<(String, f64)> = Vec::new();
    for (user, heard) in all {
        let expected = (0..to_devices)
            .filter(|index| receiver(*index, shared.users.len()) == *user)
            .count();
        let counts = [
            (&heard.messages, sent, ""),
            (&heard.to_device, expected, " to a device"),
        ];
        for (counts, expected, kind) in counts {
            for (what, count) in lost_and_doubled(std::slice::from_ref(counts), expected) {
                let what = what + kind;
                match notes.iter_mut().find(|(known, _)| *known == what) {
                    Some((_, sum)) => *sum += count,
                    None => notes.push((what, count)),
                }
            }
        }
    }
    let gaps = all.iter().map(|(_, heard)| heard.gaps).sum();
    notes.push(("gaps".to_owned(), number(gaps)));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_second_half() {
        // 360 samples in an hour.
        let growing: Vec<_> = (0..720).map(|sample| number(sample) / 360.0).collect();
        assert!((slope(&growing) - 1.0).abs() < 1e-9);
        let level: Vec<_> = (0..100)
            .map(|sample| if sample < 50 { number(sample) } else { 60.0 })
            .collect();
        assert!(slope(&level).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
    }

    #[test]
    fn latencies_are_shown_by_when_they_were_begun() {
        let begin = Instant::now();
        let at = |second| {
            (
                begin + Duration::from_secs(second),
                Duration::from_millis(second),
            )
        };
        let acts: Vec<_> = [0, 9, 10, 59, 60].into_iter().map(at).collect();
        assert_eq!(
            parts(&acts, begin, Duration::from_mins(1)),
            "p50 / p99 ms by sixths of the time: 0.0 / 9.0, 10.0 / 10.0, 0.0 / 0.0, 0.0 / 0.0, \
             0.0 / 0.0, 59.0 / 60.0"
        );
    }
}
