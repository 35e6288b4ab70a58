//! Devices and which tokens are theirs
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#device-management)).

use std::collections::HashSet;

use ruma::{DeviceId, OwnedDeviceId};
use serde::{Deserialize, Serialize};
use store::{
    Batch, Scan, Store, StoreError, UserNid,
    tables::{AccessTokens, DeviceSeen, Devices, RefreshTokens},
};

use crate::{
    CreateError, DeviceError, LoginError, NewSession, UserNews, Users, news::Aftermath, rows,
    tokens::TokenHash,
};

/// A device as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Chosen by the client or by us.
    pub device_id: OwnedDeviceId,
    /// Public.
    pub display_name: Option<String>,
    /// The address that last used it.
    pub last_seen_ip: Option<String>,
    /// When that was, in milliseconds since the Unix epoch; exact to a minute.
    pub last_seen_ts: Option<u64>,
}

/// As Synapse has it; a longer name is no name.
pub(crate) const MAX_DISPLAY_NAME_CHARACTERS: usize = 100;
/// Spent refresh tokens remembered per device, to notice a thief.
const SPENT_REMEMBERED: usize = 8;

/// The row of a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    pub(crate) created_ms: u64,
    /// The tokens in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<TokenPair>,
    /// What the last refresh gave out and nobody has used yet: until then `current` holds too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<TokenPair>,
    /// Refresh tokens whose successor has been used, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) spent: Vec<TokenHash>,
}

/// An access token and the refresh token given out with it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct TokenPair {
    pub(crate) access: TokenHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<TokenHash>,
}

/// The row that last-seen is kept in, apart from the tokens so that it is written without reading.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeenRow {
    pub(crate) ip: Option<String>,
    pub(crate) ts: u64,
}

impl DeviceRow {
    /// All tokens end.
    pub(crate) fn revoke(&mut self, batch: &mut Batch, aftermath: &mut Aftermath) {
        revoke_pair(self.current, batch, aftermath);
        revoke_pair(self.next, batch, aftermath);
        for spent in self.spent.drain(..) {
            batch.delete::<RefreshTokens>(&spent.key());
        }
        (self.current, self.next) = (None, None);
    }

    /// Somebody used what the last refresh gave out: what it replaced ends.
    pub(crate) fn promote(&mut self, batch: &mut Batch, aftermath: &mut Aftermath) {
        if let Some(old) = self.current.take() {
            aftermath.revoked.push(old.access);
            batch.delete::<AccessTokens>(&old.access.key());
            self.spent.extend(old.refresh);
        }
        while self.spent.len() > SPENT_REMEMBERED {
            batch.delete::<RefreshTokens>(&self.spent.remove(0).key());
        }
        self.current = self.next.take();
    }

    /// What the last refresh gave out is forgotten: its answer was lost, and it was asked again.
    pub(crate) fn drop_next(&mut self, batch: &mut Batch, aftermath: &mut Aftermath) {
        revoke_pair(self.next.take(), batch, aftermath);
    }
}

fn revoke_pair(pair: Option<TokenPair>, batch: &mut Batch, aftermath: &mut Aftermath) {
    let Some(pair) = pair else { return };
    aftermath.revoked.push(pair.access);
    batch.delete::<AccessTokens>(&pair.access.key());
    if let Some(refresh) = pair.refresh {
        batch.delete::<RefreshTokens>(&refresh.key());
    }
}

impl Users {
    /// All devices of a user.
    pub async fn devices(&self, user: UserNid) -> Result<Vec<Device>, StoreError> {
        let rows = self
            .0
            .store
            .scan::<Devices>(Scan::prefix::<Devices>(&(user,)))
            .await?;
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        let seen = self.0.store.multi_get::<DeviceSeen>(&keys).await?;
        rows.into_iter()
            .zip(seen)
            .map(|(((_, device_id), raw), seen)| {
                let row: DeviceRow = rows::parse::<Devices, _>(&raw)?;
                let seen = seen
                    .map(|raw| rows::parse::<DeviceSeen, SeenRow>(&raw))
                    .transpose()?;
                Ok(device(device_id, row, seen))
            })
            .collect()
    }

    /// Whether a user may log in so: with a device that is there, or with one more. The caller holds the user's lock.
    ///
    /// # Errors
    /// [`LoginError::TooManyDevices`]
    pub(crate) async fn check_devices(
        &self,
        user: UserNid,
        new: &NewSession,
    ) -> Result<(), LoginError> {
        let limit = self.0.options.sessions.max_devices;
        let store = &self.0.store;
        if let Some(device_id) = &new.device_id
            && store
                .get::<Devices>(&(user, device_id.to_string()))
                .await?
                .is_some()
        {
            return Ok(());
        }
        let rows = Scan::prefix::<Devices>(&(user,)).limit(limit);
        if store.scan::<Devices>(rows).await?.len() >= limit {
            return Err(LoginError::TooManyDevices { limit });
        }
        Ok(())
    }

    /// One device of a user.
    pub async fn device(
        &self,
        user: UserNid,
        device_id: &DeviceId,
    ) -> Result<Option<Device>, StoreError> {
        let key = (user, device_id.to_string());
        let Some(row) = rows::read::<Devices, DeviceRow>(&self.0.store, &key).await? else {
            return Ok(None);
        };
        let seen = rows::read::<DeviceSeen, SeenRow>(&self.0.store, &key).await?;
        Ok(Some(device(key.1, row, seen)))
    }

    /// Gives a device another display name; `None` leaves it as it is.
    pub async fn rename_device(
        &self,
        user: UserNid,
        device_id: &DeviceId,
        display_name: Option<String>,
    ) -> Result<(), DeviceError> {
        let limit = MAX_DISPLAY_NAME_CHARACTERS;
        if display_name
            .as_ref()
            .is_some_and(|name| name.chars().count() > limit)
        {
            return Err(DeviceError::NameTooLong { limit });
        }
        let guard = self.0.locks.lock(user).await;
        let key = (user, device_id.to_string());
        let row: Option<DeviceRow> = rows::read::<Devices, _>(&self.0.store, &key).await?;
        let mut row = row.ok_or(DeviceError::NotFound)?;
        if display_name.is_none() || display_name == row.display_name {
            return Ok(());
        }
        row.display_name = display_name;
        let mut batch = Batch::new();
        batch.put::<Devices>(&key, &rows::write::<Devices>(&row)?);
        let news = UserNews::DeviceChanged {
            device_id: device_id.to_owned(),
        };
        self.commit(user, guard, batch, Aftermath::news(news))
            .await?;
        Ok(())
    }

    /// Makes a device that nobody is logged in with yet. Whether it is new: one that is there stays as it is.
    ///
    /// # Errors
    /// [`LoginError::Deactivated`] for who has no account, or a closed one; [`LoginError::TooManyDevices`];
    /// [`LoginError::Create`] for an id that is too long.
    pub async fn create_device(
        &self,
        user: UserNid,
        device_id: &DeviceId,
        display_name: Option<&str>,
    ) -> Result<bool, LoginError> {
        let new = NewSession {
            device_id: Some(device_id.to_owned()),
            ..NewSession::default()
        };
        new.check().map_err(CreateError::InvalidDevice)?;
        let guard = self.0.locks.lock(user).await;
        let account = self.account_of(user).await?;
        if account.is_none_or(|account| account.deactivated) {
            return Err(LoginError::Deactivated);
        }
        let key = (user, device_id.to_string());
        if self.0.store.get::<Devices>(&key).await?.is_some() {
            return Ok(false);
        }
        self.check_devices(user, &new).await?;
        let row = DeviceRow {
            display_name: display_name
                .map(|name| name.chars().take(MAX_DISPLAY_NAME_CHARACTERS).collect()),
            created_ms: self.0.host.now_ms(),
            ..DeviceRow::default()
        };
        let mut batch = Batch::new();
        batch.put::<Devices>(&key, &rows::write::<Devices>(&row)?);
        let news = UserNews::DeviceChanged {
            device_id: device_id.to_owned(),
        };
        self.commit(user, guard, batch, Aftermath::news(news))
            .await?;
        Ok(true)
    }

    /// Removes devices and their tokens, in one commit. Unknown ones are removed already.
    pub async fn delete_devices(
        &self,
        user: UserNid,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), StoreError> {
        let which: HashSet<&str> = device_ids.iter().map(|id| id.as_str()).collect();
        self.delete_devices_where(user, |id| which.contains(id))
            .await
    }

    pub(crate) async fn delete_devices_where(
        &self,
        user: UserNid,
        which: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        self.remove_devices(&mut batch, &mut aftermath, user, which)
            .await?;
        if !batch.is_empty() {
            self.commit(user, guard, batch, aftermath).await?;
        }
        Ok(())
    }
}

/// The ids of a user's devices with their display names. For who has the store and not [`Users`], and needs no more.
pub async fn device_names(
    store: &Store,
    user: UserNid,
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let rows = store
        .scan::<Devices>(Scan::prefix::<Devices>(&(user,)))
        .await?;
    rows.into_iter()
        .map(|((_, device_id), raw)| {
            let row: DeviceRow = rows::parse::<Devices, _>(&raw)?;
            Ok((device_id, row.display_name))
        })
        .collect()
}

fn device(device_id: String, row: DeviceRow, seen: Option<SeenRow>) -> Device {
    let (last_seen_ip, last_seen_ts) = seen.map_or((None, None), |seen| (seen.ip, Some(seen.ts)));
    Device {
        device_id: device_id.into(),
        display_name: row.display_name,
        last_seen_ip,
        last_seen_ts,
    }
}
