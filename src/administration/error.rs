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
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
