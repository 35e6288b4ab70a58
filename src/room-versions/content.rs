//! The state contents that decide things, read once when a room is loaded or changed.

use ruma::{
    OwnedRoomId, OwnedUserId,
    events::{
        TimelineEventType,
        room::{
            history_visibility::HistoryVisibility,
            join_rules::JoinRule,
            member::MembershipState,
            power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent},
        },
    },
    state_res::events::RoomCreateEvent,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Pdu, Rules};

/// The content of a state event that should decide something does not have the form of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content of a {event_type} event is malformed: {reason}")]
pub struct ContentError {
    event_type: TimelineEventType,
    reason: String,
}

/// `m.room.create`: what cannot change about a room, besides its version.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#mroomcreate)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Who made the room: the sender first, then the additional creators (version 12 on).
    pub creators: Vec<OwnedUserId>,
    /// `m.federate`: other servers may take part.
    pub federate: bool,
    /// `type`, for instance `m.space`.
    pub room_type: Option<String>,
    /// The room that this one replaces.
    pub predecessor: Option<OwnedRoomId>,
}

#[derive(Deserialize)]
struct CreateContent {
    #[serde(rename = "m.federate")]
    federate: Option<bool>,
    #[serde(rename = "type")]
    room_type: Option<Value>,
    predecessor: Option<Value>,
}

/// `m.room.member`, as much of it as decides or is shown.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#mroommember)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the user is in the room.
    pub membership: MembershipState,
    /// Their name in the room, if it is a string.
    pub displayname: Option<String>,
    /// Their picture in the room, if it is a string.
    pub avatar_url: Option<String>,
    /// The invitation is to a direct chat.
    pub is_direct: bool,
    /// The member who vouches for a join under a restricted rule.
    pub join_authorised_via_users_server: Option<OwnedUserId>,
}

#[derive(Deserialize)]
struct MemberContent {
    membership: MembershipState,
    displayname: Option<Value>,
    avatar_url: Option<Value>,
    is_direct: Option<Value>,
    join_authorised_via_users_server: Option<Value>,
}

impl Rules {
    /// Reads a create event.
    ///
    /// # Errors
    /// If it is none that this room version allows.
    pub fn create(&self, event: &Pdu) -> Result<Create, ContentError> {
        let content: CreateContent = read(event)?;
        let additional = RoomCreateEvent::new(event)
            .creators(&self.ruma.authorization)
            .map_err(|reason| ContentError {
                event_type: event.event_type.clone(),
                reason,
            })?;
        let mut creators: Vec<_> = additional
            .into_iter()
            .filter(|creator| *creator != event.sender)
            .collect();
        creators.sort_unstable();
        // In versions 1 to 10 the content names the one creator, who is hardly ever another than the sender.
        if creators.is_empty() || !self.creator_in_content() {
            creators.insert(0, event.sender.clone());
        }
        Ok(Create {
            creators,
            federate: content.federate.unwrap_or(true),
            room_type: content.room_type.and_then(string),
            predecessor: content.predecessor.and_then(|predecessor| {
                serde_json::from_value(predecessor.get("room_id")?.clone()).ok()
            }),
        })
    }

    /// The power levels in force: those of the room's `m.room.power_levels` event, or the spec's defaults without one.
    /// From version 12 on they know the creators, whose power is infinite.
    ///
    /// # Errors
    /// If the event is none that the authorisation rules let through.
    pub fn power_levels(
        &self,
        create: &Create,
        event: Option<&Pdu>,
    ) -> Result<RoomPowerLevels, ContentError> {
        let content: Option<RoomPowerLevelsEventContent> = event.map(read).transpose()?;
        Ok(RoomPowerLevels::new(
            content.into(),
            &self.ruma.authorization,
            create.creators.iter().cloned(),
        ))
    }

    /// The `m.room.power_levels` content of a new room: 100 for `owners`, and the levels that keep a room usable.
    ///
    /// The spec leaves the content to the server; these figures are what clients know from other servers. From version 12 on
    /// creators stay out of it, and a tombstone takes 150, so that only they can send one.
    pub fn initial_power_levels<'a>(
        &self,
        owners: impl IntoIterator<Item = &'a OwnedUserId>,
    ) -> Value {
        let users: serde_json::Map<_, _> = owners
            .into_iter()
            .map(|owner| (owner.to_string(), json!(100)))
            .collect();
        let tombstone = if self.privileged_creators() { 150 } else { 100 };
        json!({
            "users": users,
            "users_default": 0,
            "events": {
                "m.room.name": 50,
                "m.room.power_levels": 100,
                "m.room.history_visibility": 100,
                "m.room.canonical_alias": 50,
                "m.room.avatar": 50,
                "m.room.tombstone": tombstone,
                "m.room.server_acl": 100,
                "m.room.encryption": 100,
            },
            "events_default": 0,
            "state_default": 50,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": 0,
        })
    }
}

impl Member {
    /// Reads a member event.
    ///
    /// # Errors
    /// If it has no membership.
    pub fn of(event: &Pdu) -> Result<Self, ContentError> {
        let content: MemberContent = read(event)?;
        Ok(Self {
            membership: content.membership,
            displayname: content.displayname.and_then(string),
            avatar_url: content.avatar_url.and_then(string),
            is_direct: content.is_direct == Some(Value::Bool(true)),
            join_authorised_via_users_server: content
                .join_authorised_via_users_server
                .and_then(|user| serde_json::from_value(user).ok()),
        })
    }
}

/// How one joins: the room's `m.room.join_rules`, or by invitation where there is none that can be understood.
pub fn join_rule(event: Option<&Pdu>) -> JoinRule {
    event
        .and_then(|event| serde_json::from_str(event.content.get()).ok())
        .unwrap_or(JoinRule::Invite)
}

/// Who sees the past: the room's `m.room.history_visibility`, or `shared` where there is none that can be understood.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility)
pub fn history_visibility(event: Option<&Pdu>) -> HistoryVisibility {
    #[derive(Deserialize)]
    struct Content {
        history_visibility: HistoryVisibility,
    }
    let content: Option<Content> =
        event.and_then(|event| serde_json::from_str(event.content.get()).ok());
    match content.map(|content| content.history_visibility) {
        Some(
            known @ (HistoryVisibility::Invited
            | HistoryVisibility::Joined
            | HistoryVisibility::Shared
            | HistoryVisibility::WorldReadable),
        ) => known,
        _ => HistoryVisibility::Shared,
    }
}

fn read<T: for<'de> Deserialize<'de>>(event: &Pdu) -> Result<T, ContentError> {
    serde_json::from_str(event.content.get()).map_err(|error| ContentError {
        event_type: event.event_type.clone(),
        reason: error.to_string(),
    })
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
