//! Which events a client wants: a `RoomEventFilter`, ready to be asked about many events.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#filtering)

use std::collections::HashSet;

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::filter::{Filter, LazyLoadOptions, RoomEventFilter, UrlFilter},
};
use serde::{Deserialize, de::IgnoredAny};

use crate::Event;

/// A filter for the events of rooms.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    types: Option<Types>,
    not_types: Types,
    senders: Option<HashSet<OwnedUserId>>,
    not_senders: HashSet<OwnedUserId>,
    rooms: Option<HashSet<OwnedRoomId>>,
    not_rooms: HashSet<OwnedRoomId>,
    contains_url: Option<bool>,
    /// The most events to return, if the client says so.
    pub limit: Option<usize>,
    /// Members are told only where they matter to the events returned.
    pub lazy_load_members: bool,
    /// Members are told even where the client must know them already.
    pub include_redundant_members: bool,
}

/// Event types, some with wildcards.
#[derive(Clone, Debug, Default)]
struct Types {
    exact: HashSet<String>,
    patterns: Vec<String>,
}

impl From<RoomEventFilter> for EventFilter {
    fn from(filter: RoomEventFilter) -> Self {
        let (lazy_load_members, include_redundant_members) = match filter.lazy_load_options {
            LazyLoadOptions::Disabled => (false, false),
            LazyLoadOptions::Enabled {
                include_redundant_members,
            } => (true, include_redundant_members),
        };
        Self {
            types: filter.types.map(Types::from),
            not_types: filter.not_types.into(),
            senders: filter.senders.map(HashSet::from_iter),
            not_senders: HashSet::from_iter(filter.not_senders),
            rooms: filter.rooms.map(HashSet::from_iter),
            not_rooms: HashSet::from_iter(filter.not_rooms),
            contains_url: filter
                .url_filter
                .map(|url| matches!(url, UrlFilter::EventsWithUrl)),
            limit: filter
                .limit
                .map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)),
            lazy_load_members,
            include_redundant_members,
        }
    }
}

impl From<Filter> for EventFilter {
    fn from(filter: Filter) -> Self {
        Self {
            types: filter.types.map(Types::from),
            not_types: filter.not_types.into(),
            senders: filter.senders.map(HashSet::from_iter),
            not_senders: HashSet::from_iter(filter.not_senders),
            limit: filter
                .limit
                .map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)),
            ..Self::default()
        }
    }
}

impl EventFilter {
    /// Lets nothing pass.
    pub fn nothing() -> Self {
        Self {
            types: Some(Types::default()),
            ..Self::default()
        }
    }

    /// Whether any event of the room may pass.
    pub fn takes_room(&self, room_id: &RoomId) -> bool {
        !self.not_rooms.contains(room_id)
            && self
                .rooms
                .as_ref()
                .is_none_or(|rooms| rooms.contains(room_id))
    }

    /// Whether every event of every room passes.
    pub fn takes_all(&self) -> bool {
        self.types.is_none()
            && self.not_types.is_empty()
            && self.senders.is_none()
            && self.not_senders.is_empty()
            && self.rooms.is_none()
            && self.not_rooms.is_empty()
            && self.contains_url.is_none()
    }

    /// Whether something of this type and sender passes that is no event of a room: receipts, account data, presence.
    pub fn takes_other(&self, event_type: &str, sender: Option<&UserId>) -> bool {
        let of =
            |senders: &HashSet<OwnedUserId>| sender.is_some_and(|sender| senders.contains(sender));
        self.types
            .as_ref()
            .is_none_or(|types| types.contain(event_type))
            && !self.not_types.contain(event_type)
            && (sender.is_none() || self.senders.as_ref().is_none_or(of))
            && !of(&self.not_senders)
    }

    /// Whether the event passes, in a room that does.
    pub fn takes(&self, event: &Event) -> bool {
        // "A matching type will be excluded even if it is listed in the 'types' filter", and so for senders.
        self.types
            .as_ref()
            .is_none_or(|types| types.contain(&event.event_type))
            && !self.not_types.contain(&event.event_type)
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| senders.contains(&event.sender))
            && !self.not_senders.contains(&event.sender)
            && self
                .contains_url
                .is_none_or(|wanted| wanted == contains_url(event))
    }
}

impl From<Vec<String>> for Types {
    fn from(types: Vec<String>) -> Self {
        let (patterns, exact): (Vec<_>, Vec<_>) =
            types.into_iter().partition(|name| name.contains('*'));
        Self {
            exact: exact.into_iter().collect(),
            patterns,
        }
    }
}

impl Types {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    fn contain(&self, event_type: &str) -> bool {
        self.exact.contains(event_type)
            || self
                .patterns
                .iter()
                .any(|pattern| matches(pattern, event_type))
    }
}

/// "A '*' can be used as a wildcard to match any sequence of characters."
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text
        .strip_prefix(head)
        .and_then(|text| text.strip_suffix(tail))
    else {
        return false;
    };
    // The first place for each part leaves the most for those after it.
    for part in middle.split('*') {
        match text.find(part) {
            Some(start) => text = &text[start + part.len()..],
            None => return false,
        }
    }
    true
}

fn contains_url(event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Content {
        url: Option<IgnoredAny>,
    }
    serde_json::from_str::<Content>(event.content()).is_ok_and(|content| content.url.is_some())
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_stand_for_any_characters() {
        let rows = [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.message", true),
            ("m.room.*", "m.room.", true),
            ("m.room.*", "m.roo", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*.message", "m.room.message", true),
            ("*.message", "m.room.messages", false),
            ("m.*.member", "m.room.member", true),
            ("m.*.member", "m.member", false),
            ("m.*o*.m*", "m.room.message", true),
            ("**", "x", true),
            ("a*b*c*d", "a-c-b-d", false),
            ("a*b*c*d", "a-b-c-d", true),
            ("ab*ba", "aba", false),
            ("m.\u{f6}*", "m.\u{f6}\u{df}", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
