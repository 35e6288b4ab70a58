//! The body of an answer, written as bytes room by room, most recent first: what is not yet written is not yet read.
//!
//! ruma's response type checks it in tests; on this path nothing is built only to be serialised (DESIGN §7).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    vec,
};

use bytes::Bytes;
use encryption::InboxPage;
use futures_util::{Stream, stream};
use rooms::{Bundles, ClientView, Event, Reader, Receipt, RoomUnread, Rooms, Token, Unread};
use ruma::OwnedUserId;
use store::{
    Pos, RoomNid, Rsn, Scan, UserNid,
    rows::{Membership, MembershipLogRow},
    tables::MembershipLog,
};
use users::AccountDataEvent;

use crate::{
    Engine, Filter, SyncError, SyncRequest,
    delta::{Place, RoomDelta},
    device_lists::DeviceLists,
    filter::Format,
    session::{Entry, Held},
    summary::Summary,
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
    /// The section of `rooms` that is open.
    section: Option<&'static str>,
}

/// The beginning of an answer.
pub(crate) struct First {
    bytes: Vec<u8>,
    /// It is the whole answer, and tells of nothing.
    pub(crate) is_empty: bool,
    is_all: bool,
}

/// The body of an answer.
pub struct Body {
    first: Bytes,
    rest: Option<Answer>,
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

/// What became of the user in a room since the client was last told.
#[derive(Clone, Copy, Debug)]
struct Change {
    was_joined: bool,
    was_away: bool,
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
        let after = since.filter(|_| !request.full_state).unwrap_or(Pos::MIN);
        let (mut rooms, mut presence, new_memberships, new_account_data) = {
            let mut state = session.lock();
            if since.is_none() {
                state.told.remove(request.device_id.as_str());
            }
            let new = |pos: Pos| since.is_none_or(|since| pos > since);
            let presence: HashSet<UserNid> =
                state.presence_since(since.unwrap_or(Pos::MAX)).collect();
            (
                state.changed_since(after),
                presence,
                new(state.memberships),
                new(state.account_data),
            )
        };
        let mut account_data: HashMap<Option<RoomNid>, Vec<AccountDataEvent>> = HashMap::new();
        if new_account_data {
            let users = &engine.0.users;
            let events = match since {
                None => users.account_data_all(request.user).await?,
                Some(since) => users.account_data_since(request.user, since, upto).await?,
            };
            for event in events {
                account_data.entry(event.room).or_default().push(event);
            }
        }
        let listed: HashSet<RoomNid> = rooms.iter().map(|(room, _)| *room).collect();
        for room in account_data
            .keys()
            .flatten()
            .filter(|room| !listed.contains(room))
        {
            // Account data alone does not move a room to the front.
            rooms.extend(session.lock().room(*room).map(|entry| (*room, entry)));
        }
        let changes = match since {
            Some(since) if new_memberships => context.membership_changes(since).await?,
            _ => HashMap::new(),
        };
        let mut places = Vec::with_capacity(rooms.len());
        for (room, entry) in rooms {
            if let Some(mut place) = context.place(room, entry, changes.get(&room)).await? {
                if place.since.is_none() && since.is_some() {
                    place.account_data = engine
                        .0
                        .users
                        .account_data_of_room(request.user, room)
                        .await?;
                } else {
                    place.account_data = account_data.remove(&Some(room)).unwrap_or_default();
                }
                places.push(place);
            }
        }
        // Whoever enters a room meets those who are there.
        let entered = places
            .iter()
            .filter(|place| place.since.is_none() && place.membership == Membership::Join);
        presence.extend(engine.0.presence.in_rooms(entered.map(|place| place.room)));
        presence.remove(&request.user);
        // Sections one after the other; within each, most recent first. The sort is stable.
        places.sort_by_key(|place| section(place.membership));
        let mut account_data = account_data.remove(&None).unwrap_or_default();
        account_data.retain(|event| {
            context
                .filter()
                .account_data
                .takes_other(&event.event_type, Some(&request.user_id))
        });
        let inbox = context.inbox().await?;
        let device_lists = match since {
            Some(since) => engine.device_lists_between(session, since, upto).await?,
            None => DeviceLists::default(),
        };
        Ok(Self {
            context,
            inbox,
            device_lists,
            account_data,
            presence,
            places: places.into_iter(),
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
                        event.write_stripped(out)
                    });
                    room.close();
                }
            }
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
    async fn next(mut self) -> Result<(Bytes, Option<Self>), SyncError> {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        let is_all = self.write_rooms(&mut bytes).await?;
        if is_all {
            self.write_end(&mut bytes);
        }
        Ok((bytes.into(), (!is_all).then_some(self)))
    }
}

impl Context {
    /// What became of the user's memberships after `since`.
    async fn membership_changes(&self, since: Pos) -> Result<HashMap<RoomNid, Change>, SyncError> {
        let user = self.request.user;
        let range = Scan::range::<MembershipLog>(&(user, since.next()), &(user, self.upto.next()));
        let mut changes = HashMap::new();
        for (
            _,
            MembershipLogRow {
                room,
                membership,
                before,
            },
        ) in self.engine.store().scan::<MembershipLog>(range).await?
        {
            let change = changes.entry(room).or_insert(Change {
                was_joined: before == Some(Membership::Join),
                was_away: false,
            });
            change.was_away |= membership != Membership::Join;
        }
        Ok(changes)
    }

    /// Whether and how the answer may tell of a room.
    async fn place(
        &self,
        room: RoomNid,
        entry: Entry,
        change: Option<&Change>,
    ) -> Result<Option<Place>, SyncError> {
        let since = self.request.since;
        let (mut membership, mut member) = (entry.membership, entry.member);
        if member > self.upto {
            // The session is a moment ahead of what may be told.
            let Some(row) = self
                .rooms()
                .member_at(room, self.request.user, self.upto)
                .await?
            else {
                return Ok(None);
            };
            (membership, member) = (row.membership, row.pos);
        }
        let is_new = since.is_none_or(|since| member > since);
        let was_joined = change.is_none_or(|change| change.was_joined);
        let known = match membership {
            Membership::Join => {
                since.filter(|_| was_joined && !change.is_some_and(|change| change.was_away))
            }
            Membership::Leave | Membership::Ban
                if !is_new || (since.is_none() && !self.filter().include_leave) =>
            {
                return Ok(None);
            }
            Membership::Leave | Membership::Ban => since.filter(|_| was_joined),
            Membership::Invite | Membership::Knock if !is_new => return Ok(None),
            Membership::Invite | Membership::Knock => since,
        };
        Ok(Some(Place {
            room,
            membership,
            member,
            entry,
            since: known,
            account_data: Vec::new(),
        }))
    }
}

/// A membership's place in the answer.
fn section(membership: Membership) -> (u8, &'static str) {
    match membership {
        Membership::Join => (0, "join"),
        Membership::Invite => (1, "invite"),
        Membership::Knock => (2, "knock"),
        Membership::Leave | Membership::Ban => (3, "leave"),
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

fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    let mut object = Members::open(out);
    if !summary.heroes.is_empty() {
        let out = object.name("m.heroes");
        out.push(b'[');
        list(out, &summary.heroes, |out, hero| {
            rooms::write_json_str(out, hero.as_str())
        });
        out.push(b']');
    }
    object.number("m.joined_member_count", summary.joined.into());
    object.number("m.invited_member_count", summary.invited.into());
    object.close();
}

fn write_unread(room: &mut Members<'_>, unread: &RoomUnread) {
    let write = |out: &mut Vec<u8>, unread: &Unread| {
        let mut object = Members::open(out);
        object.number("notification_count", unread.notifications);
        object.number("highlight_count", unread.highlights);
        object.close();
    };
    write(room.name("unread_notifications"), &unread.main);
    if !unread.threads.is_empty() {
        let mut threads = Members::open(room.name("unread_thread_notifications"));
        for (root, unread) in &unread.threads {
            write(threads.name(root.as_str()), unread);
        }
        threads.close();
    }
}

fn write_ephemeral(room: &mut Members<'_>, typing: Option<&[OwnedUserId]>, receipts: &[Receipt]) {
    let mut written: Vec<(&str, Vec<u8>)> = Vec::new();
    if let Some(typing) = typing {
        let mut content = b"{\"user_ids\":[".to_vec();
        list(&mut content, typing, |out, user| {
            rooms::write_json_str(out, user.as_str())
        });
        content.extend_from_slice(b"]}");
        written.push(("m.typing", content));
    }
    // A user may have a receipt for the same event in several threads, and an event has one place for each user.
    let mut threads: Vec<&str> = receipts
        .iter()
        .map(|receipt| receipt.thread.as_str())
        .collect();
    threads.sort_unstable();
    threads.dedup();
    for thread in threads {
        let of_thread = receipts
            .iter()
            .filter(|receipt| receipt.thread.as_str() == thread);
        written.push(("m.receipt", receipt_content(of_thread)));
    }
    events(room, "ephemeral", written, |out, (event_type, content)| {
        basic_event(out, event_type, &content)
    });
}

/// `{event: {kind: {user: {ts, thread_id}}}}`
fn receipt_content<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> Vec<u8> {
    let mut receipts: Vec<&Receipt> = receipts.collect();
    receipts
        .sort_by(|a, b| (&a.event_id, a.kind, &a.user_id).cmp(&(&b.event_id, b.kind, &b.user_id)));
    let mut content = Vec::new();
    let mut by_event = Members::open(&mut content);
    for of_event in receipts.chunk_by(|a, b| a.event_id == b.event_id) {
        let mut by_kind = Members::open(by_event.name(of_event[0].event_id.as_str()));
        for of_kind in of_event.chunk_by(|a, b| a.kind == b.kind) {
            let mut by_user = Members::open(by_kind.name(of_kind[0].kind.as_str()));
            for receipt in of_kind {
                let mut object = Members::open(by_user.name(receipt.user_id.as_str()));
                object.number("ts", receipt.ts);
                if receipt.thread.as_str() != "" {
                    object.text("thread_id", receipt.thread.as_str());
                }
                object.close();
            }
            by_user.close();
        }
        by_kind.close();
    }
    by_event.close();
    content
}

impl Body {
    pub(crate) fn new(first: First, answer: Answer) -> Self {
        let rest = (!first.is_all).then_some(answer);
        Self {
            first: first.bytes.into(),
            rest,
        }
    }

    /// The whole body, if it is there already.
    pub fn whole(self) -> Result<Bytes, Self> {
        if self.rest.is_none() {
            Ok(self.first)
        } else {
            Err(self)
        }
    }

    /// The body, read from the store as it is taken. After an error nothing follows, and what came before is no JSON.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, SyncError>> + Send {
        enum Step {
            First(Bytes, Option<Answer>),
            Next(Answer),
            End,
        }
        stream::unfold(Step::First(self.first, self.rest), |step| async move {
            let (chunk, rest) = match step {
                Step::First(first, rest) => (Ok(first), rest),
                Step::Next(answer) => match answer.next().await {
                    Ok((bytes, rest)) => (Ok(bytes), rest),
                    Err(error) => (Err(error), None),
                },
                Step::End => return None,
            };
            Some((chunk, rest.map_or(Step::End, Step::Next)))
        })
    }
}
