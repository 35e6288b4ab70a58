//! What can go wrong, without HTTP.

use store::StoreError;
use thiserror::Error;

/// A password cannot be hashed or checked.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// More bytes than anybody types.
    #[error("the password is longer than {limit} bytes")]
    TooLong {
        /// The most, in bytes.
        limit: usize,
    },
    /// Fewer characters than the server asks for.
    #[error("the password is shorter than {limit} characters")]
    TooShort {
        /// The least, in characters.
        limit: usize,
    },
    /// Too many wait already. Answer `M_LIMIT_EXCEEDED`.
    #[error("too many passwords are being checked")]
    Busy,
    /// argon2 failed.
    #[error("the password could not be hashed")]
    Failed,
}

/// An account cannot be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The name is taken, perhaps by an account that was closed.
    #[error("the user id is taken")]
    InUse,
    /// The name is not allowed, and why.
    #[error("{0}")]
    InvalidName(&'static str),
    /// The registration token does not hold (any more).
    #[error("the registration token is not valid")]
    InvalidToken,
    /// The device id is not allowed, and why.
    #[error("{0}")]
    InvalidDevice(&'static str),
    /// Whoever wants to become a user is no guest, or not the one they say.
    #[error("this token is not of the guest with this name")]
    NotThatGuest,
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A login is refused.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The user does not exist, or the password, login token or JWT is wrong.
    #[error("the user or the secret is wrong")]
    Forbidden,
    /// A JWT that does not hold, and why.
    #[error("JWT: {0}")]
    Jwt(String),
    /// The account was closed.
    #[error("the account has been deactivated")]
    Deactivated,
    /// The user has as many devices as a user may have (`sessions.max_devices`).
    #[error("this account has {limit} devices already; log out of one that is not used any more")]
    TooManyDevices {
        /// How many.
        limit: usize,
    },
    /// This kind of login is not offered.
    #[error("this login type is not offered")]
    NotOffered,
    /// The account could not be created on the first login.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token is not good for what it was shown for.
#[derive(Debug, Error)]
pub enum AuthenticationError {
    /// Nobody's token, or no longer anybody's.
    #[error("the token is not known")]
    UnknownToken,
    /// It was good; the session can be taken up again by refreshing, or by logging in with the same device id.
    #[error("the token has expired")]
    SoftLoggedOut,
    /// The account is locked; nothing but logging out is left.
    #[error("this account has been locked")]
    Locked,
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device operation failed.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The user has no such device.
    #[error("no such device")]
    NotFound,
    /// The display name.
    #[error("the display name is longer than {limit} characters")]
    NameTooLong {
        /// The most, in characters.
        limit: usize,
    },
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Account data or a tag cannot be set.
#[derive(Debug, Error)]
pub enum AccountDataError {
    /// The server alone writes this type.
    #[error("{0} is managed by the server")]
    Managed(String),
    /// The content is not a JSON object.
    #[error("the content must be a JSON object")]
    NotAnObject,
    /// The content.
    #[error("the content is larger than {limit} bytes")]
    TooLarge {
        /// The most, in bytes.
        limit: usize,
    },
    /// The type or the tag's name.
    #[error("the name is longer than {limit} bytes")]
    NameTooLong {
        /// The most, in bytes.
        limit: usize,
    },
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A push rule cannot be changed.
#[derive(Debug, Error)]
pub enum PushRuleError {
    /// No such rule.
    #[error("the push rule was not found")]
    NotFound,
    /// The rule is one of the server's.
    #[error("server-default rules cannot be added or removed")]
    ServerDefault,
    /// The id.
    #[error("the rule id is not valid")]
    InvalidId,
    /// `before` or `after` names no rule of the user.
    #[error("before/after rule not found: {0}")]
    UnknownNeighbour(String),
    /// `before` stands above `after`.
    #[error("the rule cannot stand between `after` and `before`")]
    InvalidOrder,
    /// Too many rules, or too large.
    #[error("too many push rules")]
    TooMany,
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A filter cannot be kept.
#[derive(Debug, Error)]
pub enum FilterError {
    /// Not a filter definition, and why.
    #[error("not a filter: {0}")]
    Invalid(String),
    /// Its JSON.
    #[error("the filter is larger than {limit} bytes")]
    TooLarge {
        /// The most, in bytes.
        limit: usize,
    },
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A profile field cannot be set.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The field's name is longer than 255 bytes.
    #[error("the profile key is longer than 255 bytes")]
    KeyTooLarge,
    /// The profile would be larger than 64 KiB.
    #[error("the profile would be larger than 64 KiB")]
    ProfileTooLarge,
    /// The name or the value is not allowed, and why.
    #[error("{0}")]
    Invalid(&'static str),
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A registration by the shared secret is refused.
#[derive(Debug, Error)]
pub enum SharedSecretError {
    /// No secret is configured.
    #[error("shared secret registration is not enabled")]
    Disabled,
    /// The nonce was never given out, has been used or is older than a minute.
    #[error("unrecognised nonce")]
    UnknownNonce,
    /// The request is not what the secret's owner signed.
    #[error("HMAC incorrect")]
    WrongMac,
    /// A field is not allowed, and why.
    #[error("{0}")]
    Invalid(&'static str),
    /// The account.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Why a pusher is not taken.
#[derive(Debug, Error)]
pub enum PusherError {
    /// What a pusher needs is not there.
    #[error("missing parameters: {0}")]
    Missing(String),
    /// A value that no pusher can have.
    #[error("{0}")]
    Invalid(&'static str),
    /// The user has enough of them.
    #[error("you have too many pushers")]
    TooMany,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
