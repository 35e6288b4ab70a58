//! Registration and registration tokens
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration)).

use config::RegistrationMode;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use store::{Batch, Raw, Scan, StoreError, tables::RegistrationTokens};

use crate::{CreateError, IssuedSession, NewSession, Proof, Users, accounts::NewAccount, rows};

/// What somebody who registers asks for.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Generated if there is none.
    pub username: Option<String>,
    /// The password.
    pub password: String,
    /// `None` with `inhibit_login`.
    pub session: Option<NewSession>,
}

/// A registration token's row.
///
/// A use is taken in the commit that creates the account, so none is ever pending.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TokenRow {
    /// How often it can be used; `None` without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uses_allowed: Option<u64>,
    /// How often it was.
    #[serde(default)]
    completed: u64,
    /// Milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    /// Whether the account it creates administers the server.
    #[serde(default)]
    bootstrap: bool,
}

/// As the spec has it.
const MAX_TOKEN_CHARACTERS: usize = 64;

impl TokenRow {
    fn holds(&self, now_ms: u64) -> bool {
        let left = self
            .uses_allowed
            .is_none_or(|allowed| self.completed < allowed);
        left && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

impl Users {
    /// Creates an account for somebody who has passed the stages of [`Purpose::Register`](crate::Purpose).
    /// The account, a use of the registration token, the device and its tokens are one commit.
    pub async fn register(
        &self,
        registration: Registration,
        proof: Proof,
    ) -> Result<(OwnedUserId, Option<IssuedSession>), CreateError> {
        self.check_password(&registration.password)?;
        let user_id = match &registration.username {
            Some(username) => self.new_user_id(username)?,
            None => self.generated_user_id()?,
        };
        let account = NewAccount {
            user_id,
            password: Some(registration.password),
            admin: false,
            user_type: None,
            displayname: None,
            registration_token: proof.registration_token,
        };
        self.create(account, registration.session.as_ref()).await
    }

    /// Whether somebody could register with this token now.
    pub async fn registration_token_holds(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.registration_token(token).await?.is_some())
    }

    /// Makes a token for registrations; `None` without a limit.
    pub async fn create_registration_token(
        &self,
        uses_allowed: Option<u64>,
        expires_ms: Option<u64>,
    ) -> Result<String, StoreError> {
        self.put_registration_token(TokenRow {
            uses_allowed,
            expires_ms,
            ..TokenRow::default()
        })
        .await
    }

    /// The token for the first account, as long as no account exists: good for one registration, and the
    /// account that it makes administers the server. The same one is given again after a restart.
    pub async fn bootstrap_token(&self) -> Result<Option<String>, StoreError> {
        if self.0.options.registration.mode == RegistrationMode::Closed
            || !self.nobody_registered().await?
        {
            return Ok(None);
        }
        let tokens = Scan::prefix::<RegistrationTokens>(&());
        for (token, raw) in self.0.store.scan::<RegistrationTokens>(tokens).await? {
            let row: TokenRow = rows::parse::<RegistrationTokens, _>(&raw)?;
            if row.bootstrap && row.holds(self.0.host.now_ms()) {
                return Ok(Some(token));
            }
        }
        let row = TokenRow {
            uses_allowed: Some(1),
            bootstrap: true,
            ..TokenRow::default()
        };
        self.put_registration_token(row).await.map(Some)
    }

    /// Takes a use of `token` in `batch`, on the condition that nobody else does so first. Whether the account
    /// becomes an administrator's.
    pub(crate) async fn take_use(
        &self,
        batch: &mut Batch,
        token: &str,
    ) -> Result<bool, CreateError> {
        let (before, mut row) = self
            .registration_token(token)
            .await?
            .ok_or(CreateError::InvalidToken)?;
        row.completed += 1;
        let key = token.to_owned();
        batch.guard_equals::<RegistrationTokens>(&key, &before);
        batch.put::<RegistrationTokens>(&key, &rows::write::<RegistrationTokens>(&row)?);
        Ok(row.bootstrap)
    }

    async fn registration_token(&self, token: &str) -> Result<Option<(Raw, TokenRow)>, StoreError> {
        if token.len() > MAX_TOKEN_CHARACTERS {
            return Ok(None);
        }
        let Some(raw) = self
            .0
            .store
            .get::<RegistrationTokens>(&token.to_owned())
            .await?
        else {
            return Ok(None);
        };
        let row: TokenRow = rows::parse::<RegistrationTokens, _>(&raw)?;
        Ok(row.holds(self.0.host.now_ms()).then_some((raw, row)))
    }

    async fn put_registration_token(&self, row: TokenRow) -> Result<String, StoreError> {
        let token = self.0.host.random_string(20);
        let mut batch = Batch::new();
        batch.guard_absent::<RegistrationTokens>(&token);
        batch.put::<RegistrationTokens>(&token, &rows::write::<RegistrationTokens>(&row)?);
        self.0.store.commit(batch).await?;
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
