//! Whether a stored event is what it was when it was signed: content hash, reference hash, signature.
//!
//! [spec](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events)

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey, verify_batch};
use ruma::{
    CanonicalJsonValue, OwnedServerName,
    canonical_json::RedactingSerializer,
    room_version_rules::EventIdFormatVersion,
    serde::{Base64, base64::Standard},
    signatures::content_hash,
};
use sha2::{Digest as _, Sha256};

use crate::{Rules, Signer, canonical, pdu_json};

/// The public half of a server's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Whose it is.
    pub server_name: OwnedServerName,
    /// `ed25519:version`
    pub key_id: String,
    /// 32 bytes.
    pub key: Vec<u8>,
}

/// What a stored event says of itself, computed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `hashes` is that of the content. Never so for a redacted event that had content to lose.
    pub content_hash_matches: bool,
    /// The id that the bytes give it.
    pub event_id: String,
    /// Its signature.
    pub signature: SignatureState,
}

/// What there is of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureState {
    /// It has one, which [`PublicKey::verify`] looks at.
    Claimed(Claim),
    /// The event has none of the server's.
    Missing,
    /// Made with another key of the server's, or not looked at.
    Unknown,
}

/// What was signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    signed: String,
    /// `None` for one that has not even the form.
    signature: Option<Signature>,
}

/// Signatures that are verified at once: from some hundred on each costs the same.
const AT_ONCE: usize = 512;

impl Signer {
    /// What others verify our signatures with.
    pub fn public_key(&self) -> PublicKey {
        let key_pair = self.key_pair();
        PublicKey {
            server_name: self.server_name().clone(),
            key_id: format!("ed25519:{}", key_pair.version()),
            key: key_pair.public_key().to_vec(),
        }
    }
}

impl Rules {
    /// Hashes a stored event anew, and verifies its signature where there is a key.
    ///
    /// # Errors
    /// Why it is no event of the room version.
    pub fn audit(
        &self,
        client: &[u8],
        federation: &[u8],
        key: Option<&PublicKey>,
    ) -> Result<Audit, String> {
        let json = pdu_json(client, federation);
        let pdu = canonical::object(str::from_utf8(&json).map_err(|error| error.to_string())?)?;
        let text = |value: &CanonicalJsonValue| value.as_str().map(str::to_owned);
        let claimed = pdu
            .get("hashes")
            .and_then(CanonicalJsonValue::as_object)
            .and_then(|hashes| hashes.get("sha256"))
            .and_then(text)
            .ok_or("has no hash")?;
        let hash = content_hash(&pdu).map_err(|error| error.to_string())?;
        // What is signed is what gives the id, too.
        let essential = RedactingSerializer::new()
            .rules(&self.ruma.redaction)
            .custom_redacted_root_fields(&["signatures", "unsigned"])
            .serialize(&pdu)
            .map_err(|error| error.to_string())?;
        let event_id = if self.event_id_is_hash() {
            let hash = Sha256::digest(essential.as_bytes());
            let engine = match self.ruma.event_id_format {
                EventIdFormatVersion::V1 | EventIdFormatVersion::V2 => STANDARD_NO_PAD,
                _ => URL_SAFE_NO_PAD,
            };
            format!("${}", engine.encode(hash))
        } else {
            pdu.get("event_id")
                .and_then(text)
                .ok_or("has no event_id")?
        };
        let signature = match key {
            None => SignatureState::Unknown,
            Some(key) => {
                let signatures = pdu
                    .get("signatures")
                    .and_then(CanonicalJsonValue::as_object)
                    .and_then(|servers| servers.get(key.server_name.as_str()))
                    .and_then(CanonicalJsonValue::as_object);
                match signatures {
                    None => SignatureState::Missing,
                    Some(signatures) => match signatures.get(&key.key_id) {
                        None if signatures.is_empty() => SignatureState::Missing,
                        None => SignatureState::Unknown,
                        Some(signature) => SignatureState::Claimed(Claim {
                            signed: essential,
                            signature: signature.as_str().and_then(parse),
                        }),
                    },
                }
            }
        };
        Ok(Audit {
            content_hash_matches: claimed == hash.encode(),
            event_id,
            signature,
        })
    }
}

fn parse(signature: &str) -> Option<Signature> {
    let bytes = Base64::<Standard>::parse(signature).ok()?;
    Signature::from_slice(bytes.as_bytes()).ok()
}

impl PublicKey {
    /// Which of these signatures are right, in their order. Many at once cost half of what they cost one by one.
    pub fn verify(&self, claims: &[&Claim]) -> Vec<bool> {
        let bytes = <&[u8; 32]>::try_from(&*self.key).ok();
        let Some(key) = bytes.and_then(|bytes| VerifyingKey::from_bytes(bytes).ok()) else {
            return vec![false; claims.len()];
        };
        let one = |claim: &Claim| {
            let signature = claim.signature.as_ref();
            signature
                .is_some_and(|signature| key.verify(claim.signed.as_bytes(), signature).is_ok())
        };
        let mut right = Vec::with_capacity(claims.len());
        for claims in claims.chunks(AT_ONCE) {
            let (signed, signatures): (Vec<_>, Vec<_>) = claims
                .iter()
                .filter_map(|claim| Some((claim.signed.as_bytes(), claim.signature?)))
                .unzip();
            let keys = vec![key; signatures.len()];
            let are_right = signatures.len() == claims.len()
                && verify_batch(&signed, &signatures, &keys).is_ok();
            // Which of them is wrong only a look at each says.
            right.extend(claims.iter().map(|claim| are_right || one(claim)));
        }
        right
    }
}

#[cfg(test)]
mod tests;
