//! Who waits for news, and what ends the waiting.

use std::pin::Pin;

use figures::{Counter, Gauge};
use tokio::{sync::futures::Notified, time::Instant};
use tracing::{Instrument, debug_span, field::Empty};

use crate::Engine;

/// A look at the sessions and at those who wait. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncFigures {
    /// Users with a session in memory.
    pub sessions: u64,
    /// Bytes of the sessions, roughly.
    pub session_bytes: u64,
    /// How many they may be: [`crate::Options::session_bytes`].
    pub session_limit_bytes: u64,
    /// Requests that wait for news.
    pub waiting: u64,
    /// Waits that news have ended.
    pub woken_by_news: u64,
    /// Waits that took as long as the client allowed.
    pub timed_out: u64,
    /// Waits that the end of the server has ended.
    pub stopped: u64,
}

#[derive(Default)]
pub(crate) struct Waits {
    waiting: Gauge,
    news: Counter,
    time: Counter,
    stop: Counter,
}

impl Engine {
    /// For the metrics.
    pub fn figures(&self) -> SyncFigures {
        let (sessions, session_bytes) = self.0.sessions.size();
        let waits = &self.0.waits;
        SyncFigures {
            sessions: sessions as u64,
            session_bytes: session_bytes as u64,
            session_limit_bytes: self.0.options.session_bytes as u64,
            waiting: u64::try_from(waits.waiting.get()).unwrap_or(0),
            woken_by_news: waits.news.get(),
            timed_out: waits.time.get(),
            stopped: waits.stop.get(),
        }
    }

    /// Waits for `news`, the deadline or the end of the server, whichever comes first.
    pub(crate) async fn wait(&self, news: Pin<&mut Notified<'_>>, deadline: Instant) {
        let waits = &self.0.waits;
        let _waiting = waits.waiting.hold();
        let span = debug_span!(target: traces::TARGET, "wait for news", ended_by = Empty);
        let waiting = async {
            tokio::select! {
                () = news => (&waits.news, "news"),
                () = tokio::time::sleep_until(deadline) => (&waits.time, "timeout"),
                () = self.0.shutdown.wait() => (&waits.stop, "shutdown"),
            }
        };
        let (count, ended_by) = waiting.instrument(span.clone()).await;
        count.increment();
        span.record("ended_by", ended_by);
    }
}
