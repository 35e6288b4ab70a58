//! What the domain's errors mean to a client: each `match` without `_`, so that a new variant asks its question here.

use axum::response::{IntoResponse, Response};
use http_layer::StandardError;
use store::StoreError;

mod accounts;
mod administration;
mod encryption;
mod media;
mod rooms;

/// What a handler fails with.
#[derive(Debug)]
pub struct Error(http_layer::Error);

impl Error {
    /// Something below failed: logged with all its causes, `M_UNKNOWN` for the client.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(http_layer::Error::internal(cause))
    }

    /// An error whose body is not a standard error: `401` with the stages of interactive authentication.
    pub fn with_body(status: http::StatusCode, body: serde_json::Value) -> Self {
        Self(http_layer::Error::with_body(status, body))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<http_layer::Error> for Error {
    fn from(error: http_layer::Error) -> Self {
        Self(error)
    }
}

impl From<StandardError> for Error {
    fn from(error: StandardError) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            // Seconds are plenty for the queue to drain, and short enough to go unnoticed.
            StoreError::Busy => StandardError::limit_exceeded(2_000).into(),
            StoreError::Guard
            | StoreError::Closed
            | StoreError::Corrupt { .. }
            | StoreError::Damaged(_)
            | StoreError::Engine(_) => Self::internal(error),
        }
    }
}
