//! What the errors of `administration` mean to whoever asked.

use ::administration::AdministrationError;
use http::StatusCode;
use http_layer::StandardError;

use super::Error;

impl From<AdministrationError> for Error {
    fn from(error: AdministrationError) -> Self {
        let message = error.to_string();
        match error {
            AdministrationError::Room(error) => error.into(),
            AdministrationError::NoNotices(message) => StandardError::unknown(message)
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            AdministrationError::NoSuchTask => StandardError::not_found(message).into(),
            AdministrationError::NotCancelled => StandardError::unknown(message)
                .with_status(StatusCode::CONFLICT)
                .into(),
            // As long as a short task takes.
            AdministrationError::TooManyTasks => StandardError::limit_exceeded(10_000).into(),
            AdministrationError::Store(error) => error.into(),
        }
    }
}
