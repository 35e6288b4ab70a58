//! What an administrator does to accounts: find them, create them, change what their owner cannot.

use std::collections::HashMap;

use ruma::OwnedUserId;
use store::{
    Batch, Scan, StoreError, UserNid,
    tables::{Accounts, DeviceSeen, Profiles},
};

use crate::{
    Account, CreateError, LoginError, NewSession, Profile, UserNews, Users, accounts::NewAccount,
    devices::SeenRow, news::Aftermath, rows, sessions::Holds,
};

/// An account as a list shows it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its number.
    pub user: UserNid,
    /// Its user id.
    pub user_id: OwnedUserId,
    /// The account.
    pub account: Account,
    /// The display name.
    pub displayname: Option<String>,
    /// The picture's `mxc:` URI.
    pub avatar_url: Option<String>,
    /// When one of its devices was last seen, in milliseconds since the Unix epoch.
    pub last_seen_ts: Option<u64>,
}

/// An account to be made by an administrator.
#[derive(Clone, Debug, Default)]
pub struct AccountToCreate {
    /// The name before the colon.
    pub localpart: String,
    /// Without one nobody logs in by password.
    pub password: Option<String>,
    /// Whether it administers the server.
    pub admin: bool,
    /// What a provisioning tool calls it.
    pub user_type: Option<String>,
    /// The localpart, if there is none.
    pub displayname: Option<String>,
}

/// Accounts read at once: a page of rows stays small beside the caches.
const ACCOUNTS_AT_ONCE: usize = 1_000;
/// The display name of the device by which an administrator logs in as somebody: they can see it among theirs.
const LOGIN_AS_DEVICE: &str = "Opened by an administrator";

impl Users {
    /// Every account that `picks`, in the order in which they were made. Reads all of them, a thousand at a time: a
    /// server of ten thousand takes some ten milliseconds.
    pub async fn accounts(
        &self,
        picks: impl Fn(&OwnedUserId, &Account) -> bool,
    ) -> Result<Vec<Listed>, StoreError> {
        let store = &self.0.store;
        let (mut found, mut from) = (Vec::new(), UserNid(0));
        loop {
            let page = Scan::range::<Accounts>(&from, &UserNid(u32::MAX)).limit(ACCOUNTS_AT_ONCE);
            let page = store.scan::<Accounts>(page).await?;
            let Some((last, _)) = page.last() else {
                return Ok(found);
            };
            from = UserNid(last.0 + 1);
            for (user, raw) in page {
                let account: Account = rows::parse::<Accounts, _>(&raw)?;
                let user_id = self.user_id(user).await?;
                if picks(&user_id, &account) {
                    found.push(Listed {
                        user,
                        user_id,
                        account,
                        displayname: None,
                        avatar_url: None,
                        last_seen_ts: None,
                    });
                }
            }
        }
    }

    /// Adds names, pictures and when they were last seen to accounts that were found.
    pub async fn describe(&self, listed: &mut [Listed]) -> Result<(), StoreError> {
        let numbers: Vec<UserNid> = listed.iter().map(|listed| listed.user).collect();
        let profiles = self.0.store.multi_get::<Profiles>(&numbers).await?;
        for (listed, raw) in listed.iter_mut().zip(profiles) {
            let Some(raw) = raw else { continue };
            let profile = Profile(rows::parse::<Profiles, _>(&raw)?);
            listed.displayname = profile.displayname().map(str::to_owned);
            listed.avatar_url = profile.avatar_url().map(str::to_owned);
        }
        for listed in listed {
            listed.last_seen_ts = self.last_seen(listed.user).await?;
        }
        Ok(())
    }

    async fn last_seen(&self, user: UserNid) -> Result<Option<u64>, StoreError> {
        let seen = Scan::prefix::<DeviceSeen>(&(user,));
        let mut latest = None;
        for (_, raw) in self.0.store.scan::<DeviceSeen>(seen).await? {
            let row: SeenRow = rows::parse::<DeviceSeen, _>(&raw)?;
            latest = latest.max(Some(row.ts));
        }
        Ok(latest)
    }

    /// How many accounts there are, by what they are: `all`, `active`, `admin`, `deactivated`, `locked`, `suspended`.
    pub async fn account_counts(&self) -> Result<HashMap<&'static str, u64>, StoreError> {
        let mut counts = HashMap::new();
        for listed in self.accounts(|_, _| true).await? {
            let account = &listed.account;
            let facts = [
                ("all", true),
                ("active", !account.deactivated),
                ("admin", account.admin),
                ("deactivated", account.deactivated),
                ("locked", account.locked),
                ("suspended", account.suspended),
            ];
            for (name, holds) in facts {
                *counts.entry(name).or_default() += u64::from(holds);
            }
        }
        Ok(counts)
    }

    /// Makes an account, whatever the registration mode.
    ///
    /// # Errors
    /// As for registration; a password is held to the same rules.
    pub async fn create_account(&self, new: AccountToCreate) -> Result<OwnedUserId, CreateError> {
        if let Some(password) = &new.password {
            self.check_password(password)?;
        }
        let account = NewAccount {
            user_id: self.new_user_id(&new.localpart)?,
            password: new.password,
            admin: new.admin,
            user_type: new.user_type,
            displayname: new.displayname,
            registration_token: None,
        };
        Ok(self.create(account, None).await?.0)
    }

    /// Makes a user an administrator, or no longer. `false` for who has no account.
    pub async fn set_admin(&self, user: UserNid, admin: bool) -> Result<bool, StoreError> {
        self.change_account(user, |account| account.admin = admin)
            .await
    }

    /// Says what kind of account it is. `false` for who has no account.
    pub async fn set_user_type(
        &self,
        user: UserNid,
        user_type: Option<String>,
    ) -> Result<bool, StoreError> {
        self.change_account(user, |account| account.user_type = user_type)
            .await
    }

    async fn change_account(
        &self,
        user: UserNid,
        change: impl FnOnce(&mut Account),
    ) -> Result<bool, StoreError> {
        let guard = self.0.locks.lock(user).await;
        let Some(mut account) = self.account_of(user).await? else {
            return Ok(false);
        };
        change(&mut account);
        let mut batch = Batch::new();
        batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
        self.commit(user, guard, batch, Aftermath::default())
            .await?;
        Ok(true)
    }

    /// Gives an account another password, in its owner's stead. A closed account is opened again: its rooms and devices
    /// are gone, its name is the same. With `logout_devices` every device is removed.
    ///
    /// # Errors
    /// [`LoginError::Forbidden`] for who has no account; a password that is too short, or too long.
    pub async fn reset_password(
        &self,
        user: UserNid,
        password: &str,
        logout_devices: bool,
    ) -> Result<(), LoginError> {
        self.check_password(password)?;
        let hash = self.0.passwords.hash(password).await?;
        let guard = self.0.locks.lock(user).await;
        let account = self.account_of(user).await?;
        let mut account = account.ok_or(LoginError::Forbidden)?;
        account.password = Some(hash);
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        if account.deactivated {
            account.deactivated = false;
            account.erased = false;
            aftermath.news.push(UserNews::Profile);
        }
        batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
        if logout_devices {
            self.remove_devices(&mut batch, &mut aftermath, user, |_| true)
                .await?;
        }
        self.commit(user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Logs in as a user, in a device of its own that the user sees among theirs. The access token holds until
    /// `valid_until_ms` (milliseconds since the Unix epoch), or until it is logged out.
    ///
    /// # Errors
    /// [`LoginError::Deactivated`] for who has no account, or a closed one.
    pub async fn login_as(
        &self,
        user: UserNid,
        valid_until_ms: Option<u64>,
    ) -> Result<String, LoginError> {
        let user_id = self.user_id(user).await?;
        let guard = self.0.locks.lock(user).await;
        let account = self.account_of(user).await?;
        if account.is_none_or(|account| account.deactivated) {
            return Err(LoginError::Deactivated);
        }
        let new = NewSession {
            initial_device_display_name: Some(LOGIN_AS_DEVICE.to_owned()),
            ..NewSession::default()
        };
        let holds = valid_until_ms.map_or(Holds::UntilLogout, Holds::Until);
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        let owner = (user, &*user_id);
        let session = self
            .open_session_that(&mut batch, &mut aftermath, owner, (&new, holds))
            .await?;
        self.commit(user, guard, batch, aftermath).await?;
        Ok(session.access_token)
    }
}

#[cfg(test)]
mod tests;
