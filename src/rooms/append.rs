//! Appends events to rooms: authorise in memory, build, sign, and gather every row in one atomic commit (DESIGN §5, §6).
//!
//! [spec](https://spec.matrix.org/v1.19/server-server-api/#pdus)

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use room_versions::{Composed, Draft, Pdu, Reference};
use ruma::{
    EventId, OwnedEventId, UserId,
    events::{StateEventType, room::power_levels::RoomPowerLevels},
};
use serde_json::value::RawValue;
use store::{
    Batch, CorruptRow, Pos, Rsn, StateKeyNid, UserNid,
    codec::Tail,
    rows::{
        Cause, EventRow, Membership, RelationRow, RoomHeadRow, StateChangeRow, StateRef, StateRow,
        TimelineRow,
    },
    tables::{
        Activity, CurrentState, EventIds, Events, Log, RoomHeads, StateHistory, StateLog, Timeline,
    },
};

use crate::{
    Event, MemberChange, Previous, RoomError, Rooms,
    event::event_key,
    latest::Counted,
    relations::Annotation,
    room::{Current, Room, StateSlot, TransactionKey, Writer, slot, state_key_name},
};

mod counts;
mod membership;
mod redaction;

pub(crate) use membership::membership_of;

/// An event that somebody here wants to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) sender: &'a UserId,
    pub(crate) content: &'a RawValue,
    pub(crate) redacts: Option<&'a EventId>,
    /// The sending device and its transaction id.
    pub(crate) transaction: Option<(&'a str, &'a str)>,
}

impl<'a> NewEvent<'a> {
    pub(crate) fn state(
        event_type: &'a str,
        state_key: &'a str,
        sender: &'a UserId,
        content: &'a RawValue,
    ) -> Self {
        Self {
            event_type,
            state_key: Some(state_key),
            sender,
            content,
            redacts: None,
            transaction: None,
        }
    }
}

/// Rows and news of one atomic commit; it may touch several rooms.
pub(crate) struct Commit {
    pub(crate) batch: Batch,
    positions: u16,
    staged: Vec<Staged>,
    redacted: Vec<(Arc<Room>, Event)>,
}

/// An event that waits for its position.
#[derive(Clone)]
pub(crate) struct Staged {
    pub(crate) room: Arc<Room>,
    rsn: Rsn,
    index: u16,
    row: EventRow,
    previous: Option<Previous>,
    pub(crate) member: Option<MemberChange>,
    pub(crate) counted: Counted,
}

impl Staged {
    /// The event, now that its commit has got its first position.
    pub(crate) fn into_event(mut self, first: Pos) -> Result<Event, CorruptRow> {
        let pos = Pos(first.0 + i64::from(self.index));
        self.row.pos = pos;
        self.row.state_before = StateRef::Line(pos);
        let mut event = Event::from_row(self.room.nid, self.rsn, self.row)?;
        event.previous = self.previous;
        Ok(event)
    }

    /// Whether it is event number `rsn` of `room`.
    pub(crate) fn is(&self, room: &Arc<Room>, rsn: Rsn) -> bool {
        Arc::ptr_eq(&self.room, room) && self.rsn == rsn
    }
}

/// What the room's writer will know once the commit is queued.
pub(crate) struct Ahead {
    head: RoomHeadRow,
    forward_extremities: Vec<Reference>,
    state: HashMap<StateSlot, Current>,
    annotations: Vec<Annotation>,
}

/// Appends to one room, on behalf of whoever holds the room's writer.
pub(crate) struct Append<'a> {
    rooms: &'a Rooms,
    room: &'a Arc<Room>,
    writer: &'a mut Writer,
    commit: &'a mut Commit,
    ahead: Ahead,
}

impl Commit {
    pub(crate) fn new() -> Self {
        Self {
            batch: Batch::new(),
            positions: 0,
            staged: Vec::new(),
            redacted: Vec::new(),
        }
    }

    /// Whether nothing was appended or written.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Hands the rows to the committer and moves each room's writer ahead. Returns what to wait for.
    ///
    /// # Errors
    /// `StoreError::Busy`: nothing has happened.
    pub(crate) fn queue(
        self,
        rooms: &Rooms,
        writers: Vec<(&mut Writer, Ahead)>,
    ) -> Result<store::Queued, RoomError> {
        let Self {
            mut batch,
            positions,
            staged,
            redacted,
        } = self;
        batch.set_positions(positions);
        let publisher = rooms.clone();
        batch.after(move |first| publisher.publish(first, staged, redacted));
        let queued = rooms.store().queue(batch)?;
        for (writer, ahead) in writers {
            writer.advance(ahead, queued.first());
        }
        Ok(queued)
    }
}

impl Writer {
    /// Keeps a transaction's answer until it is on disk.
    pub(crate) fn remember(
        &mut self,
        key: TransactionKey,
        event_id: OwnedEventId,
        pos: Pos,
        visible: Pos,
    ) {
        self.transactions.retain(|_, (_, queued)| *queued > visible);
        self.transactions.insert(key, (event_id, pos));
    }

    fn advance(&mut self, ahead: Ahead, first: Pos) {
        self.head = ahead.head;
        self.head.last_pos = assigned(self.head.last_pos, first);
        self.forward_extremities = ahead.forward_extremities;
        for (slot, mut current) in ahead.state {
            current.pos = assigned(current.pos, first);
            self.set_current(slot, current);
        }
        let annotations = ahead.annotations.into_iter();
        self.annotations
            .extend(annotations.map(|annotation| (annotation, self.head.last_pos)));
    }
}

/// The real position behind one that was unassigned until the batch got `first`.
fn assigned(pos: Pos, first: Pos) -> Pos {
    pos.unassigned_index()
        .map_or(pos, |index| Pos(first.0 + i64::from(index)))
}

impl<'a> Append<'a> {
    pub(crate) fn new(
        rooms: &'a Rooms,
        room: &'a Arc<Room>,
        writer: &'a mut Writer,
        commit: &'a mut Commit,
    ) -> Self {
        let ahead = Ahead {
            head: writer.head.clone(),
            forward_extremities: writer.forward_extremities.clone(),
            state: HashMap::new(),
            annotations: Vec::new(),
        };
        Self {
            rooms,
            room,
            writer,
            commit,
            ahead,
        }
    }

    /// The events appended so far become the writer's future, for [`Commit::queue`].
    pub(crate) fn finish(self) -> Ahead {
        let Self {
            room,
            commit,
            ahead,
            ..
        } = self;
        if let Some(index) = ahead.head.last_pos.unassigned_index() {
            commit.batch.put::<RoomHeads>(&room.nid, &ahead.head);
            commit
                .batch
                .put::<Activity>(&room.nid, &Pos::unassigned(index));
        }
        ahead
    }

    /// The room appended to.
    pub(crate) fn room(&self) -> &'a Arc<Room> {
        self.room
    }

    /// For rows that belong into the same commit.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        &mut self.commit.batch
    }

    /// The current state of a slot, events appended so far included.
    pub(crate) async fn current(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Current>, RoomError> {
        if let Some(current) = self.ahead.state.get(&slot(event_type, state_key)) {
            return Ok(Some(current.clone()));
        }
        self.writer
            .current(self.rooms.store(), self.room, event_type, state_key)
            .await
    }

    /// A user's membership.
    pub(crate) async fn membership(
        &mut self,
        user: &UserId,
    ) -> Result<Option<Membership>, RoomError> {
        Ok(self
            .current("m.room.member", user.as_str())
            .await?
            .and_then(|current| membership_of(&current.pdu)))
    }

    /// Appends the room's first event, which was composed before the room had an id.
    pub(crate) async fn append_create(&mut self, create: Composed) -> Result<(), RoomError> {
        self.stage(create, None).await.map(drop)
    }

    /// Authorises, composes and appends an event.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] with the rule that refused it; `BadJson`, `TooLarge`.
    pub(crate) async fn append(&mut self, new: NewEvent<'_>) -> Result<OwnedEventId, RoomError> {
        if new.event_type == "m.room.create" {
            // The first authorisation rule: it has `prev_events`.
            return Err(RoomError::Forbidden("a room is created once".to_owned()));
        }
        let room = Arc::clone(self.room);
        let rules = &room.rules;
        let auth_types = rules.auth_types(
            &new.event_type.into(),
            new.sender,
            new.state_key,
            new.content,
        )?;
        let mut auth_events = Vec::with_capacity(auth_types.len());
        for (event_type, state_key) in auth_types {
            if let Some(current) = self.current(&event_type.to_string(), &state_key).await? {
                auth_events.push((event_type, state_key, current.pdu));
            }
        }
        let references: Vec<_> = auth_events
            .iter()
            .map(|(_, _, event)| event.reference())
            .collect();
        let opaque_id =
            (!rules.event_id_is_hash()).then(|| self.rooms.host().random_string(OPAQUE_ID_LENGTH));
        let draft = Draft {
            room_id: Some(&room.id),
            event_type: new.event_type,
            state_key: new.state_key,
            sender: new.sender,
            content: new.content,
            origin_server_ts: self.rooms.host().now_ms(),
            redacts: new.redacts,
            prev_events: &self.ahead.forward_extremities,
            auth_events: &references,
            depth: self.ahead.head.depth.saturating_add(1),
            opaque_id: opaque_id.as_deref(),
        };
        let composed = rules.compose(&draft, self.rooms.signer())?;
        rules.authorise(&composed.pdu, |event_type, state_key| {
            if *event_type == StateEventType::RoomCreate {
                return Some(Arc::clone(&room.create));
            }
            let found = auth_events
                .iter()
                .find(|(of, key, _)| of == event_type && key == state_key);
            found.map(|(_, _, event)| Arc::clone(event))
        })?;
        self.stage(composed, new.transaction).await
    }

    /// As [`Append::append`], for what a client sends: refuses relations that clients must not make.
    ///
    /// # Errors
    /// [`RoomError::DuplicateAnnotation`], [`RoomError::BadRelation`]
    pub(crate) async fn append_checked(
        &mut self,
        new: NewEvent<'_>,
    ) -> Result<OwnedEventId, RoomError> {
        let annotation = self
            .rooms
            .check_relation(self.room.nid, self.writer, &new)
            .await?;
        let event_id = self.append(new).await?;
        self.ahead.annotations.extend(annotation);
        Ok(event_id)
    }

    /// Puts an authorised event's rows into the commit.
    async fn stage(
        &mut self,
        composed: Composed,
        transaction: Option<(&str, &str)>,
    ) -> Result<OwnedEventId, RoomError> {
        let Composed { pdu, parts } = composed;
        let pdu = Arc::new(pdu);
        let index = self.commit.positions;
        let pos = Pos::unassigned(index);
        let nid = self.room.nid;
        let rsn = Rsn(self.ahead.head.last_rsn.0 + 1);
        let interner = self.rooms.store().interner();
        let sender: UserNid = interner.number(pdu.sender.as_str()).await?;
        let (replaced, member) = self.stage_state(&pdu, rsn, pos).await?;
        let class = self.classify(&pdu).await?;
        let head = &mut self.ahead.head;
        head.notifying += u32::from(class.notifies);
        head.highlighting += u32::from(class.highlights_all);
        let flags = u8::from(pdu.state_key.as_deref().is_some()) * TimelineRow::STATE
            + u8::from(class.is_threaded()) * TimelineRow::THREADED
            + u8::from(class.notifies) * TimelineRow::NOTIFIES;
        let timeline = TimelineRow {
            rsn,
            sender,
            flags,
            notifying: head.notifying,
            highlighting: head.highlighting,
        };
        head.last_rsn = rsn;
        head.last_pos = pos;
        head.depth = pdu.depth;
        head.forward_extremities = vec![rsn];
        self.ahead.forward_extremities = vec![pdu.reference()];
        let counted = Counted {
            threaded: class.is_threaded(),
            mentions: self.stage_highlights(&class, pos).await?,
            notifying: timeline.notifying,
            highlighting: timeline.highlighting,
        };
        if let Some(relation) = &class.relation {
            self.rooms
                .write_relation(
                    &mut self.commit.batch,
                    (nid, pos),
                    relation,
                    RelationRow { rsn, sender },
                )
                .await?;
        }

        let row = EventRow {
            pos,
            state_before: StateRef::Line(pos),
            redacted_by: Rsn::NONE,
            replaces: replaced.as_ref().map_or(Rsn::NONE, |current| current.rsn),
            event_id: pdu.event_id.to_string(),
            transaction: transaction
                .map(|(device, id)| (device.to_owned(), id.to_owned()))
                .unwrap_or_default(),
            client: parts.client.into(),
            federation: parts.federation.into(),
        };
        let batch = &mut self.commit.batch;
        batch.put::<Events>(&(nid, rsn), &row);
        batch.put::<EventIds>(&Tail(event_key(&pdu.event_id)), &(nid, rsn));
        batch.put::<Timeline>(&(nid, pos), &timeline);
        batch.put::<Log>(&pos, &(nid, rsn));

        self.stage_read(sender, &class, member.as_ref(), pos);

        let previous = replaced.map(|current| Previous {
            content: Bytes::copy_from_slice(current.pdu.content.get().as_bytes()),
            sender: current.pdu.sender.clone(),
            event_id: current.pdu.event_id.clone(),
        });
        self.commit.positions += 1;
        self.commit.staged.push(Staged {
            room: Arc::clone(self.room),
            rsn,
            index,
            row,
            previous,
            member,
            counted,
        });
        Ok(pdu.event_id.clone())
    }

    /// A state event's rows; what it replaced, and whose membership it changes.
    async fn stage_state(
        &mut self,
        pdu: &Arc<Pdu>,
        rsn: Rsn,
        pos: Pos,
    ) -> Result<(Option<Current>, Option<MemberChange>), RoomError> {
        let Some(state_key) = pdu.state_key.as_deref() else {
            return Ok((None, None));
        };
        let event_type = pdu.event_type.to_string();
        let event_type = event_type.as_str();
        let nid = self.room.nid;
        let replaced = self.current(event_type, state_key).await?;
        let key = if let Some(current) = &replaced {
            current.key
        } else {
            let name = state_key_name(event_type, state_key);
            let interner = self.rooms.store().interner();
            interner.number::<StateKeyNid>(&name).await?
        };
        let mut member = None;
        if event_type == "m.room.member" {
            member = self
                .stage_member(pdu, state_key, rsn, pos, replaced.as_ref())
                .await?;
        }
        let change = StateChangeRow {
            key,
            new: rsn,
            old: replaced.as_ref().map_or(Rsn::NONE, |current| current.rsn),
            cause: Cause::Event,
        };
        let batch = &mut self.commit.batch;
        batch.put::<CurrentState>(&(nid, key), &StateRow { rsn, pos });
        batch.put::<StateHistory>(&(nid, key, pos), &rsn);
        batch.put::<StateLog>(&(nid, pos, 0), &change);
        let current = Current {
            key,
            rsn,
            pos,
            pdu: Arc::clone(pdu),
        };
        self.ahead
            .state
            .insert(slot(event_type, state_key), current);
        Ok((replaced, member))
    }

    /// The power levels in force.
    pub(crate) async fn power_levels(&mut self) -> Result<RoomPowerLevels, RoomError> {
        let event = self.current("m.room.power_levels", "").await?;
        let room = self.room;
        Ok(room
            .rules
            .power_levels(&room.creation, event.as_ref().map(|current| &*current.pdu))?)
    }
}

/// Characters of the random part of an event id in room versions 1 and 2: 130 bits.
const OPAQUE_ID_LENGTH: usize = 22;
