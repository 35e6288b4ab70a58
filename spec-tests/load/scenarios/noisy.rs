//! A noisy neighbour: what others feel of somebody's first sync of very many rooms.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::everyday::follow;
use super::reading::{library, must_be};
use super::{BODY, Made, Numbers, Operation, Stage, Turn, with_rooms};
use crate::Result;
use crate::client::User;
use crate::measure::{Figure, Measured, median, millis, number, watch};
use crate::pace;
use crate::target::Target;

/// Users in a room.
const IN_A_ROOM: usize = 10;
/// Messages per second and user.
const PER_SECOND: f64 = 0.2;

/// Rooms full of users who follow what the others say.
pub async fn prepare(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let (rooms, users) = (numbers.some(0), numbers.some(1));
    let quiet = library(&target, rooms, 1, 2).await?;
    let mut chatting = Made::default();
    let mut stage_beside = Vec::new();
    while chatting.users.len() < users {
        let now = IN_A_ROOM.min(users - chatting.users.len());
        let made = with_rooms(&target, now, 1).await?;
        for user in made.users {
            stage_beside.push((user.now().await?, user.clone()));
            chatting.users.push(user);
            chatting.rooms.push(made.rooms[0].clone());
        }
    }
    let chat = Arc::new(Chat {
        run: target.fresh("chat"),
        target,
        chatting,
        newcomer: quiet.users[0].clone(),
        rooms,
        seconds: number(numbers.some(2)),
        next: AtomicUsize::new(0),
    });
    let mut stage = Stage::whole(move || {
        let chat = Arc::clone(&chat);
        async move { chat.round().await }
    });
    for (since, user) in stage_beside {
        stage.beside.spawn(follow(user, since));
    }
    Ok(stage)
}

struct Chat {
    run: String,
    target: Arc<Target>,
    /// Each user with the room of the same number.
    chatting: Made,
    newcomer: User,
    rooms: usize,
    seconds: f64,
    next: AtomicUsize,
}

impl Chat {
    /// The latencies are those of the messages beside the first syncs; the notes have those alone.
    async fn round(self: &Arc<Self>) -> Result<Measured> {
        let mut alone = Measured::default();
        alone.set_latencies(&mut self.chat().await?);
        let over = Arc::new(AtomicBool::new(false));
        let syncing =
            tokio::task::JoinSet::from_iter([Arc::clone(self).sync_anew(Arc::clone(&over))]);
        let (mut measured, mut latencies) = watch(&self.target, self.count(), self.chat()).await?;
        over.store(true, Ordering::Relaxed);
        let mut syncs = Vec::new();
        for done in syncing.join_all().await {
            syncs.extend(done?);
        }
        // Most of what was used was used by the newcomer.
        measured.unset(Figure::Cpu);
        measured.unset(Figure::Written);
        measured.set_latencies(&mut latencies);
        measured.set(Figure::Schedule, self.rate());
        for (name, figure) in [("p50 ms alone", Figure::P50), ("p99 ms alone", Figure::P99)] {
            let value = alone.get(figure).unwrap_or_default();
            measured.notes.push((name.to_owned(), value));
        }
        let first_sync = median(syncs.iter().copied()).ok_or("no first sync was answered")?;
        measured
            .notes
            .push(("first sync ms".to_owned(), first_sync));
        measured
            .notes
            .push(("first syncs".to_owned(), number(syncs.len())));
        Ok(measured)
    }

    fn rate(&self) -> f64 {
        PER_SECOND * number(self.chatting.users.len())
    }

    /// Enough for a 99th percentile to be one, in as many seconds as it was told or more.
    fn count(&self) -> usize {
        let mut count = 1;
        while number(count) < self.rate() * self.seconds {
            count += 1;
        }
        count
    }

    async fn chat(self: &Arc<Self>) -> Result<Vec<std::time::Duration>> {
        let chat = Arc::clone(self);
        let operation: Operation = Arc::new(move |Turn { index, .. }| {
            let place = index % chat.chatting.users.len();
            let (user, room) = (&chat.chatting.users[place], &chat.chatting.rooms[place]);
            let (user, room) = (user.clone(), room.clone());
            let transaction = format!("{}-{index}", chat.run);
            Box::pin(async move { user.send(&room, &transaction, BODY).await.map(drop) })
        });
        let count = self.count();
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        Ok(pace::open(&operation, self.rate(), first, count)
            .await?
            .latencies)
    }

    /// First syncs, one after the other; at least one. Gives how long each took, in ms.
    async fn sync_anew(self: Arc<Self>, over: Arc<AtomicBool>) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        while took.is_empty() || !over.load(Ordering::Relaxed) {
            let answer = self.newcomer.sync("set_presence=offline").await?;
            took.push(millis(answer.took));
            must_be(answer.synced()?.joined_rooms(), self.rooms, "rooms")?;
        }
        Ok(took)
    }
}
