//! What the rest of the server hears about a user, after it is kept.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use ruma::OwnedDeviceId;
use store::{Batch, Pos, RoomNid, StoreError, UserNid};
use tokio::sync::OwnedMutexGuard;

use crate::{Users, tokens::TokenHash};

/// Hears what changes about users, in commit order. Called on the committer's thread: it must not block.
pub trait UserFollower: Send + Sync {
    /// `what` changed about `user` at `pos`.
    fn user_changed(&self, user: UserNid, pos: Pos, what: &UserNews);
}

/// Keeps something of its own for the devices of users, such as their keys.
pub trait DeviceKeeper: Send + Sync {
    /// Adds to `batch`, which is about to be queued, what follows from `news` of devices that are removed or renamed,
    /// or of an account that is closed: it is kept in the same commit, or not at all. What is returned is dropped when
    /// the commit is published. Holds the lock of `user` here: it must not ask for it.
    fn keep<'a>(
        &'a self,
        batch: &'a mut Batch,
        user: UserNid,
        news: &'a [UserNews],
    ) -> KeeperFuture<'a>;
}

/// What [`DeviceKeeper::keep`] gives.
pub type KeeperFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn Any + Send>, StoreError>> + Send + 'a>>;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserNews {
    /// Account data, global or of one room.
    AccountData {
        /// The room, if it is a room's.
        room: Option<RoomNid>,
    },
    /// Push rules; [`UserNews::AccountData`] is told as well.
    PushRules,
    /// Pushers were set or removed, other than with their device.
    Pushers,
    /// The tokens of a device no longer hold: it was logged in anew, or a stolen refresh token showed up.
    LoggedOut {
        /// The device, which stays.
        device_id: OwnedDeviceId,
    },
    /// A device is gone, and its tokens.
    DeviceRemoved {
        /// The device.
        device_id: OwnedDeviceId,
    },
    /// A device was renamed, or is new.
    DeviceChanged {
        /// The device.
        device_id: OwnedDeviceId,
    },
    /// The profile.
    Profile,
    /// The account was closed; its devices are told one by one.
    Deactivated,
}

impl UserNews {
    /// Whether a session ends, and not just an access token that was renewed.
    fn ends_a_session(&self) -> bool {
        matches!(
            self,
            Self::LoggedOut { .. } | Self::DeviceRemoved { .. } | Self::Deactivated
        )
    }

    /// Whether a [`DeviceKeeper`] is asked.
    fn is_of_devices(&self) -> bool {
        match self {
            Self::DeviceRemoved { .. } | Self::DeviceChanged { .. } | Self::Deactivated => true,
            Self::AccountData { .. }
            | Self::PushRules
            | Self::Pushers
            | Self::LoggedOut { .. }
            | Self::Profile => false,
        }
    }
}

/// What follows from a commit: whom to tell and what memory to drop.
#[derive(Default)]
pub(crate) struct Aftermath {
    pub(crate) news: Vec<UserNews>,
    /// Access tokens that mean something else from now on: they leave the cache.
    pub(crate) revoked: Vec<TokenHash>,
    /// The account was locked or suspended, or is so no longer.
    pub(crate) restricted: bool,
}

impl Aftermath {
    pub(crate) fn news(news: UserNews) -> Self {
        Self {
            news: vec![news],
            ..Self::default()
        }
    }
}

impl Users {
    /// Commits `batch` for `user` and holds the user's lock until it is published, even if the caller stops
    /// waiting: caches are corrected and followers told in the same moment.
    pub(crate) async fn commit(
        &self,
        user: UserNid,
        guard: OwnedMutexGuard<()>,
        mut batch: Batch,
        aftermath: Aftermath,
    ) -> Result<Pos, StoreError> {
        let users = self.clone();
        let mut held = Vec::new();
        if aftermath.news.iter().any(UserNews::is_of_devices) {
            let keepers: Vec<Arc<dyn DeviceKeeper>> = self.0.keepers.read().clone();
            for keeper in &keepers {
                held.push(keeper.keep(&mut batch, user, &aftermath.news).await?);
            }
        }
        self.drop_pushers(&mut batch, user, &aftermath.news).await?;
        batch.after(move |pos| {
            users.publish(user, pos, &aftermath);
            drop((held, guard));
        });
        self.0.store.commit(batch).await
    }

    fn publish(&self, user: UserNid, pos: Pos, aftermath: &Aftermath) {
        for token in &aftermath.revoked {
            self.0.sessions.remove(token);
        }
        if aftermath.restricted || aftermath.news.iter().any(UserNews::ends_a_session) {
            self.0.endings.ring(user);
        }
        if aftermath.news.contains(&UserNews::PushRules) {
            self.0.rulesets.remove(&user);
        }
        if aftermath.news.contains(&UserNews::Profile) {
            self.0.directory.changed(user);
        }
        for news in &aftermath.news {
            self.tell(user, pos, news);
        }
    }

    /// Tells the followers. On the committer's thread.
    pub(crate) fn tell(&self, user: UserNid, pos: Pos, news: &UserNews) {
        let followers: Vec<Arc<dyn UserFollower>> = self.0.followers.read().clone();
        for follower in &followers {
            follower.user_changed(user, pos, news);
        }
    }
}
