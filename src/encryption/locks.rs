//! One writer per user at a time; who only needs a user's devices to stay shares the lock with others like it.

use std::sync::Arc;

use store::UserNid;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// More stripes than commits are ever under way at once.
const STRIPES: usize = 1024;

/// Locks shared by users whose numbers have the same remainder. Several are always taken in order.
pub(crate) struct Locks(Vec<Arc<RwLock<()>>>);

/// What is locked stays so until this is dropped: keep it until the commit is published.
#[must_use]
#[derive(Debug)]
pub struct Held {
    _guards: Vec<OwnedRwLockWriteGuard<()>>,
}

impl Default for Locks {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Arc::default()).collect())
    }
}

impl Locks {
    /// Waits until nobody else writes these users' rows.
    pub(crate) async fn write(&self, users: impl IntoIterator<Item = UserNid>) -> Held {
        let mut guards = Vec::new();
        for stripe in self.stripes(users) {
            guards.push(stripe.write_owned().await);
        }
        Held { _guards: guards }
    }

    /// Waits until nobody writes these users' rows, and lets nobody until the guards are dropped.
    pub(crate) async fn read(
        &self,
        users: impl IntoIterator<Item = UserNid>,
    ) -> Vec<OwnedRwLockReadGuard<()>> {
        let mut guards = Vec::new();
        for stripe in self.stripes(users) {
            guards.push(stripe.read_owned().await);
        }
        guards
    }

    fn stripes(&self, users: impl IntoIterator<Item = UserNid>) -> Vec<Arc<RwLock<()>>> {
        let mut stripes: Vec<usize> = users
            .into_iter()
            .map(|user| user.0 as usize % STRIPES)
            .collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes
            .into_iter()
            .map(|stripe| Arc::clone(&self.0[stripe]))
            .collect()
    }
}
