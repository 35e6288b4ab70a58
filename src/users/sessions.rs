//! Sessions: a device with its access token, and how the token is checked, renewed and ended
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens)).

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use store::{
    Batch, StoreError, UserNid,
    tables::{AccessTokens, DeviceSeen, Devices, RefreshTokens},
};

use crate::{
    AuthenticationError, SESSION_BYTES, UserNews, Users,
    devices::{DeviceRow, MAX_DISPLAY_NAME_CHARACTERS, SeenRow, TokenPair},
    news::Aftermath,
    rows,
    tokens::{self, TokenHash, TokenKind},
};

/// What a client asks for when it logs in or registers.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// Taken up again if the user has it; generated if there is none.
    pub device_id: Option<OwnedDeviceId>,
    /// For a new device; cut at 100 characters.
    pub initial_device_display_name: Option<String>,
    /// Whether the client can renew its access token, which then expires.
    pub refreshable: bool,
}

/// How long an access token holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// Until it is logged out.
    UntilLogout,
    /// For the configured time; the refresh token that goes with it renews it.
    Refreshable,
    /// Until then, in milliseconds since the Unix epoch.
    Until(u64),
}

/// As long as a user id may be.
const MAX_DEVICE_ID_BYTES: usize = 255;

impl NewSession {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let too_long = self
            .device_id
            .as_ref()
            .is_some_and(|id| id.as_str().len() > MAX_DEVICE_ID_BYTES);
        if too_long {
            Err("The device id is longer than 255 bytes.")
        } else {
            Ok(())
        }
    }
}

/// What the client gets.
#[derive(Clone, Debug)]
pub struct IssuedSession {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The device, new or taken up again.
    pub device_id: OwnedDeviceId,
    /// Shown once; only its SHA-256 is kept.
    pub access_token: String,
    /// Shown once, for clients that asked for it.
    pub refresh_token: Option<String>,
    /// How long the access token holds, in milliseconds; `None` is until it is logged out.
    pub expires_in_ms: Option<u64>,
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user: UserNid,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The account may only be used to read and to leave.
    pub suspended: bool,
    /// The account is a guest's.
    pub guest: bool,
    /// Of the access token.
    pub(crate) token: TokenHash,
}

/// A session in memory.
pub(crate) struct CachedSession {
    session: Session,
    locked: bool,
    expires_ms: Option<u64>,
    /// When last-seen was last written, in milliseconds since the Unix epoch.
    seen_ms: AtomicU64,
}

/// Last-seen is written at most this often, in milliseconds.
const SEEN_EVERY_MS: u64 = 60_000;

/// The row of a token, access or refresh.
#[derive(Debug, Serialize, Deserialize)]
struct TokenRow {
    user: u32,
    device: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

impl Users {
    /// Whose access token this is. A token that was used before is answered from memory. `ip` is kept as the
    /// device's last-seen address, at most once a minute and without waiting.
    ///
    /// # Errors
    /// [`AuthenticationError::UnknownToken`], [`AuthenticationError::SoftLoggedOut`] if it has expired, or
    /// [`AuthenticationError::Locked`].
    pub async fn authenticate(
        &self,
        token: &str,
        ip: Option<IpAddr>,
    ) -> Result<Session, AuthenticationError> {
        let (session, locked) = self.authenticate_locked(token, ip).await?;
        if locked {
            return Err(AuthenticationError::Locked);
        }
        Ok(session)
    }

    /// The same for a locked account too: logging out is all that it can do. Tells whether it is locked.
    pub async fn authenticate_locked(
        &self,
        token: &str,
        ip: Option<IpAddr>,
    ) -> Result<(Session, bool), AuthenticationError> {
        let hash = TokenHash::of(token).ok_or(AuthenticationError::UnknownToken)?;
        let cached = self.cached_session(hash).await?;
        let now_ms = self.0.host.now_ms();
        if cached
            .expires_ms
            .is_some_and(|expires_ms| expires_ms <= now_ms)
        {
            return Err(AuthenticationError::SoftLoggedOut);
        }
        self.seen(&cached, ip, now_ms);
        Ok((cached.session.clone(), cached.locked))
    }

    /// Whether a token that was good still is.
    pub(crate) async fn still_holds(&self, token: TokenHash) -> Result<(), AuthenticationError> {
        if self.cached_session(token).await?.locked {
            return Err(AuthenticationError::Locked);
        }
        Ok(())
    }

    async fn cached_session(
        &self,
        hash: TokenHash,
    ) -> Result<Arc<CachedSession>, AuthenticationError> {
        match self.0.sessions.get(&hash) {
            Some(cached) => Ok(cached),
            None => self.load_session(hash).await,
        }
    }

    async fn load_session(
        &self,
        hash: TokenHash,
    ) -> Result<Arc<CachedSession>, AuthenticationError> {
        let unknown = || AuthenticationError::UnknownToken;
        let row: Option<TokenRow> =
            rows::read::<AccessTokens, _>(&self.0.store, &hash.key()).await?;
        let user = UserNid(row.ok_or_else(unknown)?.user);
        let user_id = self.user_id(user).await?;
        // From here on nobody ends the session until it is in the cache, where ending it removes it.
        let guard = self.0.locks.lock(user).await;
        let row: Option<TokenRow> =
            rows::read::<AccessTokens, _>(&self.0.store, &hash.key()).await?;
        let row = row.ok_or_else(unknown)?;
        let key = (user, row.device);
        let device: Option<DeviceRow> = rows::read::<Devices, _>(&self.0.store, &key).await?;
        let mut device = device.ok_or_else(unknown)?;
        let seen: Option<SeenRow> = rows::read::<DeviceSeen, _>(&self.0.store, &key).await?;
        let account = self.account_of(user).await?.ok_or_else(unknown)?;
        let cached = Arc::new(CachedSession {
            session: Session {
                user_id,
                user,
                device_id: key.1.as_str().into(),
                suspended: account.suspended,
                guest: account.guest,
                token: hash,
            },
            locked: account.locked,
            expires_ms: row.expires_ms,
            seen_ms: AtomicU64::new(seen.map_or(0, |seen| seen.ts)),
        });
        self.0
            .sessions
            .insert(hash, Arc::clone(&cached), SESSION_BYTES);
        if device.next.is_some_and(|next| next.access == hash) {
            let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
            device.promote(&mut batch, &mut aftermath);
            batch.put::<Devices>(&key, &rows::write::<Devices>(&device)?);
            self.commit(user, guard, batch, aftermath).await?;
        }
        Ok(cached)
    }

    fn seen(&self, cached: &CachedSession, ip: Option<IpAddr>, now_ms: u64) {
        let before = cached.seen_ms.load(Ordering::Relaxed);
        let due = now_ms >= before.saturating_add(SEEN_EVERY_MS);
        if !due
            || cached
                .seen_ms
                .compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let row = SeenRow {
            ip: ip.map(|ip| ip.to_string()),
            ts: now_ms,
        };
        let Ok(row) = rows::write::<DeviceSeen>(&row) else {
            return;
        };
        let mut batch = Batch::new();
        batch.put::<DeviceSeen>(
            &(cached.session.user, cached.session.device_id.to_string()),
            &row,
        );
        batch.relax();
        // A queue that is full has better things to write.
        drop(self.0.store.queue(batch));
    }

    /// Adds a device with fresh tokens to `batch`. A device that exists loses its earlier tokens.
    pub(crate) async fn open_session(
        &self,
        batch: &mut Batch,
        aftermath: &mut Aftermath,
        owner: (UserNid, &UserId),
        new: &NewSession,
    ) -> Result<IssuedSession, StoreError> {
        let holds = if new.refreshable {
            Holds::Refreshable
        } else {
            Holds::UntilLogout
        };
        self.open_session_that(batch, aftermath, owner, (new, holds))
            .await
    }

    /// The same, with a say in how long the access token holds.
    pub(crate) async fn open_session_that(
        &self,
        batch: &mut Batch,
        aftermath: &mut Aftermath,
        (user, user_id): (UserNid, &UserId),
        (new, holds): (&NewSession, Holds),
    ) -> Result<IssuedSession, StoreError> {
        let given = new
            .device_id
            .as_ref()
            .map(|id| id.as_str())
            .filter(|id| !id.is_empty());
        let device_id = given.map_or_else(|| self.generated_device_id(), str::to_owned);
        let key = (user, device_id);
        let known: Option<DeviceRow> = rows::read::<Devices, _>(&self.0.store, &key).await?;
        let is_new = known.is_none();
        let mut device = known.unwrap_or_else(|| DeviceRow {
            display_name: new
                .initial_device_display_name
                .as_ref()
                .map(|name| name.chars().take(MAX_DISPLAY_NAME_CHARACTERS).collect()),
            created_ms: self.0.host.now_ms(),
            ..DeviceRow::default()
        });
        device.revoke(batch, aftermath);
        let device_id: OwnedDeviceId = key.1.as_str().into();
        aftermath.news.push(if is_new {
            UserNews::DeviceChanged {
                device_id: device_id.clone(),
            }
        } else {
            UserNews::LoggedOut {
                device_id: device_id.clone(),
            }
        });
        let (issued, pair) = self.issue(batch, user_id, &key, holds)?;
        device.current = Some(pair);
        batch.put::<Devices>(&key, &rows::write::<Devices>(&device)?);
        Ok(issued)
    }

    fn generated_device_id(&self) -> String {
        // Ten upper-case letters, as clients are used to see.
        self.0
            .host
            .random_bytes::<10>()
            .map(|byte| char::from(b'A' + byte % 26))
            .iter()
            .collect()
    }

    fn issue(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        key: &(UserNid, String),
        holds: Holds,
    ) -> Result<(IssuedSession, TokenPair), StoreError> {
        let now_ms = self.0.host.now_ms();
        let (refreshable, lifetime_ms) = match holds {
            Holds::UntilLogout => (false, None),
            Holds::Refreshable => (true, Some(self.0.options.sessions.access_token_lifetime_ms)),
            Holds::Until(until_ms) => (false, Some(until_ms.saturating_sub(now_ms))),
        };
        let access_token = tokens::generate(&self.0.host, TokenKind::Access);
        let refresh_token = refreshable.then(|| tokens::generate(&self.0.host, TokenKind::Refresh));
        let expires_ms = lifetime_ms.map(|lifetime_ms| now_ms.saturating_add(lifetime_ms));
        let row = |expires_ms| TokenRow {
            user: key.0.0,
            device: key.1.clone(),
            expires_ms,
        };
        let pair = TokenPair {
            access: TokenHash::of_new(&access_token),
            refresh: refresh_token.as_deref().map(TokenHash::of_new),
        };
        batch.put::<AccessTokens>(
            &pair.access.key(),
            &rows::write::<AccessTokens>(&row(expires_ms))?,
        );
        if let Some(refresh) = &pair.refresh {
            batch.put::<RefreshTokens>(&refresh.key(), &rows::write::<RefreshTokens>(&row(None))?);
        }
        let issued = IssuedSession {
            user_id: user_id.to_owned(),
            device_id: key.1.as_str().into(),
            access_token,
            refresh_token,
            expires_in_ms: lifetime_ms,
        };
        Ok((issued, pair))
    }

    /// New tokens for a refresh token
    /// ([spec](https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens)).
    ///
    /// The old pair holds until one of the new tokens is used, so an answer that was lost can be asked for
    /// again. A refresh token that comes back after that was stolen, or its thief is now ahead of its owner:
    /// all tokens of the device end.
    ///
    /// # Errors
    /// [`AuthenticationError::UnknownToken`]; [`AuthenticationError::SoftLoggedOut`] for one that comes back.
    pub async fn refresh(&self, refresh_token: &str) -> Result<IssuedSession, AuthenticationError> {
        let unknown = || AuthenticationError::UnknownToken;
        let hash = TokenHash::of(refresh_token).ok_or_else(unknown)?;
        let row: Option<TokenRow> =
            rows::read::<RefreshTokens, _>(&self.0.store, &hash.key()).await?;
        let row = row.ok_or_else(unknown)?;
        let key = (UserNid(row.user), row.device);
        let user_id = self.user_id(key.0).await?;
        let guard = self.0.locks.lock(key.0).await;
        let device: Option<DeviceRow> = rows::read::<Devices, _>(&self.0.store, &key).await?;
        let mut device = device.ok_or_else(unknown)?;
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        let is = |pair: Option<TokenPair>| pair.is_some_and(|pair| pair.refresh == Some(hash));
        if device.spent.contains(&hash) {
            tracing::warn!(user.id = %user_id, device.id = key.1, "a spent refresh token came back: session ended");
            device.revoke(&mut batch, &mut aftermath);
            aftermath.news.push(UserNews::LoggedOut {
                device_id: key.1.as_str().into(),
            });
            batch.put::<Devices>(&key, &rows::write::<Devices>(&device)?);
            self.commit(key.0, guard, batch, aftermath).await?;
            return Err(AuthenticationError::SoftLoggedOut);
        }
        if is(device.next) {
            device.promote(&mut batch, &mut aftermath);
        } else if is(device.current) {
            device.drop_next(&mut batch, &mut aftermath);
        } else {
            return Err(unknown());
        }
        let (issued, pair) = self.issue(&mut batch, &user_id, &key, Holds::Refreshable)?;
        device.next = Some(pair);
        batch.put::<Devices>(&key, &rows::write::<Devices>(&device)?);
        self.commit(key.0, guard, batch, aftermath).await?;
        Ok(issued)
    }

    /// Ends the session and removes its device.
    pub async fn logout(&self, session: &Session) -> Result<(), StoreError> {
        self.delete_devices_where(session.user, |id| id == session.device_id)
            .await
    }

    /// Ends all sessions of the user and removes all devices.
    pub async fn logout_all(&self, user: UserNid) -> Result<(), StoreError> {
        self.delete_devices_where(user, |_| true).await
    }
}

#[cfg(test)]
mod tests;
