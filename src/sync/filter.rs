//! What a client wants to hear, ready to be asked.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#filtering)

use std::collections::HashSet;

use rooms::EventFilter;
use ruma::{
    OwnedRoomId, RoomId,
    api::client::filter::{EventFormat, FilterDefinition},
};

use crate::fields::Fields;

/// A filter of `/sync`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub(crate) presence: EventFilter,
    pub(crate) account_data: EventFilter,
    pub(crate) timeline: EventFilter,
    pub(crate) state: EventFilter,
    pub(crate) ephemeral: EventFilter,
    pub(crate) room_account_data: EventFilter,
    /// Rooms left are told of in a first sync, too.
    pub(crate) include_leave: bool,
    /// Unread counts are told thread by thread.
    pub(crate) by_thread: bool,
    pub(crate) format: Format,
    rooms: Option<HashSet<OwnedRoomId>>,
    not_rooms: HashSet<OwnedRoomId>,
}

/// How events are written.
#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    /// As the client-server API has them.
    #[default]
    Client,
    /// These members of them.
    Fields(Fields),
    /// As other servers get them.
    Federation,
}

impl Filter {
    /// The same for somebody who is not told who is online.
    #[must_use]
    pub fn without_presence(mut self) -> Self {
        self.presence = EventFilter::nothing();
        self
    }

    /// Whether anything of the room is wanted.
    pub(crate) fn takes_room(&self, room_id: &RoomId) -> bool {
        !self.not_rooms.contains(room_id)
            && self
                .rooms
                .as_ref()
                .is_none_or(|rooms| rooms.contains(room_id))
    }
}

impl From<FilterDefinition> for Filter {
    fn from(filter: FilterDefinition) -> Self {
        let room = filter.room;
        let format = match (filter.event_format, filter.event_fields) {
            (EventFormat::Federation, _) => Format::Federation,
            (_, Some(fields)) => Format::Fields(Fields::new(&fields)),
            (_, None) => Format::Client,
        };
        Self {
            presence: filter.presence.into(),
            account_data: filter.account_data.into(),
            // Where it belongs is the timeline's filter; some clients put it into the state's.
            by_thread: room.timeline.unread_thread_notifications
                || room.state.unread_thread_notifications,
            timeline: room.timeline.into(),
            state: room.state.into(),
            ephemeral: room.ephemeral.into(),
            room_account_data: room.account_data.into(),
            include_leave: room.include_leave,
            format,
            rooms: room.rooms.map(HashSet::from_iter),
            not_rooms: HashSet::from_iter(room.not_rooms),
        }
    }
}
