//! A room in memory: what the next event needs, and the latest events for those who wait (DESIGN §5).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use room_versions::{Create, Pdu, Reference, Rules};
use ruma::{EventId, OwnedEventId, OwnedRoomId};
use store::{
    Pos, RoomNid, Rsn, StateKeyNid, Store, UserNid,
    codec::Tail,
    rows::RoomHeadRow,
    tables::{CurrentState, Events, RoomHeads},
};

use crate::{
    Event, RoomError,
    latest::{Counted, Latest},
    relations::Annotation,
};

/// How many of the latest events a room keeps at hand for waiting clients (DESIGN §5).
const RECENT_EVENTS: usize = 32;

/// Bytes that a loaded room occupies, roughly: 6 KB with its create event, power levels and a few members, and a ring half
/// full of events of 1.5 KB.
pub(crate) const WEIGHT: usize = 32 * 1024;

/// How many state entries the writer keeps before it lets those go that it can read again.
const MAX_STATE_ENTRIES: usize = 2048;

/// A loaded room. There is at most one per room at any time.
pub struct Room {
    /// Its number.
    pub nid: RoomNid,
    /// Its id.
    pub id: OwnedRoomId,
    /// The rules of its version.
    pub rules: Rules,
    /// Its `m.room.create` event.
    pub create: Arc<Pdu>,
    /// What that event says.
    pub creation: Create,
    /// Whoever holds this writes the next event.
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    recent: Mutex<Recent>,
}

/// What the writer of the next event knows: it runs ahead of the disk.
pub(crate) struct Writer {
    /// The room is deleted: nothing is written any more.
    pub(crate) closed: bool,
    pub(crate) head: RoomHeadRow,
    pub(crate) forward_extremities: Vec<Reference>,
    state: HashMap<StateSlot, Option<Current>>,
    /// Transactions that are queued and perhaps not yet on disk.
    pub(crate) transactions: HashMap<TransactionKey, (OwnedEventId, Pos)>,
    /// Annotations that are queued and perhaps not yet on disk.
    pub(crate) annotations: HashMap<Annotation, Pos>,
}

/// User, device, and scope with transaction id: the key of `Transactions`.
pub(crate) type TransactionKey = (UserNid, String, Tail);

/// Event type and state key.
pub(crate) type StateSlot = (Box<str>, Box<str>);

/// The current state of one slot.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) key: StateKeyNid,
    pub(crate) rsn: Rsn,
    pub(crate) pos: Pos,
    pub(crate) pdu: Arc<Pdu>,
}

/// The latest published events, without a gap since `complete_after`.
struct Recent {
    events: VecDeque<Arc<Event>>,
    complete_after: Pos,
    latest: Latest,
}

pub(crate) fn slot(event_type: &str, state_key: &str) -> StateSlot {
    (event_type.into(), state_key.into())
}

/// The name under which an event type and state key are interned.
pub(crate) fn state_key_name(event_type: &str, state_key: &str) -> String {
    let mut name = String::with_capacity(event_type.len() + 1 + state_key.len());
    name.push_str(event_type);
    name.push('\0');
    name.push_str(state_key);
    name
}

impl Room {
    /// A room that is being created: nothing of it is stored yet.
    pub(crate) fn new(
        nid: RoomNid,
        rules: Rules,
        create: Arc<Pdu>,
        creation: Create,
        head: RoomHeadRow,
    ) -> Self {
        Self {
            nid,
            id: create.room_id.clone(),
            rules,
            create,
            creation,
            writer: tokio::sync::Mutex::new(Writer::new(head, Vec::new())),
            recent: Mutex::new(Recent {
                events: VecDeque::new(),
                complete_after: Pos::ZERO,
                latest: Latest::since(Pos::ZERO),
            }),
        }
    }

    /// Reads a room from the store: its head, its extremities and its create event.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`] if no event of the room was ever kept.
    pub(crate) async fn load(store: &Store, nid: RoomNid) -> Result<Self, RoomError> {
        // Before the head is read: whatever is published from here on reaches `recent` or is in the head.
        let complete_after = store.visible();
        let head = store
            .get::<RoomHeads>(&nid)
            .await?
            .ok_or(RoomError::UnknownRoom)?;
        let version = ruma::RoomVersionId::try_from(head.version.as_str())
            .map_err(|_| store::CorruptRow("not a room version"))?;
        let rules = Rules::of(&version).ok_or(RoomError::UnsupportedRoomVersion(version))?;
        // The create event is the first of its room.
        let create = read_pdu(store, &rules, nid, Rsn(1)).await?;
        let creation = rules.create(&create)?;
        let mut forward_extremities = Vec::with_capacity(head.forward_extremities.len());
        for rsn in &head.forward_extremities {
            forward_extremities.push(read_pdu(store, &rules, nid, *rsn).await?.reference());
        }
        Ok(Self {
            nid,
            id: create.room_id.clone(),
            rules,
            create,
            creation,
            writer: tokio::sync::Mutex::new(Writer::new(head, forward_extremities)),
            recent: Mutex::new(Recent {
                events: VecDeque::new(),
                complete_after,
                latest: Latest::since(complete_after),
            }),
        })
    }

    /// The writer, while nobody else has it.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`] if the room was deleted meanwhile.
    pub(crate) async fn lock(&self) -> Result<tokio::sync::MutexGuard<'_, Writer>, RoomError> {
        let writer = self.writer.lock().await;
        if writer.closed {
            return Err(RoomError::UnknownRoom);
        }
        Ok(writer)
    }

    /// A new event is kept: readers may have it.
    pub(crate) fn published(&self, event: Arc<Event>, counted: Counted) {
        let mut recent = self.recent.lock();
        recent.latest.published(event.pos, counted);
        recent.events.push_back(event);
        if recent.events.len() > RECENT_EVENTS
            && let Some(gone) = recent.events.pop_front()
        {
            recent.complete_after = gone.pos;
        }
    }

    /// Some of the latest events are gone.
    pub(crate) fn retain_recent(&self, keep: impl Fn(&Event) -> bool) {
        self.recent.lock().events.retain(|event| keep(event));
    }

    /// An event was redacted: readers get its new form from here on.
    pub(crate) fn replaced(&self, event: &Arc<Event>) {
        let mut recent = self.recent.lock();
        recent.latest.redacted(event.pos);
        for held in &mut recent.events {
            if held.rsn == event.rsn {
                *held = Arc::clone(event);
            } else if event.is_state() && event.is_replaced_by(held) {
                let mut told = Event::clone(held);
                if let Some(previous) = &mut told.previous {
                    previous.content = event.content_bytes();
                }
                *held = Arc::new(told);
            }
        }
    }

    /// Where the latest events of some kinds are.
    pub(crate) fn latest(&self) -> Latest {
        self.recent.lock().latest
    }

    /// The latest events with `after < pos <= upto`, newest last, at most `limit` of them, and whether there are more;
    /// `None` if memory does not reach back to `after`.
    pub fn recent(&self, after: Pos, upto: Pos, limit: usize) -> Option<(Vec<Arc<Event>>, bool)> {
        let recent = self.recent.lock();
        if recent.complete_after > after {
            return None;
        }
        let mut newest_first = recent
            .events
            .iter()
            .rev()
            .filter(|event| event.pos <= upto)
            .take_while(|event| event.pos > after);
        let mut events: Vec<_> = newest_first.by_ref().take(limit).cloned().collect();
        let more = newest_first.next().is_some();
        events.reverse();
        Some((events, more))
    }
}

impl Writer {
    fn new(head: RoomHeadRow, forward_extremities: Vec<Reference>) -> Self {
        Self {
            closed: false,
            head,
            forward_extremities,
            state: HashMap::new(),
            transactions: HashMap::new(),
            annotations: HashMap::new(),
        }
    }

    /// The current state of a slot, queued changes included.
    pub(crate) async fn current(
        &mut self,
        store: &Store,
        room: &Room,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Current>, RoomError> {
        let slot = slot(event_type, state_key);
        if let Some(known) = self.state.get(&slot) {
            return Ok(known.clone());
        }
        let current = read_current(store, room, event_type, state_key).await?;
        self.make_space(store.visible());
        self.state.insert(slot, current.clone());
        Ok(current)
    }

    /// What [`Writer::current`] would answer, if it is at hand.
    pub(crate) fn known(&self, slot: &StateSlot) -> Option<&Current> {
        self.state.get(slot).and_then(Option::as_ref)
    }

    pub(crate) fn set_current(&mut self, slot: StateSlot, current: Current) {
        self.state.insert(slot, Some(current));
    }

    /// Entries that are on disk can be read again; those still queued must stay.
    fn make_space(&mut self, visible: Pos) {
        if self.state.len() >= MAX_STATE_ENTRIES {
            self.state.retain(|(event_type, _), current| {
                let queued = current
                    .as_ref()
                    .is_some_and(|current| current.pos > visible);
                queued || matches!(&**event_type, "m.room.power_levels" | "m.room.join_rules")
            });
        }
    }
}

async fn read_current(
    store: &Store,
    room: &Room,
    event_type: &str,
    state_key: &str,
) -> Result<Option<Current>, RoomError> {
    let name = state_key_name(event_type, state_key);
    let Some(key) = store.interner().find::<StateKeyNid>(&name).await? else {
        return Ok(None);
    };
    let Some(row) = store.get::<CurrentState>(&(room.nid, key)).await? else {
        return Ok(None);
    };
    let pdu = read_pdu(store, &room.rules, room.nid, row.rsn).await?;
    Ok(Some(Current {
        key,
        rsn: row.rsn,
        pos: row.pos,
        pdu,
    }))
}

async fn read_pdu(
    store: &Store,
    rules: &Rules,
    nid: RoomNid,
    rsn: Rsn,
) -> Result<Arc<Pdu>, RoomError> {
    let row = store
        .get::<Events>(&(nid, rsn))
        .await?
        .ok_or(store::CorruptRow("an event that the room names is missing"))?;
    let event_id =
        EventId::parse(&*row.event_id).map_err(|_| store::CorruptRow("not an event id"))?;
    Ok(Arc::new(rules.parse(
        &event_id,
        &row.client,
        &row.federation,
    )?))
}
