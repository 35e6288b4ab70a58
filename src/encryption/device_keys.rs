//! Identity keys of devices
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload)).

use std::collections::BTreeMap;

use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use store::{
    Raw, UserNid,
    tables::{CrossSigningKeys, DeviceKeys, KeySignatures, KeyStocks, OneTimeKeys},
};

use crate::{
    Encryption, KeyCounts, KeysError,
    change::{Change, EVERYBODY},
    cross_signing, json,
    one_time_keys::Stock,
};

/// What a device uploads.
#[derive(Debug, Default)]
pub struct KeyUpload {
    /// Its identity keys.
    pub device_keys: Option<Box<RawValue>>,
    /// By `algorithm:id`.
    pub one_time_keys: Vec<(String, Box<RawValue>)>,
    /// By `algorithm:id`, one per algorithm.
    pub fallback_keys: Vec<(String, Box<RawValue>)>,
}

/// Bytes of a device's identity keys: two keys and a few signatures take less than one thousand, keys that
/// withstand quantum computers a few more.
const MAX_DEVICE_KEYS_BYTES: usize = 32 * 1024;

/// What the server looks at in a device's identity keys.
#[derive(Deserialize)]
struct Identity {
    user_id: String,
    device_id: String,
    #[expect(dead_code, reason = "checked to be there")]
    algorithms: Vec<String>,
    keys: BTreeMap<String, String>,
    #[serde(default)]
    #[expect(dead_code, reason = "checked to have the right form")]
    signatures: BTreeMap<String, BTreeMap<String, String>>,
}

impl Encryption {
    /// Keeps what a device uploads, in one commit, and tells how many one-time keys there are then.
    ///
    /// # Errors
    /// [`KeysError::Invalid`] for keys of another device, and for a one-time key whose id has another key already.
    pub async fn upload_keys(
        &self,
        (user, user_id): (UserNid, &UserId),
        device_id: &str,
        upload: KeyUpload,
    ) -> Result<KeyCounts, KeysError> {
        if upload.is_empty() {
            return Ok((*self.key_counts(user, device_id).await?).clone());
        }
        let mut change = self.change([user]).await;
        // Nobody removes the device from here on until all is kept.
        let devices = self.devices(user).await?;
        if devices.iter().all(|device| device.device_id != device_id) {
            return Err(KeysError::UnknownDevice);
        }
        let counts = self
            .stage_keys(&mut change, (user, user_id), device_id, (upload, false))
            .await?;
        self.commit(change).await?;
        Ok(counts)
    }

    /// Adds the keys of a device to a change. Whatever a new device's name had before is not looked at.
    pub(crate) async fn stage_keys(
        &self,
        change: &mut Change,
        (user, user_id): (UserNid, &UserId),
        device_id: &str,
        (upload, is_new_device): (KeyUpload, bool),
    ) -> Result<KeyCounts, KeysError> {
        let key = (user, device_id.to_owned());
        let mut stock = Stock::default();
        if !is_new_device && let Some(row) = json::read::<KeyStocks, _>(&self.0.store, &key).await?
        {
            stock = row;
        }
        let mut is_new_identity = is_new_device;
        if let Some(keys) = &upload.device_keys {
            let identity = check_identity(keys, user_id, device_id)?;
            self.check_no_cross_signing_key(user, device_id).await?;
            let before = if is_new_device {
                None
            } else {
                self.0.store.get::<DeviceKeys>(&key).await?
            };
            is_new_identity |= self
                .stage_identity(change, &key, (keys, &identity), before)
                .await?;
        }
        if is_new_identity {
            // One-time keys are signed by the identity.
            change.batch.delete_prefix::<OneTimeKeys>(&key);
            stock = Stock::default();
        }
        self.stage_one_time_keys(change, (&key, &mut stock), is_new_identity, upload)
            .await?;
        Ok(stock.counts())
    }

    /// Adds identity keys to a change; gives whether they replace others.
    async fn stage_identity(
        &self,
        change: &mut Change,
        key: &(UserNid, String),
        (keys, identity): (&RawValue, &Identity),
        before: Option<Raw>,
    ) -> Result<bool, KeysError> {
        let mut is_new_identity = false;
        if let Some(before) = before {
            if json::same(&before.0, keys.get().as_bytes()) {
                return Ok(false);
            }
            let before = json::sent::<DeviceKeys>(&before.0)?;
            let kept: Option<Identity> = serde_json::from_str(before.get()).ok();
            is_new_identity = kept.is_none_or(|kept| kept.keys != identity.keys);
            let same_signed = match (json::canonical(&before), json::canonical(keys)) {
                (Some(before), Some(keys)) => json::same_signed(&before, &keys),
                _ => false,
            };
            if !same_signed {
                change.batch.delete_prefix::<KeySignatures>(key);
            }
        }
        change.batch.put::<DeviceKeys>(key, &json::kept(keys));
        let Change { batch, news, .. } = change;
        self.log_list(batch, news, (key.0, EVERYBODY)).await?;
        Ok(is_new_identity)
    }

    /// "servers MUST not allow devices to have the same IDs as cross-signing keys"
    async fn check_no_cross_signing_key(
        &self,
        user: UserNid,
        device_id: &str,
    ) -> Result<(), KeysError> {
        let kinds: Vec<_> = (0..3).map(|kind| (user, kind)).collect();
        let rows = self.0.store.multi_get::<CrossSigningKeys>(&kinds).await?;
        for row in rows.into_iter().flatten() {
            let key = json::sent::<CrossSigningKeys>(&row.0)?;
            if cross_signing::public_key(&key).as_deref() == Some(device_id) {
                return Err(KeysError::Forbidden(
                    "The device id is the same as one of the user's cross-signing keys.",
                ));
            }
        }
        Ok(())
    }
}

impl KeyUpload {
    fn is_empty(&self) -> bool {
        self.device_keys.is_none() && self.one_time_keys.is_empty() && self.fallback_keys.is_empty()
    }
}

fn check_identity(
    keys: &RawValue,
    user_id: &UserId,
    device_id: &str,
) -> Result<Identity, KeysError> {
    if keys.get().len() > MAX_DEVICE_KEYS_BYTES {
        return Err(KeysError::TooLarge("The device keys are too large.".into()));
    }
    let identity: Identity = serde_json::from_str(keys.get())
        .map_err(|error| KeysError::BadJson(format!("device_keys: {error}").into()))?;
    if identity.user_id != user_id.as_str() {
        return Err(KeysError::invalid(
            "The device keys are those of another user.",
        ));
    }
    if identity.device_id != device_id {
        return Err(KeysError::invalid(
            "The device keys are those of another device.",
        ));
    }
    if json::canonical(keys).is_none() {
        return Err(KeysError::BadJson(
            "device_keys: cannot be canonical JSON.".into(),
        ));
    }
    Ok(identity)
}

/// The key `ed25519:DEVICE_ID` of a device.
pub(crate) fn ed25519_key(keys: &RawValue, device_id: &str) -> Option<String> {
    let keys: Value = serde_json::from_str(keys.get()).ok()?;
    let key = keys.get("keys")?.get(format!("ed25519:{device_id}"))?;
    key.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
