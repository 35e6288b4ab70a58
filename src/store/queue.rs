//! The order of commits: a short lock gives each batch its positions and its place.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicI64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};
use tracing::{Span, debug_span, field::Empty};

use crate::{
    Batch, Pos, Stats, StoreError, Unwritable,
    batch::{Guard, Operation},
    stats::Counters,
};

/// What runs when a position is published.
pub(crate) type After = Box<dyn FnOnce(Pos) + Send>;

/// Where batches wait, and how far they are published.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the committer.
    work: Condvar,
    /// Wakes the thread that syncs at intervals.
    unsynced: Condvar,
    visible: AtomicI64,
    moved: Notify,
    pub(crate) counters: Counters,
    bound_bytes: usize,
}

struct Waiting {
    jobs: Vec<Job>,
    /// The last position given out.
    last: Pos,
    /// Batches and bytes not yet published, those being written included.
    depth: usize,
    bytes: usize,
    end: Option<End>,
    /// Something is written and not synced (`Durability::Interval`).
    dirty: bool,
    failure: Option<String>,
    /// The committer has ended: nothing will be published any more.
    ended: bool,
}

/// How the committer ends once the queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// All handles are gone: everything is synced.
    Drop,
    /// Everything is synced and moved out of the write-ahead log.
    Close,
}

/// A batch in its place.
pub(crate) struct Job {
    pub(crate) first: Pos,
    pub(crate) last: Pos,
    pub(crate) bytes: usize,
    pub(crate) operations: Vec<Operation>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) relaxed: bool,
    pub(crate) after: Vec<After>,
    /// The request that the batch is of: what follows it is logged as its.
    pub(crate) span: Span,
    /// From the queue to the disk, for who collects such.
    pub(crate) trace: Span,
    pub(crate) done: Option<oneshot::Sender<Result<Pos, StoreError>>>,
}

impl Job {
    pub(crate) fn answer(self, answer: Result<Pos, StoreError>) {
        if let Some(done) = self.done {
            // Nobody need wait for it.
            let _ = done.send(answer);
        }
    }
}

/// A batch that has its positions. As a future it gives the first of them once the batch is kept and
/// published, or why it never will be. Dropping it changes nothing.
#[derive(Debug)]
pub struct Queued {
    first: Pos,
    last: Pos,
    trace: Span,
    done: oneshot::Receiver<Result<Pos, StoreError>>,
}

impl Queued {
    /// The batch's first position. Nobody may be told of it before the batch is published.
    pub fn first(&self) -> Pos {
        self.first
    }

    /// The batch's last position.
    pub fn last(&self) -> Pos {
        self.last
    }
}

impl Queued {
    /// Waits on a thread that may block. Never on one that runs tasks.
    pub fn wait(self) -> Result<Pos, StoreError> {
        self.done.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Future for Queued {
    type Output = Result<Pos, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = Pin::new(&mut self.done).poll(context);
        if done.is_ready() {
            // A span ends where it was left last.
            self.trace.in_scope(|| ());
        }
        done.map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

/// For an attribute of a span, whose numbers are these.
pub(crate) fn size(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// What everybody does with it.
impl Queue {
    pub(crate) fn new(bound_bytes: usize, spent: Pos) -> Self {
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
            counters: Counters::new(),
            bound_bytes,
        }
    }

    pub(crate) fn push(&self, batch: Batch) -> Result<Queued, StoreError> {
        let (bytes, positions) = (batch.size(), batch.positions());
        let (sender, done) = oneshot::channel();
        let mut job = Job {
            first: Pos::ZERO,
            last: Pos::ZERO,
            bytes,
            operations: batch.operations,
            guards: batch.guards,
            relaxed: batch.relaxed,
            after: batch.after,
            span: Span::current(),
            trace: if batch.relaxed {
                // Nobody waits for it.
                Span::none()
            } else {
                debug_span!(
                    target: traces::TARGET,
                    "commit",
                    commit.bytes = size(bytes),
                    commit.group_batches = Empty,
                    commit.sync_us = Empty
                )
            },
            done: Some(sender),
        };
        let trace = job.trace.clone();
        let mut waiting = self.waiting.lock();
        waiting.check()?;
        // A batch larger than the bound passes when it is alone.
        if !job.relaxed && waiting.bytes > 0 && waiting.bytes + bytes > self.bound_bytes {
            self.counters.busy.increment();
            return Err(StoreError::Busy);
        }
        (job.first, job.last) = waiting.take_positions(positions);
        for operation in &mut job.operations {
            operation.stamp(job.first);
        }
        let (first, last) = (job.first, job.last);
        waiting.push(job);
        drop(waiting);
        self.work.notify_one();
        Ok(Queued {
            first,
            last,
            trace,
            done,
        })
    }

    /// No position up to `upto` will be given out any more.
    pub(crate) fn skip_to(&self, upto: Pos) {
        let mut waiting = self.waiting.lock();
        waiting.last = waiting.last.max(upto);
    }

    pub(crate) fn tick(&self, after: After) -> Pos {
        let mut waiting = self.waiting.lock();
        if waiting.check().is_err() {
            return self.visible();
        }
        let (first, last) = waiting.take_positions(1);
        waiting.push(Job {
            first,
            last,
            bytes: 0,
            operations: Vec::new(),
            guards: Vec::new(),
            relaxed: true,
            after: vec![after],
            span: Span::current(),
            trace: Span::none(),
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
            // Made before the look, so that what happens in between wakes it.
            let moved = self.moved.notified();
            if self.visible() >= pos || self.waiting.lock().ended {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let (depth, bytes) = {
            let waiting = self.waiting.lock();
            (waiting.depth, waiting.bytes)
        };
        Stats {
            queue_depth: depth as u64,
            queue_bytes: bytes as u64,
            queue_limit_bytes: self.bound_bytes as u64,
            ..self.counters.read()
        }
    }

    /// Whether what is queued now would be kept. A group under way for longer than `patience` says no.
    pub(crate) fn writable(&self, patience: Duration) -> Result<(), Unwritable> {
        let waiting = self.waiting.lock();
        if let Some(failure) = &waiting.failure {
            return Err(Unwritable::Failed(failure.clone()));
        }
        if waiting.end.is_some() || waiting.ended {
            return Err(Unwritable::Closed);
        }
        drop(waiting);
        match self.counters.busy_for() {
            busy if busy > patience => Err(Unwritable::Stuck(busy)),
            _ => Ok(()),
        }
    }

    /// Takes nothing more.
    pub(crate) fn end(&self, end: End) {
        let mut waiting = self.waiting.lock();
        waiting.end = waiting.end.max(Some(end));
        drop(waiting);
        self.work.notify_one();
        self.unsynced.notify_one();
    }
}

/// What the committer does with it.
impl Queue {
    /// Waits for work; `false` at the end.
    pub(crate) fn wait_for_work(&self) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.end.is_some() || waiting.failure.is_some() {
                return false;
            }
            self.work.wait(&mut waiting);
        }
        true
    }

    /// Everything that waits.
    pub(crate) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.waiting.lock().jobs)
    }

    /// The group is kept, or refused: it counts no longer.
    pub(crate) fn release(&self, jobs: &[Job]) {
        let bytes: usize = jobs.iter().map(|job| job.bytes).sum();
        let mut waiting = self.waiting.lock();
        waiting.depth -= jobs.len();
        waiting.bytes -= bytes;
    }

    /// Everything up to `pos` is kept and published.
    pub(crate) fn advance(&self, pos: Pos) {
        self.visible.store(pos.0, Ordering::Release);
    }

    /// Wakes whoever waits for a position.
    pub(crate) fn wake(&self) {
        self.moved.notify_waiters();
    }

    /// What was asked for, unless the store has failed.
    pub(crate) fn ending(&self) -> Option<End> {
        let waiting = self.waiting.lock();
        waiting.end.filter(|_| waiting.failure.is_none())
    }

    /// The committer is gone.
    pub(crate) fn set_ended(&self) {
        self.waiting.lock().ended = true;
        self.wake();
    }

    /// Refuses everything from now on, what waits included.
    pub(crate) fn fail(&self, reason: &str) {
        let mut waiting = self.waiting.lock();
        waiting.failure = Some(reason.to_owned());
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        for job in jobs {
            job.answer(Err(StoreError::Engine(reason.to_owned())));
        }
        self.work.notify_one();
        self.unsynced.notify_one();
    }

    /// Something is written that the thread below is to sync.
    pub(crate) fn set_unsynced(&self) {
        let known = std::mem::replace(&mut self.waiting.lock().dirty, true);
        if !known {
            self.unsynced.notify_one();
        }
    }

    /// Waits until something is written, and then for `interval`; `false` at the end.
    pub(crate) fn wait_for_unsynced(&self, interval: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        while !waiting.dirty {
            if waiting.ending() {
                return false;
            }
            self.unsynced.wait(&mut waiting);
        }
        let due = Instant::now() + interval;
        while !waiting.ending() && !self.unsynced.wait_until(&mut waiting, due).timed_out() {}
        waiting.dirty = false;
        // The committer itself syncs what is left at the end.
        !waiting.ending()
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

    fn ending(&self) -> bool {
        self.end.is_some() || self.failure.is_some()
    }

    fn take_positions(&mut self, count: u32) -> (Pos, Pos) {
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
