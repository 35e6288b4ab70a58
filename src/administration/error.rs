//! Why something an administrator asked for was not done.

use rooms::RoomError;
use store::StoreError;
use thiserror::Error;

/// Why it was not done.
#[derive(Debug, Error)]
pub enum AdministrationError {
    /// A room does not let it.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// There is no such task, or not any more.
    #[error("there is no such task")]
    NoSuchTask,
    /// The task has ended, or has come so far that stopping it would leave something half done.
    #[error("the task has ended, or cannot be stopped any more")]
    NotCancelled,
    /// Too many tasks wait already.
    #[error("too many tasks wait already")]
    TooManyTasks,
    /// The server sends no notices, and why.
    #[error("{0}")]
    NoNotices(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
