//! One writer per user at a time.

use std::sync::Arc;

use store::UserNid;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// More stripes than commits are ever under way at once.
const STRIPES: usize = 256;

/// Locks shared by users whose numbers have the same remainder. Nobody holds two.
pub(crate) struct Locks(Vec<Arc<Mutex<()>>>);

impl Default for Locks {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Arc::default()).collect())
    }
}

impl Locks {
    /// Waits until nobody else writes the user's rows. The guard travels with the commit
    /// ([`Users::commit`](crate::Users::commit)), so that a caller who gives up waiting does not let another
    /// in before the rows are published.
    pub(crate) async fn lock(&self, user: UserNid) -> OwnedMutexGuard<()> {
        let stripe = Arc::clone(&self.0[user.0 as usize % STRIPES]);
        stripe.lock_owned().await
    }
}
