//! Registration and registration tokens
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration)).

use config::RegistrationMode;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use store::{Batch, Raw, Scan, StoreError, tables::RegistrationTokens};

use crate::{
    CreateError, IssuedSession, NewSession, Proof, Session, Users, accounts::NewAccount, rows,
};

/// What somebody who registers asks for.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Generated if there is none.
    pub username: Option<String>,
    /// The password.
    pub password: String,
    /// `None` with `inhibit_login`.
    pub session: Option<NewSession>,
    /// The guest who becomes a user, of [`Users::guest_to_upgrade`].
    pub guest: Option<Session>,
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

/// A registration token as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    /// What is typed in.
    pub token: String,
    /// How often it can be used; `None` without end.
    pub uses_allowed: Option<u64>,
    /// How often it was.
    pub completed: u64,
    /// Until when it can be used, in milliseconds since the Unix epoch; `None` for ever.
    pub expires_ms: Option<u64>,
    /// Whether the account it creates administers the server.
    pub bootstrap: bool,
}

impl RegistrationToken {
    /// Whether somebody could register with it at this time.
    pub fn holds(&self, now_ms: u64) -> bool {
        let left = self
            .uses_allowed
            .is_none_or(|allowed| self.completed < allowed);
        left && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// A registration token to be made.
#[derive(Clone, Debug, Default)]
pub struct TokenToCreate {
    /// Generated if there is none.
    pub token: Option<String>,
    /// Characters of a generated one.
    pub length: Option<usize>,
    /// How often it can be used; `None` without end.
    pub uses_allowed: Option<u64>,
    /// Until when, in milliseconds since the Unix epoch; `None` for ever.
    pub expires_ms: Option<u64>,
}

/// As the spec has it.
const MAX_TOKEN_CHARACTERS: usize = 64;
/// 119 bits: nobody guesses it, and it can still be read out on the telephone.
const GENERATED_CHARACTERS: usize = 20;
/// A token that others use at the same moment is changed again this often.
const CHANGE_ATTEMPTS: usize = 16;

impl TokenRow {
    fn named(self, token: String) -> RegistrationToken {
        RegistrationToken {
            token,
            uses_allowed: self.uses_allowed,
            completed: self.completed,
            expires_ms: self.expires_ms,
            bootstrap: self.bootstrap,
        }
    }

    fn holds(&self, now_ms: u64) -> bool {
        self.clone().named(String::new()).holds(now_ms)
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
        let session = registration.session.as_ref();
        if let Some(guest) = registration.guest {
            let token = proof.registration_token.as_deref();
            let issued = self
                .upgrade_guest(&guest, &registration.password, token, session)
                .await?;
            return Ok((guest.user_id, issued));
        }
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
        self.create(account, session).await
    }

    /// Whether somebody could register with this token now.
    pub async fn registration_token_holds(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.registration_token(token).await?.is_some())
    }

    /// Makes a token for registrations. `None` if there is one of that name already.
    ///
    /// # Errors
    /// [`CreateError::InvalidName`] for a name that is no token's.
    pub async fn create_registration_token(
        &self,
        new: TokenToCreate,
    ) -> Result<Option<RegistrationToken>, CreateError> {
        let token = match new.token {
            Some(token) => token,
            None => self
                .0
                .host
                .random_string(new.length.unwrap_or(GENERATED_CHARACTERS)),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if token.is_empty() || token.len() > MAX_TOKEN_CHARACTERS || !token.bytes().all(allowed) {
            return Err(CreateError::InvalidName(
                "A token has 1 to 64 of A-Z, a-z, 0-9 and ._~-.",
            ));
        }
        let row = TokenRow {
            uses_allowed: new.uses_allowed,
            expires_ms: new.expires_ms,
            ..TokenRow::default()
        };
        match self.put_registration_token(&token, &row).await {
            Ok(()) => Ok(Some(row.named(token))),
            Err(StoreError::Guard) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every token for registrations, by name; the one for the first account too.
    pub async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, StoreError> {
        let tokens = Scan::prefix::<RegistrationTokens>(&());
        let mut found = Vec::new();
        for (token, raw) in self.0.store.scan::<RegistrationTokens>(tokens).await? {
            let row: TokenRow = rows::parse::<RegistrationTokens, _>(&raw)?;
            found.push(row.named(token));
        }
        Ok(found)
    }

    /// Changes how often and how long a token can be used; `None` for one that does not exist.
    pub async fn change_registration_token(
        &self,
        token: &str,
        change: impl Fn(&mut RegistrationToken),
    ) -> Result<Option<RegistrationToken>, StoreError> {
        let key = token.to_owned();
        // Somebody may use it meanwhile: then once more with what it is by then.
        for _ in 0..CHANGE_ATTEMPTS {
            let Some(before) = self.0.store.get::<RegistrationTokens>(&key).await? else {
                return Ok(None);
            };
            let mut row: TokenRow = rows::parse::<RegistrationTokens, _>(&before)?;
            let mut named = row.clone().named(key.clone());
            change(&mut named);
            row.uses_allowed = named.uses_allowed;
            row.expires_ms = named.expires_ms;
            let mut batch = Batch::new();
            batch.guard_equals::<RegistrationTokens>(&key, &before);
            batch.put::<RegistrationTokens>(&key, &rows::write::<RegistrationTokens>(&row)?);
            match self.0.store.commit(batch).await {
                Ok(_) => return Ok(Some(row.named(key))),
                Err(StoreError::Guard) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Busy)
    }

    /// Ends a token; whether there was one.
    pub async fn delete_registration_token(&self, token: &str) -> Result<bool, StoreError> {
        let key = token.to_owned();
        let known = self.0.store.get::<RegistrationTokens>(&key).await?;
        if known.is_none() {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete::<RegistrationTokens>(&key);
        self.0.store.commit(batch).await?;
        Ok(true)
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
        let token = self.0.host.random_string(GENERATED_CHARACTERS);
        self.put_registration_token(&token, &row).await?;
        Ok(Some(token))
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

    async fn put_registration_token(&self, token: &str, row: &TokenRow) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let key = token.to_owned();
        batch.guard_absent::<RegistrationTokens>(&key);
        batch.put::<RegistrationTokens>(&key, &rows::write::<RegistrationTokens>(row)?);
        self.0.store.commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
