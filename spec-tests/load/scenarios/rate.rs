//! What clients do all day: as fast as it goes, and at the highest rate at which it still feels quick.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::{BODY, Numbers, Operation, Stage, Work, with_rooms};
use crate::Result;
use crate::client::{Answer, User, room_path, text};
use crate::measure::{Figure, Measured, number, percentile, watch};
use crate::pace;
use crate::target::Target;

/// What feels quick: 99 of 100 answers come within this, in ms.
const QUICK_MS: f64 = 500.0;
/// Operations per second to begin with.
const FIRST_RATE: f64 = 25.0;
/// Between the highest rate that was kept and the lowest that was not: so often halved.
const HALVINGS: usize = 3;
/// Bounds of the search: one that no server here keeps, and one that is of no use.
const HIGHEST_RATE: f64 = 100_000.0;
const LOWEST_RATE: f64 = 1.0;

/// Of twenty requests nine syncs, six messages, three receipts, one typing, one page.
pub async fn mixed(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let users = numbers.some(0);
    let days = Days::new(&target, users, numbers.some(1)).await?;
    Ok(Stage::each(users, numbers.some(2), move |index| {
        Arc::clone(&days).step(index)
    }))
}

pub async fn highest(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let days = Days::new(&target, numbers.some(0), numbers.some(1)).await?;
    let stage = Stage::each(1, 1, move |index| Arc::clone(&days).step(index));
    let Work::Each { operation, .. } = stage.work else {
        return Err("a stage of one operation has one".into());
    };
    let seconds = number(numbers.some(2));
    let search = Arc::new(Search {
        target,
        operation,
        seconds,
        next: AtomicUsize::new(0),
    });
    Ok(Stage::whole(move || {
        let search = Arc::clone(&search);
        async move { search.run().await }
    }))
}

/// Looks for the highest rate.
struct Search {
    target: Arc<Target>,
    operation: Operation,
    seconds: f64,
    next: AtomicUsize,
}

impl Search {
    /// Doubles the rate until it is not kept (halves it until it is), then looks between.
    async fn run(&self) -> Result<Measured> {
        let mut best: Option<(f64, Measured)> = None;
        let (mut rate, mut too_high) = (FIRST_RATE, HIGHEST_RATE);
        let mut halvings = 0;
        while (LOWEST_RATE..HIGHEST_RATE).contains(&rate) && halvings <= HALVINGS {
            match self.attempt(rate).await? {
                Some(measured) => best = Some((rate, measured)),
                None => too_high = rate,
            }
            rate = match &best {
                None => rate / 2.0,
                Some(_) if too_high >= HIGHEST_RATE => rate * 2.0,
                Some((kept, _)) => {
                    halvings += 1;
                    kept.midpoint(too_high)
                }
            };
        }
        let (rate, mut measured) = best.unwrap_or_default();
        let name = "highest ops/s with p99 < 500 ms".to_owned();
        measured.notes.push((name, rate));
        Ok(measured)
    }

    /// The figures at a rate; None if it was not kept.
    async fn attempt(&self, rate: f64) -> Result<Option<Measured>> {
        // Rates are far below 2^32.
        let count = Duration::from_secs_f64(rate * self.seconds)
            .as_secs()
            .max(20);
        let count = usize::try_from(count)?;
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let (mut measured, mut kept) = watch(
            &self.target,
            count,
            pace::open(&self.operation, rate, first, count),
        )
        .await?;
        measured.set_latencies(&mut kept.latencies);
        measured.set(Figure::Schedule, rate);
        let slow = percentile(&kept.latencies, 990).is_none_or(|p99| p99 >= QUICK_MS);
        eprintln!(
            "  {}: {rate:.0} ops/s: {}",
            self.target.name,
            measured.line()
        );
        Ok((!kept.given_up && !slow).then_some(measured))
    }
}

/// The users of a mixed load.
struct Days {
    users: Vec<Mutex<Day>>,
    rooms: Vec<String>,
    run: String,
}

/// One of them.
struct Day {
    user: User,
    since: String,
    /// The event that this user sent last, and its room.
    sent: Option<(String, String)>,
}

impl Days {
    async fn new(target: &Target, users: usize, rooms: usize) -> Result<Arc<Self>> {
        let made = with_rooms(target, users, rooms).await?;
        let mut users = Vec::new();
        for user in made.users {
            users.push(Mutex::new(Day {
                since: user.now().await?,
                user,
                sent: None,
            }));
        }
        Ok(Arc::new(Self {
            users,
            rooms: made.rooms,
            run: target.fresh("day"),
        }))
    }

    /// A user does one thing after the other.
    async fn step(self: Arc<Self>, index: usize) -> Result<()> {
        let number = index % self.users.len();
        let step = index / self.users.len();
        let room = &self.rooms[(number + step / 20) % self.rooms.len()];
        let mut day = self.users[number].lock().await;
        // Each begins elsewhere, so that at no time all do the same.
        let transaction = format!("{}-{index}", self.run);
        day.step(number * 7 + step, room, &transaction)
            .await
            .map(drop)
    }
}

impl Day {
    async fn step(&mut self, step: usize, room: &str, transaction: &str) -> Result<Answer> {
        match (step % 20, &self.sent) {
            (1 | 7 | 13, Some((room, event))) => self.user.read_up_to(room, event).await,
            (18, _) => self.user.set_typing(room).await,
            (19, _) => {
                let path = room_path(room, "messages?dir=b&limit=20");
                self.user.get(&path).await
            }
            (0 | 3 | 6 | 9 | 12 | 15, _) => {
                let answer = self.user.send(room, transaction, BODY).await?;
                let event = text(&answer.json()?, "event_id")?.to_owned();
                self.sent = Some((room.to_owned(), event));
                Ok(answer)
            }
            _ => {
                let answer = self.user.sync_since(&self.since, 0).await?;
                self.since = answer.synced()?.next_batch;
                Ok(answer)
            }
        }
    }
}
