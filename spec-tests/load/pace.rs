//! Two ways to ask: as fast as it is answered, and on schedule.
//!
//! The first finds what an operation costs and how many fit into a second. Its latencies say little: whoever waits for an answer
//! before they ask again spares the server just when it is slow ("coordinated omission"). So latencies come from the second:
//! each operation has its time, and its latency counts from that time, whether or not those before it have been answered.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Result;
use crate::measure::number;
use crate::scenarios::{Operation, Turn};

/// Unanswered operations at which a schedule is given up: the server does not keep up, and the machine has better to do.
const MOST_UNANSWERED: usize = 5_000;

/// Runs the operations `first..first + count` by `workers`, each after the answer to its last; gives how long it took.
pub async fn closed(
    operation: &Operation,
    workers: usize,
    first: usize,
    count: usize,
) -> Result<Duration> {
    let started = Instant::now();
    let mut working = JoinSet::new();
    for worker in 0..workers.min(count) {
        let operation = Arc::clone(operation);
        working.spawn(async move {
            for index in (worker..count).step_by(workers) {
                operation(Turn {
                    index: first + index,
                    due: Instant::now(),
                })
                .await?;
            }
            Result::Ok(())
        });
    }
    while let Some(done) = working.join_next().await {
        done??;
    }
    Ok(started.elapsed())
}

/// What came of a schedule.
#[derive(Debug)]
pub struct Kept {
    /// From the time at which each was due to its answer, in no order.
    pub latencies: Vec<Duration>,
    /// It was given up: too many went unanswered.
    pub given_up: bool,
}

/// Runs the operations `first..first + count`, `per_second` of them each second, whatever is answered.
pub async fn open(
    operation: &Operation,
    per_second: f64,
    first: usize,
    count: usize,
) -> Result<Kept> {
    let (due, mut becoming_due) = mpsc::unbounded_channel();
    // A thread sleeps to within 0.1 ms, tokio's timer to within 1 ms: more than many an answer takes.
    let clock =
        tokio::task::spawn_blocking(move || keep_time(per_second, first..first + count, &due));
    let mut unanswered = JoinSet::new();
    let mut kept = Kept {
        latencies: Vec::with_capacity(count),
        given_up: false,
    };
    loop {
        tokio::select! {
            next = becoming_due.recv() => match next {
                Some(turn) if unanswered.len() < MOST_UNANSWERED => {
                    let operation = Arc::clone(operation);
                    unanswered.spawn(async move {
                        operation(turn).await?;
                        Result::Ok(turn.due.elapsed())
                    });
                }
                Some(_) => {
                    kept.given_up = true;
                    break;
                }
                None => break,
            },
            Some(done) = unanswered.join_next() => kept.latencies.push(done??),
        }
    }
    // Whoever keeps the time ends with its listener.
    drop(becoming_due);
    while let Some(done) = unanswered.join_next().await {
        kept.latencies.push(done??);
    }
    clock.await?;
    Ok(kept)
}

/// Says of each when it is due.
fn keep_time(per_second: f64, indexes: Range<usize>, saying: &mpsc::UnboundedSender<Turn>) {
    let started = Instant::now();
    for (turn, index) in indexes.enumerate() {
        let due = started + Duration::from_secs_f64(number(turn) / per_second);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if saying.send(Turn { index, due }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counting(counter: &Arc<AtomicUsize>) -> Operation {
        let counter = Arc::clone(counter);
        Arc::new(move |turn| {
            counter.fetch_add(turn.index, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        })
    }

    #[tokio::test]
    async fn each_operation_runs_once_either_way() {
        let sum = Arc::default();
        closed(&counting(&sum), 3, 1, 4).await.unwrap();
        assert_eq!(sum.load(Ordering::SeqCst), 1 + 2 + 3 + 4);
        let kept = open(&counting(&sum), 1e6, 5, 2).await.unwrap();
        assert_eq!(sum.load(Ordering::SeqCst), 1 + 2 + 3 + 4 + 5 + 6);
        assert!(kept.latencies.len() == 2 && !kept.given_up);
    }

    /// The first is answered only after the second has come, which is due 20 ms later.
    #[tokio::test]
    async fn latencies_count_from_when_an_operation_was_due() {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let opening = Arc::clone(&gate);
        let operation: Operation = Arc::new(move |turn| {
            let gate = Arc::clone(&opening);
            Box::pin(async move {
                if turn.index == 1 {
                    gate.add_permits(2);
                }
                drop(gate.acquire().await?);
                Ok(())
            })
        });
        let kept = open(&operation, 50.0, 0, 2).await.unwrap();
        let slowest = kept.latencies.iter().max().unwrap();
        assert!(*slowest >= Duration::from_millis(20), "{kept:?}");
    }
}
