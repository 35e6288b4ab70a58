//! Rooms: events, state, membership (DESIGN §5, §6).
//!
//! One writer per room decides in memory; one commit keeps the event with everything that must be true when the answer
//! is sent; the world hears of it behind the log. Knows neither HTTP nor accounts: what a profile is, [`Profiles`] tells.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use host::Host;
use parking_lot::Mutex;
use room_versions::Signer;
use ruma::{OwnedServerName, OwnedUserId, RoomId, RoomVersionId, ServerName, UserId};
use store::{RoomNid, Store};

mod administration;
mod aggregations;
mod aliases;
mod append;
mod blocking;
mod creation;
mod delayed;
mod directory;
mod error;
mod event;
mod files;
mod filter;
#[cfg(test)]
mod fixture;
mod guests;
mod hierarchy;
mod history;
mod joined_since;
mod latest;
mod membership;
mod news;
mod notify;
mod powers;
mod profile;
mod publish;
mod read;
mod receipts;
mod relations;
mod removal;
mod reports;
mod room;
mod send;
mod server_acl;
mod sharing;
mod state_at;
mod summary;
mod sweep;
mod threads;
mod timeline;
mod token;
mod typing;
mod unread;
mod upgrade;
mod visibility;
mod watch;

pub use administration::{Explained, Report};
pub use aggregations::{Bundles, Reader};
pub use blocking::Blocked;
pub use creation::{Creation, InitialState, Preset};
/// What follows from an event alone, for who compares it with what is kept.
pub mod derived {
    pub use crate::{
        notify::{Class, classify},
        relations::Kind,
    };
}

pub use delayed::{Delayed, DelayedAction, DelayedError, DelayedEvent, DelayedOptions, ToDelay};
pub use directory::{DirectoryPage, DirectoryQuery};
pub use error::RoomError;
pub use event::{ClientView, Event, Previous, write_json_str};
pub use filter::EventFilter;
pub use hierarchy::{Hierarchy, HierarchyQuery, HierarchyRoom};
pub use history::Purge;
pub use news::{Follower, MemberChange, RoomNews, What};
pub use profile::{MemberProfile, Profiles};
pub use receipts::{Receipt, ReceiptKind, ReceiptThread};
pub use relations::{MAX_RELATED, RECURSION_DEPTH, RelatedPage, Relation, RelationQuery};
pub use reports::Reported;
pub use room::Room;
pub use send::Transaction;
pub use sharing::Acquaintance;
pub use state_at::{State, StateChange};
pub use summary::Summary;
pub use threads::{MAX_THREADS, ThreadPage};
pub use timeline::{MAX_PAGE_EVENTS, Page, Paging, RoomView};
pub use token::{Token, TokenError};
pub use typing::Typing;
pub use unread::{ReadMark, RoomUnread, Unread, UnreadQuery};
pub use upgrade::Upgrade;
pub use visibility::Visibility;
pub use watch::{Watch, Watcher};

/// Who this server is: its name and its signing key.
pub struct Identity {
    /// `server_name`
    pub server_name: OwnedServerName,
    /// Signs every event sent here.
    pub signer: Signer,
}

/// Bounds and defaults.
#[derive(Clone, Debug)]
pub struct RoomOptions {
    /// Version of rooms whose creator asks for none.
    pub default_version: RoomVersionId,
    /// Who sends the server's own notices: invitations of theirs cannot be rejected.
    pub notices_user: Option<OwnedUserId>,
    /// Bytes of rooms kept in memory.
    pub room_cache_bytes: usize,
    /// Bytes of events kept in memory.
    pub event_cache_bytes: usize,
}

/// All rooms of this server; cheap to clone.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

struct Inner {
    store: Store,
    host: Host,
    identity: Identity,
    options: RoomOptions,
    profiles: Arc<dyn Profiles>,
    followers: OnceLock<Vec<Arc<dyn Follower>>>,
    events: quick_cache::sync::Cache<(RoomNid, store::Rsn), Arc<Event>, EventWeight>,
    /// Holds rooms in memory within the budget.
    loaded: quick_cache::sync::Cache<RoomNid, Arc<RoomCell>, RoomWeight>,
    /// Knows every room in memory, so that there is never a second one beside a room that somebody still holds.
    alive: Mutex<HashMap<RoomNid, Alive>>,
    directory: directory::Directory,
}

/// What rooms hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomMemory {
    /// Rooms kept ready.
    pub rooms: u64,
    /// Their bytes, roughly.
    pub rooms_bytes: u64,
    /// How many they may be.
    pub rooms_limit_bytes: u64,
    /// Recent events.
    pub events: u64,
    /// Their bytes, roughly.
    pub events_bytes: u64,
    /// How many they may be.
    pub events_limit_bytes: u64,
}

/// A room that somebody holds, or its place, or neither.
#[derive(Default)]
struct Alive {
    cell: Weak<RoomCell>,
    room: Weak<Room>,
}

/// A room, or the place where somebody is loading it.
#[derive(Default)]
struct RoomCell(tokio::sync::OnceCell<Arc<Room>>);

#[derive(Clone)]
struct EventWeight;

impl quick_cache::Weighter<(RoomNid, store::Rsn), Arc<Event>> for EventWeight {
    fn weight(&self, _key: &(RoomNid, store::Rsn), event: &Arc<Event>) -> u64 {
        event.weight() as u64
    }
}

#[derive(Clone)]
struct RoomWeight;

impl quick_cache::Weighter<RoomNid, Arc<RoomCell>> for RoomWeight {
    fn weight(&self, _key: &RoomNid, _cell: &Arc<RoomCell>) -> u64 {
        room::WEIGHT as u64
    }
}

impl Rooms {
    /// The rooms of a store.
    pub fn new(
        store: Store,
        host: Host,
        identity: Identity,
        options: RoomOptions,
        profiles: Arc<dyn Profiles>,
    ) -> Self {
        // Expected numbers of items, for the caches' tables: an event weighs about 1 KB.
        let events = options.event_cache_bytes / 1024;
        let rooms = options.room_cache_bytes / room::WEIGHT;
        let inner = Inner {
            events: quick_cache::sync::Cache::with_weighter(
                events,
                options.event_cache_bytes as u64,
                EventWeight,
            ),
            loaded: quick_cache::sync::Cache::with_weighter(
                rooms,
                options.room_cache_bytes as u64,
                RoomWeight,
            ),
            alive: Mutex::default(),
            directory: directory::Directory::default(),
            followers: OnceLock::new(),
            store,
            host,
            identity,
            options,
            profiles,
        };
        Self(Arc::new(inner))
    }

    /// Names those who hear of every change; once, before the first request.
    pub fn follow(&self, followers: Vec<Arc<dyn Follower>>) {
        if self.0.followers.set(followers).is_err() {
            tracing::error!("the followers of the rooms were named twice");
        }
    }

    /// What the rooms hold in memory, for the metrics.
    pub fn memory(&self) -> RoomMemory {
        let (rooms, events) = (&self.0.loaded, &self.0.events);
        RoomMemory {
            rooms: rooms.len() as u64,
            rooms_bytes: rooms.weight(),
            rooms_limit_bytes: rooms.capacity(),
            events: events.len() as u64,
            events_bytes: events.weight(),
            events_limit_bytes: events.capacity(),
        }
    }

    /// Below.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The name of this server.
    pub fn server_name(&self) -> &ServerName {
        &self.0.identity.server_name
    }

    /// Whether the user lives here.
    pub fn is_local(&self, user: &UserId) -> bool {
        user.server_name() == self.server_name()
    }

    /// The number of a room.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn nid(&self, room_id: &RoomId) -> Result<RoomNid, RoomError> {
        self.store()
            .interner()
            .find(room_id.as_str())
            .await?
            .ok_or(RoomError::UnknownRoom)
    }

    /// A room, from memory or from the store.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn room(&self, nid: RoomNid) -> Result<Arc<Room>, RoomError> {
        let cell = self.cell(nid);
        let load = || async {
            let room = Arc::new(Room::load(self.store(), nid).await?);
            self.register(&room);
            Ok::<_, RoomError>(room)
        };
        cell.0.get_or_try_init(load).await.map(Arc::clone)
    }

    /// A room by its id.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn room_by_id(&self, room_id: &RoomId) -> Result<Arc<Room>, RoomError> {
        self.room(self.nid(room_id).await?).await
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.0.identity.signer
    }

    pub(crate) fn options(&self) -> &RoomOptions {
        &self.0.options
    }

    pub(crate) fn directory(&self) -> &directory::Directory {
        &self.0.directory
    }

    pub(crate) fn profiles(&self) -> &dyn Profiles {
        &*self.0.profiles
    }
}

#[cfg(test)]
mod tests;
