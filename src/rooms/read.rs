//! Reading what is published: events, state, members. Readers never see what is still on its way to the disk.

use std::{collections::HashMap, sync::Arc, time::Duration};

use quick_cache::sync::GuardResult;
use ruma::{EventId, UserId};
use store::{
    RoomNid, Rsn, Scan, StateKeyNid, UserNid,
    codec::Tail,
    rows::{MemberRow, RoomHeadRow, StateRow, UserRoomRow},
    tables::{CurrentState, EventIds, Events, Members, RoomHeads, UserRooms},
};

use crate::{Event, Previous, Room, RoomError, Rooms, event::event_key, room::state_key_name};

impl Rooms {
    /// A room, if it is in memory.
    pub fn loaded(&self, room: RoomNid) -> Option<Arc<Room>> {
        self.0
            .loaded
            .get(&room)
            .and_then(|cell| cell.0.get().cloned())
    }

    /// Every room that a local user has to do with, whatever their membership.
    pub async fn rooms_of(&self, user: &UserId) -> Result<Vec<(RoomNid, UserRoomRow)>, RoomError> {
        match self
            .store()
            .interner()
            .find::<UserNid>(user.as_str())
            .await?
        {
            Some(user) => self.rooms_of_nid(user).await,
            None => Ok(Vec::new()),
        }
    }

    /// As [`Rooms::rooms_of`], by the user's number.
    pub async fn rooms_of_nid(
        &self,
        user: UserNid,
    ) -> Result<Vec<(RoomNid, UserRoomRow)>, RoomError> {
        let rows = self
            .store()
            .scan::<UserRooms>(Scan::prefix::<UserRooms>(&(user,)))
            .await?;
        Ok(rows
            .into_iter()
            .map(|((_, room), row)| (room, row))
            .collect())
    }

    /// One room of a local user.
    pub async fn room_of(
        &self,
        user: UserNid,
        room: RoomNid,
    ) -> Result<Option<UserRoomRow>, RoomError> {
        Ok(self.store().get::<UserRooms>(&(user, room)).await?)
    }

    /// A user's membership of a room; `None` if the room does not know the user.
    pub async fn member(
        &self,
        room: RoomNid,
        user: UserNid,
    ) -> Result<Option<MemberRow>, RoomError> {
        Ok(self.store().get::<Members>(&(room, user)).await?)
    }

    /// Everybody that a room knows, whatever their membership.
    pub async fn members(&self, room: RoomNid) -> Result<Vec<(UserNid, MemberRow)>, RoomError> {
        let rows = self
            .store()
            .scan::<Members>(Scan::prefix::<Members>(&(room,)))
            .await?;
        Ok(rows
            .into_iter()
            .map(|((_, user), row)| (user, row))
            .collect())
    }

    /// The room's counts and latest position.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn head(&self, room: RoomNid) -> Result<RoomHeadRow, RoomError> {
        self.store()
            .get::<RoomHeads>(&room)
            .await?
            .ok_or(RoomError::UnknownRoom)
    }

    /// The room's current state, as event numbers by state key.
    pub async fn current_state(
        &self,
        room: RoomNid,
    ) -> Result<Vec<(StateKeyNid, StateRow)>, RoomError> {
        let rows = self
            .store()
            .scan::<CurrentState>(Scan::prefix::<CurrentState>(&(room,)))
            .await?;
        Ok(rows.into_iter().map(|((_, key), row)| (key, row)).collect())
    }

    /// The number of a state key, if any room ever had it.
    pub async fn state_key(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNid>, RoomError> {
        Ok(self
            .store()
            .interner()
            .find(&state_key_name(event_type, state_key))
            .await?)
    }

    /// The room's current state of one type and key.
    pub async fn state_event(
        &self,
        room: RoomNid,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Event>>, RoomError> {
        let Some(key) = self.state_key(event_type, state_key).await? else {
            return Ok(None);
        };
        let Some(row) = self.store().get::<CurrentState>(&(room, key)).await? else {
            return Ok(None);
        };
        self.event(room, row.rsn).await.map(Some)
    }

    /// An event by its id, whichever room it is in.
    pub async fn event_by_id(&self, event_id: &EventId) -> Result<Option<Arc<Event>>, RoomError> {
        let Some((room, rsn)) = self
            .store()
            .get::<EventIds>(&Tail(event_key(event_id)))
            .await?
        else {
            return Ok(None);
        };
        self.event(room, rsn).await.map(Some)
    }

    /// An event that is known to exist.
    pub async fn event(&self, room: RoomNid, rsn: Rsn) -> Result<Arc<Event>, RoomError> {
        self.events(room, &[rsn])
            .await?
            .pop()
            .ok_or(RoomError::NotFound("event"))
    }

    /// Events that are known to exist, in the order asked for.
    pub async fn events(
        &self,
        room: RoomNid,
        wanted: &[Rsn],
    ) -> Result<Vec<Arc<Event>>, RoomError> {
        let cached: Vec<_> = wanted
            .iter()
            .map(|rsn| self.0.events.get(&(room, *rsn)))
            .collect();
        let missing: Vec<_> = wanted
            .iter()
            .zip(&cached)
            .filter(|(_, event)| event.is_none())
            .map(|(rsn, _)| *rsn)
            .collect();
        let mut read = HashMap::new();
        if !missing.is_empty() {
            for event in self.read_whole(room, &missing).await? {
                let event = Arc::new(event);
                // Not over what was published meanwhile: this may have been read just before it was redacted.
                let place = self
                    .0
                    .events
                    .get_value_or_guard(&(room, event.rsn), Some(Duration::ZERO));
                if let GuardResult::Guard(place) = place {
                    // Refused if it was published in between.
                    let _ = place.insert(Arc::clone(&event));
                }
                read.insert(event.rsn, event);
            }
        }
        let event =
            |(rsn, cached): (&Rsn, Option<Arc<Event>>)| cached.or_else(|| read.get(rsn).cloned());
        Ok(wanted.iter().zip(cached).filter_map(event).collect())
    }

    /// Events with what their `unsigned` tells of other events.
    async fn read_whole(&self, room: RoomNid, wanted: &[Rsn]) -> Result<Vec<Event>, RoomError> {
        let mut events = self.read_plain(room, wanted).await?;
        let mut others: Vec<_> = events
            .iter()
            .flat_map(|event| [event.replaces, event.redacted_by])
            .filter_map(Rsn::some)
            .collect();
        if others.is_empty() {
            return Ok(events);
        }
        others.sort_unstable();
        others.dedup();
        let others: HashMap<_, _> = self
            .read_plain(room, &others)
            .await?
            .into_iter()
            .map(|event| (event.rsn, Arc::new(event)))
            .collect();
        for event in &mut events {
            event.previous = others.get(&event.replaces).map(|replaced| Previous {
                content: replaced.content_bytes(),
                sender: replaced.sender.clone(),
                event_id: replaced.event_id.clone(),
            });
            event.redacted_because = others.get(&event.redacted_by).cloned();
        }
        Ok(events)
    }

    async fn read_plain(&self, room: RoomNid, wanted: &[Rsn]) -> Result<Vec<Event>, RoomError> {
        let keys: Vec<_> = wanted.iter().map(|rsn| (room, *rsn)).collect();
        let rows = self.store().multi_get::<Events>(&keys).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (rsn, row) in wanted.iter().zip(rows) {
            if let Some(row) = row {
                events.push(Event::from_row(room, *rsn, row)?);
            }
        }
        Ok(events)
    }
}
