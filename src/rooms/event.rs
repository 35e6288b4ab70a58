//! An event as readers share it: decoded once, its JSON spliced into every answer.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-event-format)

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use room_versions::client_event::{Unsigned, write_client_event};
use ruma::{EventId, OwnedEventId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{
    CorruptRow, Pos, RoomNid, Rsn,
    rows::{EventRow, StateRef},
};

use crate::{Bundles, aggregations::Bundle};

/// One event of a room.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its room.
    pub room: RoomNid,
    /// Its number in the room.
    pub rsn: Rsn,
    /// Its place in the timeline.
    pub pos: Pos,
    /// Names the room's state before it.
    pub state_before: StateRef,
    /// Its id.
    pub event_id: OwnedEventId,
    /// `type`
    pub event_type: Box<str>,
    /// `sender`
    pub sender: OwnedUserId,
    /// `state_key`
    pub state_key: Option<Box<str>>,
    /// `origin_server_ts`, milliseconds since the Unix epoch.
    pub origin_server_ts: u64,
    /// `redacts`, on its top level or in its content, if it is a redaction.
    pub redacts: Option<OwnedEventId>,
    /// The device that sent it and that device's transaction id; both empty if unknown.
    pub transaction: (String, String),
    /// The state event that it replaced.
    pub previous: Option<Previous>,
    /// The number of the event that redacted it, or none.
    pub redacted_by: Rsn,
    /// The number of the state event that it replaced, or none.
    pub replaces: Rsn,
    /// The event that redacted it.
    pub redacted_because: Option<Arc<Event>>,
    client: Bytes,
    federation: Bytes,
    content: Range<usize>,
}

/// What `unsigned` tells of the state that an event replaced.
#[derive(Clone, Debug)]
pub struct Previous {
    /// `prev_content`, a JSON object.
    pub content: Bytes,
    /// `prev_sender`
    pub sender: OwnedUserId,
    /// `replaces_state`
    pub event_id: OwnedEventId,
}

/// What differs from reader to reader.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientView<'a> {
    /// `room_id`, where the answer does not name the room otherwise.
    pub room_id: Option<&'a str>,
    /// For `unsigned.age`: milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The reader's device, if the reader is the sender: gets its own `unsigned.transaction_id` back.
    pub device: Option<&'a str>,
    /// `unsigned.membership`: the reader's membership at the event.
    pub membership: Option<&'a str>,
    /// `unsigned.m.relations`: what is told about the events that relate to those written.
    pub bundles: Option<&'a Bundles>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(rename = "type")]
    event_type: Box<str>,
    sender: OwnedUserId,
    state_key: Option<Box<str>>,
    #[serde(default)]
    origin_server_ts: u64,
    redacts: Option<OwnedEventId>,
}

#[derive(Deserialize)]
struct RedactionContent {
    redacts: Option<OwnedEventId>,
}

impl Event {
    /// From its row. `previous` and `redacted_because` are left for the caller, who knows how to read more rows.
    pub fn from_row(room: RoomNid, rsn: Rsn, row: EventRow) -> Result<Self, CorruptRow> {
        let mut json = Vec::with_capacity(row.client.len() + 2);
        json.push(b'{');
        json.extend_from_slice(&row.client);
        json.push(b'}');
        let members: Members<'_> =
            serde_json::from_slice(&json).map_err(|_| CorruptRow("event members do not parse"))?;
        // Offset in `json`, less the brace that `client` does not have.
        let start = (members.content.get().as_ptr() as usize)
            .checked_sub(json.as_ptr() as usize + 1)
            .ok_or(CorruptRow("content lies outside its event"))?;
        let content = start..start + members.content.get().len();
        let redacts = match members.redacts {
            None if &*members.event_type == "m.room.redaction" => {
                serde_json::from_str::<RedactionContent>(members.content.get())
                    .ok()
                    .and_then(|content| content.redacts)
            }
            redacts => redacts,
        };
        let event_id = EventId::parse(&*row.event_id).map_err(|_| CorruptRow("not an event id"))?;
        Ok(Self {
            room,
            rsn,
            pos: row.pos,
            state_before: row.state_before,
            event_id,
            event_type: members.event_type,
            sender: members.sender,
            state_key: members.state_key,
            origin_server_ts: members.origin_server_ts,
            redacts,
            transaction: row.transaction,
            previous: None,
            redacted_by: row.redacted_by,
            replaces: row.replaces,
            redacted_because: None,
            content,
            client: row.client,
            federation: row.federation,
        })
    }

    /// `content`, as JSON.
    pub fn content(&self) -> &str {
        // The range was measured on this very text and the text was UTF-8.
        std::str::from_utf8(&self.client[self.content.clone()]).unwrap_or("{}")
    }

    /// `content`, as shared bytes.
    pub fn content_bytes(&self) -> Bytes {
        self.client.slice(self.content.clone())
    }

    /// The members that clients see, without braces.
    pub fn client_members(&self) -> &Bytes {
        &self.client
    }

    /// The PDU's other members, without braces.
    pub fn federation_members(&self) -> &Bytes {
        &self.federation
    }

    /// Whether it is a state event.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether it is the state event of this type and key.
    pub fn is_state_of(&self, event_type: &str, state_key: &str) -> bool {
        &*self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// Whether `other` took its place in the room's state.
    pub(crate) fn is_replaced_by(&self, other: &Event) -> bool {
        other.room == self.room && other.replaces == self.rsn
    }

    /// Whose membership it sets, if it is an `m.room.member` event.
    pub fn member(&self) -> Option<&UserId> {
        if &*self.event_type != "m.room.member" {
            return None;
        }
        <&UserId>::try_from(self.state_key.as_deref()?).ok()
    }

    /// Bytes that it occupies in memory, roughly.
    pub fn weight(&self) -> usize {
        let previous = self
            .previous
            .as_ref()
            .map_or(0, |previous| previous.content.len());
        self.client.len() + self.federation.len() + previous + 400
    }

    /// Appends the event in the format of the client-server API, with whatever `unsigned` knows.
    pub fn write_client(&self, out: &mut Vec<u8>, view: &ClientView<'_>) {
        let bundle = view.bundles.and_then(|bundles| bundles.of(self));
        self.write_with(out, view, bundle);
    }

    /// The same with this in `m.relations`.
    pub(crate) fn write_with(
        &self,
        out: &mut Vec<u8>,
        view: &ClientView<'_>,
        bundle: Option<&Bundle>,
    ) {
        let relations = bundle.map(|bundle| {
            let mut json = Vec::with_capacity(512);
            bundle.write(&mut json, view);
            json
        });
        let redacted_because = self.redacted_because.as_ref().map(|because| {
            let mut json = Vec::with_capacity(512);
            because.write_client(
                &mut json,
                &ClientView {
                    device: None,
                    membership: None,
                    bundles: None,
                    ..*view
                },
            );
            json
        });
        let own = view
            .device
            .is_some_and(|device| !device.is_empty() && device == self.transaction.0);
        let previous = self.previous.as_ref();
        let unsigned = Unsigned {
            age_ms: Some(view.now_ms.saturating_sub(self.origin_server_ts)),
            transaction_id: own.then_some(self.transaction.1.as_str()),
            membership: view.membership,
            replaces_state: previous.map(|previous| previous.event_id.as_str()),
            prev_content: previous.map(|previous| &*previous.content),
            prev_sender: previous.map(|previous| previous.sender.as_str()),
            redacted_because: redacted_because.as_deref(),
            relations: relations.as_deref(),
        };
        write_client_event(
            out,
            &self.client,
            self.event_id.as_str(),
            view.room_id,
            &unsigned,
        );
    }

    /// Appends the event as stripped state: `content`, `sender`, `state_key`, `type` alone.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#stripped-state)
    pub fn write_stripped(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"content\":");
        out.extend_from_slice(&self.client[self.content.clone()]);
        out.extend_from_slice(b",\"sender\":");
        write_json_str(out, self.sender.as_str());
        out.extend_from_slice(b",\"state_key\":");
        write_json_str(out, self.state_key.as_deref().unwrap_or_default());
        out.extend_from_slice(b",\"type\":");
        write_json_str(out, &self.event_type);
        out.push(b'}');
    }
}

/// Appends `text` as a JSON string.
pub fn write_json_str(out: &mut Vec<u8>, text: &str) {
    let plain = text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A string always serialises, and memory does not fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// The bytes under which an event id is a key: 32 for the ids of room versions 4 and up (their base64 undone), the id
/// itself otherwise.
pub(crate) fn event_key(event_id: &EventId) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let id = event_id.as_str();
    if id.len() == 44
        && let Ok(hash) = URL_SAFE_NO_PAD.decode(&id[1..])
    {
        return hash;
    }
    id.as_bytes().to_vec()
}
