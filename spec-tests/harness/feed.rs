//! A `/sync` loop: long-polls until what a test waits for has come.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{PATIENCE_SECONDS, User, encode};

/// One device's position in its stream of news.
#[derive(Debug)]
pub struct Feed<'a> {
    user: &'a User,
    since: String,
    filter: Option<String>,
}

impl<'a> Feed<'a> {
    /// Starts now: what happened before is not news.
    #[track_caller]
    pub fn from_now(user: &'a User) -> Self {
        Self::since(user, &user.now())
    }

    pub fn since(user: &'a User, since: &str) -> Self {
        Self {
            user,
            since: since.to_owned(),
            filter: None,
        }
    }

    /// The same with a filter for every request that follows.
    #[must_use]
    pub fn with_filter(mut self, filter: &Value) -> Self {
        self.filter = Some(filter.to_string());
        self
    }

    /// The token the next request would use.
    pub fn token(&self) -> &str {
        &self.since
    }

    /// The next response, waiting for news up to `timeout_ms`.
    #[track_caller]
    pub fn next(&mut self, timeout_ms: u64) -> Value {
        let mut path = format!(
            "/v3/sync?since={}&timeout={timeout_ms}",
            encode(&self.since)
        );
        if let Some(filter) = &self.filter {
            path.push_str("&filter=");
            path.push_str(&encode(filter));
        }
        let answer = self.user.get(&path).ok();
        let next = answer["next_batch"]
            .as_str()
            .expect("next_batch is a string");
        next.clone_into(&mut self.since);
        answer
    }

    /// Long-polls until `wanted` finds what it looks for in a response.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
        let mut last = Value::Null;
        while Instant::now() < deadline {
            last = self.next(5_000);
            if let Some(found) = wanted(&last) {
                return found;
            }
        }
        panic!("{what} did not come within {PATIENCE_SECONDS} s; the last /sync was {last}");
    }

    /// Waits for an event in the timeline of a joined room.
    #[track_caller]
    pub fn event(&mut self, room: &str, event_id: &str) -> Value {
        self.until(&format!("event {event_id}"), |sync| {
            let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array()?;
            events
                .iter()
                .find(|event| event["event_id"] == event_id)
                .cloned()
        })
    }

    /// Waits for an ephemeral event of a joined room that satisfies `wanted`.
    #[track_caller]
    pub fn ephemeral(&mut self, room: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until("the ephemeral event", |sync| {
            let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array()?;
            events.iter().find(|event| wanted(event)).cloned()
        })
    }
}
