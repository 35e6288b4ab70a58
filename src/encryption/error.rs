//! What can go wrong, without HTTP.

use std::borrow::Cow;

use store::StoreError;
use thiserror::Error;

/// Keys cannot be uploaded.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The device was removed in the meantime.
    #[error("the device is gone")]
    UnknownDevice,
    /// What was sent is not what it should be.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// The JSON has another form.
    #[error("{0}")]
    BadJson(Cow<'static, str>),
    /// More, or larger, than anybody needs.
    #[error("{0}")]
    TooLarge(Cow<'static, str>),
    /// Neither sent nor kept.
    #[error("no master signing key is available")]
    NoMasterKey,
    /// The key is not signed as it must be.
    #[error("{0}")]
    InvalidSignature(&'static str),
    /// Not allowed.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The user must show that it is they who ask.
    #[error("the user must confirm that")]
    Unconfirmed,
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeysError {
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(message.into())
    }
}

/// A message cannot be sent to devices.
#[derive(Debug, Error)]
pub enum InboxError {
    /// The content is not a JSON object.
    #[error("the content of a message must be a JSON object")]
    NotAnObject,
    /// More, or larger, than allowed.
    #[error("{0}")]
    TooLarge(Cow<'static, str>),
    /// The event type or the transaction id.
    #[error("{0}")]
    Invalid(&'static str),
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key backup refuses.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is no such backup, or no such key in it.
    #[error("{0}")]
    NotFound(&'static str),
    /// Keys are added to the current backup only.
    #[error("the current backup is {current}")]
    WrongVersion {
        /// The current one.
        current: String,
    },
    /// What was sent does not fit.
    #[error("{0}")]
    Invalid(&'static str),
    /// The JSON has another form.
    #[error("{0}")]
    BadJson(&'static str),
    /// More, or larger, than allowed.
    #[error("{0}")]
    TooLarge(&'static str),
    /// Below.
    #[error(transparent)]
    Store(#[from] StoreError),
}
