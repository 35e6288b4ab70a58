//! Options of calls. A doc comment here is the text in `config/myelin.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// `calls.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// TURN servers for calls between two users: "turn:turn.example.org?transport=udp". None: clients are told of none.
    pub turn_uris: Vec<String>,
    /// The secret shared with the TURN servers (coturn: static-auth-secret). Clients get passwords made with it.
    pub turn_shared_secret: Option<Secret>,
    /// A file that holds the secret.
    pub turn_shared_secret_file: Option<PathBuf>,
    /// How long such a password holds, in milliseconds.
    pub turn_lifetime_ms: u64,
    /// Where Element Call finds the LiveKit service of this server: "https://livekit.example.org/jwt".
    pub livekit_service_url: Option<String>,
    /// Events that one user may have waiting for their time (MSC4140, which calls need); 0 switches them off.
    pub max_delayed_events: usize,
    /// How long an event may wait, in milliseconds.
    pub max_event_delay_ms: u64,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            turn_uris: Vec::new(),
            turn_shared_secret: None,
            turn_shared_secret_file: None,
            turn_lifetime_ms: 24 * 60 * 60_000,
            livekit_service_url: None,
            max_delayed_events: 100,
            max_event_delay_ms: 24 * 60 * 60_000,
        }
    }
}
