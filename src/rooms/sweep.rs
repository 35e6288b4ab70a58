//! Clears away what nobody asks for any more.

use store::{Batch, Scan, UserNid, tables::Transactions};

use crate::{RoomError, Rooms};

/// How long a transaction id is remembered while its device lives, in milliseconds: 30 days. A client that was away for
/// so long starts anew; Synapse keeps them for a day.
const TRANSACTIONS_MS: u64 = 30 * 24 * 3_600_000;

/// Rows read at a time.
const ROWS: usize = 1_000;

impl Rooms {
    /// Forgets the transaction ids of 30 days ago, and gives their number.
    pub async fn forget_transactions(&self) -> Result<usize, RoomError> {
        let oldest_ms = self.host().now_ms().saturating_sub(TRANSACTIONS_MS);
        let end = (UserNid(u32::MAX),);
        let mut scan = Scan::range::<Transactions>(&(), &end);
        let mut forgotten = 0;
        loop {
            let rows = self.store().scan::<Transactions>(scan.limit(ROWS)).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(forgotten);
            };
            // The last row is read again with the next ones, unless it is deleted; alone it is the end.
            scan = Scan::range::<Transactions>(last, &end);
            let is_end = rows.len() < ROWS;
            let mut batch = Batch::new();
            for (key, row) in &rows {
                if row.at_ms < oldest_ms {
                    batch.delete::<Transactions>(key);
                    forgotten += 1;
                }
            }
            if !batch.is_empty() {
                batch.relax();
                self.store().commit(batch).await?;
            }
            if is_end {
                return Ok(forgotten);
            }
        }
    }
}
