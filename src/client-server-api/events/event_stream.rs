//! The events of all rooms of a user, in the order in which they happened: what `/events` tells without a `room_id`
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events)).

use std::sync::Arc;

use ::rooms::{Event, EventFilter, Paging, RoomError, Visibility, write_json_str};
use ::sync::{Changed, Engine};
use axum::extract::{FromRef, Query};
use host::Host;
use http::Uri;
use http_layer::{JsonBytes, StandardError};
use ruma::{OwnedRoomId, RoomId, api::Direction};
use serde::Deserialize;
use store::{Pos, RoomNid, rows::Membership};

use super::{
    getting_events::{position, token},
    snapshot::{Reader, Snapshots},
};
use crate::{Error, Services, event_writer::EventWriter};

/// Events of one answer.
const PAGE: usize = 100;

/// What the stream is read from.
#[derive(Clone)]
pub struct EventStream {
    engine: Engine,
    snapshots: Snapshots,
    host: Host,
}

impl FromRef<Services> for EventStream {
    fn from_ref(services: &Services) -> Self {
        Self {
            engine: services.sync.clone(),
            snapshots: Snapshots::from_ref(services),
            host: services.host.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    from: Option<String>,
    #[serde(default)]
    timeout: u64,
}

/// An event with its room, and what the reader may see there.
struct Told {
    event: Arc<Event>,
    room: Arc<(OwnedRoomId, Option<Visibility>)>,
}

impl EventStream {
    /// Events after the token in the query, or from now on; waits for the next if there is none.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` for a bad token.
    pub(crate) async fn next(
        &self,
        session: users::Session,
        uri: &Uri,
    ) -> Result<JsonBytes, Error> {
        let Query(Asked { from, timeout }) = Query::try_from_uri(uri)
            .map_err(|_| StandardError::invalid_param("`timeout` must be a number."))?;
        let rooms = &self.snapshots.rooms;
        let from = position(rooms, from.as_deref())?.unwrap_or_else(|| rooms.store().visible());
        let deadline = self.engine.deadline(timeout);
        let reader = self.snapshots.reader(session, PAGE).await?;
        let mut seen = from;
        loop {
            let changed = self
                .engine
                .changed_rooms(reader.session.user, seen, deadline)
                .await?;
            let (told, end) = self.gather(&reader, seen, &changed).await?;
            // Something changed that is not for this reader: on they wait.
            if told.is_empty() && !changed.rooms.is_empty() {
                seen = end;
                continue;
            }
            return Ok(self.write(&reader, (from, end), &told));
        }
    }

    /// The first events of the changed rooms, and up to where these are all.
    async fn gather(
        &self,
        reader: &Reader,
        from: Pos,
        changed: &Changed,
    ) -> Result<(Vec<Told>, Pos), RoomError> {
        let mut told = Vec::new();
        let mut end = changed.upto;
        for (room, membership) in &changed.rooms {
            let (events, upto) = self.events(reader, (*room, *membership), from, end).await?;
            end = end.min(upto);
            told.extend(events);
            told.retain(|told: &Told| told.event.pos <= end);
            if told.len() > PAGE {
                // What comes later is for the next answer: no need to read it in other rooms.
                told.sort_unstable_by_key(|told| told.event.pos);
                told.truncate(PAGE);
                end = told.last().map_or(end, |told| told.event.pos);
            }
        }
        told.sort_unstable_by_key(|told| told.event.pos);
        Ok((told, end))
    }

    /// A room's events between two positions, and up to where these are all.
    async fn events(
        &self,
        reader: &Reader,
        (room, membership): (RoomNid, Membership),
        from: Pos,
        upto: Pos,
    ) -> Result<(Vec<Told>, Pos), RoomError> {
        let rooms = &self.snapshots.rooms;
        let name = rooms.store().interner().name(room).await?;
        let room_id = RoomId::parse(&*name).map_err(|_| store::CorruptRow("not a room id"))?;
        let user_id = &reader.session.user_id;
        if matches!(membership, Membership::Invite | Membership::Knock) {
            let own = rooms
                .state_event_at(room, "m.room.member", user_id.as_str(), upto)
                .await?
                .filter(|event| event.pos > from);
            let room = Arc::new((room_id, None));
            let own = own.map(|event| Told { event, room });
            return Ok((own.into_iter().collect(), upto));
        }
        let view = match rooms.view(&room_id, user_id).await {
            // An invitation that was declined, or withdrawn: nothing of the room was ever open.
            Err(RoomError::NotJoined) => return Ok((Vec::new(), upto)),
            view => view?,
        };
        let filter = EventFilter::default();
        let paging = Paging {
            from: Some(from),
            to: Some(upto.min(view.upto)),
            direction: Direction::Forward,
            limit: PAGE,
            filter: &filter,
        };
        let page = rooms.page(&view, &paging).await?;
        let upto = if page.more { page.end } else { upto };
        let room = Arc::new((room_id, Some(view.visibility)));
        let heard = page
            .events
            .into_iter()
            .filter(|event| event.state_key.is_some() || !reader.ignored.contains(&event.sender));
        let told = heard.map(|event| Told {
            event,
            room: Arc::clone(&room),
        });
        Ok((told.collect(), upto))
    }

    fn write(&self, reader: &Reader, (from, end): (Pos, Pos), told: &[Told]) -> JsonBytes {
        let rooms = &self.snapshots.rooms;
        let mut out = b"{\"start\":".to_vec();
        write_json_str(&mut out, &token(rooms, from));
        out.extend_from_slice(b",\"end\":");
        write_json_str(&mut out, &token(rooms, end));
        out.extend_from_slice(b",\"chunk\":[");
        for (index, Told { event, room }) in told.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let (room_id, visibility) = &**room;
            let mut writer = EventWriter::new(&self.host, &reader.session, room_id);
            if let Some(visibility) = visibility {
                writer = writer.with_membership(visibility);
            }
            out.extend_from_slice(&writer.only_event(event).0);
        }
        out.extend_from_slice(b"]}");
        JsonBytes(out)
    }
}
