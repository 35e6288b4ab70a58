//! Local accounts and what belongs to one user alone: devices and tokens, profile, account data, tags, push
//! rules and filters ([spec](https://spec.matrix.org/v1.19/client-server-api/#client-authentication)).
//!
//! Knows no room and no HTTP. What others want to hear about a user is told to a [`UserFollower`].

use std::sync::Arc;

use config::{Config, RegistrationMode};
use host::Host;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use ruma::{
    OwnedServerName, OwnedUserId, UserId, api::client::filter::FilterDefinition, push::Ruleset,
};
use store::{Store, StoreError, UserNid};

mod account_data;
mod accounts;
mod devices;
mod error;
mod filters;
mod interactive;
mod jwt;
mod locks;
mod login;
mod news;
mod passwords;
mod profiles;
mod push_rules;
mod registration;
mod rows;
mod sessions;
mod shared_secret;
mod tags;
mod tokens;

pub use account_data::AccountDataEvent;
pub use accounts::Account;
pub use devices::Device;
pub use error::{
    AccountDataError, AuthenticationError, CreateError, DeviceError, FilterError, LoginError,
    PasswordError, ProfileError, PushRuleError, SharedSecretError,
};
pub use interactive::{
    Attempt, Challenge, Credential, Failure, InteractiveError, Proof, Purpose, Stage,
};
pub use login::{LoginToken, UserName};
pub use news::{UserFollower, UserNews};
pub use profiles::Profile;
pub use push_rules::{RulePlace, rules_json};
pub use registration::Registration;
pub use sessions::{IssuedSession, NewSession, Session};
pub use shared_secret::{SharedSecretRegistration, mac as shared_secret_mac};

use crate::{
    interactive::Interactions, jwt::Jwt, locks::Locks, passwords::Passwords,
    sessions::CachedSession, shared_secret::Nonces, tokens::TokenHash,
};

/// Access tokens kept in memory, each about 200 bytes.
const CACHED_SESSIONS: usize = 50_000;
/// Users whose push rules are kept in memory, each about 5 KB.
const CACHED_RULESETS: usize = 5_000;
/// Filters kept in memory, each about 1 KB.
const CACHED_FILTERS: usize = 5_000;

/// The local users. Cheap to clone.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    store: Store,
    host: Host,
    options: Options,
    jwt: Option<Jwt>,
    passwords: Passwords,
    /// Whoever reads a user's rows to write them anew, or to cache them, holds the user's lock.
    locks: Locks,
    sessions: Cache<TokenHash, Arc<CachedSession>>,
    rulesets: Cache<UserNid, Arc<Ruleset>>,
    filters: Cache<(UserNid, u32), Arc<FilterDefinition>>,
    interactions: Mutex<Interactions>,
    nonces: Mutex<Nonces>,
    followers: RwLock<Vec<Arc<dyn UserFollower>>>,
}

/// What the configuration tells this crate, beside passwords and JWT.
struct Options {
    server_name: OwnedServerName,
    registration: config::Registration,
    sessions: config::Sessions,
}

impl Users {
    /// Over `store`. Fails where the JWT key or the password cost in `config` cannot be used.
    pub fn new(store: Store, host: Host, config: &Config) -> Result<Self, OptionsError> {
        let jwt = config
            .jwt
            .enabled
            .then(|| Jwt::new(&config.jwt))
            .transpose()?;
        let passwords = Passwords::new(&host, &config.passwords)?;
        let options = Options {
            server_name: config.server_name.clone(),
            registration: config.registration.clone(),
            sessions: config.sessions.clone(),
        };
        Ok(Self(Arc::new(Inner {
            store,
            host,
            options,
            jwt,
            passwords,
            locks: Locks::default(),
            sessions: Cache::new(CACHED_SESSIONS),
            rulesets: Cache::new(CACHED_RULESETS),
            filters: Cache::new(CACHED_FILTERS),
            interactions: Mutex::default(),
            nonces: Mutex::default(),
            followers: RwLock::default(),
        })))
    }

    /// From now on `follower` hears what changes about a user.
    pub fn follow(&self, follower: Arc<dyn UserFollower>) {
        self.0.followers.write().push(follower);
    }

    /// The name of this server.
    pub fn server_name(&self) -> &OwnedServerName {
        &self.0.options.server_name
    }

    /// What the server was told about registration.
    pub fn registration_mode(&self) -> RegistrationMode {
        self.0.options.registration.mode
    }

    /// The number of a local or remote user that the server has met.
    pub async fn number(&self, user_id: &UserId) -> Result<Option<UserNid>, StoreError> {
        self.0.store.interner().find(user_id.as_str()).await
    }

    /// The user id behind a number.
    pub async fn user_id(&self, user: UserNid) -> Result<OwnedUserId, StoreError> {
        let name = self.0.store.interner().name(user).await?;
        UserId::parse(&*name).map_err(|_| StoreError::Corrupt {
            table: "NameOfNumber",
            source: store::CorruptRow("is not a user id"),
        })
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The JWT algorithm or key.
    #[error("jwt: {0}")]
    Jwt(String),
    /// The argon2 parameters.
    #[error("passwords: {0}")]
    Passwords(String),
}

#[cfg(test)]
mod tests;
