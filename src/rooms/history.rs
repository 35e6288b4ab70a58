//! Removing a room's past: what was said before some event goes, what is state stays.
//!
//! Before the *horizon* of a room there are state events alone, and those that redact one. So the state line, memberships
//! and the auth graph are as whole as before, and every token still leads somewhere. What counts differs:
//!
//! 1. [`Rooms::raise_marks`]: everybody has read up to the horizon; what is gone cannot be unread. From then on nobody
//!    counts from before it;
//! 2. [`Rooms::set_horizon`]: the horizon, with the counters there, from which the check adds up;
//! 3. [`Rooms::purge_page`]: the events go, with all rows that speak of them, the oldest first.

use std::sync::Arc;

use ruma::{EventId, RoomId, api::Direction};
use store::{
    Batch, Pos, RoomNid, Rsn, Scan, StoreError, Table, UserNid,
    codec::Tail,
    rows::TimelineRow,
    tables::{
        EventIds, Events, Highlights, Horizons, Log, Parents, ReadThreads, ReadUpTo, Relations,
        Threads, Timeline, Transactions, Uncounted,
    },
};

use crate::{
    Event, RoomError, Rooms, Visibility, event::event_key, notify, relations::Kind,
    timeline::RoomView,
};

/// Rows looked at in one step.
const ROWS: usize = 500;

/// How often a mark that others move is tried again.
const MAX_ATTEMPTS: usize = 10;

/// Some events on their way out.
pub struct Purge {
    /// Their rows, for whoever has rows of their own to add.
    pub batch: Batch,
    /// Where they were.
    pub positions: Vec<Pos>,
    /// How far the timeline was looked at; `None` if it was up to the horizon.
    pub reached: Option<Pos>,
    room: RoomNid,
    numbers: Vec<Rsn>,
}

impl Rooms {
    /// The place of an event, which everything before it can be removed up to.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] if the room has no such event.
    pub async fn horizon_at_event(
        &self,
        room: RoomNid,
        event_id: &EventId,
    ) -> Result<Pos, RoomError> {
        let event = self.event_by_id(event_id).await?;
        let event = event.filter(|event| event.room == room);
        Ok(event.ok_or(RoomError::NotFound("event"))?.pos)
    }

    /// The place of the first event that is not before a time, in milliseconds since the Unix epoch; the last event's if
    /// all are.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] if no event is before it.
    pub async fn horizon_at_time(&self, room_id: &RoomId, ts_ms: u64) -> Result<Pos, RoomError> {
        let view = self.view_all(room_id).await?;
        let before = ts_ms.saturating_sub(1);
        self.event_by_time(&view, before, Direction::Backward)
            .await?;
        match self.event_by_time(&view, ts_ms, Direction::Forward).await {
            Ok(event) => Ok(event.pos),
            Err(RoomError::NotFound(_)) => Ok(self.head(view.room.nid).await?.last_pos),
            Err(error) => Err(error),
        }
    }

    /// A room as an administrator reads it: all of it.
    pub async fn view_all(&self, room_id: &RoomId) -> Result<RoomView, RoomError> {
        Ok(RoomView {
            room: self.room_by_id(room_id).await?,
            visibility: Visibility::everything(),
            upto: self.store().visible(),
        })
    }

    /// The horizon of a room whose past was removed.
    pub(crate) async fn horizon(&self, room: RoomNid) -> Result<Option<Pos>, RoomError> {
        let row = self.store().get::<Horizons>(&room).await?;
        Ok(row.map(|(pos, ..)| pos))
    }

    /// Lets some users, from number `from` on, have read what is before a horizon. Returns from whom to go on.
    pub async fn raise_marks(
        &self,
        room: RoomNid,
        horizon: Pos,
        from: UserNid,
    ) -> Result<Option<UserNid>, RoomError> {
        let mut last = None;
        for _ in 0..MAX_ATTEMPTS {
            let mut batch = Batch::new();
            let main = self.raise::<ReadUpTo>((room, from), horizon, &mut batch);
            let main = main.await?;
            let threads = self.raise::<ReadThreads>((room, from), horizon, &mut batch);
            let threads = threads.await?;
            // Whichever stopped first is gone on with; the other's rows are found to be raised.
            last = match (main, threads) {
                (Some(main), Some(threads)) => Some(main.min(threads)),
                (one, other) => one.or(other),
            };
            match self.store().commit(batch).await {
                // Somebody has read on meanwhile.
                Err(StoreError::Guard) => {}
                done => {
                    done?;
                    return Ok(last.map(|last| UserNid(last.0.saturating_add(1))));
                }
            }
        }
        tracing::debug!(?last, "marks are moved faster than they can be raised");
        Err(StoreError::Busy.into())
    }

    /// Gives the last user looked at, if there may be more.
    async fn raise<T: Table<Key = (RoomNid, UserNid), Value = Pos>>(
        &self,
        (room, from): (RoomNid, UserNid),
        horizon: Pos,
        batch: &mut Batch,
    ) -> Result<Option<UserNid>, RoomError> {
        let range = Scan::range::<T>(&(room, from), &(room, UserNid(u32::MAX)));
        let rows = self.store().scan::<T>(range.limit(ROWS)).await?;
        for (key, pos) in &rows {
            if *pos < horizon.prev() {
                batch.guard_equals::<T>(key, pos);
                batch.put::<T>(key, &horizon.prev());
            }
        }
        let last = rows.last().map(|((_, user), _)| *user);
        Ok(last.filter(|_| rows.len() == ROWS))
    }

    /// Keeps from where on the room's events are whole.
    pub async fn set_horizon(
        &self,
        room: RoomNid,
        horizon: Pos,
        mut batch: Batch,
    ) -> Result<(), RoomError> {
        let held = self.room(room).await?;
        let _writer = held.lock().await?;
        let range = Scan::range::<Timeline>(&(room, Pos::MIN), &(room, horizon));
        let before = self.store().scan::<Timeline>(range.reverse().limit(1));
        let before = before.await?.pop();
        let counters = before.map_or((0, 0), |(_, row)| (row.notifying, row.highlighting));
        batch.put::<Horizons>(&room, &(horizon, counters.0, counters.1));
        batch.delete_range::<Uncounted>(&(room, Pos::MIN), &(room, horizon));
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Gathers the next events before a horizon that can go, behind `after`, and holds the room's writer until
    /// `keep` has committed them: nobody relates to, or redacts, what is on its way out.
    pub async fn purge_page(
        &self,
        room: RoomNid,
        (after, horizon): (Pos, Pos),
        keep: impl AsyncFnOnce(Purge) -> Result<(), RoomError>,
    ) -> Result<(), RoomError> {
        let held = self.room(room).await?;
        let _writer = held.lock().await?;
        let range = Scan::range::<Timeline>(&(room, after.next()), &(room, horizon));
        let rows = self.store().scan::<Timeline>(range.limit(ROWS)).await?;
        let reached = rows.last().map(|((_, pos), _)| *pos);
        let mut purge = Purge {
            batch: Batch::new(),
            positions: Vec::new(),
            reached: reached.filter(|_| rows.len() == ROWS),
            room,
            numbers: Vec::new(),
        };
        let spoken = rows
            .into_iter()
            .filter(|(_, row)| row.flags & TimelineRow::STATE == 0);
        let rows: Vec<_> = spoken.collect();
        let numbers: Vec<_> = rows.iter().map(|(_, row)| row.rsn).collect();
        for event in self.events(room, &numbers).await? {
            let row = rows.iter().find(|(_, row)| row.rsn == event.rsn);
            let Some((_, row)) = row else { continue };
            if !self.redacts_state(&event).await? {
                self.unlink(&event, row.sender, &mut purge.batch).await?;
                purge.positions.push(event.pos);
                purge.numbers.push(event.rsn);
            }
        }
        keep(purge).await
    }

    /// Commits what [`Rooms::purge_page`] has gathered.
    pub async fn commit_purge(&self, purge: Purge) -> Result<(), RoomError> {
        let Purge {
            mut batch,
            room,
            numbers,
            ..
        } = purge;
        let rooms = self.clone();
        batch.after(move |_| {
            if let Some(room) = rooms.loaded(room) {
                room.forget(&numbers);
            }
            for rsn in numbers {
                rooms.0.events.remove(&(room, rsn));
            }
        });
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Whether an event says why a piece of state reads as it does.
    async fn redacts_state(&self, event: &Event) -> Result<bool, RoomError> {
        let Some(target) = &event.redacts else {
            return Ok(false);
        };
        let target = self.event_by_id(target).await?;
        Ok(target.is_some_and(|target| target.room == event.room && target.is_state()))
    }

    /// Takes every row away that speaks of an event which is no state.
    async fn unlink(
        &self,
        event: &Event,
        sender: UserNid,
        batch: &mut Batch,
    ) -> Result<(), RoomError> {
        let (room, pos) = (event.room, event.pos);
        batch.delete::<Events>(&(room, event.rsn));
        batch.delete::<EventIds>(&Tail(event_key(&event.event_id)));
        batch.delete::<Timeline>(&(room, pos));
        batch.delete::<Log>(&pos);
        batch.delete::<Uncounted>(&(room, pos));
        let class = notify::classify(&event.event_type, false, event.content(), || false);
        if let Some(relation) = &class.relation {
            Self::delete_relation(batch, event, relation);
        }
        for user_id in &class.mentions {
            let user = self.store().interner().find::<UserNid>(user_id.as_str());
            if let Some(user) = user.await? {
                batch.delete::<Highlights>(&(user, room, pos));
            }
        }
        if self.store().get::<Parents>(&(room, pos)).await?.is_some() {
            batch.delete::<Parents>(&(room, pos));
            let thread = (room, event.event_id.to_string(), Kind::Thread as u8);
            let thread = Scan::prefix::<Relations>(&thread);
            for ((.., child), _) in self.store().scan::<Relations>(thread).await? {
                batch.delete::<Threads>(&(room, child));
            }
        }
        let (device, txn_id) = &event.transaction;
        if !device.is_empty() {
            let number = room.0;
            let (endpoint, what) = match &event.redacts {
                Some(target) => ("redact", target.as_str()),
                None => ("send", &*event.event_type),
            };
            let scope = format!("{endpoint}\0{number}\0{what}\0{txn_id}");
            let scope = Tail(scope.into_bytes());
            batch.delete::<Transactions>(&(sender, device.clone(), scope));
        }
        Ok(())
    }
}

impl crate::Room {
    /// Some of its events are gone.
    fn forget(self: &Arc<Self>, numbers: &[Rsn]) {
        self.retain_recent(|event| !numbers.contains(&event.rsn));
    }
}
