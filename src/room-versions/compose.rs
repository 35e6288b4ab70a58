//! Making an event of our own: content hash, signature, event id, size limits.
//!
//! [spec](https://spec.matrix.org/v1.19/server-server-api/#signing-events)

use std::fmt;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, OwnedServerName, RoomId, UInt,
    UserId,
    signatures::{
        Ed25519KeyPair, JsonError, hash_and_sign_event, reference_hash,
        required_server_signatures_to_verify_event,
    },
};
use serde_json::value::RawValue;

use crate::{ParseError, Parts, Pdu, Rules, canonical};

/// The most bytes of a PDU with its signatures
/// ([size limits](https://spec.matrix.org/v1.19/client-server-api/#size-limits)).
pub const MAX_PDU_BYTES: usize = 65_536;
/// The most bytes of a type, a state key or an identifier.
pub const MAX_ID_BYTES: usize = 255;
/// The most `prev_events` of an event ([PDU format](https://spec.matrix.org/v1.19/rooms/v12/#event-format-1)).
pub const MAX_PREV_EVENTS: usize = 20;
/// The most `auth_events` of an event.
pub const MAX_AUTH_EVENTS: usize = 10;

/// An event as its room's owner composes it, before it is hashed and signed.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The room; `None` in the create event of a room whose id comes from that event ([`Rules::room_id_from_create`]).
    pub room_id: Option<&'a RoomId>,
    /// Who sends it: a user of the signer's server.
    pub sender: &'a UserId,
    /// `type`
    pub event_type: &'a str,
    /// Present in a state event.
    pub state_key: Option<&'a str>,
    /// `content`, a JSON object.
    pub content: &'a RawValue,
    /// The event to redact; put where the room version wants it.
    pub redacts: Option<&'a EventId>,
    /// Milliseconds since the Unix epoch.
    pub origin_server_ts: u64,
    /// The room's forward extremities, at most [`MAX_PREV_EVENTS`].
    pub prev_events: &'a [Reference],
    /// The state named by [`Rules::auth_types`], as far as it exists.
    pub auth_events: &'a [Reference],
    /// One more than the greatest depth among `prev_events`; capped at 2⁵³-1.
    pub depth: u64,
    /// A random word for the event id, needed only unless [`Rules::event_id_is_hash`].
    pub opaque_id: Option<&'a str>,
}

/// How an event names an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The event.
    pub event_id: OwnedEventId,
    /// Its reference hash, where the room version writes it (1 and 2).
    pub sha256: Option<Box<str>>,
}

/// Who signs.
pub struct Signer {
    server_name: OwnedServerName,
    key_pair: Ed25519KeyPair,
}

impl Signer {
    /// Signs for `server_name` with a key of its own.
    pub fn new(server_name: OwnedServerName, key_pair: Ed25519KeyPair) -> Self {
        Self {
            server_name,
            key_pair,
        }
    }

    /// The same from the 32 random bytes that are the secret key, called `ed25519:{version}`.
    ///
    /// # Errors
    /// None that a seed could cause; ruma's constructor returns them.
    pub fn from_seed(
        server_name: OwnedServerName,
        seed: &[u8; 32],
        version: String,
    ) -> Result<Self, ruma::signatures::Ed25519KeyPairParseError> {
        // A PKCS#8 version 1 document of algorithm 1.3.101.112 around the seed (RFC 8410, section 7).
        let mut document = vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        document.extend_from_slice(seed);
        Ok(Self::new(
            server_name,
            Ed25519KeyPair::from_der(&document, version)?,
        ))
    }

    /// The server that signs.
    pub fn server_name(&self) -> &OwnedServerName {
        &self.server_name
    }

    /// Its key.
    pub fn key_pair(&self) -> &Ed25519KeyPair {
        &self.key_pair
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Signer")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// A finished event, for the rules and for the store.
#[derive(Clone, Debug)]
pub struct Composed {
    /// As the rules read it.
    pub pdu: Pdu,
    /// As the store keeps it.
    pub parts: Parts,
}

/// Why a draft cannot become an event.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The content is not canonical JSON (a float, an integer beyond ±(2⁵³-1), nested too deep, not an object), or
    /// lacks what an event of its type needs to be signed (`M_BAD_JSON`).
    #[error("the content is malformed: {0}")]
    NotCanonical(String),
    /// A size limit (`M_TOO_LARGE`).
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which part of the event.
        what: &'static str,
        /// Its limit.
        limit_bytes: usize,
    },
    /// The event needs the signature of another server: its sender's, or that of the user in
    /// `join_authorised_via_users_server`.
    #[error("the event needs a signature of {0}")]
    ForeignSignature(OwnedServerName),
    /// The draft contradicts the room version: a room id where none belongs, or too many references. A fault of ours.
    #[error("the draft does not fit its room version: {0}")]
    Draft(String),
}

impl Rules {
    /// Hashes, signs and names an event.
    ///
    /// # Errors
    /// [`BuildError`]; whether the event is allowed is [`Rules::authorise`]'s to say.
    pub fn compose(&self, draft: &Draft<'_>, signer: &Signer) -> Result<Composed, BuildError> {
        let mut pdu = self.unsigned(draft, signer)?;
        self.require_own_signature(&pdu, signer)?;
        hash_and_sign_event(
            signer.server_name.as_str(),
            &signer.key_pair,
            &mut pdu,
            &self.ruma.redaction,
        )?;

        let parts = Parts::of(&pdu, self).map_err(|error| BuildError::Draft(error.to_string()))?;
        if parts.client.len() + parts.federation.len() + "{,}".len() > MAX_PDU_BYTES {
            return Err(TOO_LARGE);
        }
        let event_id = self.name(&pdu)?;
        let pdu = self.parse(&event_id, &parts.client, &parts.federation)?;
        Ok(Composed { pdu, parts })
    }

    fn unsigned(
        &self,
        draft: &Draft<'_>,
        signer: &Signer,
    ) -> Result<CanonicalJsonObject, BuildError> {
        let mut content =
            canonical::content(draft.content.get()).map_err(BuildError::NotCanonical)?;
        let mut pdu = CanonicalJsonObject::new();
        let mut put = |name: &str, value: CanonicalJsonValue| pdu.insert(name.to_owned(), value);

        if let Some(redacts) = draft.redacts {
            let redacts = CanonicalJsonValue::String(redacts.to_string());
            if self.redacts_in_content() {
                content.insert("redacts".to_owned(), redacts);
            } else {
                put("redacts", redacts);
            }
        }
        let makes_room = self.room_id_from_create() && draft.event_type == "m.room.create";
        match draft.room_id {
            Some(room_id) if !makes_room => {
                put("room_id", bounded("room_id", room_id.as_str())?);
            }
            None if makes_room => {}
            _ => return Err(BuildError::Draft("room_id".to_owned())),
        }
        if let Some(state_key) = draft.state_key {
            put("state_key", bounded("state_key", state_key)?);
        }
        if !self.event_id_is_hash() {
            let opaque = draft
                .opaque_id
                .ok_or_else(|| BuildError::Draft("opaque_id".to_owned()))?;
            put(
                "event_id",
                bounded("event_id", &format!("${opaque}:{}", signer.server_name))?,
            );
        }
        put("sender", bounded("sender", draft.sender.as_str())?);
        put("type", bounded("type", draft.event_type)?);
        put("content", content.into());
        put(
            "depth",
            UInt::try_from(draft.depth).unwrap_or(UInt::MAX).into(),
        );
        let ts = UInt::try_from(draft.origin_server_ts)
            .map_err(|_| BuildError::NotCanonical("origin_server_ts is out of range".to_owned()))?;
        put("origin_server_ts", ts.into());
        put(
            "prev_events",
            self.references(draft.prev_events, MAX_PREV_EVENTS)?,
        );
        put(
            "auth_events",
            self.references(draft.auth_events, MAX_AUTH_EVENTS)?,
        );
        Ok(pdu)
    }

    fn references(
        &self,
        references: &[Reference],
        limit: usize,
    ) -> Result<CanonicalJsonValue, BuildError> {
        if references.len() > limit {
            return Err(BuildError::Draft(format!(
                "{} references, more than {limit}",
                references.len()
            )));
        }
        let write = |reference: &Reference| {
            let id = CanonicalJsonValue::String(reference.event_id.to_string());
            if !self.references_carry_hashes() {
                return Ok(id);
            }
            let Some(sha256) = &reference.sha256 else {
                return Err(BuildError::Draft(format!(
                    "no hash for {}",
                    reference.event_id
                )));
            };
            let hash = CanonicalJsonValue::String(sha256.to_string());
            let hashes = CanonicalJsonObject::from([("sha256".to_owned(), hash)]);
            Ok(CanonicalJsonValue::Array(vec![id, hashes.into()]))
        };
        references
            .iter()
            .map(write)
            .collect::<Result<Vec<_>, _>>()
            .map(CanonicalJsonValue::Array)
    }

    fn require_own_signature(
        &self,
        pdu: &CanonicalJsonObject,
        signer: &Signer,
    ) -> Result<(), BuildError> {
        let servers = required_server_signatures_to_verify_event(pdu, &self.ruma.signatures)
            .map_err(|error| BuildError::NotCanonical(error.to_string()))?;
        match servers
            .into_iter()
            .find(|server| *server != signer.server_name)
        {
            Some(foreign) => Err(BuildError::ForeignSignature(foreign)),
            None => Ok(()),
        }
    }

    /// The event's id: the reference hash, or what versions 1 and 2 wrote into the event.
    fn name(&self, pdu: &CanonicalJsonObject) -> Result<OwnedEventId, BuildError> {
        let id = match pdu.get("event_id").and_then(CanonicalJsonValue::as_str) {
            Some(id) => id.to_owned(),
            None => format!("${}", reference_hash(pdu, &self.ruma)?),
        };
        EventId::parse(id).map_err(|error| BuildError::Draft(error.to_string()))
    }
}

impl Reference {
    /// Names an event of a room version whose references carry no hash (3 on).
    pub fn to(event_id: OwnedEventId) -> Self {
        Self {
            event_id,
            sha256: None,
        }
    }
}

const TOO_LARGE: BuildError = BuildError::TooLarge {
    what: "the event",
    limit_bytes: MAX_PDU_BYTES,
};

fn bounded(what: &'static str, value: &str) -> Result<CanonicalJsonValue, BuildError> {
    if value.len() > MAX_ID_BYTES {
        return Err(BuildError::TooLarge {
            what,
            limit_bytes: MAX_ID_BYTES,
        });
    }
    Ok(CanonicalJsonValue::String(value.to_owned()))
}

impl From<JsonError> for BuildError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::PduTooLarge => TOO_LARGE,
            other => Self::NotCanonical(other.to_string()),
        }
    }
}

impl From<ParseError> for BuildError {
    fn from(error: ParseError) -> Self {
        Self::Draft(error.to_string())
    }
}

#[cfg(test)]
mod tests;
