//! Options of push notifications. A doc comment here is the text in `config/myelin.toml`.

use serde::{Deserialize, Serialize};

/// `push.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// Whether phones are notified, through the push gateways that their applications name.
    pub enabled: bool,
    /// Whether gateways are told what an event says. Applications that ask for "event_id_only" never have it told.
    pub include_content: bool,
    /// How long a gateway may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// Notifications sent at the same time; to one gateway half of them.
    pub max_concurrent: usize,
    /// Notifications that wait for one pusher whose gateway does not answer. Of more, the oldest are dropped.
    pub max_queued: usize,
    /// How long a notification may wait before it is dropped, in milliseconds.
    pub max_age_ms: u64,
    /// How long to wait after a gateway has failed, in milliseconds. Twice as long after each failure in a row.
    pub retry_ms: u64,
    /// The longest to wait for a gateway that goes on failing, in milliseconds.
    pub max_retry_ms: u64,
}

impl Default for Push {
    fn default() -> Self {
        // A second, doubled up to an hour, for a day: Synapse's numbers, give or take. A gateway only takes a note: ten
        // seconds are long. Two hundred messages are more than anybody reads on a lock screen.
        Self {
            enabled: true,
            include_content: true,
            timeout_ms: 10_000,
            max_concurrent: 32,
            max_queued: 200,
            max_age_ms: 24 * 60 * 60_000,
            retry_ms: 1_000,
            max_retry_ms: 60 * 60_000,
        }
    }
}
