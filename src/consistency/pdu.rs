//! What the rows about an event are keyed by.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use room_versions::Pdu;
use ruma::EventId;
use store::rows::Membership;

/// An event id as `EventIds` has it: the hash, where the id is one.
pub(crate) fn event_key(event_id: &EventId) -> Vec<u8> {
    let id = event_id.as_str();
    // A SHA-256 in base64 has 43 characters.
    let hash = id.strip_prefix('$').filter(|hash| hash.len() == 43);
    hash.and_then(|hash| URL_SAFE_NO_PAD.decode(hash).ok())
        .unwrap_or_else(|| id.as_bytes().to_vec())
}

/// The name under which an event type and state key have a number.
pub(crate) fn state_key_name(event_type: &str, state_key: &str) -> String {
    format!("{event_type}\0{state_key}")
}

/// `membership` of an `m.room.member` event.
pub(crate) fn membership_of(pdu: &Pdu) -> Option<Membership> {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Content = serde_json::from_str(pdu.content.get()).ok()?;
    Membership::parse(&content.membership)
}
