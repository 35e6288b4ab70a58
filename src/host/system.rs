//! The real clock, the operating system's randomness, and the one place that spawns tasks.

use std::{
    future::Future,
    time::{SystemTime, UNIX_EPOCH},
};

use rand::{TryRng, rngs::SysRng};

use crate::{Clock, Random};

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one reader of the wall clock"
    )]
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            })
    }
}

pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no secret is safe: nothing sensible can follow.
        if let Err(error) = SysRng.try_fill_bytes(bytes) {
            tracing::error!(%error, "the operating system gives no randomness");
            std::process::abort();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one spawner of tasks"
)]
pub(crate) fn spawn(name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    let handle = tokio::spawn(task);
    tokio::spawn(async move {
        if let Err(error) = handle.await
            && error.is_panic()
        {
            tracing::error!(task = name, %error, "a background task panicked");
        }
    });
}
