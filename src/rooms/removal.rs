//! Deleting a room with every row of it, in steps that are one commit each, so that a task can go on where it was cut off.
//!
//! The order matters to whoever reads meanwhile and after a crash:
//!
//! 1. the room is blocked and its users leave, as they always may ([`Rooms::leave`]);
//! 2. [`Rooms::part`]: the room goes out of its users' sight, and what is kept by user goes; how it ended for them stays
//!    in `Farewells`, for clients that were away;
//! 3. [`Rooms::close`]: the room's head goes, and with it the room for everybody; nothing is written to it any more;
//! 4. [`Rooms::unlist_events`]: what leads to its events from outside goes, so that no follower of the log meets one
//!    that is missing;
//! 5. [`Rooms::erase`]: everything that is keyed by the room goes.

use std::sync::Arc;

use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::Value;
use store::{
    Batch, Pos, RoomNid, Rsn, Scan, UserNid,
    codec::Tail,
    rows::Membership,
    tables::{
        AccountData, AccountDataLog, Activity, Aliases, BlockedRooms, CurrentState, DelayedEvents,
        EventIds, Events, Farewells, Highlights, Horizons, Log, Members, MembershipLog, Parents,
        PublishedRooms, PushQueue, ReadThreads, ReadUpTo, ReceiptLog, Receipts, Relations, Reports,
        RoomAliases, RoomHeads, SearchPostings, SearchTexts, StateHistory, StateLog, Threads,
        Timeline, Transactions, Uncounted, UserRooms,
    },
};

use crate::{Event, Report, RoomError, RoomNews, Rooms, What, event::event_key};

/// Rows of a user that are read at a time.
const ROWS: usize = 1_000;

/// Events whose rows go in one commit.
const EVENTS: usize = 500;

impl Rooms {
    /// # Errors
    /// [`RoomError::UnknownRoom`] if there is nothing of a room that could be deleted, not even what a deletion that
    /// failed has left.
    pub async fn deletable(&self, room_id: &RoomId) -> Result<(), RoomError> {
        let room = self.nid(room_id).await?;
        let events = Scan::prefix::<Events>(&(room,)).limit(1);
        if self.store().scan::<Events>(events).await?.is_empty() {
            return Err(RoomError::UnknownRoom);
        }
        Ok(())
    }

    /// Local users whom the room knows, from `from` on and at most `limit`, with what they are there.
    pub async fn local_members(
        &self,
        room: RoomNid,
        from: UserNid,
        limit: usize,
    ) -> Result<Vec<(UserNid, OwnedUserId, Membership)>, RoomError> {
        let mut members = Vec::new();
        let end = (room, UserNid(u32::MAX));
        let mut scan = Scan::range::<Members>(&(room, from), &end);
        loop {
            let rows = self.store().scan::<Members>(scan.limit(limit)).await?;
            let Some(((_, last), _)) = rows.last() else {
                return Ok(members);
            };
            let next = UserNid(last.0.saturating_add(1));
            scan = Scan::range::<Members>(&(room, next), &end);
            for ((_, user), row) in rows {
                let name = self.store().interner().name(user).await?;
                if let Ok(user_id) = OwnedUserId::try_from(&*name)
                    && self.is_local(&user_id)
                {
                    members.push((user, user_id, row.membership));
                }
            }
            if members.len() >= limit {
                members.truncate(limit);
                return Ok(members);
            }
        }
    }

    /// Takes a room that is being deleted out of the sight of some users, with all that is kept of it by user.
    pub async fn part(
        &self,
        (room, room_id): (RoomNid, &RoomId),
        users: &[(UserNid, OwnedUserId)],
        mut batch: Batch,
    ) -> Result<(), RoomError> {
        for (user, user_id) in users {
            self.farewell(room, (*user, user_id), &mut batch).await?;
            batch.delete::<UserRooms>(&(*user, room));
            batch.delete_prefix::<Highlights>(&(*user, room));
            self.part_with_data((room, room_id), *user, &mut batch)
                .await?;
        }
        let (rooms, gone) = (
            self.clone(),
            users.iter().map(|(user, _)| *user).collect::<Arc<[_]>>(),
        );
        batch.after(move |pos| {
            let what = What::Deleted(gone);
            rooms.tell(&RoomNews { room, pos, what });
        });
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Keeps how the room ended for a user, and forgets how they came in.
    async fn farewell(
        &self,
        room: RoomNid,
        (user, user_id): (UserNid, &UserId),
        batch: &mut Batch,
    ) -> Result<(), RoomError> {
        let Some(key) = self.state_key("m.room.member", user_id.as_str()).await? else {
            return Ok(());
        };
        let history = Scan::prefix::<StateHistory>(&(room, key));
        for ((_, _, pos), _) in self.store().scan::<StateHistory>(history).await? {
            batch.delete::<MembershipLog>(&(user, pos));
        }
        let row = self.room_of(user, room).await?;
        let Some(row) = row.filter(|row| !row.forgotten) else {
            return Ok(());
        };
        let event = self.event(room, row.member.rsn).await?;
        let has_left = matches!(row.member.membership, Membership::Leave | Membership::Ban);
        // Whoever would not leave is told now that they have.
        let pos = if has_left {
            row.member.pos
        } else {
            Pos::unassigned(0)
        };
        let told = Tail(last_event(&event, has_left));
        batch.put::<Farewells>(&(user, pos), &(room, told));
        Ok(())
    }

    /// Account data, what waits to be pushed or sent, and transaction ids.
    async fn part_with_data(
        &self,
        (room, room_id): (RoomNid, &RoomId),
        user: UserNid,
        batch: &mut Batch,
    ) -> Result<(), RoomError> {
        let store = self.store();
        let data = Scan::prefix::<AccountData>(&(user, room));
        for (key, row) in store.scan::<AccountData>(data).await? {
            batch.delete::<AccountDataLog>(&(user, row.pos));
            batch.delete::<AccountData>(&key);
        }
        let waiting = Scan::prefix::<PushQueue>(&(user,));
        for (key, raw) in store.scan::<PushQueue>(waiting).await? {
            let named: Option<InRoom> = raw.parse().ok();
            if named.is_some_and(|named| named.room == room.0) {
                batch.delete::<PushQueue>(&key);
            }
        }
        let delayed = Scan::prefix::<DelayedEvents>(&(user,));
        for (key, raw) in store.scan::<DelayedEvents>(delayed).await? {
            let named: Option<ToRoom> = raw.parse().ok();
            if named.is_some_and(|named| named.room_id == room_id.as_str()) {
                batch.delete::<DelayedEvents>(&key);
            }
        }
        let end = (UserNid(user.0.saturating_add(1)),);
        let mut scan = Scan::range::<Transactions>(&(user,), &end);
        loop {
            let rows = store.scan::<Transactions>(scan.limit(ROWS)).await?;
            for (key, _) in rows.iter().filter(|(key, _)| is_of(&key.2, room)) {
                batch.delete::<Transactions>(key);
            }
            match rows.last() {
                // The last row is read again with the next ones.
                Some((last, _)) if rows.len() == ROWS => {
                    scan = Scan::range::<Transactions>(last, &end);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Takes the room's aliases away, or gives them to another room, and takes it out of the directory. Returns the
    /// aliases.
    pub async fn unlist(
        &self,
        room: RoomNid,
        heir: Option<RoomNid>,
    ) -> Result<Vec<String>, RoomError> {
        let (mut batch, mut aliases) = (Batch::new(), Vec::new());
        for ((_, alias), ()) in self
            .store()
            .scan::<RoomAliases>(Scan::prefix::<RoomAliases>(&(room,)))
            .await?
        {
            let row = self.store().get::<Aliases>(&alias).await?;
            if let Some((_, creator)) = row.filter(|(leads_to, _): &(_, UserNid)| *leads_to == room)
            {
                match heir {
                    Some(heir) => {
                        batch.put::<Aliases>(&alias, &(heir, creator));
                        batch.put::<RoomAliases>(&(heir, alias.clone()), &());
                    }
                    None => batch.delete::<Aliases>(&alias),
                }
            }
            batch.delete::<RoomAliases>(&(room, alias.clone()));
            aliases.push(alias);
        }
        batch.delete::<PublishedRooms>(&room);
        self.store().commit(batch).await?;
        self.directory().visibility_changed(room);
        Ok(aliases)
    }

    /// Ends the room for everybody: it is not found any more, and whoever still holds it writes nothing to it.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] while somebody is in the room, unless that is `forced`.
    pub async fn close(
        &self,
        room: RoomNid,
        forced: bool,
        mut batch: Batch,
    ) -> Result<(), RoomError> {
        match self.room(room).await {
            Ok(held) => {
                let mut writer = held.writer.lock().await;
                if !forced && writer.head.joined + writer.head.invited > 0 {
                    return Err(RoomError::Forbidden(
                        "somebody is still in the room".to_owned(),
                    ));
                }
                batch.delete::<RoomHeads>(&room);
                batch.delete::<PublishedRooms>(&room);
                self.store().commit(batch).await?;
                writer.closed = true;
                drop(writer);
            }
            // It was closed before.
            Err(RoomError::UnknownRoom) => {
                self.store().commit(batch).await?;
            }
            Err(error) => return Err(error),
        }
        self.disown(room);
        self.directory().visibility_changed(room);
        Ok(())
    }

    /// Takes away what leads to some events of a closed room, from the event after `after` on. Returns the last of them;
    /// `None` if there was none.
    pub async fn unlist_events(
        &self,
        room: RoomNid,
        after: Rsn,
        fill: impl FnOnce(&mut Batch, Option<Rsn>) -> Result<(), RoomError>,
    ) -> Result<Option<Rsn>, RoomError> {
        let next = Rsn(after.0.saturating_add(1));
        let scan = Scan::range::<Events>(&(room, next), &(room, Rsn(u32::MAX)));
        let rows = self.store().scan::<Events>(scan.limit(EVENTS)).await?;
        let mut batch = Batch::new();
        for (_, row) in &rows {
            if let Ok(event_id) = ruma::EventId::parse(&*row.event_id) {
                batch.delete::<EventIds>(&Tail(event_key(&event_id)));
            }
            batch.delete::<Log>(&row.pos);
        }
        let last = rows.last().map(|((_, rsn), _)| *rsn);
        fill(&mut batch, last)?;
        self.store().commit(batch).await?;
        Ok(last)
    }

    /// Takes away all that is keyed by a closed room, and lets its id be used as before unless it stays blocked.
    pub async fn erase(
        &self,
        (room, room_id): (RoomNid, &RoomId),
        mut batch: Batch,
    ) -> Result<(), RoomError> {
        batch.delete::<RoomHeads>(&room);
        batch.delete::<Activity>(&room);
        batch.delete::<Horizons>(&room);
        batch.delete::<PublishedRooms>(&room);
        let of_room = &(room,);
        batch.delete_prefix::<RoomAliases>(of_room);
        batch.delete_prefix::<SearchPostings>(of_room);
        batch.delete_prefix::<SearchTexts>(of_room);
        batch.delete_prefix::<Events>(of_room);
        batch.delete_prefix::<Timeline>(of_room);
        batch.delete_prefix::<Relations>(of_room);
        batch.delete_prefix::<Parents>(of_room);
        batch.delete_prefix::<Threads>(of_room);
        batch.delete_prefix::<Uncounted>(of_room);
        batch.delete_prefix::<CurrentState>(of_room);
        batch.delete_prefix::<StateHistory>(of_room);
        batch.delete_prefix::<StateLog>(of_room);
        batch.delete_prefix::<Members>(of_room);
        batch.delete_prefix::<Receipts>(of_room);
        batch.delete_prefix::<ReceiptLog>(of_room);
        batch.delete_prefix::<ReadUpTo>(of_room);
        batch.delete_prefix::<ReadThreads>(of_room);
        for (pos, report) in self.reports_of(room_id).await? {
            tracing::debug!(what = report.what, "a report goes with its room");
            batch.delete::<Reports>(&pos);
        }
        if self
            .blocked(room_id)
            .await?
            .is_some_and(|blocked| blocked.until_deleted)
        {
            batch.delete::<BlockedRooms>(&room_id.to_string());
        }
        let rooms = self.clone();
        batch.after(move |_| rooms.0.events.retain(|(of, _), _| *of != room));
        self.store().commit(batch).await?;
        Ok(())
    }

    /// The reports that name a room.
    async fn reports_of(&self, room_id: &RoomId) -> Result<Vec<(Pos, Report)>, RoomError> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = self.reports(before, ROWS).await?;
            let is_end = page.len() < ROWS;
            before = page.last().map(|(pos, _)| *pos);
            let named = |report: &Report| report.room_id.as_deref() == Some(room_id);
            found.extend(page.into_iter().filter(|(_, report)| named(report)));
            if is_end {
                return Ok(found);
            }
        }
    }
}

/// Which room something that waits to be pushed is of.
#[derive(Deserialize)]
struct InRoom {
    room: u32,
}

/// Which room an event that waits is for.
#[derive(Deserialize)]
struct ToRoom {
    room_id: String,
}

/// Whether a transaction's scope (`endpoint NUL room NUL …`) names a room.
fn is_of(scope: &Tail, room: RoomNid) -> bool {
    let mut parts = scope.0.split(|byte| *byte == 0);
    let (endpoint, number) = (parts.next(), parts.next());
    matches!(endpoint, Some(b"send" | b"redact" | b"delay"))
        && number == Some(room.0.to_string().as_bytes())
}

/// The last that a user hears of a room: their leaving as clients see it, or what it would have been.
fn last_event(event: &Event, has_left: bool) -> Vec<u8> {
    let mut json = vec![b'{'];
    json.extend_from_slice(event.client_members());
    json.extend_from_slice(b",\"event_id\":");
    crate::write_json_str(&mut json, event.event_id.as_str());
    json.push(b'}');
    if has_left {
        return json;
    }
    let Ok(Value::Object(mut event)) = serde_json::from_slice(&json) else {
        return json;
    };
    event.insert(
        "content".to_owned(),
        serde_json::json!({ "membership": "leave" }),
    );
    Value::Object(event).to_string().into_bytes()
}
