//! Locks by key, in bounded memory: keys may share one.

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};

const LOCKS: usize = 256;

pub(crate) struct Locks {
    hasher: RandomState,
    locks: [Mutex<()>; LOCKS],
}

impl Default for Locks {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            locks: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Locks {
    /// Holds the lock of `key`. Never take a second one of the same set while holding it.
    pub(crate) async fn lock(&self, key: impl Hash) -> MutexGuard<'_, ()> {
        let index = self.hasher.hash_one(key) % LOCKS as u64;
        self.locks[usize::try_from(index).unwrap_or(0)].lock().await
    }
}
