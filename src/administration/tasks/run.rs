//! Does the tasks, one after the other.

use std::time::Duration;

use host::Shutdown;
use rooms::RoomError;
use store::{Batch, StoreError};

use super::{Job, Task, TaskState, delete_room, purge_history, redact_user};
use crate::{Administration, AdministrationError};

/// How long to wait after the store was too busy, or has failed.
const RETRY: Duration = Duration::from_secs(1);

/// What a step has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do.
    More,
    /// There is more to do once others have caught up.
    Later,
    /// That was all.
    Done,
}

impl Administration {
    /// Does what is to be done until the server stops.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_started() {
            let wake = self.0.tasks.wake.notified();
            let pause = match self.next_task().await {
                Ok(Some(task)) => self.work_on(task, &shutdown).await,
                Ok(None) => {
                    tokio::select! {
                        () = wake => {}
                        () = shutdown.wait() => return,
                    }
                    continue;
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = pause {
                tracing::warn!(%error, "tasks have to wait");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = shutdown.wait() => return,
                }
            }
        }
    }

    /// One that is to be cancelled, else the oldest that has not ended.
    async fn next_task(&self) -> Result<Option<Task>, StoreError> {
        let tasks = self.tasks().await?.into_iter().rev();
        let mut waiting: Vec<_> = tasks.filter(|task| !task.state.has_ended()).collect();
        let cancelled = self.0.tasks.cancelled.lock().clone();
        waiting.sort_by_key(|task| !cancelled.contains(&task.id));
        Ok(waiting.into_iter().next())
    }

    /// Does one task to its end, or until the server stops.
    async fn work_on(
        &self,
        mut task: Task,
        shutdown: &Shutdown,
    ) -> Result<(), AdministrationError> {
        while !shutdown.is_started() {
            let is_cancelled = self.0.tasks.cancelled.lock().contains(&task.id);
            if is_cancelled && task.can_be_cancelled() {
                return self.end(task, TaskState::Cancelled).await;
            }
            task.state = TaskState::Running;
            let before = task.clone();
            match self.step(&mut task).await {
                Ok(Step::Done) => return self.end(task, TaskState::Done).await,
                Ok(Step::More) => self.changed(),
                Ok(Step::Later) => tokio::time::sleep(RETRY / 10).await,
                Err(error) if is_passing(&error) => {
                    tracing::warn!(task = task.id.0, %error, "a task has to wait");
                    task = before;
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = shutdown.wait() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(task = task.id.0, kind = task.job.kind(), %error, "a task has failed");
                    task.error = Some(error.to_string());
                    return self.end(task, TaskState::Failed).await;
                }
            }
        }
        Ok(())
    }

    /// One step: a commit, mostly, with the task's row in it.
    async fn step(&self, task: &mut Task) -> Result<Step, AdministrationError> {
        match task.job.clone() {
            Job::DeleteRoom(job) => delete_room::step(self, task, &job).await,
            Job::PurgeHistory(job) => purge_history::step(self, task, &job).await,
            Job::RedactUser(job) => redact_user::step(self, task, &job).await,
        }
    }

    async fn end(&self, mut task: Task, state: TaskState) -> Result<(), AdministrationError> {
        if state != TaskState::Done {
            match &task.job {
                Job::DeleteRoom(job) => delete_room::undo(self, &task, job).await?,
                Job::PurgeHistory(_) | Job::RedactUser(_) => {}
            }
        }
        task.state = state;
        task.ended_ms = Some(self.0.host.now_ms());
        if state == TaskState::Done {
            task.done = task.total;
        }
        self.save(&task).await?;
        tracing::info!(
            task = task.id.0,
            kind = task.job.kind(),
            ?state,
            "a task has ended"
        );
        Ok(())
    }

    /// Writes a task that has done something beside commits of its own.
    pub(super) async fn save(&self, task: &Task) -> Result<(), AdministrationError> {
        let mut batch = Batch::new();
        task.put(&mut batch)?;
        self.0.store.commit(batch).await?;
        self.changed();
        Ok(())
    }

    fn changed(&self) {
        self.0.tasks.changed.send_modify(|changes| *changes += 1);
    }
}

/// Whether it may be another matter in a moment.
fn is_passing(error: &AdministrationError) -> bool {
    let (AdministrationError::Store(store) | AdministrationError::Room(RoomError::Store(store))) =
        error
    else {
        return false;
    };
    matches!(store, StoreError::Busy | StoreError::Closed)
}
