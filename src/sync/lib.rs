//! The sync engine: who is told what, and when (DESIGN §7).
//!
//! A [session](session) per user keeps the user's rooms in the order of their latest change; commits move them. An
//! incremental sync walks that list from its tail: its cost follows what has changed, not how many rooms there are.
//! [`delta`] alone knows what the update of a room is; [`answer`] writes it as bytes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use encryption::Encryption;
use host::{Host, Shutdown};
use rooms::{Follower, RoomError, Rooms, Token, TokenError, Typing};
use store::{Pos, RoomNid, Store, StoreError, UserNid, rows::Membership, tables::Activity};
use thiserror::Error;
use users::{UserFollower, Users};

mod answer;
mod badge;
mod body;
mod delta;
mod device_lists;
mod fields;
mod filter;
mod fragments;
mod members;
mod notifications;
mod places;
mod poll;
mod presence;
mod resident;
mod session;
mod sessions;
mod state;
mod stream;
mod summary;
mod timeline;
mod to_device;
mod unread;
mod waits;
mod write;

pub use body::Body;
pub use device_lists::DeviceLists;
pub use filter::Filter;
pub use notifications::{Notification, Notifications};
pub use poll::SyncRequest;
pub use presence::{Presence, PresenceError, PresenceOptions, Status};
pub use resident::Resident;
pub use stream::Changed;
pub use waits::SyncFigures;

use crate::{
    session::{Held, Kind, Session},
    sessions::Sessions,
    to_device::EncryptionNews,
};

/// Bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest that a request waits for news.
    pub max_timeout: Duration,
    /// The most events of a room in one answer.
    pub max_timeline_events: usize,
    /// Bytes of sessions kept in memory, those in use not counted in.
    pub session_bytes: usize,
    /// Who is told who is online.
    pub presence: PresenceOptions,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The rooms could not be read.
    #[error(transparent)]
    Rooms(#[from] RoomError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers `/sync`. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    users: Users,
    typing: Typing,
    encryption: Encryption,
    host: Host,
    shutdown: Shutdown,
    options: Options,
    sessions: Arc<Sessions>,
    presence: Presence,
    waits: waits::Waits,
}

impl Engine {
    /// Over these rooms and users. It hears nothing until [`Engine::followers`] are told of them.
    pub fn new(
        rooms: Rooms,
        users: Users,
        typing: Typing,
        encryption: Encryption,
        host: Host,
        shutdown: Shutdown,
        options: Options,
    ) -> Self {
        let sessions = Arc::new(Sessions::new(options.session_bytes));
        let presence = Presence::new(
            rooms.clone(),
            host.clone(),
            Arc::clone(&sessions),
            options.presence,
        );
        Self(Arc::new(Inner {
            rooms,
            users,
            typing,
            encryption,
            host,
            shutdown,
            options,
            sessions,
            presence,
            waits: waits::Waits::default(),
        }))
    }

    /// Who is online.
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// What must hear of the rooms' and the users' changes.
    pub fn followers(&self) -> (Arc<dyn Follower>, Arc<dyn UserFollower>) {
        (self.0.sessions.clone(), self.0.sessions.clone())
    }

    /// What must hear of changed keys and of messages to devices. Starts a task.
    pub fn encryption_follower(&self) -> Arc<dyn encryption::Follower> {
        let Inner {
            rooms,
            host,
            sessions,
            ..
        } = &*self.0;
        Arc::new(EncryptionNews::start(sessions, rooms.clone(), host))
    }

    /// Reads a `since` token. One of another database is taken for none: the client starts over.
    ///
    /// # Errors
    /// [`TokenError::Malformed`]
    pub fn since(&self, token: &str) -> Result<Option<Pos>, TokenError> {
        match Token::parse(token, self.store().instance()) {
            Ok(token) => Ok(Some(token.pos.max(Pos::ZERO))),
            Err(TokenError::OtherInstance) => Ok(None),
            Err(error @ TokenError::Malformed) => Err(error),
        }
    }

    /// How far the client of a `since` token has its device's messages, if that is behind the rest.
    pub fn since_inbox(&self, token: &str) -> Option<Pos> {
        Token::inbox(token)
    }

    pub(crate) fn store(&self) -> &Store {
        self.0.rooms.store()
    }

    pub(crate) fn token(&self, pos: Pos) -> String {
        Token {
            instance: self.store().instance(),
            pos,
        }
        .to_string()
    }

    /// The session of a user, built if it is not there.
    pub(crate) async fn session(&self, user: UserNid) -> Result<Held, SyncError> {
        let (held, session) = self.0.sessions.hold(user, self.0.host.now_ms());
        held.built.get_or_try_init(|| self.build(&session)).await?;
        Ok(held)
    }

    /// Reads a session from the store; the steps are those that [`sessions`] explains.
    async fn build(&self, session: &Arc<Session>) -> Result<(), SyncError> {
        let sessions = &self.0.sessions;
        let start = self.store().visible();
        let rows: Vec<_> = self
            .0
            .rooms
            .rooms_of_nid(session.user)
            .await?
            .into_iter()
            .filter(|(_, row)| !row.forgotten)
            .collect();
        {
            let mut state = session.lock();
            for (room, row) in &rows {
                state.merge(*room, row.member.membership, row.member.pos, Pos::ZERO);
            }
        }
        let joined: Vec<RoomNid> = rows
            .iter()
            .filter(|(_, row)| row.member.membership == Membership::Join)
            .map(|(room, _)| *room)
            .collect();
        for room in &joined {
            sessions.watch(*room, session);
        }
        let activity = self.store().multi_get::<Activity>(&joined).await?;
        let activity: HashMap<RoomNid, Pos> = joined
            .iter()
            .zip(activity)
            .filter_map(|(room, pos)| Some((*room, pos?)))
            .collect();
        {
            let mut state = session.lock();
            for (room, row) in &rows {
                let active = activity.get(room).copied().unwrap_or(Pos::ZERO);
                state.merge(*room, row.member.membership, row.member.pos, active);
            }
            for (room, pos) in self.0.typing.changed_rooms() {
                state.touch(room, pos, Kind::Typing);
            }
            state.account_data = state.account_data.max(start);
            state.memberships = state.memberships.max(start);
            state.farewells = state.farewells.max(start);
            state.latest = state.latest.max(start);
            state.built();
        }
        for room in joined {
            sessions.unwatch(room, session);
        }
        sessions.built(session);
        Ok(())
    }
}
