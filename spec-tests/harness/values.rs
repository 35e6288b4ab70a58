//! Small helpers for JSON and paths.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A name that no other test and no earlier run against the same server has used.
pub fn fresh(prefix: &str) -> String {
    static RUN: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
    let run = RUN.get_or_init(|| {
        // The process's start, as the modification time of a file made now.
        let file = tempfile::tempfile().and_then(|file| file.metadata()?.modified());
        file.ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or(Duration::ZERO)
            .as_millis()
            % 1_000_000_000
    });
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{run:x}-{number}")
}

/// One path segment or query value, percent-encoded.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `/v3/rooms/{room}/{rest}`.
pub fn room_path(room: &str, rest: &str) -> String {
    format!("/v3/rooms/{}/{rest}", encode(room))
}

/// The event ids of a list of events, in order.
pub fn event_ids(events: &Value) -> Vec<&str> {
    events
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

/// The first event of a list for which `wanted` holds.
pub fn find_event(events: &Value, wanted: impl Fn(&Value) -> bool) -> Option<&Value> {
    events.as_array()?.iter().find(|event| wanted(event))
}

/// The latest state event of this type and key in a list of events.
pub fn find_state<'a>(events: &'a Value, event_type: &str, state_key: &str) -> Option<&'a Value> {
    let mut latest_first = events.as_array()?.iter().rev();
    latest_first.find(|event| event["type"] == event_type && event["state_key"] == state_key)
}
