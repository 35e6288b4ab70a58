//! The body of an answer, written as bytes room by room, most recent first: what is not yet written is not yet read.
//!
//! ruma's response type checks it in tests; on this path nothing is built only to be serialised (DESIGN §7).

use std::{collections::HashSet, sync::Arc, vec};

use bytes::Bytes;
use encryption::InboxPage;
use rooms::{Bundles, ClientView, Event, Reader, Rooms, Token};
use ruma::OwnedUserId;
use store::{Pos, RoomNid, Rsn, UserNid, codec::Tail, rows::Membership};
use users::AccountDataEvent;

use crate::{
    Engine, Filter, SyncError, SyncRequest,
    delta::{Place, RoomDelta},
    device_lists::DeviceLists,
    filter::Format,
    fragments::{write_ephemeral, write_summary, write_unread},
    places::{Found, section},
    session::Held,
    timeline::Timeline,
    to_device::{write_counts, write_inbox, write_lists},
    write::{Members, basic_event, events, list},
};

/// What everything in one answer has in common.
pub(crate) struct Context {
    pub(crate) engine: Engine,
    pub(crate) session: Held,
    pub(crate) request: SyncRequest,
    /// The answer's token: it tells of nothing later.
    pub(crate) upto: Pos,
    /// For `unsigned.age`.
    now_ms: u64,
    /// Users whom the user does not want to hear.
    pub(crate) ignored: Arc<HashSet<OwnedUserId>>,
}

/// An answer on its way.
pub(crate) struct Answer {
    context: Context,
    /// The messages for the device.
    inbox: InboxPage,
    /// Whose devices have changed.
    device_lists: DeviceLists,
    /// The global account data to tell.
    account_data: Vec<AccountDataEvent>,
    /// Users whose presence is to be told.
    presence: HashSet<UserNid>,
    places: vec::IntoIter<Place>,
    /// Rooms that were deleted, each with the last event of it.
    farewells: Vec<(RoomNid, Tail)>,
    /// The section of `rooms` that is open.
    section: Option<&'static str>,
}

/// The beginning of an answer.
pub(crate) struct First {
    pub(crate) bytes: Vec<u8>,
    /// It is the whole answer, and tells of nothing.
    pub(crate) is_empty: bool,
    pub(crate) is_all: bool,
}

/// What is gathered before it is handed on: small enough for a slow client to cost little, large enough to be worth a write.
const CHUNK_BYTES: usize = 64 * 1024;

/// State events that are read at a time.
const STATE_EVENTS: usize = 256;

impl Context {
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.engine.0.rooms
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.request.filter
    }

    fn write_event(
        &self,
        out: &mut Vec<u8>,
        event: &Event,
        membership: Option<&str>,
        bundles: &Bundles,
    ) {
        let own = event.sender == self.request.user_id;
        let view = ClientView {
            room_id: None,
            now_ms: self.now_ms,
            device: own.then(|| self.request.device_id.as_str()),
            membership,
            bundles: Some(bundles),
        };
        match &self.filter().format {
            Format::Client => event.write_client(out, &view),
            Format::Fields(fields) => {
                let mut whole = Vec::new();
                event.write_client(&mut whole, &view);
                fields.write(out, &whole);
            }
            Format::Federation => {
                out.push(b'{');
                out.extend_from_slice(event.client_members());
                out.push(b',');
                out.extend_from_slice(event.federation_members());
                out.push(b'}');
            }
        }
    }
}

impl Context {
    /// What relates to the events of a timeline, where the client may not have got it one by one.
    async fn bundles(&self, place: &Place, timeline: &Timeline) -> Result<Bundles, SyncError> {
        if !timeline.limited && place.since.is_some() {
            return Ok(Bundles::default());
        }
        let reader = Reader {
            user_id: &self.request.user_id,
            visibility: timeline.visibility.as_ref(),
            ignored: &self.ignored,
            upto: self.upto,
        };
        Ok(self.rooms().bundles(&reader, &timeline.events).await?)
    }
}

impl Answer {
    /// Finds out which rooms there may be something to tell of, without reading any.
    pub(crate) async fn begin(
        engine: &Engine,
        session: &Held,
        request: &SyncRequest,
        upto: Pos,
    ) -> Result<Self, SyncError> {
        let since = request.since;
        let context = Context {
            engine: engine.clone(),
            session: session.clone(),
            request: request.clone(),
            upto,
            now_ms: engine.0.host.now_ms(),
            ignored: ignored_users(engine, session, request.user).await?,
        };
        let Found {
            places,
            account_data,
            presence,
            farewells,
        } = context.find().await?;
        let inbox = context.inbox().await?;
        // Whose devices the client knows otherwise than the database that was brought back, nobody can tell: it asks about
        // all of them.
        let known = since.or(request.starts_over.then_some(Pos::ZERO));
        let mut device_lists = match known {
            Some(since) => engine.device_lists_between(session, since, upto).await?,
            None => DeviceLists::default(),
        };
        if request.starts_over && !device_lists.changed.contains(&request.user_id) {
            device_lists.changed.push(request.user_id.clone());
        }
        Ok(Self {
            context,
            inbox,
            device_lists,
            account_data,
            presence,
            places: places.into_iter(),
            farewells,
            section: None,
        })
    }

    /// The beginning: everything, if that is not much.
    pub(crate) async fn first(&mut self) -> Result<First, SyncError> {
        let mut bytes = Vec::with_capacity(1024);
        let mut object = Members::open(&mut bytes);
        let token = self.context.engine.token(self.context.upto);
        let token = Token::with_inbox(&token, Context::inbox_end(&self.inbox));
        object.text("next_batch", &token);
        write_counts(&mut object, &*self.context.key_counts().await?);
        let start = object.out.len();
        write_inbox(&mut object, &self.inbox);
        write_lists(&mut object, &self.device_lists);
        events(
            &mut object,
            "account_data",
            std::mem::take(&mut self.account_data),
            |out, event| {
                basic_event(out, &event.event_type, &event.content);
            },
        );
        self.write_presence(&mut object);
        let is_all = self.write_rooms(&mut bytes).await?;
        let is_empty = is_all && bytes.len() == start;
        if is_all {
            self.write_end(&mut bytes);
        }
        Ok(First {
            bytes,
            is_empty,
            is_all,
        })
    }

    fn write_presence(&mut self, object: &mut Members<'_>) {
        let context = &self.context;
        let known = std::mem::take(&mut self.presence)
            .into_iter()
            .filter_map(|user| context.engine.0.presence.event(user));
        let wanted = known.filter(|(user, _)| {
            !context.ignored.contains(user)
                && context
                    .filter()
                    .presence
                    .takes_other("m.presence", Some(user))
        });
        events(object, "presence", wanted, |out, (user, content)| {
            let mut event = Members::open(out);
            event.text("type", "m.presence");
            event.text("sender", user.as_str());
            event.raw("content", &content);
            event.close();
        });
    }

    /// Writes rooms until there is enough for a chunk, or no room left, which it returns.
    async fn write_rooms(&mut self, out: &mut Vec<u8>) -> Result<bool, SyncError> {
        while out.len() < CHUNK_BYTES {
            let Some(place) = self.places.next() else {
                self.write_farewells(out).await?;
                return Ok(true);
            };
            self.write_room(out, place).await?;
        }
        Ok(false)
    }

    async fn write_room(&mut self, out: &mut Vec<u8>, mut place: Place) -> Result<(), SyncError> {
        let room_id = self.context.room_id(place.room).await?;
        if !self.context.filter().takes_room(&room_id) {
            return Ok(());
        }
        let name = section(place.membership).1;
        match place.membership {
            Membership::Join => {
                if let Some(delta) = self.context.joined_delta(&mut place, &room_id).await? {
                    self.open(out, name, room_id.as_str());
                    self.write_delta(out, &place, delta).await?;
                }
            }
            Membership::Leave | Membership::Ban => {
                let delta = self.context.left_delta(&mut place, &room_id).await?;
                self.open(out, name, room_id.as_str());
                self.write_delta(out, &place, delta).await?;
            }
            Membership::Invite | Membership::Knock => {
                if let Some(state) = self.context.stripped_state(&place).await? {
                    self.open(out, name, room_id.as_str());
                    let mut room = Members::open(out);
                    let name = if place.membership == Membership::Invite {
                        "invite_state"
                    } else {
                        "knock_state"
                    };
                    events(&mut room, name, state, |out, event| {
                        event.write_stripped(out);
                    });
                    room.close();
                }
            }
        }
        Ok(())
    }

    /// Writes the rooms that were deleted: the user has left them.
    async fn write_farewells(&mut self, out: &mut Vec<u8>) -> Result<(), SyncError> {
        for (room, event) in std::mem::take(&mut self.farewells) {
            let room_id = self.context.room_id(room).await?;
            let filter = self.context.filter();
            if !filter.takes_room(&room_id) {
                continue;
            }
            let is_wanted = filter.timeline.takes_room(&room_id)
                && filter.timeline.takes_other("m.room.member", None);
            let name = section(Membership::Leave).1;
            self.open(out, name, room_id.as_str());
            let mut object = Members::open(out);
            let mut timeline = Members::open(object.name("timeline"));
            let events = timeline.name("events");
            events.push(b'[');
            if is_wanted {
                match &self.context.filter().format {
                    Format::Fields(fields) => fields.write(events, &event.0),
                    Format::Client | Format::Federation => events.extend_from_slice(&event.0),
                }
            }
            events.push(b']');
            timeline.boolean("limited", false);
            timeline.text("prev_batch", &self.context.engine.token(self.context.upto));
            timeline.close();
            object.close();
        }
        Ok(())
    }

    /// Writes whatever comes before a room's own object.
    fn open(&mut self, out: &mut Vec<u8>, section: &'static str, room_id: &str) {
        if self.section == Some(section) {
            out.push(b',');
        } else {
            out.extend_from_slice(if self.section.is_none() {
                b",\"rooms\":{"
            } else {
                b"},"
            });
            rooms::write_json_str(out, section);
            out.extend_from_slice(b":{");
            self.section = Some(section);
        }
        rooms::write_json_str(out, room_id);
        out.push(b':');
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.section.is_some() { b"}}}" } else { b"}" });
    }

    async fn write_delta(
        &self,
        out: &mut Vec<u8>,
        place: &Place,
        delta: RoomDelta,
    ) -> Result<(), SyncError> {
        let context = &self.context;
        let RoomDelta {
            timeline,
            state,
            summary,
            typing,
            receipts,
            account_data,
            unread,
        } = delta;
        let bundles = context.bundles(place, &timeline).await?;
        let mut room = Members::open(out);
        if let Some(summary) = summary {
            write_summary(room.name("summary"), &summary);
        }
        let visibility = timeline.visibility.as_ref();
        let membership =
            |pos| visibility.map_or("join", |visibility| visibility.membership_word_at(pos));
        let state_name = if context.request.use_state_after {
            "state_after"
        } else {
            "state"
        };
        if context.request.use_state_after || !state.is_empty() {
            self.write_state(room.name(state_name), place.room, &state)
                .await?;
        }
        if timeline.limited || !timeline.events.is_empty() || place.since.is_none() {
            let mut object = Members::open(room.name("timeline"));
            let out = object.name("events");
            out.push(b'[');
            list(out, &timeline.events, |out, event| {
                // The last event of somebody who left is their own leaving.
                let word = if event.pos == place.member {
                    place.membership.as_str()
                } else {
                    membership(event.pos)
                };
                context.write_event(out, event, Some(word), &bundles);
            });
            out.push(b']');
            object.boolean("limited", timeline.limited);
            object.text("prev_batch", &context.engine.token(timeline.prev_batch));
            object.close();
        }
        write_ephemeral(&mut room, typing.as_deref(), &receipts);
        events(&mut room, "account_data", account_data, |out, event| {
            basic_event(out, &event.event_type, &event.content);
        });
        if let Some(unread) = unread {
            write_unread(&mut room, &unread);
        }
        room.close();
        Ok(())
    }

    async fn write_state(
        &self,
        out: &mut Vec<u8>,
        room: RoomNid,
        state: &[Rsn],
    ) -> Result<(), SyncError> {
        let filter = &self.context.filter().state;
        out.extend_from_slice(b"{\"events\":[");
        let mut first = true;
        for some in state.chunks(STATE_EVENTS) {
            for event in self.context.rooms().events(room, some).await? {
                if filter.takes(&event) {
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    self.context.write_event(out, &event, None, Bundles::none());
                }
            }
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }

    /// The next chunk; `None` at the end.
    pub(crate) async fn next(mut self) -> Result<(Bytes, Option<Self>), SyncError> {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        let is_all = self.write_rooms(&mut bytes).await?;
        if is_all {
            self.write_end(&mut bytes);
        }
        Ok((bytes.into(), (!is_all).then_some(self)))
    }
}

/// Whom the user does not want to hear; kept until the user's account data changes.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#ignoring-users)
async fn ignored_users(
    engine: &Engine,
    session: &Held,
    user: UserNid,
) -> Result<Arc<HashSet<OwnedUserId>>, SyncError> {
    let now = {
        let state = session.lock();
        if let Some((of, ignored)) = &state.ignored
            && *of == state.account_data
        {
            return Ok(Arc::clone(ignored));
        }
        state.account_data
    };
    let ignored = Arc::new(engine.0.users.ignored_users(user).await?);
    session.lock().ignored = Some((now, Arc::clone(&ignored)));
    Ok(ignored)
}
