//! A session: what has changed when in the rooms of one user, whatever the number of the user's devices (DESIGN §7).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use ruma::{OwnedUserId, push::Ruleset};
use store::{Pos, RoomNid, UserNid, rows::Membership};
use tokio::sync::{Notify, OnceCell};

use crate::{members::Told, to_device::InboxMarks, unread::Profile};

/// A user whose clients sync.
pub(crate) struct Session {
    pub(crate) user: UserNid,
    /// Set once the rooms are read from the store; what is published before that is merged.
    pub(crate) built: OnceCell<()>,
    state: Mutex<State>,
    /// Wakes whoever waits for news.
    news: Notify,
    /// Requests that use the session; it is not dropped while there is one.
    pub(crate) users: AtomicUsize,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub(crate) used_ms: AtomicU64,
}

/// What a session knows.
#[derive(Default)]
pub(crate) struct State {
    rooms: HashMap<RoomNid, Entry>,
    /// The same rooms in the order of their latest change.
    order: BTreeSet<(Pos, RoomNid)>,
    /// Rooms forgotten while the rooms are being read from the store.
    forgotten: HashSet<RoomNid>,
    /// The position of the latest news of any kind.
    pub(crate) latest: Pos,
    /// Of the latest change of the user's memberships.
    pub(crate) memberships: Pos,
    /// Of the latest change of the user's account data.
    pub(crate) account_data: Pos,
    /// Of the latest deletion of one of the user's rooms.
    pub(crate) farewells: Pos,
    /// Users whose presence has changed, and when.
    pub(crate) presence: HashMap<UserNid, Pos>,
    /// By device; one whose inbox was not looked into is left out.
    pub(crate) inboxes: HashMap<String, InboxMarks>,
    /// By device, the members that its client was told of.
    pub(crate) told: HashMap<String, Told>,
    /// Whom the user ignores, as of the account data at this position.
    pub(crate) ignored: Option<(Pos, Arc<HashSet<OwnedUserId>>)>,
    /// The user's push rules, and what they mean for unread counts.
    pub(crate) profile: Option<(Arc<Ruleset>, Arc<Profile>)>,
}

/// One room of the session's user: when each kind of news came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) membership: Membership,
    /// Of the user's own member event.
    pub(crate) member: Pos,
    /// Of the latest news of any kind: the room's place in the order.
    pub(crate) changed: Pos,
    pub(crate) timeline: Pos,
    pub(crate) receipts: Pos,
    /// Of the user's own receipts.
    pub(crate) own_receipts: Pos,
    pub(crate) typing: Pos,
}

/// A kind of news of a joined room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Receipt { own: bool },
    Typing,
}

/// Users whose changed presence is remembered; beyond that the oldest changes are forgotten.
const MAX_PRESENCE: usize = 1_000;

/// Bytes of a session without rooms.
const SESSION_BYTES: usize = 600;

/// Bytes that an entry occupies, with its place in the order and what the containers add.
const ENTRY_BYTES: usize = 160;

/// Bytes of a member that was told.
const TOLD_BYTES: usize = 32;

impl Session {
    pub(crate) fn new(user: UserNid) -> Self {
        Self {
            user,
            built: OnceCell::new(),
            state: Mutex::default(),
            news: Notify::new(),
            users: AtomicUsize::new(0),
            used_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Resolves at the next news after this call.
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }

    /// There is news at `pos`, which `apply` notes; if it says so, who waits is woken.
    pub(crate) fn publish(&self, pos: Pos, apply: impl FnOnce(&mut State) -> bool) {
        let wake = {
            let mut state = self.state.lock();
            let wake = apply(&mut state);
            if wake {
                state.latest = state.latest.max(pos);
            }
            wake
        };
        if wake {
            self.news.notify_waiters();
        }
    }
}

impl State {
    /// The rooms, latest change first, that have changed after `since`: from the tail of the list, and no further.
    pub(crate) fn changed_since(&self, since: Pos) -> Vec<(RoomNid, Entry)> {
        let tail = self.order.range((since.next(), RoomNid(0))..);
        tail.rev()
            .filter_map(|(_, room)| Some((*room, *self.rooms.get(room)?)))
            .collect()
    }

    /// How many rooms it knows.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// One room.
    pub(crate) fn room(&self, room: RoomNid) -> Option<Entry> {
        self.rooms.get(&room).copied()
    }

    /// The joined rooms, in no order.
    pub(crate) fn joined(&self) -> impl Iterator<Item = RoomNid> + '_ {
        let joined = self
            .rooms
            .iter()
            .filter(|(_, entry)| entry.membership == Membership::Join);
        joined.map(|(room, _)| *room)
    }

    /// Bytes that it occupies, roughly.
    pub(crate) fn weight(&self) -> usize {
        let told: usize = self.told.values().map(Told::len).sum();
        SESSION_BYTES + self.rooms.len() * ENTRY_BYTES + told * TOLD_BYTES
    }

    /// Something happened in a room. Returns whether it is the user's business.
    pub(crate) fn touch(&mut self, room: RoomNid, pos: Pos, kind: Kind) -> bool {
        let Some(entry) = self.rooms.get_mut(&room) else {
            return false;
        };
        if entry.membership != Membership::Join {
            return false;
        }
        match kind {
            Kind::Event => entry.timeline = pos,
            Kind::Receipt { own } => {
                entry.receipts = pos;
                if own {
                    entry.own_receipts = pos;
                }
            }
            Kind::Typing => entry.typing = pos,
        }
        self.move_to(room, pos);
        true
    }

    /// The user's own membership of a room changed. Returns whether they were joined before.
    pub(crate) fn set_membership(
        &mut self,
        room: RoomNid,
        membership: Membership,
        pos: Pos,
    ) -> bool {
        self.memberships = self.memberships.max(pos);
        self.forgotten.remove(&room);
        let Some(entry) = self.rooms.get_mut(&room) else {
            self.insert(room, Entry::new(membership, pos));
            return false;
        };
        if pos < entry.member {
            return entry.membership == Membership::Join;
        }
        let before = std::mem::replace(&mut entry.membership, membership);
        entry.member = pos;
        entry.timeline = entry.timeline.max(pos);
        self.move_to(room, pos);
        before == Membership::Join
    }

    /// The user has forgotten the room.
    pub(crate) fn forget(&mut self, room: RoomNid) {
        if let Some(entry) = self.rooms.remove(&room) {
            self.order.remove(&(entry.changed, room));
        }
        self.forgotten.insert(room);
    }

    /// What the store says of a room. What was published in the meantime is newer and stays.
    pub(crate) fn merge(
        &mut self,
        room: RoomNid,
        membership: Membership,
        member: Pos,
        activity: Pos,
    ) {
        if self.forgotten.contains(&room) {
            return;
        }
        let mut read = Entry::new(membership, member);
        if membership == Membership::Join {
            // Which kind of news it was is not kept: any of them.
            read.changed = activity.max(member);
            read.timeline = read.changed;
            read.receipts = read.changed;
            read.own_receipts = read.changed;
        }
        let Some(entry) = self.rooms.get_mut(&room) else {
            self.insert(room, read);
            return;
        };
        if read.member > entry.member {
            (entry.membership, entry.member) = (read.membership, read.member);
        }
        entry.timeline = entry.timeline.max(read.timeline);
        entry.receipts = entry.receipts.max(read.receipts);
        entry.own_receipts = entry.own_receipts.max(read.own_receipts);
        let changed = entry.changed.max(read.changed);
        self.move_to(room, changed);
    }

    /// All rooms are read.
    pub(crate) fn built(&mut self) {
        self.forgotten = HashSet::new();
    }

    /// Users whose presence has changed after `since`.
    pub(crate) fn presence_since(&self, since: Pos) -> impl Iterator<Item = UserNid> + '_ {
        let changed = self.presence.iter().filter(move |(_, pos)| **pos > since);
        changed.map(|(user, _)| *user)
    }

    /// A user's presence changed, whom this user may know.
    pub(crate) fn set_presence(&mut self, user: UserNid, pos: Pos) {
        self.presence.insert(user, pos);
        if self.presence.len() > 2 * MAX_PRESENCE {
            let mut positions: Vec<Pos> = self.presence.values().copied().collect();
            let (_, middle, _) = positions.select_nth_unstable(MAX_PRESENCE);
            let oldest_kept = *middle;
            self.presence.retain(|_, changed| *changed >= oldest_kept);
        }
    }

    fn insert(&mut self, room: RoomNid, entry: Entry) {
        self.order.insert((entry.changed, room));
        self.rooms.insert(room, entry);
    }

    fn move_to(&mut self, room: RoomNid, pos: Pos) {
        if let Some(entry) = self.rooms.get_mut(&room)
            && entry.changed < pos
        {
            self.order.remove(&(entry.changed, room));
            entry.changed = pos;
            self.order.insert((pos, room));
        }
    }
}

impl Entry {
    fn new(membership: Membership, member: Pos) -> Self {
        Self {
            membership,
            member,
            changed: member,
            timeline: member,
            receipts: Pos::ZERO,
            own_receipts: Pos::ZERO,
            typing: Pos::ZERO,
        }
    }
}

/// A session in use.
pub(crate) struct Held(Arc<Session>);

impl Held {
    /// Call it where the session cannot be dropped.
    pub(crate) fn new(session: &Arc<Session>, now_ms: u64) -> Self {
        session.users.fetch_add(1, Ordering::Relaxed);
        session.used_ms.store(now_ms, Ordering::Relaxed);
        Self(Arc::clone(session))
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.0.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl std::ops::Deref for Held {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
