//! What a handler fails with: an answer for the client, or a cause for the log.

use std::{error, fmt, fmt::Write as _};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

use crate::{StandardError, response::json};

/// Why there is no ordinary answer.
#[derive(Debug)]
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// The client is told what is wrong.
    Standard(StandardError),
    /// The client gets a body that is no standard error, such as the stages of interactive authentication.
    Body(StatusCode, Value),
    /// The client sees `M_UNKNOWN`; the cause is for the log.
    Internal(Box<dyn error::Error + Send + Sync>),
}

impl Error {
    /// Something below failed: logged once, with all its causes, when the answer is made.
    pub fn internal(cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(Box::new(Kind::Internal(cause.into())))
    }

    /// An error whose body is not a standard error: `401` with the stages of interactive authentication.
    pub fn with_body(status: StatusCode, body: Value) -> Self {
        Self(Box::new(Kind::Body(status, body)))
    }

    /// The standard error the client is told, if it is one.
    pub fn standard(&self) -> Option<&StandardError> {
        match &*self.0 {
            Kind::Standard(error) => Some(error),
            Kind::Body(..) | Kind::Internal(_) => None,
        }
    }
}

impl From<StandardError> for Error {
    fn from(error: StandardError) -> Self {
        Self(Box::new(Kind::Standard(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Standard(error) => error.fmt(formatter),
            Kind::Body(status, _) => write!(formatter, "answered with {status}"),
            Kind::Internal(cause) => cause.fmt(formatter),
        }
    }
}

impl error::Error for Error {}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match *self.0 {
            Kind::Standard(error) => {
                // 502 and 504 tell of somebody else's trouble.
                if error.status == StatusCode::INTERNAL_SERVER_ERROR {
                    tracing::error!(cause = %error, "a request failed");
                }
                error.into_response()
            }
            Kind::Body(status, body) => json(status, &body),
            Kind::Internal(cause) => {
                tracing::error!(cause = chain(&*cause), "a request failed");
                StandardError::unknown("Internal server error.").into_response()
            }
        }
    }
}

/// `error: its cause: the cause of that`.
fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Many errors repeat their source in their own text.
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
