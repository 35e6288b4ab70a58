//! Local accounts and what belongs to one user alone: devices and tokens, profile, account data, tags, push
//! rules and filters ([spec](https://spec.matrix.org/v1.19/client-server-api/#client-authentication)).
//!
//! Knows no room and no HTTP. What others want to hear about a user is told to a [`UserFollower`].

use std::sync::Arc;

use config::{Config, Network, RegistrationMode};
use host::Host;
use parking_lot::{Mutex, RwLock};
use ruma::{
    OwnedServerName, OwnedUserId, UserId, api::client::filter::FilterDefinition, push::Ruleset,
};
use store::{Store, StoreError, UserNid};

mod account_data;
mod accounts;
mod administration;
mod cache;
mod devices;
mod directory;
mod endings;
mod error;
mod filters;
mod guests;
mod interactive;
mod invite_permission;
mod jwt;
mod locks;
mod login;
mod news;
mod openid;
mod passwords;
mod profiles;
mod push_rules;
mod pushers;
mod registration;
mod room_upgrade;
mod rows;
mod sessions;
mod shared_secret;
mod sweep;
mod tags;
mod tokens;
mod usage;

pub use account_data::AccountDataEvent;
pub use accounts::Account;
pub use administration::{AccountToCreate, Listed};
pub use devices::{Device, device_names};
pub use directory::Found;
pub use error::{
    AccountDataError, AuthenticationError, CreateError, DeviceError, FilterError, LoginError,
    PasswordError, ProfileError, PushRuleError, PusherError, SharedSecretError,
};
pub use interactive::{
    Attempt, Challenge, Credential, Failure, InteractiveError, Proof, Purpose, Stage,
};
pub use invite_permission::InvitePermission;
pub use login::{LoginToken, UserName};
pub use news::{DeviceKeeper, KeeperFuture, UserFollower, UserNews};
pub use openid::OpenIdToken;
pub use passwords::PasswordFigures;
pub use profiles::Profile;
pub use push_rules::{RulePlace, rules_json};
pub use pushers::{KeptPusher, Pusher, PusherKey};
pub use registration::{Registration, RegistrationToken, TokenToCreate};
pub use room_upgrade::RoomName;
pub use sessions::{IssuedSession, NewSession, Session};
pub use shared_secret::{SharedSecretRegistration, mac as shared_secret_mac};
pub use usage::UserFigures;

use crate::{
    cache::ByBytes, endings::Endings, interactive::Interactions, jwt::Jwt, locks::Locks,
    passwords::Passwords, sessions::CachedSession, shared_secret::Nonces, tokens::TokenHash,
};

/// Memory for sessions, push rules and filters, and what one of most users weighs: about 20,000 sessions, 1,300 users'
/// rules and 2,000 filters.
const SESSIONS_BYTES: usize = 8 << 20;
const SESSION_BYTES: usize = 256;
const RULESETS_BYTES: usize = 8 << 20;
const RULESET_BYTES: usize = 6 << 10;
const FILTERS_BYTES: usize = 4 << 20;
const FILTER_BYTES: usize = 2 << 10;

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
    endings: Endings,
    sessions: ByBytes<TokenHash, CachedSession>,
    rulesets: ByBytes<UserNid, Ruleset>,
    filters: ByBytes<(UserNid, u32), FilterDefinition>,
    interactions: Mutex<Interactions>,
    nonces: Mutex<Nonces>,
    directory: directory::Directory,
    followers: RwLock<Vec<Arc<dyn UserFollower>>>,
    keepers: RwLock<Vec<Arc<dyn DeviceKeeper>>>,
}

/// What the configuration tells this crate, beside passwords and JWT.
struct Options {
    server_name: OwnedServerName,
    registration: config::Registration,
    sessions: config::Sessions,
    /// Where push gateways may speak HTTP.
    allowed_networks: Vec<Network>,
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
            allowed_networks: config.outbound.allowed_networks.clone(),
        };
        Ok(Self(Arc::new(Inner {
            store,
            host,
            options,
            jwt,
            passwords,
            locks: Locks::default(),
            endings: Endings::default(),
            sessions: ByBytes::new(SESSIONS_BYTES, SESSION_BYTES),
            rulesets: ByBytes::new(RULESETS_BYTES, RULESET_BYTES),
            filters: ByBytes::new(FILTERS_BYTES, FILTER_BYTES),
            interactions: Mutex::default(),
            nonces: Mutex::default(),
            directory: directory::Directory::default(),
            followers: RwLock::default(),
            keepers: RwLock::default(),
        })))
    }

    /// From now on `follower` hears what changes about a user.
    pub fn follow(&self, follower: Arc<dyn UserFollower>) {
        self.0.followers.write().push(follower);
    }

    /// From now on `keeper` adds to the commits that change devices.
    pub fn keep_with(&self, keeper: Arc<dyn DeviceKeeper>) {
        self.0.keepers.write().push(keeper);
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
