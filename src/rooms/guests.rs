//! Guests in rooms: which rooms they may join, and how they leave when that changes.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#guest-access)

use std::sync::Arc;

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{Batch, RoomNid, UserNid, rows::Membership};

use crate::{Room, RoomError, Rooms, append::Append};

/// The state that says whether guests may join.
pub(crate) const GUEST_ACCESS: &str = "m.room.guest_access";

/// Guests who leave in one commit: as many events as a busy minute has, and no more than the queue takes at once.
const LEAVING_AT_ONCE: usize = 100;

impl Rooms {
    /// Lets a guest join only where guests may; everybody else is left to the join rules.
    ///
    /// # Errors
    /// [`RoomError::GuestAccess`]
    pub(crate) async fn check_guest_joins(
        &self,
        append: &mut Append<'_>,
        user: &UserId,
    ) -> Result<(), RoomError> {
        let number: UserNid = self.store().interner().number(user.as_str()).await?;
        let is_guest = !self.profiles().guests(&[number]).await?.is_empty();
        if is_guest && !append.admits_guests().await? {
            return Err(RoomError::GuestAccess);
        }
        Ok(())
    }

    /// Guests who are in a room, or invited, as far as it is on disk; some of them, if they are many.
    async fn guests_in(&self, room: RoomNid) -> Result<Vec<OwnedUserId>, RoomError> {
        let members = self.members(room).await?.into_iter();
        let there = members
            .filter(|(_, row)| matches!(row.membership, Membership::Join | Membership::Invite));
        let there: Vec<UserNid> = there.map(|(user, _)| user).collect();
        let mut guests = self.profiles().guests(&there).await?;
        guests.truncate(LEAVING_AT_ONCE);
        Ok(guests)
    }

    /// Makes guests leave a room that no longer admits them, in the commit that is being made: "If the
    /// `m.room.guest_access` event is changed to stop this from being the case, the server MUST set those users'
    /// `m.room.member` state to `leave`."
    ///
    /// Those whose joining is still on its way to the disk, and those beyond the first hundred, are left to
    /// [`Rooms::guests_leave`].
    pub(crate) async fn some_guests_leave(&self, append: &mut Append<'_>) -> Result<(), RoomError> {
        if append.admits_guests().await? {
            return Ok(());
        }
        for guest in self.guests_in(append.room().nid).await? {
            if let Some(Membership::Join | Membership::Invite) = append.membership(&guest).await? {
                append.member(&guest, &guest, "leave", Map::new()).await?;
            }
        }
        Ok(())
    }

    /// Makes all guests leave a room that does not admit them, hundred by hundred.
    pub(crate) async fn guests_leave(&self, room: &Arc<Room>) -> Result<(), RoomError> {
        loop {
            // What was queued before is on disk then, and among the members.
            self.store().commit(Batch::new()).await?;
            if self.guests_in(room.nid).await?.is_empty() {
                return Ok(());
            }
            let mut admitted = false;
            self.change(room, async |append| {
                admitted = append.admits_guests().await?;
                self.some_guests_leave(append).await
            })
            .await?;
            if admitted {
                return Ok(());
            }
        }
    }
}

impl Append<'_> {
    /// "Servers MUST only allow guest users to join rooms if the `m.room.guest_access` state event is present on the room,
    /// and has the `guest_access` value `can_join`."
    async fn admits_guests(&mut self) -> Result<bool, RoomError> {
        #[derive(Deserialize)]
        struct Content {
            guest_access: Option<Value>,
        }
        let Some(current) = self.current(GUEST_ACCESS, "").await? else {
            return Ok(false);
        };
        let content = serde_json::from_str::<Content>(current.pdu.content.get());
        let access = content.ok().and_then(|content| content.guest_access);
        Ok(access.as_ref().and_then(Value::as_str) == Some("can_join"))
    }
}
