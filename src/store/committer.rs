//! The thread that writes what is queued in groups, syncs it, and publishes it in order.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    Durability, Pos, StoreError, StoreOptions,
    batch::Operation,
    engine::{Engine, WriteError},
    facts::{self, Facts},
    guards::Written,
    queue::{After, End, Job, Queue, size},
};

/// The commit thread, seen from outside.
pub(crate) struct Committer {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    threads: Vec<thread::JoinHandle<()>>,
    ended: watch::Receiver<bool>,
}

impl Committer {
    pub(crate) fn start(
        engine: &Arc<Engine>,
        options: &StoreOptions,
        facts: &Facts,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(options.queue_bytes, facts.spent));
        let (sender, ended) = watch::channel(false);
        let worker = Worker {
            engine: Arc::clone(engine),
            queue: Arc::clone(&queue),
            durability: options.durability,
            reserved: facts.reserved,
        };
        let mut committer = Self {
            engine: Arc::clone(engine),
            queue: Arc::clone(&queue),
            threads: Vec::new(),
            ended,
        };
        committer.spawn("store-commit", move || {
            worker.run_to_the_end();
            let _ = sender.send(true);
        })?;
        if options.durability == Durability::Interval {
            let engine = Arc::clone(engine);
            let interval = Duration::from_millis(options.interval_ms.max(1));
            committer.spawn("store-sync", move || {
                sync_at_intervals(&engine, &queue, interval);
            })?;
        }
        Ok(committer)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(crate) async fn close(&self) {
        self.queue.end(End::Close);
        // An error means that the sender is gone, which is the end as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.end(End::Drop);
        self.engine.open_gate();
        for handle in self.threads.drain(..) {
            // The last handle may have lain in an `after`: then this is the commit thread itself.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
    }
}

/// What the commit thread owns.
struct Worker {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    durability: Durability,
    /// Positions up to here are reserved on disk.
    reserved: Pos,
}

impl Worker {
    fn run_to_the_end(mut self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.run())) {
            let reason = format!("the commit thread panicked: {}", message(&*panic));
            fail(&self.engine, &self.queue, &reason);
        }
        self.queue.set_ended();
    }

    fn run(&mut self) {
        while self.queue.wait_for_work() {
            self.queue.counters.begin();
            self.engine.gate();
            let jobs = self.queue.take();
            self.commit(jobs);
            self.queue.counters.end();
        }
        if let Err(WriteError(reason)) = self.finish() {
            fail(&self.engine, &self.queue, &reason);
        }
    }

    /// Writes a group and publishes it.
    fn commit(&mut self, mut jobs: Vec<Job>) {
        let Some(last) = jobs.last().map(|job| job.last) else {
            return;
        };
        let refused = self.check_guards(&jobs);
        let mut operations: Vec<Operation> = Vec::new();
        let mut awaited = false;
        for (job, refused) in jobs.iter_mut().zip(&refused) {
            if refused.is_none() {
                awaited |= !job.relaxed && !job.operations.is_empty();
                operations.append(&mut job.operations);
            }
        }
        let synced = match self.write(operations, awaited, last) {
            Ok(synced) => synced,
            Err(WriteError(reason)) => {
                fail(&self.engine, &self.queue, &reason);
                for job in jobs {
                    job.answer(Err(StoreError::Engine(reason.clone())));
                }
                return;
            }
        };
        let group_batches = size(jobs.len());
        for job in &jobs {
            job.trace.record("commit.group_batches", group_batches);
            if let Some(synced) = synced {
                let micros = i64::try_from(synced.as_micros()).unwrap_or(i64::MAX);
                job.trace.record("commit.sync_us", micros);
            }
        }
        self.publish(jobs, refused);
    }

    /// Why each batch is refused, if it is. A guard sees what earlier batches of the group will have written.
    fn check_guards(&self, jobs: &[Job]) -> Vec<Option<StoreError>> {
        let guarded = jobs.iter().any(|job| !job.guards.is_empty());
        let mut written = Written::new(&self.engine);
        let check = |job: &Job| {
            let refused = written.check(&job.guards).err();
            if guarded && refused.is_none() {
                written.add(&job.operations);
            }
            refused
        };
        jobs.iter().map(check).collect()
    }

    /// Gives how long it took if it waited for the disk.
    fn write(
        &mut self,
        mut operations: Vec<Operation>,
        awaited: bool,
        last: Pos,
    ) -> Result<Option<Duration>, WriteError> {
        // A position is published only below a mark that is on disk.
        let reserve = last.0 + facts::RESERVED / 2 > self.reserved.0;
        let reserved = Pos(last.0 + facts::RESERVED);
        if reserve {
            operations.push(facts::clock(reserved));
        }
        if operations.is_empty() {
            return Ok(None);
        }
        let sync = reserve || (awaited && self.durability == Durability::Fsync);
        let began = Instant::now();
        self.engine.write(operations.iter(), sync)?;
        let synced = sync.then(|| began.elapsed());
        if let Some(took) = synced {
            self.queue.counters.synced(took);
        } else if self.durability == Durability::Interval {
            self.queue.set_unsynced();
        }
        if reserve {
            self.reserved = reserved;
        }
        Ok(synced)
    }

    fn publish(&self, jobs: Vec<Job>, refused: Vec<Option<StoreError>>) {
        let bytes = jobs.iter().map(|job| job.bytes).sum();
        self.queue.counters.group(jobs.len(), bytes);
        self.queue.release(&jobs);
        for (mut job, refused) in jobs.into_iter().zip(refused) {
            let first = job.first;
            let answer = if let Some(error) = refused {
                self.queue.counters.refused.increment();
                Err(error)
            } else {
                let _entered = job.span.enter();
                for after in job.after.drain(..) {
                    run(after, first);
                }
                Ok(first)
            };
            self.queue.advance(job.last);
            job.answer(answer);
        }
        self.queue.wake();
    }

    /// Nothing is queued and nothing will be.
    fn finish(&self) -> Result<(), WriteError> {
        let Some(end) = self.queue.ending() else {
            return Ok(());
        };
        // No position above the last was ever given out: the next start goes on from it.
        let mark = facts::clock(self.queue.visible());
        self.engine.write(std::iter::once(&mark), true)?;
        match end {
            End::Close => self.engine.flush(),
            End::Drop => Ok(()),
        }
    }
}

/// Never acknowledge what is not kept: ends the process, or in a test the store.
fn fail(engine: &Engine, queue: &Queue, reason: &str) {
    tracing::error!(
        reason,
        "the store cannot write; stopping, so that nothing is acknowledged that is not kept"
    );
    if engine.failure_is_fatal() {
        std::process::abort();
    }
    queue.fail(reason);
}

/// A panic in somebody's `after` is theirs: the log goes on.
fn run(after: After, first: Pos) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| after(first))) {
        tracing::error!(
            pos = first.0,
            panic = message(&*panic),
            "what follows a commit panicked; its news may be lost"
        );
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// [`Durability::Interval`]: syncs what is written, at most once per interval, until the store ends.
fn sync_at_intervals(engine: &Engine, queue: &Queue, interval: Duration) {
    while queue.wait_for_unsynced(interval) {
        let began = Instant::now();
        if let Err(WriteError(reason)) = engine.sync() {
            fail(engine, queue, &reason);
            return;
        }
        queue.counters.synced(began.elapsed());
    }
}

#[cfg(test)]
mod tests;
