//! Guests: accounts without a password, for looking around
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#guest-access)).
//!
//! A guest's localpart is a number; nobody else can have such a name. What a guest may do is decided where it is asked for.

use ruma::OwnedUserId;
use store::{
    Batch, StoreError, UserNid,
    tables::{Accounts, Profiles},
};

use crate::{
    Account, AuthenticationError, CreateError, IssuedSession, NewSession, Session, UserNews, Users,
    news::Aftermath, profiles, rows,
};

/// Names of guests are numbers below this one. A hundred million guests leave one of ten thousand free.
const NAMES: u64 = 1_000_000_000_000;
/// A name that is taken, or a registration token that others use at the same moment, is tried again this often.
const ATTEMPTS: usize = 16;

impl Users {
    /// Whether the server was told to let guests in.
    pub fn admits_guests(&self) -> bool {
        self.0.options.registration.guests
    }

    /// A new guest with a device of the server's choosing.
    ///
    /// "All parameters in the request body with the exception of `initial_device_display_name` MUST BE ignored."
    pub async fn register_guest(
        &self,
        initial_device_display_name: Option<String>,
    ) -> Result<IssuedSession, CreateError> {
        let session = NewSession {
            initial_device_display_name,
            ..NewSession::default()
        };
        for _ in 0..ATTEMPTS {
            let number = u64::from_be_bytes(self.0.host.random_bytes()) % NAMES;
            let user_id = OwnedUserId::try_from(format!("@{number}:{}", self.server_name()))
                .map_err(|_| CreateError::InvalidName("This is not a user id."))?;
            let user: UserNid = self.0.store.interner().number(user_id.as_str()).await?;
            let guard = self.0.locks.lock(user).await;
            if self.account_of(user).await?.is_some() {
                continue;
            }
            let account = Account {
                guest: true,
                created_ms: self.0.host.now_ms(),
                ..Account::default()
            };
            let profile = profiles::named(user_id.localpart());
            let (mut batch, mut aftermath) = (Batch::new(), Aftermath::news(UserNews::Profile));
            batch.guard_absent::<Accounts>(&user);
            batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
            batch.put::<Profiles>(&user, &rows::write::<Profiles>(&profile)?);
            let issued = self
                .open_session(&mut batch, &mut aftermath, (user, &user_id), &session)
                .await?;
            self.commit(user, guard, batch, aftermath).await?;
            return Ok(issued);
        }
        Err(CreateError::InUse)
    }

    /// The guest who shows this token and calls themselves by this name, to become a user.
    ///
    /// "They are also required to specify the `username` parameter to the value of the local part of their username."
    ///
    /// # Errors
    /// [`CreateError::NotThatGuest`]
    pub async fn guest_to_upgrade(
        &self,
        token: &str,
        username: &str,
    ) -> Result<Session, CreateError> {
        match self.authenticate(token, None).await {
            Ok(session) if session.guest && session.user_id.localpart() == username => Ok(session),
            Err(AuthenticationError::Store(error)) => Err(error.into()),
            Ok(_) | Err(_) => Err(CreateError::NotThatGuest),
        }
    }

    /// Makes a user of a guest: the account gets a password, and what it has been given as a guest ends with the guest's
    /// tokens. Rooms and profile stay. A device stays if the new session takes it up.
    pub(crate) async fn upgrade_guest(
        &self,
        guest: &Session,
        password: &str,
        registration_token: Option<&str>,
        session: Option<&NewSession>,
    ) -> Result<Option<IssuedSession>, CreateError> {
        if let Some(session) = session {
            session.check().map_err(CreateError::InvalidDevice)?;
        }
        let password = self.0.passwords.hash(password).await?;
        let user = guest.user;
        for _ in 0..ATTEMPTS {
            let guard = self.0.locks.lock(user).await;
            let account = self.account_of(user).await?;
            let open = account.filter(|account| account.guest && !account.deactivated);
            let mut account = open.ok_or(CreateError::NotThatGuest)?;
            let (mut batch, mut aftermath) = (Batch::new(), Aftermath::news(UserNews::Profile));
            if let Some(token) = registration_token {
                account.admin |= self.take_use(&mut batch, token).await?;
            }
            account.guest = false;
            account.password = Some(password.clone());
            batch.put::<Accounts>(&user, &rows::write::<Accounts>(&account)?);
            let kept = session.and_then(|session| session.device_id.as_ref());
            self.remove_devices(&mut batch, &mut aftermath, user, |id| {
                kept.is_none_or(|kept| kept.as_str() != id)
            })
            .await?;
            let issued = match session {
                Some(session) => {
                    let owner = (user, &*guest.user_id);
                    Some(
                        self.open_session(&mut batch, &mut aftermath, owner, session)
                            .await?,
                    )
                }
                None => None,
            };
            match self.commit(user, guard, batch, aftermath).await {
                Ok(_) => return Ok(issued),
                // Somebody else took a use of the token at the same moment.
                Err(StoreError::Guard) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CreateError::Store(StoreError::Busy))
    }

    /// Those of `users` who are guests of this server.
    pub async fn guests_among(&self, users: &[UserNid]) -> Result<Vec<OwnedUserId>, StoreError> {
        let accounts = self.0.store.multi_get::<Accounts>(users).await?;
        let mut guests = Vec::new();
        for (user, raw) in users.iter().zip(accounts) {
            let Some(raw) = raw else { continue };
            let account: Account = rows::parse::<Accounts, _>(&raw)?;
            if account.guest {
                guests.push(self.user_id(*user).await?);
            }
        }
        Ok(guests)
    }
}

#[cfg(test)]
mod tests;
