//! The commit log: a short lock gives positions, one thread writes groups, syncs, and publishes in order.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    Batch, Durability, Pos, Stats, StoreError, StoreOptions,
    batch::{Guard, Operation},
    engine::{Engine, WriteError},
    facts::{self, Facts},
    guards::Written,
    stats::Counters,
};

/// What runs when a position is published.
type After = Box<dyn FnOnce(Pos) + Send>;

/// The commit thread, and the end of it.
pub(crate) struct Committer {
    queue: Arc<Queue>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    ended: watch::Receiver<bool>,
}

/// Where batches wait, and what has become of them.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    work: Condvar,
    /// Wakes the thread that syncs at intervals.
    unsynced: Condvar,
    visible: AtomicI64,
    moved: Notify,
    counters: Counters,
    bound: usize,
}

struct Waiting {
    jobs: Vec<Job>,
    /// The last position given out.
    last: Pos,
    /// Batches and bytes not yet published, those being written included.
    depth: usize,
    bytes: usize,
    end: Option<End>,
    /// Something is written and not synced ([`Durability::Interval`]).
    dirty: bool,
    failure: Option<String>,
    /// The thread has ended: nothing will be published any more.
    ended: bool,
}

/// How the thread ends once the queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// All handles are gone: everything is synced.
    Drop,
    /// Everything is synced and moved out of the write-ahead log.
    Close,
}

struct Job {
    first: Pos,
    last: Pos,
    bytes: usize,
    operations: Vec<Operation>,
    guards: Vec<Guard>,
    relaxed: bool,
    after: Vec<After>,
    done: Option<oneshot::Sender<Result<Pos, StoreError>>>,
}

/// A batch that has its positions. As a future it gives the first of them once the batch is kept and
/// published, or why it never will be. Dropping it changes nothing.
#[derive(Debug)]
pub struct Queued {
    first: Pos,
    last: Pos,
    done: oneshot::Receiver<Result<Pos, StoreError>>,
}

impl Queued {
    /// The batch's first position.
    pub fn first(&self) -> Pos {
        self.first
    }

    /// The batch's last position.
    pub fn last(&self) -> Pos {
        self.last
    }
}

impl Future for Queued {
    type Output = Result<Pos, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.done)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

impl Queue {
    fn new(bound: usize, spent: Pos) -> Self {
        let waiting = Waiting {
            jobs: Vec::new(),
            last: spent,
            depth: 0,
            bytes: 0,
            end: None,
            dirty: false,
            failure: None,
            ended: false,
        };
        Self {
            waiting: Mutex::new(waiting),
            work: Condvar::new(),
            unsynced: Condvar::new(),
            visible: AtomicI64::new(spent.0),
            moved: Notify::new(),
            counters: Counters::default(),
            bound,
        }
    }

    pub(crate) fn push(&self, batch: Batch) -> Result<Queued, StoreError> {
        let bytes = batch.size();
        let (sender, done) = oneshot::channel();
        let Batch {
            mut operations,
            guards,
            positions,
            relaxed,
            after,
        } = batch;
        let mut waiting = self.waiting.lock();
        waiting.check()?;
        // A batch larger than the bound passes when it is alone.
        if !relaxed && waiting.bytes > 0 && waiting.bytes + bytes > self.bound {
            return Err(StoreError::Busy);
        }
        let (first, last) = waiting.take_positions(positions.max(1));
        for operation in &mut operations {
            operation.stamp(first);
        }
        waiting.push(Job {
            first,
            last,
            bytes,
            operations,
            guards,
            relaxed,
            after,
            done: Some(sender),
        });
        drop(waiting);
        self.work.notify_one();
        Ok(Queued { first, last, done })
    }

    pub(crate) fn tick(&self, after: After) -> Pos {
        let mut waiting = self.waiting.lock();
        if waiting.check().is_err() {
            return self.visible();
        }
        let (first, last) = waiting.take_positions(1);
        let (operations, guards, after) = (Vec::new(), Vec::new(), vec![after]);
        waiting.push(Job {
            first,
            last,
            bytes: 0,
            operations,
            guards,
            relaxed: true,
            after,
            done: None,
        });
        drop(waiting);
        self.work.notify_one();
        first
    }

    pub(crate) fn visible(&self) -> Pos {
        Pos(self.visible.load(Ordering::Acquire))
    }

    pub(crate) async fn reached(&self, pos: Pos) {
        loop {
            let moved = self.moved.notified();
            if self.visible() >= pos || self.waiting.lock().ended {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn stats(&self, engine: &Engine) -> Stats {
        let (depth, bytes) = {
            let waiting = self.waiting.lock();
            (waiting.depth, waiting.bytes)
        };
        Stats {
            queue_depth: depth as u64,
            queue_bytes: bytes as u64,
            engine_memory_bytes: engine.memory_bytes(),
            ..self.counters.read()
        }
    }

    fn end(&self, end: End) {
        let mut waiting = self.waiting.lock();
        waiting.end = waiting.end.max(Some(end));
        drop(waiting);
        self.work.notify_one();
        self.unsynced.notify_one();
    }
}

impl Waiting {
    fn check(&self) -> Result<(), StoreError> {
        match &self.failure {
            Some(failure) => Err(StoreError::Engine(failure.clone())),
            None if self.end.is_some() => Err(StoreError::Closed),
            None => Ok(()),
        }
    }

    fn take_positions(&mut self, count: u16) -> (Pos, Pos) {
        let first = self.last.next();
        self.last = Pos(self.last.0 + i64::from(count));
        (first, self.last)
    }

    fn push(&mut self, job: Job) {
        self.depth += 1;
        self.bytes += job.bytes;
        self.jobs.push(job);
    }
}

impl Committer {
    pub(crate) fn start(
        engine: Arc<Engine>,
        options: &StoreOptions,
        facts: &Facts,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(options.queue_bytes, facts.spent));
        let (sender, ended) = watch::channel(false);
        let mut threads = Vec::new();
        if options.durability == Durability::Interval {
            let (engine, queue) = (Arc::clone(&engine), Arc::clone(&queue));
            let interval = Duration::from_millis(options.interval_ms.max(1));
            let run = move || sync_at_intervals(&engine, &queue, interval);
            threads.push(
                thread::Builder::new()
                    .name("store-sync".into())
                    .spawn(run)?,
            );
        }
        let mut worker = Worker {
            engine,
            queue: Arc::clone(&queue),
            durability: options.durability,
            reserved: facts.reserved,
        };
        let run = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
                worker.fail(&format!(
                    "the commit thread panicked: {}",
                    panic_message(&*panic)
                ));
            }
            worker.queue.waiting.lock().ended = true;
            worker.queue.moved.notify_waiters();
            drop(worker);
            let _ = sender.send(true);
        };
        threads.push(
            thread::Builder::new()
                .name("store-commit".into())
                .spawn(run)?,
        );
        Ok(Self {
            queue,
            threads: Mutex::new(threads),
            ended,
        })
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
        for handle in self.threads.lock().drain(..) {
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
    fn run(&mut self) {
        while let Some(jobs) = self.next_group() {
            if let Err(WriteError(reason)) = self.commit(jobs) {
                self.fail(&reason);
                return;
            }
        }
        if let Err(WriteError(reason)) = self.finish() {
            self.fail(&reason);
        }
    }

    /// Everything queued, as soon as there is something; `None` at the end.
    fn next_group(&self) -> Option<Vec<Job>> {
        let mut waiting = self.queue.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.end.is_some() || waiting.failure.is_some() {
                return None;
            }
            self.queue.work.wait(&mut waiting);
        }
        drop(waiting);
        self.engine.gate();
        Some(std::mem::take(&mut self.queue.waiting.lock().jobs))
    }

    fn commit(&mut self, mut jobs: Vec<Job>) -> Result<(), WriteError> {
        let refused = self.check_guards(&jobs);
        let mut operations: Vec<Operation> = Vec::new();
        let mut awaited = false;
        for (job, refused) in jobs.iter_mut().zip(&refused) {
            if refused.is_none() {
                awaited |= !job.relaxed && !job.operations.is_empty();
                operations.append(&mut job.operations);
            }
        }
        self.write(
            operations,
            awaited,
            jobs.last().map_or(Pos::ZERO, |job| job.last),
        )?;
        self.queue.counters.group(jobs.len());
        self.publish(jobs, refused);
        Ok(())
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

    fn write(
        &mut self,
        mut operations: Vec<Operation>,
        awaited: bool,
        last: Pos,
    ) -> Result<(), WriteError> {
        // A position is published only below a mark that is on disk.
        let reserve = last.0 + facts::RESERVED / 2 > self.reserved.0;
        let reserved = Pos(last.0 + facts::RESERVED);
        if reserve {
            operations.push(facts::clock(reserved));
        }
        if operations.is_empty() {
            return Ok(());
        }
        let sync = reserve || (awaited && self.durability == Durability::Fsync);
        let began = Instant::now();
        self.engine.write(operations.iter(), sync)?;
        if sync {
            self.queue.counters.synced(began.elapsed());
        } else if self.durability == Durability::Interval {
            self.queue.waiting.lock().dirty = true;
            self.queue.unsynced.notify_one();
        }
        if reserve {
            self.reserved = reserved;
        }
        Ok(())
    }

    fn publish(&self, jobs: Vec<Job>, refused: Vec<Option<StoreError>>) {
        let batches = jobs.len();
        let bytes: usize = jobs.iter().map(|job| job.bytes).sum();
        {
            let mut waiting = self.queue.waiting.lock();
            waiting.depth -= batches;
            waiting.bytes -= bytes;
        }
        for (job, refused) in jobs.into_iter().zip(refused) {
            let answer = match refused {
                Some(error) => {
                    self.queue.counters.refused.fetch_add(1, Ordering::Relaxed);
                    Err(error)
                }
                None => {
                    job.after
                        .into_iter()
                        .for_each(|after| run(after, job.first));
                    Ok(job.first)
                }
            };
            self.queue.visible.store(job.last.0, Ordering::Release);
            if let Some(done) = job.done {
                let _ = done.send(answer);
            }
        }
        self.queue
            .counters
            .batches
            .fetch_add(batches as u64, Ordering::Relaxed);
        self.queue.moved.notify_waiters();
    }

    /// Nothing is queued and nothing will be.
    fn finish(&self) -> Result<(), WriteError> {
        let (end, failed) = {
            let waiting = self.queue.waiting.lock();
            (waiting.end, waiting.failure.is_some())
        };
        if failed {
            return Ok(());
        }
        // No position above the last was ever given out: the next start goes on from it.
        let mark = facts::clock(self.queue.visible());
        self.engine.write(std::iter::once(&mark), true)?;
        if end == Some(End::Close) {
            self.engine.flush()
        } else {
            Ok(())
        }
    }

    /// Never acknowledge what is not kept.
    fn fail(&self, reason: &str) {
        self.queue.fail(&self.engine, reason);
    }
}

impl Queue {
    fn fail(&self, engine: &Engine, reason: &str) {
        tracing::error!(
            reason,
            "the store cannot write; stopping, so that nothing is acknowledged that is not kept"
        );
        if engine.failure_is_fatal() {
            std::process::abort();
        }
        let mut waiting = self.waiting.lock();
        waiting.failure = Some(reason.to_owned());
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        for done in jobs.into_iter().filter_map(|job| job.done) {
            let _ = done.send(Err(StoreError::Engine(reason.to_owned())));
        }
        self.work.notify_one();
        self.unsynced.notify_one();
    }
}

/// A panic in somebody's `after` is theirs: the log goes on.
fn run(after: After, first: Pos) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| after(first))) {
        tracing::error!(
            pos = first.0,
            panic = panic_message(&*panic),
            "a commit's follow-up panicked; its news may be lost"
        );
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// [`Durability::Interval`]: syncs what is written, at most once per interval, until the store ends.
fn sync_at_intervals(engine: &Engine, queue: &Queue, interval: Duration) {
    let mut waiting = queue.waiting.lock();
    while waiting.end.is_none() && waiting.failure.is_none() {
        if !waiting.dirty {
            queue.unsynced.wait(&mut waiting);
            continue;
        }
        let due = Instant::now() + interval;
        // Woken before its time only by the end, or to be told again what it knows.
        while waiting.end.is_none() && !queue.unsynced.wait_until(&mut waiting, due).timed_out() {}
        waiting.dirty = false;
        drop(waiting);
        let began = Instant::now();
        if let Err(WriteError(reason)) = engine.sync() {
            return queue.fail(engine, &reason);
        }
        queue.counters.synced(began.elapsed());
        waiting = queue.waiting.lock();
    }
}
