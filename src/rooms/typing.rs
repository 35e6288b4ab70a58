//! Who is typing where: in memory alone, told to the rooms' followers, forgotten after the timeout.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications)

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{OwnedUserId, RoomId, UserId};
use store::{Pos, RoomNid, UserNid, rows::Membership};
use tokio::{sync::Notify, time::Instant};

use crate::{Follower, RoomError, RoomNews, Rooms, What};

/// The longest that one request keeps a user typing. Clients ask for 20 to 30 seconds and renew.
const MAX_TIMEOUT: Duration = Duration::from_mins(2);

/// How many users of a room are shown as typing at once; nobody reads a longer list.
const MAX_TYPING: usize = 100;

/// Who is typing where. Cheap to clone.
#[derive(Clone)]
pub struct Typing(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    typing: Mutex<HashMap<RoomNid, RoomTyping>>,
}

/// The typing users of a room, with the moment each is forgotten. As long as it is there, one task waits for that moment.
#[derive(Default)]
struct RoomTyping {
    users: HashMap<UserNid, (OwnedUserId, Instant)>,
    changed: Pos,
    /// Tells the task that the next moment is another.
    sooner: Arc<Notify>,
}

impl Typing {
    /// For these rooms.
    pub fn new(rooms: Rooms) -> Self {
        Self(Arc::new(Inner {
            rooms,
            typing: Mutex::default(),
        }))
    }

    /// What must hear of the rooms' changes: who leaves a room types no longer.
    pub fn follower(&self) -> Arc<dyn Follower> {
        // The rooms hold their followers, and typing holds the rooms.
        Arc::new(Leavers(Arc::downgrade(&self.0)))
    }

    /// The user is typing, and will be until `timeout` has passed or [`Typing::stop`] is called.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], also for rooms that do not exist.
    pub async fn start(
        &self,
        room_id: &RoomId,
        user: &UserId,
        timeout: Duration,
    ) -> Result<(), RoomError> {
        let (room, nid) = self.joined(room_id, user).await?;
        let until = Instant::now() + timeout.min(MAX_TIMEOUT);
        let (is_news, is_first) = {
            let mut typing = self.0.typing.lock();
            let is_first = !typing.contains_key(&room);
            let of_room = typing.entry(room).or_default();
            if of_room.users.len() >= MAX_TYPING && !of_room.users.contains_key(&nid) {
                return Ok(());
            }
            let before = of_room.users.insert(nid, (user.to_owned(), until));
            of_room.sooner.notify_one();
            (before.is_none(), is_first)
        };
        if is_news {
            self.tell(room);
        }
        if is_first {
            let typing = self.clone();
            self.0
                .rooms
                .host()
                .spawn("typing", async move { typing.forget(room).await });
        }
        Ok(())
    }

    /// The user is typing no longer.
    ///
    /// # Errors
    /// As [`Typing::start`].
    pub async fn stop(&self, room_id: &RoomId, user: &UserId) -> Result<(), RoomError> {
        let (room, user) = self.joined(room_id, user).await?;
        self.gone(room, user);
        Ok(())
    }

    /// The user is typing no longer, in a room that they may have left.
    pub fn gone(&self, room: RoomNid, user: UserNid) {
        let removed = {
            let mut typing = self.0.typing.lock();
            let of_room = typing.get_mut(&room);
            of_room.is_some_and(|of_room| of_room.users.remove(&user).is_some())
        };
        if removed {
            self.tell(room);
        }
    }

    /// Who is typing in a room, in the order of their ids.
    pub fn users(&self, room: RoomNid) -> Vec<OwnedUserId> {
        let typing = self.0.typing.lock();
        let users = typing.get(&room).map(|of_room| &of_room.users);
        let mut users: Vec<_> = users
            .into_iter()
            .flat_map(HashMap::values)
            .map(|(user, _)| user.clone())
            .collect();
        users.sort_unstable();
        users
    }

    /// Rooms where somebody is typing, with the position of the latest change.
    pub fn changed_rooms(&self) -> Vec<(RoomNid, Pos)> {
        let typing = self.0.typing.lock();
        typing
            .iter()
            .map(|(room, of_room)| (*room, of_room.changed))
            .collect()
    }

    async fn joined(
        &self,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<(RoomNid, UserNid), RoomError> {
        let interner = self.0.rooms.store().interner();
        let room = interner.find(room_id.as_str()).await?;
        let user = interner.find(user.as_str()).await?;
        let (Some(room), Some(user)) = (room, user) else {
            return Err(RoomError::NotJoined);
        };
        let member = self.0.rooms.member(room, user).await?;
        if member.is_some_and(|member| member.membership == Membership::Join) {
            Ok((room, user))
        } else {
            Err(RoomError::NotJoined)
        }
    }

    fn tell(&self, room: RoomNid) {
        let typing = self.clone();
        self.0.rooms.store().tick(move |pos| {
            if let Some(of_room) = typing.0.typing.lock().get_mut(&room) {
                of_room.changed = pos;
            }
            let what = What::Typing;
            typing.0.rooms.tell(&RoomNews { room, pos, what });
        });
    }

    /// Waits for the timeouts of a room until nobody is typing there.
    async fn forget(&self, room: RoomNid) {
        loop {
            let now = Instant::now();
            let (next, is_news, sooner) = {
                let mut typing = self.0.typing.lock();
                let Some(of_room) = typing.get_mut(&room) else {
                    return;
                };
                let before = of_room.users.len();
                of_room.users.retain(|_, (_, until)| *until > now);
                let is_news = of_room.users.len() < before;
                let next = of_room.users.values().map(|(_, until)| *until).min();
                let sooner = Arc::clone(&of_room.sooner);
                if next.is_none() {
                    typing.remove(&room);
                }
                (next, is_news, sooner)
            };
            if is_news {
                self.tell(room);
            }
            let Some(next) = next else { return };
            // Either way the next round looks at all of them.
            let _ = tokio::time::timeout_at(next, sooner.notified()).await;
        }
    }
}

struct Leavers(Weak<Inner>);

impl Follower for Leavers {
    fn room_news(&self, news: &RoomNews) {
        if let What::Event {
            member: Some(change),
            ..
        } = &news.what
            && change.membership != Membership::Join
            && let Some(inner) = self.0.upgrade()
        {
            Typing(inner).gone(news.room, change.user);
        }
    }
}
