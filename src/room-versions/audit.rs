//! Whether a stored event is what it was when it was signed: content hash, reference hash, signature.
//!
//! [spec](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events)

use ruma::{
    CanonicalJsonValue, OwnedServerName, SigningKeyAlgorithm,
    canonical_json::RedactingSerializer,
    serde::{Base64, base64::Standard},
    signatures::{content_hash, reference_hash, verify_canonical_json_bytes},
};

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
    /// Its signature, as far as the key can tell.
    pub signature: SignatureState,
}

/// What a key says of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureState {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// The event has none of the server's.
    Missing,
    /// Made with another key of the server's, or not looked at.
    Unknown,
}

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
        let event_id = if self.event_id_is_hash() {
            let hash = reference_hash(&pdu, &self.ruma).map_err(|error| error.to_string())?;
            format!("${hash}")
        } else {
            pdu.get("event_id")
                .and_then(text)
                .ok_or("has no event_id")?
        };
        let signature = match key {
            None => SignatureState::Unknown,
            Some(key) => {
                let signed = RedactingSerializer::new()
                    .rules(&self.ruma.redaction)
                    .custom_redacted_root_fields(&["signatures", "unsigned"])
                    .serialize(&pdu)
                    .map_err(|error| error.to_string())?;
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
                        Some(signature) => key.says(signature, &signed),
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

impl PublicKey {
    fn says(&self, signature: &CanonicalJsonValue, signed: &str) -> SignatureState {
        let right = signature
            .as_str()
            .and_then(|text| Base64::<Standard>::parse(text).ok())
            .is_some_and(|signature| {
                let (algorithm, signed) = (SigningKeyAlgorithm::Ed25519, signed.as_bytes());
                verify_canonical_json_bytes(&algorithm, &self.key, signature.as_bytes(), signed)
                    .is_ok()
            });
        if right {
            SignatureState::Right
        } else {
            SignatureState::Wrong
        }
    }
}

#[cfg(test)]
mod tests;
