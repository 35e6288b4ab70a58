//! What the errors of `encryption` mean to a client.

use encryption::{BackupError, InboxError, KeysError};
use http_layer::{Errcode, StandardError};

use super::Error;

impl From<KeysError> for Error {
    fn from(error: KeysError) -> Self {
        let message = error.to_string();
        match error {
            KeysError::UnknownDevice => StandardError::unknown_token(false).into(),
            KeysError::Invalid(_) => StandardError::invalid_param(message).into(),
            KeysError::BadJson(_) => StandardError::bad_json(message).into(),
            KeysError::TooLarge(_) => StandardError::too_large(message).into(),
            KeysError::NoMasterKey => {
                StandardError::missing_param("No master signing key is available.").into()
            }
            KeysError::InvalidSignature(_) => {
                StandardError::new(Errcode::InvalidSignature, message).into()
            }
            // The handler asks for confirmation instead.
            KeysError::Forbidden(_) | KeysError::Unconfirmed => {
                StandardError::forbidden(message).into()
            }
            KeysError::Store(error) => error.into(),
        }
    }
}

impl From<InboxError> for Error {
    fn from(error: InboxError) -> Self {
        let message = error.to_string();
        match error {
            InboxError::NotAnObject => {
                StandardError::bad_json("The content of a message must be a JSON object.").into()
            }
            InboxError::TooLarge(_) => StandardError::too_large(message).into(),
            InboxError::Invalid(_) => StandardError::invalid_param(message).into(),
            InboxError::Store(error) => error.into(),
        }
    }
}

impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::NotFound(_) => StandardError::not_found(message).into(),
            BackupError::WrongVersion { current } => {
                StandardError::new(Errcode::WrongRoomKeysVersion, "Wrong backup version.")
                    .with_field("current_version", current)
                    .into()
            }
            BackupError::Invalid(_) => StandardError::invalid_param(message).into(),
            BackupError::BadJson(_) => StandardError::bad_json(message).into(),
            BackupError::TooLarge(_) => StandardError::too_large(message).into(),
            BackupError::Store(error) => error.into(),
        }
    }
}
