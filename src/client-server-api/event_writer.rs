//! Writes answers that consist of events: the events' own bytes, and glue between them.
//!
//! ruma's response types are not used for these: they would take every event apart and put it together again. The tests
//! read the answers with them.

use std::sync::Arc;

use ::rooms::{Bundles, ClientView, Event, Reader, Rooms, Visibility, write_json_str};
use host::Host;
use http_layer::JsonBytes;
use ruma::RoomId;
use users::Users;

use crate::Error;

/// One reader's answer, being written: a JSON object.
pub(crate) struct EventWriter<'a> {
    out: Vec<u8>,
    reader: &'a users::Session,
    room_id: &'a RoomId,
    now_ms: u64,
    /// Set to tell the reader's own membership with each event.
    visibility: Option<&'a Visibility>,
    /// What is told with the events about those that relate to them.
    bundles: Bundles,
}

impl<'a> EventWriter<'a> {
    pub(crate) fn new(host: &Host, reader: &'a users::Session, room_id: &'a RoomId) -> Self {
        Self {
            out: Vec::with_capacity(1024),
            reader,
            room_id,
            now_ms: host.now_ms(),
            visibility: None,
            bundles: Bundles::default(),
        }
    }

    /// Tells `unsigned.membership` with each event from here on.
    pub(crate) fn with_membership(mut self, visibility: &'a Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// Tells `unsigned.m.relations` with these events of one room, as far as the reader may see it.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events)
    pub(crate) async fn with_relations(
        mut self,
        rooms: &Rooms,
        users: &Users,
        events: &[Arc<Event>],
    ) -> Result<Self, Error> {
        let ignored = users.ignored_users(self.reader.user).await?;
        let reader = Reader {
            user_id: &self.reader.user_id,
            visibility: self.visibility,
            ignored: &ignored,
            upto: rooms.store().visible(),
        };
        self.bundles.extend(rooms.bundles(&reader, events).await?);
        Ok(self)
    }

    /// A member that is a number.
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A member that is a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_json_str(&mut self.out, value);
    }

    /// A member that is JSON.
    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    /// A member that is an event.
    pub(crate) fn event(&mut self, name: &str, event: &Event) {
        self.name(name);
        self.write(event);
    }

    /// A member that is a list of events.
    pub(crate) fn events(&mut self, name: &str, events: &[Arc<Event>]) {
        self.name(name);
        self.list(events);
    }

    /// The object.
    pub(crate) fn finish(mut self) -> JsonBytes {
        self.out.push(if self.out.is_empty() { b'{' } else { b'}' });
        if self.out == b"{" {
            self.out.push(b'}');
        }
        JsonBytes(self.out)
    }

    /// Instead of an object: one event alone.
    pub(crate) fn only_event(mut self, event: &Event) -> JsonBytes {
        self.write(event);
        JsonBytes(self.out)
    }

    /// Instead of an object: a list of events alone.
    pub(crate) fn only_events(mut self, events: &[Arc<Event>]) -> JsonBytes {
        self.list(events);
        JsonBytes(self.out)
    }

    fn name(&mut self, name: &str) {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        write_json_str(&mut self.out, name);
        self.out.push(b':');
    }

    fn list(&mut self, events: &[Arc<Event>]) {
        self.out.push(b'[');
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.write(event);
        }
        self.out.push(b']');
    }

    fn write(&mut self, event: &Event) {
        let own = event.sender == self.reader.user_id;
        let view = ClientView {
            room_id: Some(self.room_id.as_str()),
            now_ms: self.now_ms,
            device: own.then_some(self.reader.device_id.as_str()),
            membership: self
                .visibility
                .map(|visibility| visibility.membership_word_at(event.pos)),
            bundles: Some(&self.bundles),
        };
        event.write_client(&mut self.out, &view);
    }
}
