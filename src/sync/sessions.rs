//! All sessions, and which of them watch which room: what a commit wakes.
//!
//! A commit tells the sessions that watch its room and nobody else: no loop over rooms or members. A new session
//! loses no news, whatever is published while it reads the user's rooms from the store:
//!
//! 1. it is put under its user, from where on each change of the user's own memberships reaches it;
//! 2. the user's rooms are read and noted, and the session watches those that are joined, from where on their news
//!    reach it;
//! 3. the positions of the rooms' latest news are read. News are written before they are published, so whatever was
//!    published before 2 is in these rows;
//! 4. both are merged, the later position wins. A room that was left in between is watched no longer.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use rooms::{Follower, MemberChange, RoomNews, What};
use store::{Pos, RoomNid, UserNid, rows::Membership};
use users::{UserFollower, UserNews};

use crate::{
    presence::Known,
    session::{Held, Kind, Session},
};

type Watchers = HashMap<UserNid, Arc<Session>>;

/// The sessions of this server.
pub(crate) struct Sessions {
    by_user: Mutex<HashMap<UserNid, Arc<Session>>>,
    watchers: [RwLock<HashMap<RoomNid, Watchers>>; SHARDS],
    /// Bytes of all sessions, roughly; weighed anew now and then.
    bytes: AtomicUsize,
    /// Requests so far.
    held: AtomicUsize,
    budget_bytes: usize,
    /// Who is online.
    pub(crate) presence: Known,
}

/// Parts of the table of watchers, so that commits and new sessions seldom wait for each other.
const SHARDS: usize = 16;

/// Requests after which the sessions are weighed anew: they grow with what their clients are told.
const WEIGH_EVERY: usize = 4_096;

impl Sessions {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            by_user: Mutex::default(),
            watchers: Default::default(),
            bytes: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            budget_bytes,
            presence: Known::default(),
        }
    }

    /// The session of a user: the one that is there, or a new one that is still to be built.
    pub(crate) fn hold(&self, user: UserNid, now_ms: u64) -> (Held, Arc<Session>) {
        if self.held.fetch_add(1, Ordering::Relaxed) % WEIGH_EVERY == WEIGH_EVERY - 1 {
            self.make_space();
        }
        let mut by_user = self.by_user.lock();
        let session = by_user
            .entry(user)
            .or_insert_with(|| Arc::new(Session::new(user)));
        let session = Arc::clone(session);
        (Held::new(&session, now_ms), session)
    }

    /// How many there are, and how many bytes they are, roughly.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sessions = self.by_user.lock().len();
        (sessions, self.bytes.load(Ordering::Relaxed))
    }

    /// The session of a user, if there is one.
    pub(crate) fn get(&self, user: UserNid) -> Option<Arc<Session>> {
        self.by_user.lock().get(&user).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.by_user.lock().values().cloned().collect()
    }

    /// A session is built: it counts, and others may have to go for it.
    pub(crate) fn built(&self, session: &Session) {
        let bytes = session.lock().weight();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.budget_bytes {
            self.make_space();
        }
    }

    /// From now on the session hears of the room.
    pub(crate) fn watch(&self, room: RoomNid, session: &Arc<Session>) {
        let mut shard = self.shard(room).write();
        shard
            .entry(room)
            .or_default()
            .insert(session.user, Arc::clone(session));
    }

    /// The session hears of the room no longer, unless its user has joined in the meantime.
    pub(crate) fn unwatch(&self, room: RoomNid, session: &Session) {
        let mut shard = self.shard(room).write();
        let joined = session
            .lock()
            .room(room)
            .is_some_and(|entry| entry.membership == Membership::Join);
        if !joined && let Some(watchers) = shard.get_mut(&room) {
            watchers.remove(&session.user);
            if watchers.is_empty() {
                shard.remove(&room);
            }
        }
    }

    /// Calls `tell` with each session that watches the room.
    pub(crate) fn for_watchers(&self, room: RoomNid, mut tell: impl FnMut(&Arc<Session>)) {
        if let Some(watchers) = self.shard(room).read().get(&room) {
            watchers.values().for_each(&mut tell);
        }
    }

    fn shard(&self, room: RoomNid) -> &RwLock<HashMap<RoomNid, Watchers>> {
        &self.watchers[room.0 as usize % SHARDS]
    }

    /// Drops the sessions that were not used for the longest time, down to three quarters of the budget.
    fn make_space(&self) {
        let mut gone = Vec::new();
        {
            let mut by_user = self.by_user.lock();
            let mut bytes: usize = by_user
                .values()
                .map(|session| session.lock().weight())
                .sum();
            if bytes <= self.budget_bytes {
                self.bytes.store(bytes, Ordering::Relaxed);
                return;
            }
            let mut idle: Vec<_> = by_user
                .values()
                .filter(|session| session.users.load(Ordering::Acquire) == 0)
                .map(|session| (session.used_ms.load(Ordering::Relaxed), session.user))
                .collect();
            idle.sort_unstable();
            for (_, user) in idle {
                if bytes <= self.budget_bytes / 4 * 3 {
                    break;
                }
                if let Some(session) = by_user.remove(&user) {
                    bytes = bytes.saturating_sub(session.lock().weight());
                    gone.push(session);
                }
            }
            self.bytes.store(bytes, Ordering::Relaxed);
        }
        for session in gone {
            let rooms: Vec<RoomNid> = session.lock().joined().collect();
            for room in rooms {
                let mut shard = self.shard(room).write();
                if let Some(watchers) = shard.get_mut(&room)
                    // The user may be back already, with a session of their own.
                    && watchers.get(&session.user).is_some_and(|watching| Arc::ptr_eq(watching, &session))
                {
                    watchers.remove(&session.user);
                    if watchers.is_empty() {
                        shard.remove(&room);
                    }
                }
            }
        }
    }

    fn membership_changed(&self, room: RoomNid, pos: Pos, change: &MemberChange) {
        let Some(session) = self.get(change.user) else {
            return;
        };
        let joined = change.membership == Membership::Join;
        if joined {
            self.watch(room, &session);
        }
        session.publish(pos, |state| {
            state.set_membership(room, change.membership, pos);
            true
        });
        if !joined {
            self.unwatch(room, &session);
        }
    }

    /// Those in the room may not have known that the new member is online.
    fn introduce(&self, room: RoomNid, pos: Pos, change: &MemberChange) {
        let is_new =
            change.membership == Membership::Join && change.before != Some(Membership::Join);
        if is_new && self.presence.is_online(change.user) {
            self.for_watchers(room, |session| {
                if session.user != change.user {
                    session.publish(pos, |state| {
                        state.set_presence(change.user, pos);
                        true
                    });
                }
            });
        }
    }
}

impl Follower for Sessions {
    fn room_news(&self, news: &RoomNews) {
        let RoomNews { room, pos, what } = news;
        let (room, pos) = (*room, *pos);
        match what {
            What::Event { member, .. } => {
                if let Some(change) = member {
                    self.membership_changed(room, pos, change);
                    self.introduce(room, pos, change);
                }
                self.for_watchers(room, |session| {
                    session.publish(pos, |state| state.touch(room, pos, Kind::Event));
                });
            }
            What::Receipt {
                user,
                private: true,
            } => {
                if let Some(session) = self.get(*user) {
                    session.publish(pos, |state| {
                        state.touch(room, pos, Kind::Receipt { own: true })
                    });
                }
            }
            What::Receipt {
                user,
                private: false,
            } => self.for_watchers(room, |session| {
                let own = session.user == *user;
                session.publish(pos, |state| state.touch(room, pos, Kind::Receipt { own }));
            }),
            What::Typing => self.for_watchers(room, |session| {
                session.publish(pos, |state| state.touch(room, pos, Kind::Typing));
            }),
            What::Deleted(users) => {
                for user in users.iter() {
                    if let Some(session) = self.get(*user) {
                        session.publish(pos, |state| {
                            state.forget(room);
                            state.farewells = pos;
                            true
                        });
                        self.unwatch(room, &session);
                    }
                }
            }
            What::Forgotten(user) => {
                if let Some(session) = self.get(*user) {
                    session.publish(pos, |state| {
                        state.forget(room);
                        false
                    });
                    self.unwatch(room, &session);
                }
            }
        }
    }
}

impl UserFollower for Sessions {
    fn user_changed(&self, user: UserNid, pos: Pos, what: &UserNews) {
        let Some(session) = self.get(user) else {
            return;
        };
        match what {
            UserNews::AccountData { .. } | UserNews::PushRules => session.publish(pos, |state| {
                state.account_data = state.account_data.max(pos);
                true
            }),
            UserNews::LoggedOut { device_id } | UserNews::DeviceRemoved { device_id } => {
                session.publish(pos, |state| {
                    state.told.remove(device_id.as_str());
                    state.inboxes.remove(device_id.as_str());
                    false
                });
            }
            UserNews::Pushers
            | UserNews::DeviceChanged { .. }
            | UserNews::Profile
            | UserNews::Deactivated => {}
        }
    }
}
