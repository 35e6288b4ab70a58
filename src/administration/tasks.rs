//! Long jobs: kept in the store, done in steps that are one commit each, taken up again after a restart.
//!
//! A task is a row of `Tasks`. Whoever wants something done [starts](Administration::start) one and may look at it, wait
//! for it or cancel it; [`run`] does one after the other. How far a task has come is written with each of its steps, so
//! that after `kill -9` it goes on where it was: no step is lost, and one that was cut off is done again.

use std::collections::HashSet;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Batch, CorruptRow, Pos, Raw, Scan, StoreError, Table, tables::Tasks as TaskRows};
use tokio::sync::{Notify, watch};

use crate::{Administration, AdministrationError};

mod delete_room;
mod purge_history;
mod redact_user;
mod run;

pub use delete_room::DeleteRoom;
pub use purge_history::PurgeHistory;
pub use redact_user::RedactUser;

/// How many tasks that have ended are remembered.
const REMEMBERED: usize = 200;
/// How many may wait. A moderator's tool that closes a hundred rooms in a loop is well below.
const MAX_WAITING: usize = 1_000;

/// What there is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Everybody leaves a room, and it is deleted.
    DeleteRoom(DeleteRoom),
    /// What was said in a room before some event goes.
    PurgeHistory(PurgeHistory),
    /// What a user has said is redacted.
    RedactUser(RedactUser),
}

impl Job {
    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeleteRoom(_) => "delete_room",
            Self::PurgeHistory(_) => "purge_history",
            Self::RedactUser(_) => "redact_user",
        }
    }

    /// To whom or what it is done.
    pub fn target(&self) -> &str {
        match self {
            Self::DeleteRoom(job) => job.room_id.as_str(),
            Self::PurgeHistory(job) => job.room_id.as_str(),
            Self::RedactUser(job) => job.user_id.as_str(),
        }
    }
}

/// How a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It waits for those before it.
    Queued,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It could not be done; `error` says why.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
}

impl TaskState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A long job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name: the position at which it was started.
    #[serde(skip)]
    pub id: Pos,
    /// What there is to be done.
    pub job: Job,
    /// Who has started it: a user id, or `uid 1000` for a process of the server's own user.
    pub by: String,
    /// How it is doing.
    pub state: TaskState,
    /// How much is done of `total`.
    pub done: u64,
    /// How much there is to do, as far as is known.
    pub total: u64,
    /// What has come of it.
    pub result: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where the job is, in its own words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    at: Value,
    /// When it was started, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
}

/// What is known of the tasks beside their rows.
pub(crate) struct Tasks {
    /// There is something to do.
    wake: Notify,
    /// Something was done: counts up.
    changed: watch::Sender<u64>,
    /// Those that somebody wants to be cancelled.
    cancelled: Mutex<HashSet<Pos>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            wake: Notify::new(),
            changed: watch::Sender::new(0),
            cancelled: Mutex::default(),
        }
    }
}

impl Task {
    /// Writes it, with what a step does.
    fn put(&self, batch: &mut Batch) -> Result<(), StoreError> {
        batch.put::<TaskRows>(&self.id, &Raw::json(self).map_err(corrupt)?);
        Ok(())
    }

    fn read(id: Pos, raw: &Raw) -> Result<Self, StoreError> {
        let task: Self = raw.parse().map_err(corrupt)?;
        Ok(Self { id, ..task })
    }

    /// Whether it can be cancelled where it is now: what is half deleted cannot stay so.
    pub fn can_be_cancelled(&self) -> bool {
        !self.state.has_ended()
            && match &self.job {
                Job::DeleteRoom(_) => delete_room::can_be_cancelled(&self.at),
                Job::PurgeHistory(_) => purge_history::can_be_cancelled(&self.at),
                Job::RedactUser(_) => true,
            }
    }
}

impl Administration {
    /// Starts a job. It is done in the background, after those that were started before.
    ///
    /// # Errors
    /// [`AdministrationError::TooManyTasks`]
    pub async fn start(&self, job: Job, by: &str) -> Result<Task, AdministrationError> {
        let tasks = self.tasks().await?;
        let waiting = tasks.iter().filter(|task| !task.state.has_ended()).count();
        if waiting >= MAX_WAITING {
            return Err(AdministrationError::TooManyTasks);
        }
        let mut task = Task {
            id: Pos::unassigned(0),
            job,
            by: by.to_owned(),
            state: TaskState::Queued,
            done: 0,
            total: 0,
            result: Value::Null,
            error: None,
            at: Value::Null,
            created_ms: self.0.host.now_ms(),
            ended_ms: None,
        };
        let mut batch = Batch::new();
        task.put(&mut batch)?;
        // The latest come first.
        let ended = tasks.iter().filter(|task| task.state.has_ended());
        for old in ended.skip(REMEMBERED - 1) {
            batch.delete::<TaskRows>(&old.id);
        }
        task.id = self.0.store.commit(batch).await?;
        self.0.tasks.wake.notify_one();
        Ok(task)
    }

    /// Every task that is remembered, the latest first.
    pub async fn tasks(&self) -> Result<Vec<Task>, StoreError> {
        let scan = Scan::prefix::<TaskRows>(&()).reverse();
        let rows = self.0.store.scan::<TaskRows>(scan).await?.into_iter();
        rows.map(|(id, raw)| Task::read(id, &raw)).collect()
    }

    /// One task.
    pub async fn task(&self, id: Pos) -> Result<Option<Task>, StoreError> {
        let raw = self.0.store.get::<TaskRows>(&id).await?;
        raw.map(|raw| Task::read(id, &raw)).transpose()
    }

    /// Cancels a task, and waits until it has stopped. What it has done stays done.
    ///
    /// # Errors
    /// [`AdministrationError::NoSuchTask`]; [`AdministrationError::NotCancelled`] for one that has ended, or that would leave
    /// something half done.
    pub async fn cancel(&self, id: Pos) -> Result<Task, AdministrationError> {
        let mut changed = self.0.tasks.changed.subscribe();
        let task = self.task(id).await?;
        let mut task = task.ok_or(AdministrationError::NoSuchTask)?;
        if !task.can_be_cancelled() {
            return Err(AdministrationError::NotCancelled);
        }
        self.0.tasks.cancelled.lock().insert(id);
        self.0.tasks.wake.notify_one();
        while task.can_be_cancelled() {
            if changed.changed().await.is_err() {
                break;
            }
            task = self
                .task(id)
                .await?
                .ok_or(AdministrationError::NoSuchTask)?;
        }
        self.0.tasks.cancelled.lock().remove(&id);
        if task.state == TaskState::Cancelled {
            Ok(task)
        } else {
            Err(AdministrationError::NotCancelled)
        }
    }

    /// Waits until a task has ended.
    ///
    /// # Errors
    /// [`AdministrationError::NoSuchTask`]
    pub async fn ended(&self, id: Pos) -> Result<Task, AdministrationError> {
        let mut changed = self.0.tasks.changed.subscribe();
        loop {
            let task = self.task(id).await?;
            let task = task.ok_or(AdministrationError::NoSuchTask)?;
            if task.state.has_ended() || changed.changed().await.is_err() {
                return Ok(task);
            }
        }
    }
}

fn json_of(value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|_| corrupt(CorruptRow("cannot be written as JSON")))
}

fn corrupt(source: CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: TaskRows::NAME,
        source,
    }
}
