//! Whose devices a client must ask about anew, and whose it may forget.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user)
//!
//! Any room counts as shared, encrypted or not: a client asks for the keys of those in a room when the room becomes
//! encrypted, and forgets nobody too early.

use std::collections::{BTreeSet, HashMap, HashSet};

use ruma::{OwnedUserId, UserId};
use store::{
    Pos, RoomNid, Scan, UserNid,
    rows::{Membership, MembershipLogRow},
    tables::MembershipLog,
};

use crate::{Engine, SyncError, session::Held};

/// What changed in the lists of devices that a client keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceLists {
    /// Users whose devices or keys have changed, or who share a room since.
    pub changed: Vec<OwnedUserId>,
    /// Users who shared a room and share none now.
    pub left: Vec<OwnedUserId>,
}

/// State keys of members begin so in the interner.
const MEMBER: &str = "m.room.member\0";

/// Events of a room looked at in memory before its state log is read.
const RECENT: usize = 32;

/// Users whom a user may have begun to share a room with, and those with whom it may have been the last.
#[derive(Default)]
struct Met {
    met: BTreeSet<UserNid>,
    parted: BTreeSet<UserNid>,
}

impl Engine {
    /// What changed for a user after `since`.
    pub async fn device_lists(&self, user: UserNid, since: Pos) -> Result<DeviceLists, SyncError> {
        let held = self.session(user).await?;
        let latest = held.lock().latest;
        self.store().reached(latest).await;
        let upto = self.store().visible();
        self.device_lists_between(&held, since, upto).await
    }

    /// What changed for a session's user after `since` and up to `upto`. Who shares a room is looked up as it is now: a
    /// later change is told again.
    pub(crate) async fn device_lists_between(
        &self,
        session: &Held,
        since: Pos,
        upto: Pos,
    ) -> Result<DeviceLists, SyncError> {
        let user = session.user;
        let encryption = &self.0.encryption;
        let renewed = encryption.device_list_changes(user, since, upto).await?;
        let Met { mut met, parted } = self.met(session, since, upto).await?;
        if renewed.is_empty() && met.is_empty() && parted.is_empty() {
            return Ok(DeviceLists::default());
        }
        let own_rooms: HashSet<RoomNid> = session.lock().joined().collect();
        for other in renewed {
            if other == user || self.shares(&own_rooms, other).await? {
                met.insert(other);
            }
        }
        let mut lists = DeviceLists::default();
        for other in parted {
            if other != user && !met.contains(&other) && !self.shares(&own_rooms, other).await? {
                lists.left.push(self.0.users.user_id(other).await?);
            }
        }
        for other in met {
            lists.changed.push(self.0.users.user_id(other).await?);
        }
        Ok(lists)
    }

    /// Whether another user is in one of these rooms.
    async fn shares(&self, rooms: &HashSet<RoomNid>, other: UserNid) -> Result<bool, SyncError> {
        let others = self.0.rooms.rooms_of_nid(other).await?;
        Ok(others
            .iter()
            .any(|(room, row)| row.member.membership == Membership::Join && rooms.contains(room)))
    }

    /// Members who came and went, and rooms that the user entered and left.
    async fn met(&self, session: &Held, since: Pos, upto: Pos) -> Result<Met, SyncError> {
        let (changed, new_memberships) = {
            let state = session.lock();
            (state.changed_since(since), state.memberships > since)
        };
        let entered_and_left = if new_memberships {
            self.own_memberships(session.user, since, upto).await?
        } else {
            HashMap::new()
        };
        let mut met = Met::default();
        for (room, (was_joined, is_joined)) in &entered_and_left {
            match (was_joined, is_joined) {
                (false, true) => met.met.extend(self.joined_members(*room, None).await?),
                (true, false) => {
                    met.parted
                        .extend(self.joined_members(*room, Some(since)).await?);
                }
                (false, false) | (true, true) => {}
            }
        }
        for (room, entry) in changed {
            let stayed = entered_and_left
                .get(&room)
                .is_none_or(|(was_joined, is_joined)| *was_joined && *is_joined);
            if stayed && entry.membership == Membership::Join && entry.timeline > since {
                self.comings_and_goings(room, (since, upto), &mut met)
                    .await?;
            }
        }
        met.met.remove(&session.user);
        Ok(met)
    }

    /// By room: whether the user was joined at `since`, and whether at `upto`.
    async fn own_memberships(
        &self,
        user: UserNid,
        since: Pos,
        upto: Pos,
    ) -> Result<HashMap<RoomNid, (bool, bool)>, SyncError> {
        let range = Scan::range::<MembershipLog>(&(user, since.next()), &(user, upto.next()));
        let mut rooms = HashMap::new();
        for (_, row) in self.store().scan::<MembershipLog>(range).await? {
            let MembershipLogRow {
                room,
                membership,
                before,
            } = row;
            let was_joined = before == Some(Membership::Join);
            let joined = rooms.entry(room).or_insert((was_joined, false));
            joined.1 = membership == Membership::Join;
        }
        Ok(rooms)
    }

    async fn joined_members(
        &self,
        room: RoomNid,
        at: Option<Pos>,
    ) -> Result<Vec<UserNid>, SyncError> {
        let members = match at {
            None => self.0.rooms.members(room).await?,
            Some(at) => self.0.rooms.members_at(room, at).await?,
        };
        let joined = members
            .into_iter()
            .filter(|(_, row)| row.membership == Membership::Join);
        Ok(joined.map(|(user, _)| user).collect())
    }

    /// Who came to and went from a room that the user was in all the while.
    async fn comings_and_goings(
        &self,
        room: RoomNid,
        (since, upto): (Pos, Pos),
        met: &mut Met,
    ) -> Result<(), SyncError> {
        let loaded = self.0.rooms.loaded(room);
        if let Some((events, false)) = loaded.and_then(|room| room.recent(since, upto, RECENT))
            && events
                .iter()
                .all(|event| &*event.event_type != "m.room.member")
        {
            return Ok(());
        }
        let interner = self.store().interner();
        for change in self.0.rooms.state_changes(room, since, upto).await? {
            let name = interner.name(change.key).await?;
            let Some(member) = name.strip_prefix(MEMBER) else {
                continue;
            };
            let Ok(member) = <&UserId>::try_from(member) else {
                continue;
            };
            let Some(user) = interner.find::<UserNid>(member.as_str()).await? else {
                continue;
            };
            let is = |row: Option<store::rows::MemberRow>| {
                row.is_some_and(|row| row.membership == Membership::Join)
            };
            let was_joined = is(self.0.rooms.member_at(room, user, since).await?);
            let is_joined = is(self.0.rooms.member(room, user).await?);
            match (was_joined, is_joined) {
                (false, true) => drop(met.met.insert(user)),
                (true, false) => drop(met.parted.insert(user)),
                (false, false) | (true, true) => {}
            }
        }
        Ok(())
    }
}
