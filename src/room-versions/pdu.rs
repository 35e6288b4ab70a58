//! An event as the rules read it.

use std::{borrow::Borrow as _, sync::OnceLock};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt,
    UserId,
    events::{StateEventType, TimelineEventType},
    state_res::Event,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{Reference, Rules, canonical, pdu_json, powers::Powers};

/// A persistent data unit: an event with what the rules need of it. The content stays the bytes that it was.
///
/// [spec](https://spec.matrix.org/v1.19/server-server-api/#pdus)
#[derive(Clone, Debug)]
pub struct Pdu {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room, also where the event itself does not say so (a create event from version 12 on).
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// `type`
    pub event_type: TimelineEventType,
    /// Present in a state event.
    pub state_key: Option<Box<str>>,
    /// `content`, a JSON object.
    pub content: Box<RawValue>,
    /// When its server says that it was sent, in milliseconds since the Unix epoch.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The event that it redacts, wherever the room version keeps that.
    pub redacts: Option<OwnedEventId>,
    /// One more than the greatest depth among `prev_events`.
    pub depth: u64,
    /// The events before it.
    pub prev_events: Box<[OwnedEventId]>,
    /// The state that allows it.
    pub auth_events: Box<[OwnedEventId]>,
    /// It did not pass the checks on receipt. Set by whoever stores it; events of our own are never kept rejected.
    pub rejected: bool,
    /// `room_id` is a member of the event.
    has_room_id: bool,
    /// Its reference hash, where `prev_events` and `auth_events` of later events need it (versions 1 and 2).
    sha256: Option<Box<str>>,
    /// Read when it is first asked for, of an event of power levels.
    powers: OnceLock<Option<Box<Powers>>>,
}

/// A stored event that does not read as an event of its room version.
#[derive(Debug, thiserror::Error)]
#[error("the stored event {event_id} is malformed: {reason}")]
pub struct ParseError {
    event_id: OwnedEventId,
    reason: String,
}

impl ParseError {
    pub(crate) fn new(event_id: &EventId, reason: String) -> Self {
        Self {
            event_id: event_id.to_owned(),
            reason,
        }
    }
}

#[derive(Deserialize)]
struct ClientRun {
    content: Box<RawValue>,
    origin_server_ts: UInt,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: TimelineEventType,
    state_key: Option<Box<str>>,
    redacts: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct FederationRun<R> {
    auth_events: Vec<R>,
    prev_events: Vec<R>,
    depth: u64,
    room_id: Option<OwnedRoomId>,
}

#[derive(Deserialize)]
struct RedactionContent {
    redacts: Option<OwnedEventId>,
}

impl Rules {
    /// Reads an event from its stored parts.
    ///
    /// # Errors
    /// If they are not what [`Rules::compose`] writes.
    pub fn parse(
        &self,
        event_id: &EventId,
        client: &[u8],
        federation: &[u8],
    ) -> Result<Pdu, ParseError> {
        self.read(event_id, client, federation)
            .map_err(|reason| ParseError::new(event_id, reason))
    }

    fn read(&self, event_id: &EventId, client: &[u8], federation: &[u8]) -> Result<Pdu, String> {
        let run: ClientRun = members(client)?;
        let links: FederationRun<OwnedEventId> = if self.references_carry_hashes() {
            members::<FederationRun<(OwnedEventId, IgnoredAny)>>(federation)?.into()
        } else {
            members(federation)?
        };
        let redacts = match run.event_type {
            TimelineEventType::RoomRedaction if self.redacts_in_content() => {
                serde_json::from_str::<RedactionContent>(run.content.get())
                    .ok()
                    .and_then(|content| content.redacts)
            }
            TimelineEventType::RoomRedaction => run
                .redacts
                .and_then(|raw| serde_json::from_str(raw.get()).ok()),
            _ => None,
        };
        let has_room_id = links.room_id.is_some();
        let room_id = match links.room_id {
            Some(room_id) => room_id,
            None => self.room_id_of_create(event_id).ok_or("has no room_id")?,
        };
        Ok(Pdu {
            event_id: event_id.to_owned(),
            room_id,
            sender: run.sender,
            event_type: run.event_type,
            state_key: run.state_key,
            content: run.content,
            origin_server_ts: MilliSecondsSinceUnixEpoch(run.origin_server_ts),
            redacts,
            depth: links.depth,
            prev_events: links.prev_events.into(),
            auth_events: links.auth_events.into(),
            rejected: false,
            has_room_id,
            sha256: self.hash_for_references(client, federation)?,
            powers: OnceLock::new(),
        })
    }

    /// From version 12 on, the room that a create event makes: its id with the sigil `!`.
    pub fn room_id_of_create(&self, create_event_id: &EventId) -> Option<OwnedRoomId> {
        if !self.room_id_from_create() {
            return None;
        }
        RoomId::new_v2(create_event_id.as_str().strip_prefix('$')?).ok()
    }

    fn hash_for_references(
        &self,
        client: &[u8],
        federation: &[u8],
    ) -> Result<Option<Box<str>>, String> {
        if !self.references_carry_hashes() {
            return Ok(None);
        }
        let json = pdu_json(client, federation);
        let pdu = canonical::object(str::from_utf8(&json).map_err(|error| error.to_string())?)?;
        let hash = ruma::signatures::reference_hash(&pdu, &self.ruma)
            .map_err(|error| error.to_string())?;
        Ok(Some(hash.into()))
    }
}

impl From<FederationRun<(OwnedEventId, IgnoredAny)>> for FederationRun<OwnedEventId> {
    fn from(run: FederationRun<(OwnedEventId, IgnoredAny)>) -> Self {
        let ids =
            |pairs: Vec<(OwnedEventId, IgnoredAny)>| pairs.into_iter().map(|(id, _)| id).collect();
        Self {
            auth_events: ids(run.auth_events),
            prev_events: ids(run.prev_events),
            depth: run.depth,
            room_id: run.room_id,
        }
    }
}

/// Reads a run of members as an object.
pub(crate) fn members<T: for<'de> Deserialize<'de>>(run: &[u8]) -> Result<T, String> {
    serde_json::from_slice(&pdu_json(run, b"")).map_err(|error| error.to_string())
}

impl Pdu {
    /// How later events name this one among their `prev_events` and `auth_events`.
    pub fn reference(&self) -> Reference {
        Reference {
            event_id: self.event_id.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// Its content taken apart, if it is one of power levels that gives power to many.
    pub(crate) fn powers(&self) -> Option<&Powers> {
        let read = || Powers::of(&self.content).map(Box::new);
        self.powers.get_or_init(read).as_deref()
    }

    /// Its place in the room's state, if it is a state event.
    pub fn state(&self) -> Option<(StateEventType, &str)> {
        let key = self.state_key.as_deref()?;
        Some((self.event_type.to_string().into(), key))
    }
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.has_room_id.then(|| self.room_id.borrow())
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
