//! `room_delta`: the one place that knows what the update of a room is. Writers only spell it (DESIGN §7).

use std::sync::Arc;

use rooms::{Event, Receipt, RoomUnread};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use store::{CorruptRow, Pos, RoomNid, Rsn, StoreError, rows::Membership};
use users::{AccountDataEvent, InvitePermission};

use crate::{SyncError, answer::Context, session::Entry, summary::Summary, timeline::Timeline};

/// The stretch of a room's life that an update covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// What the client knows; `None` if it knows nothing of the room.
    pub(crate) after: Option<Pos>,
    /// The last position to tell of.
    pub(crate) upto: Pos,
    /// The whole state is told, whatever the client knows.
    pub(crate) full_state: bool,
    /// The user was in the room all the while, so that there is nothing to hide.
    pub(crate) stayed: bool,
    /// From here on the user has been in the room, if not from earlier on.
    pub(crate) joined: Option<Pos>,
}

impl Span {
    /// What the client knows of the state; `None` if it is to be told all of it.
    pub(crate) fn state_after(&self) -> Option<Pos> {
        self.after.filter(|_| !self.full_state)
    }
}

/// A room that an answer may tell of.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) room: RoomNid,
    /// The user's membership at the answer's position.
    pub(crate) membership: Membership,
    /// Of the member event that says so.
    pub(crate) member: Pos,
    pub(crate) entry: Entry,
    /// What the client knows of it; `None` if the user was not in the room then.
    pub(crate) since: Option<Pos>,
    /// The user's data of the room to tell.
    pub(crate) account_data: Vec<AccountDataEvent>,
}

/// The update of a room that the user is in or was in.
#[derive(Debug)]
pub(crate) struct RoomDelta {
    pub(crate) timeline: Timeline,
    /// The events of `state` or `state_after`.
    pub(crate) state: Vec<Rsn>,
    pub(crate) summary: Option<Summary>,
    /// Who is typing, if that has changed.
    pub(crate) typing: Option<Vec<OwnedUserId>>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) account_data: Vec<AccountDataEvent>,
    pub(crate) unread: Option<RoomUnread>,
}

/// The state that tells somebody outside what a room is.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#stripped-state)
const STRIPPED: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    "m.room.history_visibility",
];

/// Receipts of a room in one answer, the latest if there are more.
const MAX_RECEIPTS: usize = 1_000;

impl Context {
    /// What is new in a joined room; `None` if nothing is.
    pub(crate) async fn joined_delta(
        &self,
        place: &mut Place,
        room_id: &RoomId,
    ) -> Result<Option<RoomDelta>, SyncError> {
        let (room, entry) = (place.room, place.entry);
        let span = Span {
            after: place.since,
            upto: self.upto,
            full_state: self.request.full_state,
            stayed: place.since.is_some(),
            joined: Some(place.member),
        };
        let new = |pos: Pos| place.since.is_none_or(|since| pos > since);
        let full = span.state_after().is_none();
        let timeline = if new(entry.timeline) {
            self.timeline(room, room_id, &span).await?
        } else {
            Timeline::unchanged(self.upto)
        };
        let told_members = timeline.events.iter().any(|event| event.member().is_some());
        let summary = if full || timeline.limited || !timeline.whole || told_members {
            Some(self.summary(room).await?)
        } else {
            None
        };
        let heroes = summary.as_ref().map_or(&[][..], |summary| &summary.heroes);
        let state = self
            .state(room, room_id, (&span, &timeline), heroes)
            .await?;
        let typing = self.typing(room, room_id, place.since, entry.typing);
        let receipts = if new(entry.receipts) {
            self.receipts(room, room_id, &span).await?
        } else {
            Vec::new()
        };
        let mut account_data = std::mem::take(&mut place.account_data);
        account_data.retain(|event| {
            self.filter()
                .room_account_data
                .takes_other(&event.event_type, Some(&self.request.user_id))
        });
        if !self.filter().room_account_data.takes_room(room_id) {
            account_data.clear();
        }
        let told = full || timeline.limited || !timeline.events.is_empty();
        let unread = if told || new(entry.own_receipts) {
            Some(self.unread(room, room_id).await?)
        } else {
            None
        };
        let nothing = !told
            && !new(entry.own_receipts)
            && state.is_empty()
            && typing.is_none()
            && receipts.is_empty()
            && account_data.is_empty();
        let delta = RoomDelta {
            timeline,
            state,
            summary,
            typing,
            receipts,
            account_data,
            unread,
        };
        Ok((!nothing).then_some(delta))
    }

    /// How a room ended for the user.
    pub(crate) async fn left_delta(
        &self,
        place: &mut Place,
        room_id: &RoomId,
    ) -> Result<RoomDelta, SyncError> {
        let room = place.room;
        let span = Span {
            after: place.since,
            upto: place.member,
            full_state: false,
            stayed: place.since.is_some(),
            joined: None,
        };
        let mut timeline = self.timeline(room, room_id, &span).await?;
        let was_in = timeline
            .visibility
            .as_ref()
            .is_none_or(|visibility| visibility.reach().is_some());
        if !timeline
            .events
            .iter()
            .any(|event| event.pos == place.member)
            && let Some(leave) = self
                .member_event(room)
                .await?
                .filter(|event| event.pos == place.member)
            && self.filter().timeline.takes_room(room_id)
            && self.filter().timeline.takes(&leave)
        {
            // Whoever declines an invitation sees no event of the room but this.
            timeline.events.push(leave);
        }
        let state = if was_in {
            self.state(room, room_id, (&span, &timeline), &[]).await?
        } else {
            Vec::new()
        };
        Ok(RoomDelta {
            timeline,
            state,
            summary: None,
            typing: None,
            receipts: Vec::new(),
            account_data: std::mem::take(&mut place.account_data),
            unread: None,
        })
    }

    /// The stripped state of a room that the user is invited to or knocks at; `None` if the user does not
    /// want to hear of it.
    pub(crate) async fn stripped_state(
        &self,
        place: &Place,
    ) -> Result<Option<Vec<Arc<Event>>>, SyncError> {
        let room = place.room;
        let mut events = Vec::with_capacity(STRIPPED.len() + 2);
        for event_type in STRIPPED {
            events.extend(self.rooms().state_event(room, event_type, "").await?);
        }
        if let Some(own) = self.member_event(room).await? {
            if place.membership == Membership::Invite {
                if self.ignored.contains(&own.sender) || !self.may_invite(&own.sender).await? {
                    return Ok(None);
                }
                events.extend(
                    self.rooms()
                        .state_event(room, "m.room.member", own.sender.as_str())
                        .await?,
                );
            }
            events.push(own);
        }
        Ok(Some(events))
    }

    /// Whether an invitation may be told: the user may have blocked invitations after it came.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#invite-permission)
    async fn may_invite(&self, inviter: &UserId) -> Result<bool, SyncError> {
        let users = &self.engine.0.users;
        let permission = users.invite_permission(self.request.user, inviter).await?;
        Ok(permission == InvitePermission::Allow)
    }

    /// The room's id.
    pub(crate) async fn room_id(&self, room: RoomNid) -> Result<OwnedRoomId, SyncError> {
        let name = self.engine.store().interner().name(room).await?;
        let bad = |_| StoreError::Corrupt {
            table: "NameOfNumber",
            source: CorruptRow("not a room id"),
        };
        Ok(RoomId::parse(&*name).map_err(bad)?)
    }

    async fn member_event(&self, room: RoomNid) -> Result<Option<Arc<Event>>, SyncError> {
        Ok(self
            .rooms()
            .state_event(room, "m.room.member", self.request.user_id.as_str())
            .await?)
    }

    /// Who is typing, if that has changed after `since`, or if anybody is and the client does not know.
    fn typing(
        &self,
        room: RoomNid,
        room_id: &RoomId,
        since: Option<Pos>,
        changed: Pos,
    ) -> Option<Vec<OwnedUserId>> {
        let filter = &self.filter().ephemeral;
        if !filter.takes_room(room_id)
            || !filter.takes_other("m.typing", None)
            || since.is_some_and(|since| changed <= since)
        {
            return None;
        }
        let mut typing = self.engine.0.typing.users(room);
        typing.retain(|user| !self.ignored.contains(user));
        (since.is_some() || !typing.is_empty()).then_some(typing)
    }

    async fn receipts(
        &self,
        room: RoomNid,
        room_id: &RoomId,
        span: &Span,
    ) -> Result<Vec<Receipt>, SyncError> {
        let filter = &self.filter().ephemeral;
        if !filter.takes_room(room_id) || !filter.takes_other("m.receipt", None) {
            return Ok(Vec::new());
        }
        let range = (span.after.unwrap_or(Pos::ZERO), span.upto);
        let mut receipts = self
            .rooms()
            .receipts(room, self.request.user, range, MAX_RECEIPTS)
            .await?;
        receipts.retain(|receipt| !self.ignored.contains(&receipt.user_id));
        Ok(receipts)
    }
}
