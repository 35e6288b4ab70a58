//! Reports of events, rooms and users, kept for the administrator.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#reporting-content)

use ruma::{EventId, RoomId, UserId};
use serde::Serialize;
use store::{
    Batch, Pos, Raw, StoreError, Table, UserNid,
    tables::{ReportCounts, Reports},
};

use crate::{RoomError, Rooms};

/// Bytes of a reason.
const MAX_REASON_BYTES: usize = 4_096;
/// Reports that one user can ever leave: whoever has more to say talks to the administrator.
const MAX_REPORTS: u64 = 1_000;

/// What is reported.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Reported<'a> {
    /// An event.
    Event {
        /// Where it is.
        room_id: &'a RoomId,
        /// Which one.
        event_id: &'a EventId,
    },
    /// A room.
    Room {
        /// Which one.
        room_id: &'a RoomId,
    },
    /// A user.
    User {
        /// Who.
        user_id: &'a UserId,
    },
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    reported: Reported<'a>,
    by: &'a UserId,
    reason: &'a str,
    at_ms: u64,
}

impl Rooms {
    /// Keeps a report.
    ///
    /// # Errors
    /// [`RoomError::TooLarge`] for a long reason; [`RoomError::Forbidden`] for a user who has reported a thousand times.
    pub async fn report(
        &self,
        (user, user_id): (UserNid, &UserId),
        reported: Reported<'_>,
        reason: &str,
    ) -> Result<(), RoomError> {
        if reason.len() > MAX_REASON_BYTES {
            return Err(RoomError::TooLarge(
                "The reason is longer than 4096 bytes.".to_owned(),
            ));
        }
        let count = self.store().get::<ReportCounts>(&user).await?.unwrap_or(0);
        if count >= MAX_REPORTS {
            return Err(RoomError::Forbidden(
                "You have reported too much: please talk to the administrator.".to_owned(),
            ));
        }
        let row = Row {
            reported,
            by: user_id,
            reason,
            at_ms: self.host().now_ms(),
        };
        let row = Raw::json(&row).map_err(|source| StoreError::Corrupt {
            table: Reports::NAME,
            source,
        })?;
        let mut batch = Batch::new();
        batch.put::<Reports>(&Pos::unassigned(0), &row);
        batch.put::<ReportCounts>(&user, &(count + 1));
        self.store().commit(batch).await?;
        tracing::info!(user.id = %user_id, "something was reported");
        Ok(())
    }
}
