//! Whether an event may be: the [authorisation rules](https://spec.matrix.org/v1.19/server-server-api/#authorization-rules).

use std::sync::Arc;

use ruma::{
    EventId, UserId,
    events::{StateEventType, TimelineEventType},
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
    },
};
use serde_json::value::RawValue;

use crate::{Pdu, Rules, powers::Slim};

/// The rules forbid the event (`M_FORBIDDEN`), or its content is not what its type demands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AuthError {
    /// Which rule, in words for people.
    pub reason: String,
}

impl Rules {
    /// The state that allows an event: what to select for its `auth_events`, as far as the room has it.
    ///
    /// [spec](https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection)
    ///
    /// # Errors
    /// For an `m.room.member` event without a state key or with a malformed content.
    pub fn auth_types(
        &self,
        event_type: &TimelineEventType,
        sender: &UserId,
        state_key: Option<&str>,
        content: &RawValue,
    ) -> Result<Vec<(StateEventType, String)>, AuthError> {
        auth_types_for_event(
            event_type,
            sender,
            state_key,
            content,
            &self.ruma.authorization,
        )
        .map_err(AuthError::new)
    }

    /// Whether the room's state before the event allows it.
    ///
    /// `state` answers for `m.room.create` and for everything that [`Rules::auth_types`] named. That the event's own
    /// `auth_events` are well chosen is not asked here: an event of ours names exactly what `auth_types` told.
    ///
    /// # Errors
    /// The first rule that forbids it.
    pub fn authorise(
        &self,
        event: &Pdu,
        state: impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
    ) -> Result<(), AuthError> {
        let rules = &self.ruma.authorization;
        let verdict = if event.event_type == TimelineEventType::RoomCreate {
            // A create event has no auth events, so the rules that are independent of state are all that apply.
            check_state_independent_auth_rules(rules, event, |_: &EventId| None::<Arc<Pdu>>)
        } else {
            let state = |of: &StateEventType, key: &str| Some(Slim::new(state(of, key)?, event));
            check_state_dependent_auth_rules(rules, event, state)
        };
        verdict.map_err(AuthError::new)
    }
}

impl AuthError {
    pub(crate) fn new(reason: String) -> Self {
        Self { reason }
    }
}

#[cfg(test)]
mod tests;
