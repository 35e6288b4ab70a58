//! Which rooms an answer may tell of, and as what: found in memory, before any room is read.

use std::collections::{HashMap, HashSet};

use store::{
    Pos, RoomNid, Scan, UserNid,
    codec::Tail,
    rows::{Membership, MembershipLogRow},
    tables::{Farewells, MembershipLog},
};
use users::AccountDataEvent;

use crate::{SyncError, answer::Context, delta::Place, session::Entry};

/// What there may be to tell.
pub(crate) struct Found {
    /// Rooms, in the order in which they are told.
    pub(crate) places: Vec<Place>,
    /// Global account data.
    pub(crate) account_data: Vec<AccountDataEvent>,
    /// Users whose presence the client does not know.
    pub(crate) presence: HashSet<UserNid>,
    /// Rooms that were deleted, each with the last event of it.
    pub(crate) farewells: Vec<(RoomNid, Tail)>,
}

/// What became of the user in a room since the client was last told.
#[derive(Clone, Copy, Debug)]
struct Change {
    was_joined: bool,
    was_away: bool,
}

impl Context {
    /// Finds what there may be to tell.
    pub(crate) async fn find(&self) -> Result<Found, SyncError> {
        let since = self.request.since;
        let new = |pos: Pos| since.is_none_or(|since| pos > since);
        let (mut rooms, mut presence, memberships, account_data) = self.look();
        let mut account_data = if new(account_data) {
            self.account_data().await?
        } else {
            HashMap::new()
        };
        let listed: HashSet<RoomNid> = rooms.iter().map(|(room, _)| *room).collect();
        for room in account_data.keys().flatten() {
            if !listed.contains(room) {
                // Account data alone does not move a room to the front.
                rooms.extend(self.session.lock().room(*room).map(|entry| (*room, entry)));
            }
        }
        let changes = match since {
            Some(since) if new(memberships) => self.membership_changes(since).await?,
            _ => HashMap::new(),
        };
        let mut places = Vec::with_capacity(rooms.len());
        for (room, entry) in rooms {
            let Some(mut place) = self.place(room, entry, changes.get(&room)).await? else {
                continue;
            };
            place.account_data = if place.since.is_none() && since.is_some() {
                let users = &self.engine.0.users;
                users.account_data_of_room(self.request.user, room).await?
            } else {
                account_data.remove(&Some(room)).unwrap_or_default()
            };
            places.push(place);
        }
        // Whoever enters a room meets those who are there.
        let entered = places
            .iter()
            .filter(|place| place.since.is_none() && place.membership == Membership::Join);
        presence.extend(
            self.engine
                .0
                .presence
                .in_rooms(entered.map(|place| place.room)),
        );
        presence.remove(&self.request.user);
        // Sections one after the other; within each, most recent first. The sort is stable.
        places.sort_by_key(|place| section(place.membership));
        let mut farewells = self.farewells().await?;
        // A room that is being deleted may be told of as one that was left.
        farewells.retain(|(room, _)| places.iter().all(|place| place.room != *room));
        let mut account_data = account_data.remove(&None).unwrap_or_default();
        let filter = &self.filter().account_data;
        account_data
            .retain(|event| filter.takes_other(&event.event_type, Some(&self.request.user_id)));
        Ok(Found {
            places,
            account_data,
            presence,
            farewells,
        })
    }

    /// Rooms of the user that were deleted after the client was last told.
    async fn farewells(&self) -> Result<Vec<(RoomNid, Tail)>, SyncError> {
        let deleted = self.session.lock().farewells;
        let Some(since) = self.request.since.filter(|since| deleted > *since) else {
            return Ok(Vec::new());
        };
        let user = self.request.user;
        let range = Scan::range::<Farewells>(&(user, since.next()), &(user, self.upto.next()));
        let rows = self.engine.store().scan::<Farewells>(range).await?;
        Ok(rows.into_iter().map(|(_, farewell)| farewell).collect())
    }

    /// What the session knows: rooms that have changed, users whose presence has, and when memberships and account data
    /// last did.
    fn look(&self) -> (Vec<(RoomNid, Entry)>, HashSet<UserNid>, Pos, Pos) {
        let since = self.request.since;
        let after = since
            .filter(|_| !self.request.full_state)
            .unwrap_or(Pos::MIN);
        let mut state = self.session.lock();
        if since.is_none() {
            state.told.remove(self.request.device_id.as_str());
        }
        let presence = state.presence_since(since.unwrap_or(Pos::MAX)).collect();
        (
            state.changed_since(after),
            presence,
            state.memberships,
            state.account_data,
        )
    }

    /// The account data to tell, by room.
    async fn account_data(
        &self,
    ) -> Result<HashMap<Option<RoomNid>, Vec<AccountDataEvent>>, SyncError> {
        let (users, user) = (&self.engine.0.users, self.request.user);
        let events = match self.request.since {
            None => users.account_data_all(user).await?,
            Some(since) => users.account_data_since(user, since, self.upto).await?,
        };
        let mut by_room: HashMap<_, Vec<_>> = HashMap::new();
        for event in events {
            by_room.entry(event.room).or_default().push(event);
        }
        Ok(by_room)
    }

    /// What became of the user's memberships after `since`.
    async fn membership_changes(&self, since: Pos) -> Result<HashMap<RoomNid, Change>, SyncError> {
        let user = self.request.user;
        let range = Scan::range::<MembershipLog>(&(user, since.next()), &(user, self.upto.next()));
        let mut changes = HashMap::new();
        for (_, row) in self.engine.store().scan::<MembershipLog>(range).await? {
            let MembershipLogRow {
                room,
                membership,
                before,
            } = row;
            let change = changes.entry(room).or_insert(Change {
                was_joined: before == Some(Membership::Join),
                was_away: false,
            });
            change.was_away |= membership != Membership::Join;
        }
        Ok(changes)
    }

    /// Whether and how the answer may tell of a room.
    async fn place(
        &self,
        room: RoomNid,
        entry: Entry,
        change: Option<&Change>,
    ) -> Result<Option<Place>, SyncError> {
        let since = self.request.since;
        let (mut membership, mut member) = (entry.membership, entry.member);
        if member > self.upto {
            // The session is a moment ahead of what may be told.
            let Some(row) = self
                .rooms()
                .member_at(room, self.request.user, self.upto)
                .await?
            else {
                return Ok(None);
            };
            (membership, member) = (row.membership, row.pos);
        }
        let is_new = since.is_none_or(|since| member > since);
        let was_joined = change.is_none_or(|change| change.was_joined);
        let known = match membership {
            Membership::Join => {
                since.filter(|_| was_joined && !change.is_some_and(|change| change.was_away))
            }
            Membership::Leave | Membership::Ban
                if !is_new || (since.is_none() && !self.filter().include_leave) =>
            {
                return Ok(None);
            }
            Membership::Leave | Membership::Ban => since.filter(|_| was_joined),
            Membership::Invite | Membership::Knock if !is_new => return Ok(None),
            Membership::Invite | Membership::Knock => since,
        };
        Ok(Some(Place {
            room,
            membership,
            member,
            entry,
            since: known,
            account_data: Vec::new(),
        }))
    }
}

/// A membership's place in the answer.
pub(crate) fn section(membership: Membership) -> (u8, &'static str) {
    match membership {
        Membership::Join => (0, "join"),
        Membership::Invite => (1, "invite"),
        Membership::Knock => (2, "knock"),
        Membership::Leave | Membership::Ban => (3, "leave"),
    }
}
