//! Who is online: in memory, told to those who share a room.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#presence)

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use host::Host;
use parking_lot::Mutex;
use rooms::{RoomError, Rooms};
use ruma::{OwnedUserId, UserId, presence::PresenceState};
use store::{RoomNid, UserNid, rows::Membership};
use thiserror::Error;
use tokio::time::Instant;

use crate::{session::Session, sessions::Sessions, write::Members};

/// `presence.*` of the options.
#[derive(Clone, Copy, Debug)]
pub struct PresenceOptions {
    /// Whether anybody is told.
    pub enabled: bool,
    /// After how long without a request a user is `unavailable`.
    pub idle_after: Duration,
    /// After how long without a request a user is `offline`.
    pub offline_after: Duration,
}

/// Who is online. Cheap to clone.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    host: Host,
    options: PresenceOptions,
    sessions: Arc<Sessions>,
}

/// Everybody whose presence is known.
#[derive(Default)]
pub(crate) struct Known(Mutex<Table>);

#[derive(Default)]
struct Table {
    users: HashMap<UserNid, Entry>,
    /// A task waits for users to become idle.
    watched: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    user_id: OwnedUserId,
    status: Status,
    seen: Instant,
}

/// One user's presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `presence`
    pub state: PresenceState,
    /// `status_msg`
    pub message: Option<String>,
    /// When the user last did something, in milliseconds since the Unix epoch.
    pub active_ms: u64,
}

/// Why presence is not told or not taken.
#[derive(Debug, Error)]
pub enum PresenceError {
    /// The two share no room.
    #[error("you share no room with this user")]
    NotShared,
    /// Nothing is known of the user.
    #[error("the presence of this user is not known")]
    Unknown,
    /// The status is too long.
    #[error("a status has at most {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
    /// The rooms could not be read.
    #[error(transparent)]
    Rooms(#[from] RoomError),
}

/// Bytes of a status; longer ones are no status but a message.
const MAX_STATUS_BYTES: usize = 1_024;

/// Users whose presence is remembered while they are offline.
const MAX_KNOWN: usize = 50_000;

/// Sessions that are told of one change. In a room with more people online nobody looks at the dots.
const MAX_TOLD: usize = 2_000;

/// How often idle users are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

impl Presence {
    pub(crate) fn new(
        rooms: Rooms,
        host: Host,
        sessions: Arc<Sessions>,
        options: PresenceOptions,
    ) -> Self {
        Self(Arc::new(Inner {
            rooms,
            host,
            options,
            sessions,
        }))
    }

    /// Whether there is presence at all.
    pub fn is_enabled(&self) -> bool {
        self.0.options.enabled
    }

    /// A client of the user syncs, and says that the user is in `state`.
    pub(crate) async fn seen(
        &self,
        user: UserNid,
        user_id: &UserId,
        state: PresenceState,
    ) -> Result<(), RoomError> {
        // "if the parameter is set to "offline" then the client is not marked as being online when it uses this API"
        if !self.is_enabled() || state == PresenceState::Offline {
            return Ok(());
        }
        self.change(user, user_id, state, None).await
    }

    /// The user says how they are.
    ///
    /// # Errors
    /// [`PresenceError::TooLong`]
    pub async fn set(
        &self,
        user: UserNid,
        user_id: &UserId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<(), PresenceError> {
        if message
            .as_ref()
            .is_some_and(|message| message.len() > MAX_STATUS_BYTES)
        {
            return Err(PresenceError::TooLong {
                limit: MAX_STATUS_BYTES,
            });
        }
        if self.is_enabled() {
            self.change(user, user_id, state, Some(message.unwrap_or_default()))
                .await?;
        }
        Ok(())
    }

    /// How a user is, for `reader`.
    ///
    /// # Errors
    /// [`PresenceError::NotShared`]; [`PresenceError::Unknown`], always where presence is switched off.
    pub async fn get(&self, reader: UserNid, user_id: &UserId) -> Result<Status, PresenceError> {
        let user: Option<UserNid> = self
            .0
            .rooms
            .store()
            .interner()
            .find(user_id.as_str())
            .await
            .map_err(RoomError::from)?;
        let user = user.ok_or(PresenceError::NotShared)?;
        if user != reader && !self.share_a_room(reader, user).await? {
            return Err(PresenceError::NotShared);
        }
        let known = self.0.sessions.presence.0.lock();
        known
            .users
            .get(&user)
            .map(|entry| entry.status.clone())
            .ok_or(PresenceError::Unknown)
    }

    /// The content of an `m.presence` event, and its sender.
    pub(crate) fn event(&self, user: UserNid) -> Option<(OwnedUserId, Vec<u8>)> {
        let entry = self.0.sessions.presence.0.lock().users.get(&user)?.clone();
        let status = entry.status;
        let mut content = Vec::with_capacity(96);
        let mut object = Members::open(&mut content);
        object.text("presence", status.state.as_str());
        if status.active_ms > 0 {
            object.number(
                "last_active_ago",
                self.0.host.now_ms().saturating_sub(status.active_ms),
            );
        }
        if status.state == PresenceState::Online {
            object.boolean("currently_active", true);
        }
        if let Some(message) = &status.message {
            object.text("status_msg", message);
        }
        object.close();
        Some((entry.user_id, content))
    }

    /// Users who may be online in these rooms.
    pub(crate) fn in_rooms(&self, rooms: impl Iterator<Item = RoomNid>) -> Vec<UserNid> {
        let mut users: HashSet<UserNid> = HashSet::new();
        for room in rooms {
            self.0.sessions.for_watchers(room, |session| {
                users.insert(session.user);
            });
            if users.len() > MAX_TOLD {
                break;
            }
        }
        let known = self.0.sessions.presence.0.lock();
        let online = |user: &UserNid| {
            known
                .users
                .get(user)
                .is_some_and(|entry| entry.status.state != PresenceState::Offline)
        };
        users.into_iter().filter(online).collect()
    }

    /// `message` is left as it is if it is `None`, and removed if it is empty.
    async fn change(
        &self,
        user: UserNid,
        user_id: &UserId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<(), RoomError> {
        let is_news = {
            let mut known = self.0.sessions.presence.0.lock();
            let now = Instant::now();
            let entry = known.users.entry(user).or_insert_with(|| Entry {
                user_id: user_id.to_owned(),
                status: Status {
                    state: PresenceState::Offline,
                    message: None,
                    active_ms: 0,
                },
                seen: now,
            });
            entry.seen = now;
            let mut status = entry.status.clone();
            status.state = state;
            if let Some(message) = message {
                status.message = Some(message).filter(|message| !message.is_empty());
            }
            let is_news =
                (&status.state, &status.message) != (&entry.status.state, &entry.status.message);
            if status.state == PresenceState::Online {
                status.active_ms = self.0.host.now_ms();
            }
            entry.status = status;
            if !std::mem::replace(&mut known.watched, true) {
                self.watch();
            }
            is_news
        };
        if is_news {
            self.tell(user).await?;
        }
        Ok(())
    }

    /// Tells those who share a room with the user.
    async fn tell(&self, user: UserNid) -> Result<(), RoomError> {
        let mut told: HashMap<UserNid, Arc<Session>> = HashMap::new();
        for room in self.joined(user).await? {
            self.0.sessions.for_watchers(room, |session| {
                told.insert(session.user, Arc::clone(session));
            });
            if told.len() > MAX_TOLD {
                break;
            }
        }
        told.remove(&user);
        if !told.is_empty() {
            self.0.rooms.store().tick(move |pos| {
                for session in told.values() {
                    session.publish(pos, |state| {
                        state.set_presence(user, pos);
                        true
                    });
                }
            });
        }
        Ok(())
    }

    async fn joined(&self, user: UserNid) -> Result<Vec<RoomNid>, RoomError> {
        let rooms = self.0.rooms.rooms_of_nid(user).await?;
        let joined = rooms
            .into_iter()
            .filter(|(_, row)| row.member.membership == Membership::Join);
        Ok(joined.map(|(room, _)| room).collect())
    }

    async fn share_a_room(&self, one: UserNid, other: UserNid) -> Result<bool, RoomError> {
        let (mut few, mut many) = (self.joined(one).await?, self.joined(other).await?);
        if few.len() > many.len() {
            std::mem::swap(&mut few, &mut many);
        }
        // Rooms come in the order of their numbers.
        Ok(few.iter().any(|room| many.binary_search(room).is_ok()))
    }

    /// Looks for idle users as long as there is one who is not offline.
    fn watch(&self) {
        let inner = Arc::downgrade(&self.0);
        let every = SWEEP_EVERY.min(self.0.options.idle_after);
        self.0.host.spawn("presence", async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(presence) = Weak::upgrade(&inner).map(Self) else {
                    return;
                };
                let (gone, last) = presence.sweep();
                for user in gone {
                    if let Err(error) = presence.tell(user).await {
                        tracing::warn!(%error, "a change of presence is not told");
                    }
                }
                if last {
                    return;
                }
            }
        });
    }

    /// Users whose presence has changed with time, and whether there is nobody left to look after.
    fn sweep(&self) -> (Vec<UserNid>, bool) {
        let PresenceOptions {
            idle_after,
            offline_after,
            ..
        } = self.0.options;
        let mut known = self.0.sessions.presence.0.lock();
        let (mut changed, mut awake) = (Vec::new(), 0);
        for (user, entry) in &mut known.users {
            let silent = entry.seen.elapsed();
            let state = match entry.status.state {
                PresenceState::Offline => continue,
                _ if silent >= offline_after => PresenceState::Offline,
                _ if silent >= idle_after => PresenceState::Unavailable,
                _ => {
                    awake += 1;
                    continue;
                }
            };
            awake += usize::from(state != PresenceState::Offline);
            if state != entry.status.state {
                entry.status.state = state;
                changed.push(*user);
            }
        }
        if known.users.len() > MAX_KNOWN {
            known
                .users
                .retain(|_, entry| entry.status.state != PresenceState::Offline);
        }
        known.watched = awake > 0;
        (changed, awake == 0)
    }
}

impl Known {
    /// Whether the user is not offline.
    pub(crate) fn is_online(&self, user: UserNid) -> bool {
        let known = self.0.lock();
        known
            .users
            .get(&user)
            .is_some_and(|entry| entry.status.state != PresenceState::Offline)
    }
}
