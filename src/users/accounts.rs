//! Local accounts: names, creation, password, closing
//! ([user identifiers](https://spec.matrix.org/v1.19/appendices/#user-identifiers)).

use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use store::{
    Batch, Scan, StoreError, UserNid,
    tables::{
        AccountData, AccountDataLog, Accounts, DeviceSeen, Devices, FilterNumbers, Filters,
        Profiles,
    },
};

use crate::{
    CreateError, IssuedSession, LoginError, NewSession, PasswordError, Session, UserNews, Users,
    devices::DeviceRow, news::Aftermath, profiles, rows,
};

/// A local account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that an account may have"
)]
pub struct Account {
    /// The PHC string. Without one nobody logs in by password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Whether the user administers the server.
    #[serde(default)]
    pub admin: bool,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Closed for good.
    #[serde(default)]
    pub deactivated: bool,
    /// Whether the user asked, when closing, that their events be shown redacted to whoever joins later.
    #[serde(default)]
    pub erased: bool,
    /// Cannot be used for now ([spec](https://spec.matrix.org/v1.19/client-server-api/#account-locking)).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Can only be used to read and to leave
    /// ([spec](https://spec.matrix.org/v1.19/client-server-api/#account-suspension)).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// What a provisioning tool called it: `bot`, `support`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_type: Option<String>,
    /// Looks around without a password
    /// ([spec](https://spec.matrix.org/v1.19/client-server-api/#guest-access)).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

impl Account {
    /// Whether the user can log in by password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// What an account is made of.
pub(crate) struct NewAccount {
    pub(crate) user_id: OwnedUserId,
    pub(crate) password: Option<String>,
    pub(crate) admin: bool,
    pub(crate) user_type: Option<String>,
    pub(crate) displayname: Option<String>,
    /// A use of it is taken in the same commit.
    pub(crate) registration_token: Option<String>,
}

/// A user id, the sigil and the server's name included, is no longer.
const MAX_USER_ID_BYTES: usize = 255;
/// Accounts read at a time. Where there are no guests the first one decides.
const READ_AT_ONCE: usize = 32;
/// A registration token that others use at the same moment is tried again this often.
const CREATE_ATTEMPTS: usize = 16;

impl Users {
    /// The user id for a new account, from what a client calls `username`.
    ///
    /// Letters are lower-cased; a leading underscore (kept for application services) and a name of digits alone
    /// (guests) are refused, as Synapse does.
    pub fn new_user_id(&self, username: &str) -> Result<OwnedUserId, CreateError> {
        let localpart = username.to_lowercase();
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
        if localpart.is_empty() {
            return Err(CreateError::InvalidName("The user name is empty."));
        }
        if !localpart.bytes().all(allowed) {
            return Err(CreateError::InvalidName(
                "A user name consists of a-z, 0-9 and ._=-/+ only.",
            ));
        }
        if localpart.starts_with('_') {
            return Err(CreateError::InvalidName(
                "A user name does not begin with an underscore.",
            ));
        }
        if localpart.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CreateError::InvalidName(
                "A user name of digits alone is reserved.",
            ));
        }
        let user_id = format!("@{localpart}:{}", self.server_name());
        if user_id.len() > MAX_USER_ID_BYTES {
            return Err(CreateError::InvalidName(
                "The user id is longer than 255 bytes.",
            ));
        }
        UserId::parse(user_id).map_err(|_| CreateError::InvalidName("This is not a user id."))
    }

    /// A user id for who does not care for its name.
    pub(crate) fn generated_user_id(&self) -> Result<OwnedUserId, CreateError> {
        self.new_user_id(&format!("u{}", self.0.host.random_string(12)))
    }

    /// Whether a new account can have this name, at this moment.
    pub async fn check_available(&self, username: &str) -> Result<OwnedUserId, CreateError> {
        let user_id = self.new_user_id(username)?;
        if self.account(&user_id).await?.is_some() {
            return Err(CreateError::InUse);
        }
        Ok(user_id)
    }

    /// The account of a local user.
    pub async fn account(
        &self,
        user_id: &UserId,
    ) -> Result<Option<(UserNid, Account)>, StoreError> {
        if user_id.server_name() != self.server_name() {
            return Ok(None);
        }
        let Some(user) = self.number(user_id).await? else {
            return Ok(None);
        };
        Ok(self.account_of(user).await?.map(|account| (user, account)))
    }

    /// The account behind a number; `None` for a remote user.
    pub async fn account_of(&self, user: UserNid) -> Result<Option<Account>, StoreError> {
        rows::read::<Accounts, _>(&self.0.store, &user).await
    }

    /// Whether the user administers the server.
    pub async fn is_admin(&self, user: UserNid) -> Result<bool, StoreError> {
        Ok(self
            .account_of(user)
            .await?
            .is_some_and(|account| account.admin && !account.deactivated))
    }

    /// Whether no account was ever made, but for guests'.
    pub(crate) async fn nobody_registered(&self) -> Result<bool, StoreError> {
        let mut from = UserNid(0);
        loop {
            let page = Scan::range::<Accounts>(&from, &UserNid(u32::MAX)).limit(READ_AT_ONCE);
            let page = self.0.store.scan::<Accounts>(page).await?;
            let Some((last, _)) = page.last() else {
                return Ok(true);
            };
            from = UserNid(last.0 + 1);
            for (_, raw) in page {
                if !rows::parse::<Accounts, Account>(&raw)?.guest {
                    return Ok(false);
                }
            }
        }
    }

    /// Account, profile, registration token, device and tokens in one commit, or nothing at all.
    pub(crate) async fn create(
        &self,
        new: NewAccount,
        session: Option<&NewSession>,
    ) -> Result<(OwnedUserId, Option<IssuedSession>), CreateError> {
        if let Some(session) = session {
            session.check().map_err(CreateError::InvalidDevice)?;
        }
        let password = match &new.password {
            Some(password) => Some(self.0.passwords.hash(password).await?),
            None => None,
        };
        let user = self
            .0
            .store
            .interner()
            .number::<UserNid>(new.user_id.as_str())
            .await?;
        for _ in 0..CREATE_ATTEMPTS {
            let guard = self.0.locks.lock(user).await;
            if self.account_of(user).await?.is_some() {
                return Err(CreateError::InUse);
            }
            let mut batch = Batch::new();
            let mut admin = new.admin;
            if let Some(token) = &new.registration_token {
                admin |= self.take_use(&mut batch, token).await?;
            }
            batch.guard_absent::<Accounts>(&user);
            let account = Account {
                password: password.clone(),
                admin,
                created_ms: self.0.host.now_ms(),
                user_type: new.user_type.clone(),
                ..Account::default()
            };
            batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
            // Other servers, too, show a newcomer by the localpart until they choose a name.
            let name = new
                .displayname
                .as_deref()
                .unwrap_or_else(|| new.user_id.localpart());
            batch.put::<Profiles>(&user, &rows::write::<Profiles>(&profiles::named(name))?);
            let mut aftermath = Aftermath::news(UserNews::Profile);
            let issued = match session {
                Some(session) => {
                    let owner = (user, &*new.user_id);
                    Some(
                        self.open_session(&mut batch, &mut aftermath, owner, session)
                            .await?,
                    )
                }
                None => None,
            };
            match self.commit(user, guard, batch, aftermath).await {
                Ok(_) => return Ok((new.user_id, issued)),
                // The name is ours alone while we hold the lock: somebody else took a use of the token.
                Err(StoreError::Guard) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CreateError::Store(StoreError::Busy))
    }

    /// Sets a new password. With `logout_devices` every device but the one that asks is removed.
    pub async fn change_password(
        &self,
        session: &Session,
        password: &str,
        logout_devices: bool,
    ) -> Result<(), LoginError> {
        self.check_password(password)?;
        let hash = self.0.passwords.hash(password).await?;
        let guard = self.0.locks.lock(session.user).await;
        let account = self
            .account_of(session.user)
            .await?
            .filter(|account| !account.deactivated);
        let mut account = account.ok_or(LoginError::Deactivated)?;
        account.password = Some(hash);
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        batch.put::<Accounts>(&session.user, &rows::write::<Accounts>(&account)?);
        if logout_devices {
            self.remove_devices(&mut batch, &mut aftermath, session.user, |id| {
                id != session.device_id
            })
            .await?;
        }
        self.commit(session.user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Closes an account for good: no password, no devices, no profile. With `erase` the account data, the
    /// filters and the tags go as well, and [`Account::erased`] is remembered. The caller makes the user leave
    /// the rooms.
    pub async fn deactivate(&self, user: UserNid, erase: bool) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let Some(mut account) = self.account_of(user).await? else {
            return Ok(());
        };
        account.password = None;
        account.deactivated = true;
        account.admin = false;
        account.erased |= erase;
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
        batch.delete::<Profiles>(&user);
        self.remove_devices(&mut batch, &mut aftermath, user, |_| true)
            .await?;
        if erase {
            batch.delete_prefix::<AccountData>(&(user,));
            batch.delete_prefix::<AccountDataLog>(&(user,));
            batch.delete_prefix::<Filters>(&(user,));
            batch.delete_prefix::<FilterNumbers>(&(user,));
        }
        aftermath.news.extend([
            UserNews::Profile,
            UserNews::PushRules,
            UserNews::Deactivated,
        ]);
        self.commit(user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Changes whether an account is locked or suspended; its tokens stay, and mean something else from now on.
    async fn restrict(
        &self,
        user: UserNid,
        change: impl FnOnce(&mut Account),
    ) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let Some(mut account) = self.account_of(user).await? else {
            return Ok(());
        };
        change(&mut account);
        let (mut batch, mut aftermath) = (Batch::new(), Aftermath::default());
        aftermath.restricted = true;
        batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
        let devices = Scan::prefix::<Devices>(&(user,));
        for (_, raw) in self.0.store.scan::<Devices>(devices).await? {
            let row: DeviceRow = rows::parse::<Devices, _>(&raw)?;
            let pairs = [row.current, row.next].into_iter().flatten();
            aftermath.revoked.extend(pairs.map(|pair| pair.access));
        }
        self.commit(user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Locks an account, or unlocks it.
    pub async fn set_locked(&self, user: UserNid, locked: bool) -> Result<(), StoreError> {
        self.restrict(user, |account| account.locked = locked).await
    }

    /// Suspends an account, or takes that back.
    pub async fn set_suspended(&self, user: UserNid, suspended: bool) -> Result<(), StoreError> {
        self.restrict(user, |account| account.suspended = suspended)
            .await
    }

    /// Removes the devices whose id `which` picks, with their tokens.
    pub(crate) async fn remove_devices(
        &self,
        batch: &mut Batch,
        aftermath: &mut Aftermath,
        user: UserNid,
        which: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        for ((_, device_id), raw) in self
            .0
            .store
            .scan::<Devices>(Scan::prefix::<Devices>(&(user,)))
            .await?
        {
            if !which(&device_id) {
                continue;
            }
            let mut row: DeviceRow = rows::parse::<Devices, _>(&raw)?;
            row.revoke(batch, aftermath);
            aftermath.news.push(UserNews::DeviceRemoved {
                device_id: device_id.as_str().into(),
            });
            batch.delete::<DeviceSeen>(&(user, device_id.clone()));
            batch.delete::<Devices>(&(user, device_id));
        }
        Ok(())
    }

    /// Whether a user may choose this password: asked before a client goes through authentication for it.
    pub fn check_password(&self, password: &str) -> Result<(), PasswordError> {
        self.0.passwords.check(password)
    }
}

#[cfg(test)]
mod tests;
