//! What the server does for end-to-end encryption: it keeps public keys, hands them out, passes messages between
//! devices and stores what it cannot read
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption)).
//!
//! Knows no room, no HTTP and no account: which devices a user has, it asks a [`Directory`]. What must hold:
//!
//! * a one-time key is handed out once, and is gone from the disk before it is;
//! * each change of a user's device list is one row of one log, in the commit that makes the change;
//! * a message to devices is kept in one commit with its transaction id;
//! * nothing encrypted is ever looked into.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use parking_lot::RwLock;
use quick_cache::sync::Cache;
use store::{Pos, Store, StoreError, UserNid, tables::DehydratedDevices};

mod change;
mod cross_signing;
mod dehydrated_devices;
mod device_keys;
mod device_lists;
mod error;
mod inbox;
mod json;
mod key_backup;
mod locks;
mod one_time_keys;
mod query;
mod removal;
mod renewal;
mod signatures;

pub use cross_signing::CrossSigningUpload;
pub use dehydrated_devices::{DehydratedDevice, NewDehydratedDevice};
pub use device_keys::KeyUpload;
pub use error::{BackupError, InboxError, KeysError};
pub use inbox::{InboxPage, Messages, Recipient, Sending};
pub use key_backup::{Backup, BackupState, RoomKey};
pub use locks::Held;
pub use one_time_keys::{Claim, ClaimedKey, KeyCounts};
pub use query::{Reader, UserKeys};
pub use renewal::{Renewed, renew};
pub use signatures::{SignatureFailure, Signed};

use crate::{inbox::Inboxes, locks::Locks};

/// Devices whose counts of one-time keys are kept in memory, each about 200 bytes.
const CACHED_COUNTS: usize = 50_000;

/// Whoever keeps the users' devices.
pub trait Directory: Send + Sync + 'static {
    /// The devices that a user is logged in with; none for a user whom the server does not know.
    fn devices(&self, user: UserNid) -> DevicesFuture<'_>;
}

/// What [`Directory::devices`] gives.
pub type DevicesFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<DeviceName>, StoreError>> + Send + 'a>>;

/// A device and what others see it called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// The device id.
    pub device_id: String,
    /// Public.
    pub display_name: Option<String>,
}

/// Hears what changes, in commit order, on the committer's thread: it must be short and must not block.
pub trait Follower: Send + Sync {
    /// A device list changed. `audience` is the only user to be told, if there is one; else everybody who shares a
    /// room with `user`, and `user`.
    fn device_list_changed(&self, user: UserNid, audience: Option<UserNid>, pos: Pos);
    /// There is a message for a device.
    fn message_sent(&self, user: UserNid, device_id: &str, pos: Pos);
}

/// Keys and messages of this server's users. Cheap to clone.
#[derive(Clone)]
pub struct Encryption(Arc<Inner>);

struct Inner {
    store: Store,
    directory: Arc<dyn Directory>,
    /// Whoever reads a user's rows to write them anew, or to cache them, holds the user's lock.
    locks: Locks,
    counts: Cache<(UserNid, String), Arc<KeyCounts>>,
    inboxes: Inboxes,
    /// No device list changed after this position.
    latest_list_change: AtomicI64,
    followers: RwLock<Vec<Arc<dyn Follower>>>,
}

impl Encryption {
    /// Over `store`.
    pub fn new(store: Store, directory: Arc<dyn Directory>) -> Self {
        let latest = AtomicI64::new(store.visible().0);
        Self(Arc::new(Inner {
            store,
            directory,
            locks: Locks::default(),
            counts: Cache::new(CACHED_COUNTS),
            inboxes: Inboxes::default(),
            latest_list_change: latest,
            followers: RwLock::default(),
        }))
    }

    /// From now on `follower` hears what changes.
    pub fn follow(&self, follower: Arc<dyn Follower>) {
        self.0.followers.write().push(follower);
    }

    /// The position of the latest change of any device list, or a later one: a reader who is that far needs not ask.
    pub fn latest_list_change(&self) -> Pos {
        Pos(self.0.latest_list_change.load(Ordering::Acquire))
    }

    /// The devices of a user that can have keys and be sent messages: those that are logged in, and the dehydrated one.
    pub(crate) async fn devices(&self, user: UserNid) -> Result<Vec<DeviceName>, StoreError> {
        let mut devices = self.0.directory.devices(user).await?;
        let dehydrated =
            json::read::<DehydratedDevices, dehydrated_devices::Row>(&self.0.store, &user).await?;
        if let Some(row) = dehydrated
            && devices
                .iter()
                .all(|device| device.device_id != row.device_id)
        {
            devices.push(DeviceName {
                device_id: row.device_id,
                display_name: row.display_name,
            });
        }
        Ok(devices)
    }
}

#[cfg(test)]
mod tests;
