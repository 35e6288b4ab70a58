//! A device that nobody is logged in with, and whose messages wait for the user's next one
//! ([MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814), in the form that Element uses).

use ruma::UserId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    StoreError, UserNid,
    tables::{DehydratedDevices, DeviceKeys},
};

use crate::{Encryption, KeyUpload, KeysError, change::Change, change::EVERYBODY, json};

/// A device to be kept.
#[derive(Debug)]
pub struct NewDehydratedDevice {
    /// Chosen by the client.
    pub device_id: String,
    /// Public.
    pub display_name: Option<String>,
    /// The private half, encrypted.
    pub device_data: Box<RawValue>,
    /// The public half.
    pub keys: KeyUpload,
}

/// A device that is kept.
#[derive(Debug)]
pub struct DehydratedDevice {
    /// Its id.
    pub device_id: String,
    /// Public.
    pub display_name: Option<String>,
    /// As it was sent.
    pub device_data: Box<RawValue>,
}

/// The row of a dehydrated device.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) device_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    device_data: Box<RawValue>,
}

/// A pickled account with a hundred one-time keys takes 10 KiB.
const MAX_DATA_BYTES: usize = 256 * 1024;
/// As long as a device id may be.
const MAX_DEVICE_ID_BYTES: usize = 255;
/// As of every device.
const MAX_DISPLAY_NAME_CHARACTERS: usize = 100;

impl Encryption {
    /// Keeps a dehydrated device. The one before goes, with its messages, in the same commit.
    pub async fn put_dehydrated_device(
        &self,
        (user, user_id): (UserNid, &UserId),
        new: NewDehydratedDevice,
    ) -> Result<(), KeysError> {
        if new.device_id.is_empty() || new.device_id.len() > MAX_DEVICE_ID_BYTES {
            return Err(KeysError::invalid("This is not a device id."));
        }
        if new.device_data.get().len() > MAX_DATA_BYTES {
            return Err(KeysError::TooLarge("`device_data` is too large.".into()));
        }
        if !json::is_object(&new.device_data) {
            return Err(KeysError::BadJson(
                "`device_data` must be an object.".into(),
            ));
        }
        let mut change = self.change([user]).await;
        let devices = self.0.directory.devices(user).await?;
        if devices
            .iter()
            .any(|device| device.device_id == new.device_id)
        {
            return Err(KeysError::invalid(
                "Somebody is logged in with this device.",
            ));
        }
        if let Some(before) = self.dehydrated(user).await? {
            self.stage_removal(&mut change, user, &before.device_id)
                .await?;
        }
        let row = Row {
            device_id: new.device_id,
            display_name: new
                .display_name
                .map(|name| name.chars().take(MAX_DISPLAY_NAME_CHARACTERS).collect()),
            device_data: new.device_data,
        };
        let raw = json::write::<DehydratedDevices>(&row)?;
        change.batch.put::<DehydratedDevices>(&user, &raw);
        self.stage_keys(
            &mut change,
            (user, user_id),
            &row.device_id,
            (new.keys, true),
        )
        .await?;
        Ok(self.commit(change).await?)
    }

    /// The dehydrated device of a user.
    pub async fn dehydrated_device(
        &self,
        user: UserNid,
    ) -> Result<Option<DehydratedDevice>, StoreError> {
        Ok(self.dehydrated(user).await?.map(|row| DehydratedDevice {
            device_id: row.device_id,
            display_name: row.display_name,
            device_data: row.device_data,
        }))
    }

    /// Removes the dehydrated device with its keys and messages, and gives its id.
    pub async fn delete_dehydrated_device(
        &self,
        user: UserNid,
    ) -> Result<Option<String>, StoreError> {
        let mut change = self.change([user]).await;
        let Some(row) = self.dehydrated(user).await? else {
            return Ok(None);
        };
        change.batch.delete::<DehydratedDevices>(&user);
        self.stage_removal(&mut change, user, &row.device_id)
            .await?;
        self.commit(change).await?;
        Ok(Some(row.device_id))
    }

    async fn dehydrated(&self, user: UserNid) -> Result<Option<Row>, StoreError> {
        json::read::<DehydratedDevices, Row>(&self.0.store, &user).await
    }

    async fn stage_removal(
        &self,
        change: &mut Change,
        user: UserNid,
        device_id: &str,
    ) -> Result<(), StoreError> {
        let key = (user, device_id.to_owned());
        let Change { batch, news, .. } = change;
        let has_keys = self.0.store.get::<DeviceKeys>(&key).await?.is_some();
        Self::remove_device(batch, news, &key);
        if has_keys {
            self.log_list(batch, news, (user, EVERYBODY)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
