//! What the process lends to the domain: the clock, randomness and tasks.
//!
//! Nobody else reads the wall clock, makes random numbers or spawns a bare task (clippy's
//! `disallowed-methods`), so tests turn the clock and repeat the dice.

use std::{future::Future, sync::Arc};

mod manual;
mod shutdown;
mod system;

pub use manual::ManualClock;
pub use shutdown::{Shutdown, ShutdownTrigger};

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// A source of random bytes fit for secrets.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock, the dice and the task spawner; cheap to clone.
#[derive(Clone)]
pub struct Host {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Host {
    /// The real clock and the operating system's randomness.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(system::SystemClock),
            random: Arc::new(system::SystemRandom),
        }
    }

    /// A clock that stands still until a test turns it, and a seeded generator.
    pub fn manual(clock: &ManualClock, seed: u64) -> Self {
        Self {
            clock: Arc::new(clock.clone()),
            random: Arc::new(manual::SeededRandom::new(seed)),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// `N` random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// `length` random characters of `A-Z a-z 0-9`, about 5.95 bits each.
    pub fn random_string(&self, length: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(length);
        while text.len() < length {
            for byte in self.random_bytes::<64>() {
                // Rejection keeps the distribution even: 248 = 4 × 62.
                if byte < 248 && text.len() < length {
                    text.push(char::from(ALPHABET[usize::from(byte % 62)]));
                }
            }
        }
        text
    }

    /// Runs `task` in the background. A panic in it is logged under `name`, never lost.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        system::spawn(name, task);
    }
}
