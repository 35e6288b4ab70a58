//! How it goes with the notifications.

use figures::Counter;
use store::{Scan, StoreError, tables::PushQueue};

use crate::Push;

/// Notifications so far. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushFigures {
    /// Taken by their gateway, numbers for icons included.
    pub delivered: u64,
    /// The gateway did not know the pusher any more.
    pub rejected: u64,
    /// Attempts that have failed; most are made again.
    pub failed: u64,
    /// Given up: too old.
    pub expired: u64,
    /// Nothing new any more when their turn came: read, redacted, or the user not there any more.
    pub outdated: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) delivered: Counter,
    pub(crate) rejected: Counter,
    pub(crate) failed: Counter,
    pub(crate) expired: Counter,
    pub(crate) outdated: Counter,
}

impl Push {
    /// For the metrics.
    pub fn figures(&self) -> PushFigures {
        let counters = &self.0.counters;
        PushFigures {
            delivered: counters.delivered.get(),
            rejected: counters.rejected.get(),
            failed: counters.failed.get(),
            expired: counters.expired.get(),
            outdated: counters.outdated.get(),
        }
    }

    /// How many notifications wait. Reads them: no more than `most` are counted.
    pub async fn queued(&self, most: usize) -> Result<usize, StoreError> {
        let rows = Scan::prefix::<PushQueue>(&()).limit(most);
        Ok(self.0.rooms.store().scan::<PushQueue>(rows).await?.len())
    }
}
