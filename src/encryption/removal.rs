//! What goes with a device, a name or an account: in the same commit, which somebody else makes.

use store::{
    Batch, StoreError, UserNid,
    tables::{
        CrossSigningKeys, DehydratedDevices, DeviceKeys, Inbox, KeyBackups, KeySignatures,
        KeyStocks, OneTimeKeys, RoomKeys, Transactions,
    },
};

use crate::{
    Encryption, Held,
    change::{EVERYBODY, News},
};

impl Encryption {
    /// Adds to `batch` that these devices of a user go, with their keys and their messages, and that others are called
    /// otherwise. Keep what is returned until the batch is published or dropped.
    pub async fn devices_change(
        &self,
        batch: &mut Batch,
        user: UserNid,
        removed: &[&str],
        renamed: &[&str],
    ) -> Result<Held, StoreError> {
        let held = self.0.locks.write([user]).await;
        let mut news = News::default();
        let keys: Vec<_> = removed
            .iter()
            .chain(renamed)
            .map(|device_id| (user, (*device_id).to_owned()))
            .collect();
        let rows = self.0.store.multi_get::<DeviceKeys>(&keys).await?;
        for key in &keys[..removed.len()] {
            Self::remove_device(batch, &mut news, key);
        }
        if rows.iter().any(Option::is_some) {
            self.log_list(batch, &mut news, (user, EVERYBODY)).await?;
        }
        self.publish_with(batch, news);
        Ok(held)
    }

    /// Adds to `batch` that an account is closed: nothing of its keys, messages and backups stays. Keep what is
    /// returned until the batch is published or dropped.
    pub async fn account_closes(
        &self,
        batch: &mut Batch,
        user: UserNid,
    ) -> Result<Held, StoreError> {
        let held = self.0.locks.write([user]).await;
        let mut news = News::default();
        let owner = (user,);
        for device in self.devices(user).await? {
            news.counts.push((user, device.device_id));
        }
        batch.delete_prefix::<DeviceKeys>(&owner);
        batch.delete_prefix::<KeyStocks>(&owner);
        batch.delete_prefix::<OneTimeKeys>(&owner);
        batch.delete_prefix::<CrossSigningKeys>(&owner);
        batch.delete_prefix::<KeySignatures>(&owner);
        batch.delete_prefix::<KeyBackups>(&owner);
        batch.delete_prefix::<RoomKeys>(&owner);
        batch.delete_prefix::<Inbox>(&owner);
        batch.delete::<DehydratedDevices>(&user);
        self.log_list(batch, &mut news, (user, EVERYBODY)).await?;
        self.publish_with(batch, news);
        Ok(held)
    }

    pub(crate) fn remove_device(batch: &mut Batch, news: &mut News, key: &(UserNid, String)) {
        batch.delete::<DeviceKeys>(key);
        batch.delete::<KeyStocks>(key);
        batch.delete_prefix::<OneTimeKeys>(key);
        batch.delete_prefix::<KeySignatures>(key);
        batch.delete_prefix::<Inbox>(key);
        batch.delete_prefix::<Transactions>(key);
        news.counts.push(key.clone());
    }
}
