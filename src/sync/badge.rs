//! The number on the icon of an application: what a user has not read, everywhere.
//!
//! [spec](https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify)

use std::sync::Arc;

use rooms::RoomUnread;
use ruma::{RoomId, UserId};
use store::{UserNid, rows::Membership};

use crate::{
    Engine, SyncError,
    unread::{Count, Profile},
};

impl Engine {
    /// Unread events that notify, in all rooms of the user, threads included. An invite counts for one, as with Synapse:
    /// it notifies too, and its room has no events yet that could be counted.
    pub async fn unread_everywhere(
        &self,
        user: UserNid,
        user_id: &UserId,
    ) -> Result<u64, SyncError> {
        let rules = self.0.users.push_rules(user).await?;
        let ignored = self.0.users.ignored_users(user).await?;
        let count = Count {
            rooms: &self.0.rooms,
            profile: Arc::new(Profile::of(&rules, user_id)),
            rules,
            user: (user, user_id),
            ignored: &ignored,
            upto: self.store().visible(),
            by_thread: true,
        };
        let mut total = 0;
        for (room, row) in self.0.rooms.rooms_of_nid(user).await? {
            match row.member.membership {
                Membership::Invite => total += 1,
                Membership::Join => {
                    let name = self.store().interner().name(room).await?;
                    let room_id = RoomId::parse(&*name)
                        .map_err(|_| SyncError::Rooms(store::CorruptRow("not a room id").into()))?;
                    total += sum(&count.unread(room, &room_id).await?);
                }
                Membership::Leave | Membership::Ban | Membership::Knock => {}
            }
        }
        Ok(total)
    }
}

fn sum(unread: &RoomUnread) -> u64 {
    let threads = unread.threads.values();
    unread.main.notifications + threads.map(|thread| thread.notifications).sum::<u64>()
}
