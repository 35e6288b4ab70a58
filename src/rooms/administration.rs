//! What an administrator looks at: every room, why its state is what it is, and what was reported.

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use store::{
    Batch, Pos, RoomNid, Scan, StoreError, Table,
    rows::{Cause, RoomHeadRow},
    tables::{Reports, RoomHeads, StateHistory, StateLog},
};

use crate::{Event, RoomError, Rooms};

/// Rooms read at once.
const ROOMS_AT_ONCE: usize = 1_000;

/// One change of a piece of state.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The event that it became.
    pub event: Arc<Event>,
    /// Where in the room's timeline.
    pub pos: Pos,
    /// Whether state resolution decided it, and not the event's own sending.
    pub by_resolution: bool,
}

/// A report, as [`Rooms::report`] keeps it.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// `event`, `room` or `user`.
    pub what: String,
    /// The room, for an event and a room.
    pub room_id: Option<OwnedRoomId>,
    /// The event, for an event.
    pub event_id: Option<OwnedEventId>,
    /// The user, for a user.
    pub user_id: Option<OwnedUserId>,
    /// Who reports.
    pub by: OwnedUserId,
    /// Why, in their words.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Rooms {
    /// Every room with its counts, in the order in which the server met them.
    pub async fn all_rooms(&self) -> Result<Vec<(RoomNid, RoomHeadRow)>, RoomError> {
        let (mut rooms, mut from) = (Vec::new(), RoomNid(0));
        loop {
            let page = Scan::range::<RoomHeads>(&from, &RoomNid(u32::MAX)).limit(ROOMS_AT_ONCE);
            let page = self.store().scan::<RoomHeads>(page).await?;
            let Some((last, _)) = page.last() else {
                return Ok(rooms);
            };
            from = RoomNid(last.0 + 1);
            rooms.extend(page);
        }
    }

    /// How a piece of state came to be what it is: its changes, the latest first, at most `limit`.
    pub async fn explain(
        &self,
        room: RoomNid,
        (event_type, state_key): (&str, &str),
        limit: usize,
    ) -> Result<Vec<Explained>, RoomError> {
        let Some(key) = self.state_key(event_type, state_key).await? else {
            return Ok(Vec::new());
        };
        let rows = Scan::prefix::<StateHistory>(&(room, key)).reverse();
        let rows = self.store().scan::<StateHistory>(rows.limit(limit)).await?;
        let mut changes = Vec::with_capacity(rows.len());
        for ((_, _, pos), rsn) in rows {
            // Taken away by a resolution, which named no event instead.
            let Some(rsn) = rsn.some() else { continue };
            let log = Scan::prefix::<StateLog>(&(room, pos));
            let log = self.store().scan::<StateLog>(log).await?;
            let row = log.into_iter().find(|(_, row)| row.key == key);
            changes.push(Explained {
                event: self.event(room, rsn).await?,
                pos,
                by_resolution: row.is_some_and(|(_, row)| row.cause == Cause::Resolution),
            });
        }
        Ok(changes)
    }

    /// Reports, the latest first: at most `limit`, before `before`.
    pub async fn reports(
        &self,
        before: Option<Pos>,
        limit: usize,
    ) -> Result<Vec<(Pos, Report)>, RoomError> {
        let scan = Scan::range::<Reports>(&Pos::MIN, &before.unwrap_or(Pos::MAX));
        let rows = self.store().scan::<Reports>(scan.reverse().limit(limit));
        let rows = rows.await?.into_iter();
        rows.map(|(pos, raw)| Ok((pos, raw.parse().map_err(corrupt)?)))
            .collect()
    }

    /// One report; `None` if it was closed, or never made.
    pub async fn report_at(&self, pos: Pos) -> Result<Option<Report>, RoomError> {
        let raw = self.store().get::<Reports>(&pos).await?;
        Ok(raw.map(|raw| raw.parse().map_err(corrupt)).transpose()?)
    }

    /// Closes a report: it is deleted. Whether there was one.
    pub async fn close_report(&self, pos: Pos) -> Result<bool, RoomError> {
        if self.store().get::<Reports>(&pos).await?.is_none() {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete::<Reports>(&pos);
        self.store().commit(batch).await?;
        Ok(true)
    }
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: Reports::NAME,
        source,
    }
}
