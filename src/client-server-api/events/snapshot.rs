//! A room at one moment, as both kinds of `/initialSync` tell of it
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync)).

use std::collections::HashSet;

use ::rooms::{EventFilter, Paging, RoomError, Rooms, write_json_str};
use axum::extract::{FromRef, Query};
use bytes::Bytes;
use futures_util::{TryStream, stream};
use host::Host;
use http::Uri;
use http_layer::StandardError;
use ruma::{OwnedUserId, RoomId, api::Direction};
use serde::Deserialize;
use store::{CorruptRow, Pos, RoomNid, rows::Membership};
use users::{AccountDataEvent, Users};

use super::getting_events::token;
use crate::{Services, event_writer::EventWriter};

/// What is needed to tell of rooms.
#[derive(Clone)]
pub struct Snapshots {
    pub(crate) rooms: Rooms,
    pub(crate) users: Users,
    host: Host,
}

impl FromRef<Services> for Snapshots {
    fn from_ref(services: &Services) -> Self {
        Self {
            rooms: services.rooms.clone(),
            users: services.users.clone(),
            host: services.host.clone(),
        }
    }
}

/// Who is told, and how much.
pub(crate) struct Reader {
    pub(crate) session: users::Session,
    /// Messages of each room.
    pub(crate) limit: usize,
    /// Whose messages are not told.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#ignoring-users)
    pub(crate) ignored: HashSet<OwnedUserId>,
}

/// Messages of a room when the client does not say, and at most.
const MESSAGES: usize = 20;
const MAX_MESSAGES: usize = 100;

/// What is gathered before it is sent, as in `/sync`.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many messages the client wants of each room.
pub(crate) fn limit(uri: &Uri) -> Result<usize, StandardError> {
    #[derive(Deserialize)]
    struct Limit {
        limit: Option<usize>,
    }
    let Query(Limit { limit }) = Query::try_from_uri(uri)
        .map_err(|_| StandardError::invalid_param("`limit` must be a number."))?;
    Ok(limit.unwrap_or(MESSAGES).min(MAX_MESSAGES))
}

impl Snapshots {
    /// What a session is told.
    pub(crate) async fn reader(
        &self,
        session: users::Session,
        limit: usize,
    ) -> Result<Reader, RoomError> {
        let ignored = self.users.ignored_users(session.user).await?;
        Ok(Reader {
            session,
            limit,
            ignored,
        })
    }

    /// A room that the reader may look into, with nothing in it that came after `upto`.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`]
    pub(crate) async fn room(
        &self,
        reader: &Reader,
        room_id: &RoomId,
        upto: Pos,
    ) -> Result<Vec<u8>, RoomError> {
        let Reader {
            session, ignored, ..
        } = reader;
        let rooms = &self.rooms;
        let view = rooms.view(room_id, &session.user_id).await?;
        let upto = view.upto.min(upto);
        let filter = EventFilter::default();
        let paging = Paging {
            from: Some(upto),
            to: None,
            direction: Direction::Backward,
            limit: reader.limit,
            filter: &filter,
        };
        let mut page = rooms.page(&view, &paging).await?;
        page.events.reverse();
        page.events
            .retain(|event| event.state_key.is_some() || !ignored.contains(&event.sender));
        let state = rooms.state_events(view.room.nid, upto).await?;
        let membership = rooms.membership_of(view.room.nid, &session.user_id).await?;
        let published = rooms.is_published(room_id).await?;
        let account_data = self
            .users
            .account_data_of_room(session.user, view.room.nid)
            .await?;

        let mut messages =
            EventWriter::new(&self.host, session, room_id).with_membership(&view.visibility);
        messages.text("start", &token(rooms, page.end));
        messages.text("end", &token(rooms, page.start));
        messages.events("chunk", &page.events);
        let mut answer = EventWriter::new(&self.host, session, room_id);
        answer.text("room_id", room_id.as_str());
        if let Some(membership) = membership {
            answer.text("membership", membership.as_str());
        }
        answer.text("visibility", if published { "public" } else { "private" });
        answer.raw("messages", &messages.finish().0);
        answer.events("state", &state);
        answer.raw("account_data", &account_data_list(&account_data));
        Ok(answer.finish().0)
    }

    /// A room that the reader may not look into: what they are to it, and the event that says so, if they are invited.
    pub(crate) async fn closed_room(
        &self,
        reader: &Reader,
        room_id: &RoomId,
        membership: Membership,
    ) -> Result<Vec<u8>, RoomError> {
        let mut answer = EventWriter::new(&self.host, &reader.session, room_id);
        answer.text("room_id", room_id.as_str());
        answer.text("membership", membership.as_str());
        if membership == Membership::Invite {
            let nid = self.rooms.nid(room_id).await?;
            let user_id = reader.session.user_id.as_str();
            let invite = self
                .rooms
                .state_event_at(nid, "m.room.member", user_id, self.rooms.store().visible())
                .await?;
            if let Some(invite) = invite {
                answer.event("invite", &invite);
            }
        }
        Ok(answer.finish().0)
    }
}

/// Events of account data, as a JSON array.
pub(crate) fn account_data_list(events: &[AccountDataEvent]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"type\":");
        write_json_str(&mut out, &event.event_type);
        out.extend_from_slice(b",\"content\":");
        out.extend_from_slice(&event.content);
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// The answer of `/initialSync`, being written.
pub(crate) struct InitialSync {
    snapshots: Snapshots,
    reader: Reader,
    /// Nothing that came later is told.
    upto: Pos,
    rooms: std::vec::IntoIter<(RoomNid, Membership)>,
    /// What is written and not yet sent.
    out: Vec<u8>,
    /// Rooms follow others, with a comma.
    follows: bool,
}

impl InitialSync {
    /// Everything but the rooms. With `archived` also those that the reader has left.
    pub(crate) async fn begin(
        snapshots: Snapshots,
        reader: Reader,
        (upto, archived): (Pos, bool),
        presence: &[(OwnedUserId, Vec<u8>)],
    ) -> Result<Self, RoomError> {
        let user = reader.session.user;
        let mut account_data = snapshots.users.account_data_all(user).await?;
        account_data.retain(|event| event.room.is_none());
        let mut out = b"{\"end\":".to_vec();
        write_json_str(&mut out, &token(&snapshots.rooms, upto));
        out.extend_from_slice(b",\"account_data\":");
        out.extend_from_slice(&account_data_list(&account_data));
        out.extend_from_slice(b",\"presence\":[");
        let heard = presence.iter();
        let heard = heard.filter(|(user_id, _)| !reader.ignored.contains(user_id));
        for (index, (user_id, content)) in heard.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"type\":\"m.presence\",\"sender\":");
            write_json_str(&mut out, user_id.as_str());
            out.extend_from_slice(b",\"content\":");
            out.extend_from_slice(content);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"rooms\":[");
        let rooms = snapshots.rooms.rooms_of_nid(user).await?.into_iter();
        let told = rooms.filter(|(_, row)| match row.member.membership {
            Membership::Join | Membership::Invite => true,
            Membership::Leave | Membership::Ban => archived && !row.forgotten,
            // Not a membership that the spec has here.
            Membership::Knock => false,
        });
        let told: Vec<_> = told
            .map(|(room, row)| (room, row.member.membership))
            .collect();
        Ok(Self {
            snapshots,
            reader,
            upto,
            rooms: told.into_iter(),
            out,
            follows: false,
        })
    }

    /// The answer in pieces of [`CHUNK_BYTES`] and what a room adds to that.
    pub(crate) fn into_stream(self) -> impl TryStream<Ok = Bytes, Error = RoomError> {
        stream::try_unfold(Some(self), |answer| async {
            let Some(mut answer) = answer else {
                return Ok(None);
            };
            while answer.out.len() < CHUNK_BYTES {
                let Some((room, membership)) = answer.rooms.next() else {
                    answer.out.extend_from_slice(b"]}");
                    return Ok(Some((answer.out.into(), None)));
                };
                answer.write_room(room, membership).await?;
            }
            let chunk = std::mem::take(&mut answer.out);
            Ok(Some((chunk.into(), Some(answer))))
        })
    }

    async fn write_room(&mut self, room: RoomNid, membership: Membership) -> Result<(), RoomError> {
        let (snapshots, reader) = (&self.snapshots, &self.reader);
        let name = snapshots.rooms.store().interner().name(room).await?;
        let room_id = RoomId::parse(&*name).map_err(|_| CorruptRow("not a room id"))?;
        let open = match membership {
            Membership::Invite => Err(RoomError::NotJoined),
            _ => snapshots.room(reader, &room_id, self.upto).await,
        };
        let written = match open {
            Err(RoomError::NotJoined) => {
                snapshots.closed_room(reader, &room_id, membership).await?
            }
            open => open?,
        };
        if std::mem::replace(&mut self.follows, true) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&written);
        Ok(())
    }
}
