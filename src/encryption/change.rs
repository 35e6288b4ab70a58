//! A commit in the making, and what is told once it is kept.

use std::sync::atomic::Ordering;

use store::{
    Batch, Pos, StoreError, UserNid,
    tables::{DeviceListHeads, DeviceListLog},
};

use crate::{Encryption, locks::Held};

/// In `DeviceListLog`, stands for everybody who shares a room.
pub(crate) const EVERYBODY: UserNid = UserNid(0);

/// What a commit brings to others.
#[derive(Default)]
pub(crate) struct News {
    /// Whose device list changed, and who is told.
    lists: Vec<(UserNid, UserNid)>,
    /// Devices whose counts in memory are old.
    pub(crate) counts: Vec<(UserNid, String)>,
}

/// A change of the rows of users who are locked.
pub(crate) struct Change {
    pub(crate) batch: Batch,
    pub(crate) news: News,
    held: Held,
}

impl Encryption {
    /// Begins to change the rows of these users, once nobody else does.
    pub(crate) async fn change(&self, users: impl IntoIterator<Item = UserNid>) -> Change {
        Change {
            batch: Batch::new(),
            news: News::default(),
            held: self.0.locks.write(users).await,
        }
    }

    /// Commits, and holds the locks until that is published, even if the caller stops waiting.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), StoreError> {
        let Change {
            mut batch,
            news,
            held,
        } = change;
        if batch.is_empty() {
            return Ok(());
        }
        self.publish_with(&mut batch, news);
        batch.after(move |_| drop(held));
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Tells `news` when `batch` is published.
    pub(crate) fn publish_with(&self, batch: &mut Batch, news: News) {
        let encryption = self.clone();
        batch.after(move |pos| encryption.publish(pos, &news));
    }

    /// Notes in `batch` that a user's device list changes. The caller holds the lock of the user, or of the one who
    /// alone is told.
    pub(crate) async fn log_list(
        &self,
        batch: &mut Batch,
        news: &mut News,
        (user, audience): (UserNid, UserNid),
    ) -> Result<(), StoreError> {
        if news.lists.contains(&(user, audience)) {
            return Ok(());
        }
        let key = (user, audience);
        if let Some(before) = self.0.store.get::<DeviceListHeads>(&key).await? {
            batch.delete::<DeviceListLog>(&before);
        }
        let pos = Pos::unassigned(u16::try_from(news.lists.len()).unwrap_or(u16::MAX));
        batch.put::<DeviceListLog>(&pos, &key);
        batch.put::<DeviceListHeads>(&key, &pos);
        news.lists.push(key);
        Ok(())
    }

    fn publish(&self, first: Pos, news: &News) {
        for key in &news.counts {
            self.0.counts.remove(key);
        }
        if news.lists.is_empty() {
            return;
        }
        let followers = self.0.followers.read().clone();
        let mut pos = first;
        for (user, audience) in &news.lists {
            self.0
                .latest_list_change
                .fetch_max(pos.0, Ordering::Release);
            let audience = (*audience != EVERYBODY).then_some(*audience);
            for follower in &followers {
                follower.device_list_changed(*user, audience, pos);
            }
            pos = pos.next();
        }
    }
}
