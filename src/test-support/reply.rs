//! What the server answered.

use axum::{body::to_bytes, response::Response};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it is.
    pub bytes: Bytes,
    /// The body; null if it is no JSON.
    pub json: Value,
}

impl Reply {
    pub(crate) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX)
            .await
            .expect("the answer breaks off");
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }

    /// The body of a 200.
    ///
    /// # Panics
    /// If it is something else.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// Checks for an error and gives its body.
    ///
    /// # Panics
    /// If it is something else.
    #[track_caller]
    pub fn is(self, status: u16, errcode: &str) -> Value {
        let expected = (status, errcode);
        assert_eq!(
            (self.status, self.json["errcode"].as_str().unwrap_or("none")),
            expected,
            "{}",
            self.json
        );
        self.json
    }
}
