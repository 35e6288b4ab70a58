//! What an administrator does that concerns users, rooms and files at once, and what is remembered of it.
//!
//! Knows no HTTP: `admin-api` asks it for the command line and for other tools.

use std::sync::{Arc, OnceLock};

use config::ServerNotices;
use host::Host;
use media::Media;
use rooms::Rooms;
use search::Search;
use store::Store;
use users::Users;

mod accounts;
mod audit;
mod checkpoint;
mod error;
mod files;
mod log;
mod notices;
mod process;
mod rate_limits;
mod storage;
mod tasks;

pub use audit::Deed;
pub use checkpoint::{CHECKPOINTS, Checkpoint};
pub use error::AdministrationError;
pub use files::{OldFiles, RoomFiles};
pub use log::LogFilter;
pub use notices::Notice;
pub use rate_limits::RateLimitOverride;
pub use storage::{RoomSize, TableSize};
pub use tasks::{DeleteRoom, Job, PurgeHistory, RedactUser, Task, TaskState};

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
    search: Search,
    notices: ServerNotices,
    /// Whoever sends a notice.
    noticing: tokio::sync::Mutex<()>,
    tasks: tasks::Tasks,
}

impl Administration {
    /// Over the services of a server.
    pub fn new(
        host: Host,
        users: Users,
        rooms: Rooms,
        media: Media,
        search: Search,
        notices: ServerNotices,
    ) -> Self {
        let started_ms = host.now_ms();
        Self(Arc::new(Inner {
            store: rooms.store().clone(),
            host,
            users,
            rooms,
            media,
            log: OnceLock::new(),
            started_ms,
            search,
            notices,
            noticing: tokio::sync::Mutex::default(),
            tasks: tasks::Tasks::default(),
        }))
    }
}
