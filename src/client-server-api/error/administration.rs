//! What the errors of `administration` mean to whoever asked.

use ::administration::AdministrationError;

use super::Error;

impl From<AdministrationError> for Error {
    fn from(error: AdministrationError) -> Self {
        match error {
            AdministrationError::Room(error) => error.into(),
            AdministrationError::Store(error) => error.into(),
        }
    }
}
