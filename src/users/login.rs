//! Login: by password, by login token, by JSON web token
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#legacy-login)).

use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use store::{Batch, StoreError, UserNid, tables::LoginTokens};

use crate::{
    Account, CreateError, IssuedSession, LoginError, NewSession, Session, Users,
    accounts::NewAccount,
    news::Aftermath,
    rows,
    tokens::{self, TokenHash, TokenKind},
};

/// What a client calls a user: a user id or a localpart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(pub String);

/// A token for `m.login.token`.
#[derive(Clone, Debug)]
pub struct LoginToken {
    /// Good for one login; only its SHA-256 is kept.
    pub token: String,
    /// How long it holds, in milliseconds.
    pub expires_in_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct LoginTokenRow {
    user: u32,
    expires_ms: u64,
}

impl Users {
    /// Whether `org.matrix.login.jwt` is offered.
    pub fn offers_jwt(&self) -> bool {
        self.0.jwt.is_some()
    }

    /// `m.login.password`.
    ///
    /// # Errors
    /// [`LoginError::Forbidden`] for an unknown user, a closed account and a wrong password alike, after equal
    /// work.
    pub async fn login_with_password(
        &self,
        name: &UserName,
        password: &str,
        new: &NewSession,
    ) -> Result<IssuedSession, LoginError> {
        let (user, user_id) = self
            .check_password_of(name, password)
            .await?
            .ok_or(LoginError::Forbidden)?;
        self.start_session(user, &user_id, new, Batch::new()).await
    }

    /// The user whose name and password these are.
    pub(crate) async fn check_password_of(
        &self,
        name: &UserName,
        password: &str,
    ) -> Result<Option<(UserNid, OwnedUserId)>, LoginError> {
        let found = self
            .named(name)
            .await?
            .filter(|(_, _, account)| !account.deactivated);
        let kept = found
            .as_ref()
            .and_then(|(_, _, account)| account.password.as_deref());
        let right = self.0.passwords.verify(password, kept).await?;
        Ok(found
            .filter(|_| right)
            .map(|(user, user_id, _)| (user, user_id)))
    }

    /// The local account that a client means: exactly, else in lower case.
    pub(crate) async fn named(
        &self,
        name: &UserName,
    ) -> Result<Option<(UserNid, OwnedUserId, Account)>, StoreError> {
        for name in [name.0.clone(), name.0.to_lowercase()] {
            let user_id = if name.starts_with('@') {
                name
            } else {
                format!("@{name}:{}", self.server_name())
            };
            let Ok(user_id) = UserId::parse(user_id) else {
                continue;
            };
            if let Some((user, account)) = self.account(&user_id).await? {
                return Ok(Some((user, user_id, account)));
            }
        }
        Ok(None)
    }

    /// `org.matrix.login.jwt`. A user who has no account yet gets one where the options say so.
    ///
    /// # Errors
    /// [`LoginError::Jwt`] for a token that does not hold, [`LoginError::Deactivated`] for a closed account.
    pub async fn login_with_jwt(
        &self,
        token: &str,
        new: &NewSession,
    ) -> Result<IssuedSession, LoginError> {
        let jwt = self.0.jwt.as_ref().ok_or(LoginError::NotOffered)?;
        let name = UserName(
            jwt.subject(token, self.0.host.now_ms())
                .map_err(LoginError::Jwt)?,
        );
        if let Some((user, user_id, account)) = self.named(&name).await? {
            if account.deactivated {
                return Err(LoginError::Deactivated);
            }
            return self.start_session(user, &user_id, new, Batch::new()).await;
        }
        if !jwt.create_users {
            return Err(LoginError::Forbidden);
        }
        let account = NewAccount {
            user_id: self.new_user_id(&name.0)?,
            password: None,
            admin: false,
            user_type: None,
            displayname: None,
            registration_token: None,
        };
        let (_, issued) = self.create(account, Some(new)).await?;
        issued.ok_or(LoginError::Forbidden)
    }

    /// The user whom a JSON web token names, for whoever has no password to prove themselves with.
    pub(crate) async fn user_of_jwt(&self, token: &str) -> Result<Option<UserNid>, LoginError> {
        let jwt = self.0.jwt.as_ref().ok_or(LoginError::NotOffered)?;
        let Ok(subject) = jwt.subject(token, self.0.host.now_ms()) else {
            return Ok(None);
        };
        Ok(self
            .named(&UserName(subject))
            .await?
            .map(|(user, _, _)| user))
    }

    /// A token with which another client logs in as the same user, once, within
    /// `sessions.login_token_lifetime_ms`.
    pub async fn generate_login_token(&self, session: &Session) -> Result<LoginToken, StoreError> {
        let token = tokens::generate(&self.0.host, TokenKind::Login);
        let expires_in_ms = self.0.options.sessions.login_token_lifetime_ms;
        let expires_ms = self.0.host.now_ms().saturating_add(expires_in_ms);
        let row = LoginTokenRow {
            user: session.user.0,
            expires_ms,
        };
        let mut batch = Batch::new();
        batch.put::<LoginTokens>(
            &TokenHash::of_new(&token).key(),
            &rows::write::<LoginTokens>(&row)?,
        );
        self.0.store.commit(batch).await?;
        Ok(LoginToken {
            token,
            expires_in_ms,
        })
    }

    /// `m.login.token`. The token is used up in the commit that opens the session: two logins at the same
    /// moment get one session.
    ///
    /// # Errors
    /// [`LoginError::Forbidden`] for a token that is unknown, used or expired.
    pub async fn login_with_token(
        &self,
        token: &str,
        new: &NewSession,
    ) -> Result<IssuedSession, LoginError> {
        let hash = TokenHash::of(token).ok_or(LoginError::Forbidden)?;
        let raw = self
            .0
            .store
            .get::<LoginTokens>(&hash.key())
            .await?
            .ok_or(LoginError::Forbidden)?;
        let row: LoginTokenRow = rows::parse::<LoginTokens, _>(&raw)?;
        let mut batch = Batch::new();
        batch.delete::<LoginTokens>(&hash.key());
        if row.expires_ms <= self.0.host.now_ms() {
            batch.relax();
            drop(self.0.store.queue(batch));
            return Err(LoginError::Forbidden);
        }
        batch.guard_equals::<LoginTokens>(&hash.key(), &raw);
        let user = UserNid(row.user);
        let user_id = self.user_id(user).await?;
        match self.start_session(user, &user_id, new, batch).await {
            Err(LoginError::Store(StoreError::Guard)) => Err(LoginError::Forbidden),
            result => result,
        }
    }

    /// Opens a session for a user who has shown who they are, in one commit with what `batch` holds.
    async fn start_session(
        &self,
        user: UserNid,
        user_id: &UserId,
        new: &NewSession,
        mut batch: Batch,
    ) -> Result<IssuedSession, LoginError> {
        new.check().map_err(CreateError::InvalidDevice)?;
        let guard = self.0.locks.lock(user).await;
        // Closed while the password was being checked?
        if self
            .account_of(user)
            .await?
            .is_none_or(|account| account.deactivated)
        {
            return Err(LoginError::Deactivated);
        }
        self.check_devices(user, new).await?;
        let mut aftermath = Aftermath::default();
        let issued = self
            .open_session(&mut batch, &mut aftermath, (user, user_id), new)
            .await?;
        self.commit(user, guard, batch, aftermath).await?;
        Ok(issued)
    }
}

#[cfg(test)]
mod tests;
