//! Which members of a room have a pusher: what makes an event in a room of thousands cost what its few phones cost.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;
use rooms::Rooms;
use store::{RoomNid, UserNid, rows::Membership, tables::Members};

use crate::PushError;

/// Remembered for the rooms where something happens.
#[derive(Default)]
pub(crate) struct Listeners {
    by_room: HashMap<RoomNid, HashSet<UserNid>>,
    /// Entries of all rooms, the rooms themselves counted in.
    size: usize,
}

/// Entries remembered, of about 16 bytes each; beyond that all are forgotten and read again.
const MAX_SIZE: usize = 200_000;

impl Listeners {
    /// Forgets everything: somebody has got their first pusher, or lost their last one.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A member of the room who has a pusher came or went.
    pub(crate) async fn member_changed(
        &mut self,
        rooms: &Rooms,
        room: RoomNid,
        user: UserNid,
    ) -> Result<(), PushError> {
        let Some(known) = self.by_room.get_mut(&room) else {
            return Ok(());
        };
        let member = rooms.member(room, user).await?;
        if member.is_some_and(|member| member.membership == Membership::Join) {
            self.size += usize::from(known.insert(user));
        } else {
            self.size -= usize::from(known.remove(&user));
        }
        Ok(())
    }

    /// The joined members of a room among `owners`, whichever of the two are fewer being gone through.
    pub(crate) async fn of(
        &mut self,
        rooms: &Rooms,
        room: RoomNid,
        owners: &RwLock<HashSet<UserNid>>,
    ) -> Result<&HashSet<UserNid>, PushError> {
        if !self.by_room.contains_key(&room) {
            let joined = rooms.head(room).await?.joined;
            let fewer_owners = {
                let owners = owners.read();
                let fewer = owners.len() as u64 <= u64::from(joined);
                fewer.then(|| owners.iter().map(|user| (room, *user)).collect())
            };
            let listeners = if let Some(keys) = fewer_owners {
                joined_of(rooms, keys).await?
            } else {
                let members = rooms.members(room).await?;
                let owners = owners.read();
                let joined = members
                    .into_iter()
                    .filter(|(_, member)| member.membership == Membership::Join);
                joined
                    .map(|(user, _)| user)
                    .filter(|user| owners.contains(user))
                    .collect()
            };
            if self.size > MAX_SIZE {
                self.clear();
            }
            self.size += 1 + listeners.len();
            self.by_room.insert(room, listeners);
        }
        Ok(self.by_room.entry(room).or_default())
    }
}

async fn joined_of(
    rooms: &Rooms,
    keys: Vec<(RoomNid, UserNid)>,
) -> Result<HashSet<UserNid>, PushError> {
    let rows = rooms.store().multi_get::<Members>(&keys).await?;
    let joined = keys.into_iter().zip(rows).filter(|(_, row)| {
        row.as_ref()
            .is_some_and(|row| row.membership == Membership::Join)
    });
    Ok(joined.map(|((_, user), _)| user).collect())
}
