//! A stored event as clients see it, written by splicing bytes.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-event-format)

use std::{collections::BTreeMap, io::Write as _};

use serde_json::value::RawValue;

use crate::pdu::members;

/// How the client run of an `m.room.redaction` event ends: its members are sorted, and no JSON string holds a bare quote.
const REDACTION: &[u8] = br#""type":"m.room.redaction""#;

/// `unsigned`: what the server tells about an event beside the event. Only what is present is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsigned<'a> {
    /// Milliseconds since the event was sent.
    pub age_ms: Option<u64>,
    /// The transaction id, for the device that sent the event and nobody else.
    pub transaction_id: Option<&'a str>,
    /// What the reader was in the room when the event was sent.
    pub membership: Option<&'a str>,
    /// The event id of the state that this event replaced.
    pub replaces_state: Option<&'a str>,
    /// The content of that state, a JSON object.
    pub prev_content: Option<&'a [u8]>,
    /// The sender of that state.
    pub prev_sender: Option<&'a str>,
    /// The redaction, a complete client event.
    pub redacted_because: Option<&'a [u8]>,
    /// `m.relations`: the bundled aggregations, a JSON object.
    pub relations: Option<&'a [u8]>,
}

/// Writes `{client,"event_id":…,"room_id":…,"unsigned":…}`. `/sync` leaves out the room id, for it stands around the event.
///
/// A redaction names its target both at the top level and in its content, whichever the room version has, so that old and new
/// clients find it ([spec](https://spec.matrix.org/v1.19/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property)).
pub fn write_client_event(
    out: &mut Vec<u8>,
    client: &[u8],
    event_id: &str,
    room_id: Option<&str>,
    unsigned: &Unsigned<'_>,
) {
    out.reserve(client.len() + event_id.len() + room_id.map_or(0, str::len) + 64);
    out.push(b'{');
    if !(client.ends_with(REDACTION) && write_redaction(out, client)) {
        out.extend_from_slice(client);
    }
    let mut object = Members { out, first: false };
    object.text("event_id", event_id);
    if let Some(room_id) = room_id {
        object.text("room_id", room_id);
    }
    unsigned.write(&mut object);
    out.push(b'}');
}

/// Writes the members of a redaction with its target in both places, or nothing if it has no target to copy.
///
/// A top-level `redacts` in the client run means that the room version keeps it there (see [`crate::Parts`]).
fn write_redaction(out: &mut Vec<u8>, client: &[u8]) -> bool {
    let Ok(mut run) = members::<BTreeMap<String, Box<RawValue>>>(client) else {
        return false;
    };
    let Some(content) = run.remove("content") else {
        return false;
    };
    let Ok(mut content) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(content.get())
    else {
        return false;
    };
    let Some(target) = run.remove("redacts").or(content.remove("redacts")) else {
        return false;
    };
    let mut object = Members { out, first: true };
    object.name("content");
    object.out.push(b'{');
    let mut inner = Members {
        out: object.out,
        first: true,
    };
    for (name, value) in &content {
        inner.raw(name, value.get().as_bytes());
    }
    inner.raw("redacts", target.get().as_bytes());
    inner.out.push(b'}');
    let mut object = Members {
        out: inner.out,
        first: false,
    };
    object.raw("redacts", target.get().as_bytes());
    for (name, value) in &run {
        object.raw(name, value.get().as_bytes());
    }
    true
}

impl Unsigned<'_> {
    fn write(&self, event: &mut Members<'_>) {
        let start = event.out.len();
        event.name("unsigned");
        event.out.push(b'{');
        let empty = event.out.len();
        let mut object = Members {
            out: event.out,
            first: true,
        };
        if let Some(age_ms) = self.age_ms {
            object.name("age");
            // Writing into memory does not fail.
            let _ = write!(object.out, "{age_ms}");
        }
        let texts = [
            ("transaction_id", self.transaction_id),
            ("membership", self.membership),
            ("replaces_state", self.replaces_state),
            ("prev_sender", self.prev_sender),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                object.text(name, value);
            }
        }
        let raws = [
            ("prev_content", self.prev_content),
            ("redacted_because", self.redacted_because),
            ("m.relations", self.relations),
        ];
        for (name, value) in raws {
            if let Some(value) = value {
                object.raw(name, value);
            }
        }
        if event.out.len() == empty {
            event.out.truncate(start);
        } else {
            event.out.push(b'}');
        }
    }
}

/// The members of an object being written.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(self.out, name);
        self.out.push(b':');
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value);
    }
}

fn string(out: &mut Vec<u8>, value: &str) {
    // Writing a string into memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests;
