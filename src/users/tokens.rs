//! Secrets that stand for a session: random, handed out once, kept only as their SHA-256.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use host::Host;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};
use store::codec::Tail;

/// What a token is for: the first letters of it, so that a leaked one is recognised in a log or a repository.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
    Login,
    OpenId,
}

/// About 238 bits.
const RANDOM_CHARACTERS: usize = 40;
/// Longer ones are nobody's.
const MAX_TOKEN_BYTES: usize = 512;

/// A new token.
pub(crate) fn generate(host: &Host, kind: TokenKind) -> String {
    let prefix = match kind {
        TokenKind::Access => "mya_",
        TokenKind::Refresh => "myr_",
        TokenKind::Login => "myl_",
        TokenKind::OpenId => "myo_",
    };
    format!("{prefix}{}", host.random_string(RANDOM_CHARACTERS))
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a token that a client shows; `None` where nobody can have been given it.
    pub(crate) fn of(token: &str) -> Option<Self> {
        (token.len() <= MAX_TOKEN_BYTES).then(|| Self::of_new(token))
    }

    /// Of a token that we made.
    pub(crate) fn of_new(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub(crate) fn key(&self) -> Tail {
        Tail(self.0.to_vec())
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| D::Error::custom("a SHA-256 has 32 bytes"))
    }
}
