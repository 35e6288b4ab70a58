//! Answers: ruma's response types, and plain JSON.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use ruma::api::{OutgoingResponse, OutgoingResponseExt};
use serde::Serialize;
use serde_json::Value;

use crate::Error;

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of an endpoint's response type.
#[derive(Clone, Copy, Debug)]
pub struct MatrixResponse<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for MatrixResponse<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// The same without the members that are `null`: ruma writes them where the definition has a type and no more.
#[derive(Clone, Copy, Debug)]
pub struct WithoutNulls<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for WithoutNulls<T> {
    fn into_response(self) -> Response {
        let response = match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response,
            Err(error) => return Error::internal(error).into_response(),
        };
        let status = response.status();
        match serde_json::from_slice(response.body()) {
            Ok(body) => json(status, &without_nulls(body)),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// Leaves out the members of objects that are `null`.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, without_nulls(member)))
            .collect(),
        Value::Array(members) => members.into_iter().map(without_nulls).collect(),
        plain => plain,
    }
}

/// An answer whose JSON is written already.
#[derive(Clone, Debug)]
pub struct JsonBytes(pub Vec<u8>);

impl IntoResponse for JsonBytes {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, self.0)
    }
}

/// `body` as a JSON answer, for the few endpoints without a ruma type.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(bytes) = serde_json::to_vec(body) else {
        tracing::error!("an answer cannot be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    json_response(status, bytes)
}

fn json_response(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, APPLICATION_JSON);
    response
}
