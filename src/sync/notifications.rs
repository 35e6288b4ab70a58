//! What a user was notified of, latest first.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#listing-notifications)
//!
//! No list is kept: the rooms' timelines are walked backwards, always where the latest event is, and the user's rules of
//! today say what notifies. A page looks at a bounded number of events; where they run out it ends early, with a token.

use std::{
    collections::{BinaryHeap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use rooms::{ClientView, Event, ReadMark, Visibility};
use ruma::{
    OwnedRoomId, RoomId, UserId,
    push::{Action, PushConditionRoomCtx},
    serde::Raw,
};
use serde_json::value::RawValue;
use store::{
    Pos, RoomNid, Rsn, Scan, UserNid,
    rows::Membership,
    tables::{Activity, Timeline},
};

use crate::{Engine, SyncError, unread};

/// Events of a page, at most.
const MAX_PAGE: usize = 100;
/// Events that one page looks at.
const MAX_LOOKED_AT: usize = 2_000;
/// Events read at a time in one room.
const CHUNK: usize = 20;

/// An event that notified a user.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The event.
    pub event: Arc<Event>,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// What the user's rules do with it.
    pub actions: Vec<Action>,
    /// Whether the user has read it.
    pub read: bool,
}

/// A page of them.
#[derive(Clone, Debug, Default)]
pub struct Notifications {
    /// Latest first.
    pub notifications: Vec<Notification>,
    /// The token of the next page.
    pub next_token: Option<String>,
}

/// A room on the way back.
struct Past {
    room_id: OwnedRoomId,
    visibility: Visibility,
    mark: ReadMark,
    rules: PushConditionRoomCtx,
    /// The next events, the latest last.
    events: Vec<Arc<Event>>,
}

impl Engine {
    /// What a user was notified of before `from`, of the rooms that they are in.
    pub async fn notifications(
        &self,
        (user, user_id): (UserNid, &UserId),
        from: Option<Pos>,
        limit: usize,
        highlights_only: bool,
    ) -> Result<Notifications, SyncError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let rules = self.0.users.push_rules(user).await?;
        let ignored = self.ignored_by(user).await?;
        let upto = self.store().visible();
        let from = from.map_or(upto, |from| from.min(upto));
        let mut heads = self.heads(user, from).await?;
        let mut rooms: HashMap<RoomNid, Past> = HashMap::new();
        let mut page = Notifications::default();
        let mut looked_at = 0;
        while let Some((pos, room)) = heads.pop() {
            if page.notifications.len() >= limit || looked_at >= MAX_LOOKED_AT {
                page.next_token = Some(self.token(pos));
                break;
            }
            let past = match rooms.entry(room) {
                Entry::Occupied(past) => past.into_mut(),
                Entry::Vacant(place) => place.insert(self.past(room, user, user_id).await?),
            };
            if past.events.is_empty() {
                past.events = self.earlier(room, pos).await?;
                // Only now it is known where the room's next event is.
                if let Some(event) = past.events.last() {
                    heads.push((event.pos, room));
                }
                continue;
            }
            let Some(event) = past.events.pop() else {
                continue;
            };
            heads.push((
                past.events.last().map_or(event.pos.prev(), |next| next.pos),
                room,
            ));
            looked_at += 1;
            let there = past.visibility.membership_at(event.pos) == Some(Membership::Join)
                || event.is_state_of("m.room.member", user_id.as_str());
            if event.sender == user_id || !there || ignored.contains(event.sender.as_str()) {
                continue;
            }
            let actions = match json(&event, &past.room_id) {
                Some(json) => rules.get_actions(&json, &past.rules).await,
                None => continue,
            };
            let wanted = if highlights_only {
                actions.iter().any(Action::is_highlight)
            } else {
                actions.iter().any(Action::should_notify)
            };
            if wanted {
                page.notifications.push(Notification {
                    room_id: past.room_id.clone(),
                    actions: actions.to_vec(),
                    read: past.mark.covers(&event),
                    event,
                });
            }
        }
        Ok(page)
    }

    /// For each room of the user, a position up to which its latest event lies.
    async fn heads(
        &self,
        user: UserNid,
        from: Pos,
    ) -> Result<BinaryHeap<(Pos, RoomNid)>, SyncError> {
        let rooms = self.0.rooms.rooms_of_nid(user).await?.into_iter();
        let rooms: Vec<RoomNid> = rooms
            .filter(|(_, row)| {
                matches!(row.member.membership, Membership::Join | Membership::Invite)
            })
            .map(|(room, _)| room)
            .collect();
        let activity = self.store().multi_get::<Activity>(&rooms).await?;
        let heads = rooms.into_iter().zip(activity);
        Ok(heads
            .map(|(room, active)| (active.map_or(from, |active| active.min(from)), room))
            .collect())
    }

    async fn past(
        &self,
        room: RoomNid,
        user: UserNid,
        user_id: &UserId,
    ) -> Result<Past, SyncError> {
        let rooms = &self.0.rooms;
        let name = self.store().interner().name(room).await?;
        let room_id = RoomId::parse(&*name)
            .map_err(|_| SyncError::Rooms(store::CorruptRow("not a room id").into()))?;
        Ok(Past {
            visibility: rooms.visibility(room, user_id).await?,
            mark: rooms.read_mark(room, user).await?,
            rules: unread::rule_context(rooms, room, &room_id, user_id).await?,
            room_id,
            events: Vec::new(),
        })
    }

    /// The latest events up to a position, the latest last.
    async fn earlier(&self, room: RoomNid, upto: Pos) -> Result<Vec<Arc<Event>>, SyncError> {
        let range = Scan::range::<Timeline>(&(room, Pos::MIN), &(room, upto.next()));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(CHUNK))
            .await?;
        let mut numbers: Vec<Rsn> = rows.into_iter().map(|(_, row)| row.rsn).collect();
        numbers.reverse();
        Ok(self.0.rooms.events(room, &numbers).await?)
    }

    /// Whom a user ignores.
    async fn ignored_by(&self, user: UserNid) -> Result<HashSet<String>, SyncError> {
        #[derive(serde::Deserialize)]
        struct Content {
            #[serde(default)]
            ignored_users: HashMap<String, serde_json::Value>,
        }
        let users = &self.0.users;
        let content = users
            .account_data(user, None, "m.ignored_user_list")
            .await?;
        let content = content.and_then(|content| serde_json::from_slice::<Content>(&content).ok());
        Ok(content.map_or_else(HashSet::new, |content| {
            content.ignored_users.into_keys().collect()
        }))
    }
}

fn json(event: &Event, room_id: &RoomId) -> Option<Raw<serde_json::Value>> {
    let view = ClientView {
        room_id: Some(room_id.as_str()),
        ..ClientView::default()
    };
    let mut json = Vec::with_capacity(512);
    event.write_client(&mut json, &view);
    let json = serde_json::from_slice::<Box<RawValue>>(&json).ok()?;
    Some(Raw::from_json(json))
}
