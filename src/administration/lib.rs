//! What an administrator does that concerns users, rooms and files at once, and what is remembered of it.
//!
//! Knows no HTTP: `admin-api` asks it for the command line and for other tools.

use std::sync::{Arc, OnceLock};

use host::Host;
use media::Media;
use rooms::Rooms;
use store::Store;
use users::Users;

mod accounts;
mod audit;
mod error;
mod files;
mod log;
mod process;
mod rate_limits;
mod storage;

pub use audit::Deed;
pub use error::AdministrationError;
pub use files::{OldFiles, RoomFiles};
pub use log::LogFilter;
pub use rate_limits::RateLimitOverride;
pub use storage::{RoomSize, TableSize};

/// Looks after the server. Cheap to clone.
#[derive(Clone)]
pub struct Administration(Arc<Inner>);

struct Inner {
    store: Store,
    host: Host,
    users: Users,
    rooms: Rooms,
    media: Media,
    /// Who writes the log, if it can be changed.
    log: OnceLock<Arc<dyn LogFilter>>,
    started_ms: u64,
}

impl Administration {
    /// Over the services of a server.
    pub fn new(store: Store, host: Host, users: Users, rooms: Rooms, media: Media) -> Self {
        let started_ms = host.now_ms();
        Self(Arc::new(Inner {
            store,
            host,
            users,
            rooms,
            media,
            log: OnceLock::new(),
            started_ms,
        }))
    }
}
