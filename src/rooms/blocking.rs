//! Rooms that nobody may enter: an administrator has blocked them, or deletes them just now.
//!
//! Whoever is in a blocked room stays and goes on talking; a room is emptied by deleting it. A room that is not known here
//! can be blocked before anybody asks for it.

use ruma::RoomId;
use serde::{Deserialize, Serialize};
use store::{Batch, Raw, StoreError, Table, tables::BlockedRooms};

use crate::{RoomError, Rooms};

/// Why nobody may enter a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Who said so: a user id, or `uid 1000` for a process of the server's own user.
    pub by: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Only until the room is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_deleted: bool,
}

impl Rooms {
    /// Whether a room is blocked, and by whom.
    pub async fn blocked(&self, room_id: &RoomId) -> Result<Option<Blocked>, RoomError> {
        let key = room_id.to_string();
        let row = self.store().get::<BlockedRooms>(&key).await?;
        Ok(row.map(|raw| raw.parse()).transpose().map_err(corrupt)?)
    }

    /// Blocks a room, known here or not. Blocking it twice keeps who was first.
    pub async fn block(&self, room_id: &RoomId, by: &str) -> Result<(), RoomError> {
        let before = self.blocked(room_id).await?;
        if before.is_some_and(|before| !before.until_deleted) {
            return Ok(());
        }
        self.put_blocked(room_id, by, false).await
    }

    /// Keeps everybody out of a room that is about to be deleted, unless it is blocked already.
    pub async fn block_until_deleted(&self, room_id: &RoomId, by: &str) -> Result<(), RoomError> {
        match self.blocked(room_id).await? {
            Some(_) => Ok(()),
            None => self.put_blocked(room_id, by, true).await,
        }
    }

    async fn put_blocked(
        &self,
        room_id: &RoomId,
        by: &str,
        until_deleted: bool,
    ) -> Result<(), RoomError> {
        let blocked = Blocked {
            by: by.to_owned(),
            at_ms: self.host().now_ms(),
            until_deleted,
        };
        let mut batch = Batch::new();
        let row = Raw::json(&blocked).map_err(corrupt)?;
        batch.put::<BlockedRooms>(&room_id.to_string(), &row);
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Lets people in again. Unblocking twice is no change.
    pub async fn unblock(&self, room_id: &RoomId) -> Result<(), RoomError> {
        let mut batch = Batch::new();
        batch.delete::<BlockedRooms>(&room_id.to_string());
        self.store().commit(batch).await?;
        Ok(())
    }

    /// # Errors
    /// [`RoomError::Blocked`]
    pub(crate) async fn check_not_blocked(&self, room_id: &RoomId) -> Result<(), RoomError> {
        match self.blocked(room_id).await? {
            Some(_) => Err(RoomError::Blocked),
            None => Ok(()),
        }
    }
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: BlockedRooms::NAME,
        source,
    }
}
