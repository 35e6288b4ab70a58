//! Requests in ruma's types: path, query and body, each mistake with the error the spec names.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#api-standards)

use std::{collections::HashSet, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
};
use bytes::Bytes;
use http::{Method, Uri, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ruma::api::{IncomingRequest, error::DeserializationError};
use serde::de::DeserializeOwned;

use crate::{Error, StandardError, endpoint};

/// The deepest nesting of JSON taken. serde_json stops at 128 and canonical JSON needs room for an event around a content.
const JSON_DEPTH: usize = 100;

/// How large a body may be and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes.
    pub bytes: usize,
    /// From the end of the head to the end of the body.
    pub timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            timeout: Duration::from_mins(1),
        }
    }
}

/// A request of an endpoint's request type. For JSON endpoints: uploads stream their body instead.
///
/// # Errors
/// `M_NOT_JSON` for a body that is no JSON (bad UTF-8 and absurd nesting included), `M_BAD_JSON` for other JSON than
/// asked for, `M_INVALID_PARAM` for a bad path or query, `M_TOO_LARGE` for a large body.
#[derive(Clone, Debug)]
pub struct MatrixRequest<T>(pub T);

impl<T: IncomingRequest, S: Send + Sync> FromRequest<S> for MatrixRequest<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let args = path_args::<T>(&mut parts, state).await?;
        let body = if matches!(parts.method, Method::GET | Method::HEAD) {
            Bytes::new()
        } else {
            read_body(&parts, body).await?
        };
        check_json(&body)?;
        // Clients send nothing at all where they mean `{}` (matrix-nio joins so); not all of ruma's types read it so.
        let body = if body.trim_ascii().is_empty() {
            &b"{}"[..]
        } else {
            &body[..]
        };
        match parse(&parts, parts.uri.clone(), body, &args) {
            Err(DeserializationError::Query(_)) => {
                // Once more with the first value of each parameter, as others do: `?limit=5&limit=9`, `?limit=`.
                parse(&parts, first_values(&parts.uri), body, &args).map_err(refuse)
            }
            result => result.map_err(refuse),
        }
        .map(Self)
    }
}

/// A JSON body where ruma has no type for the request. None at all is `{}`.
///
/// # Errors
/// As [`MatrixRequest`].
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts, body).await?;
        check_json(&body)?;
        let body = if body.trim_ascii().is_empty() {
            &b"{}"[..]
        } else {
            &body[..]
        };
        serde_json::from_slice(body).map(Self).map_err(|error| {
            StandardError::bad_json(format!("Not the JSON expected: {error}.")).into()
        })
    }
}

/// Reads the whole body within the limits of this server.
///
/// # Errors
/// `M_TOO_LARGE`, or `M_UNKNOWN` with status 408 for a client too slow.
pub async fn read_body(parts: &Parts, body: Body) -> Result<Bytes, Error> {
    let limits = parts
        .extensions
        .get::<BodyLimits>()
        .copied()
        .unwrap_or_default();
    let reading = Limited::new(body, limits.bytes).collect();
    match tokio::time::timeout(limits.timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(StandardError::too_large("The request is too large.").into())
        }
        Ok(Err(_)) => Err(StandardError::not_json("The request's body broke off.").into()),
        Err(_) => Err(StandardError::unknown("The request's body took too long.")
            .with_status(http::StatusCode::REQUEST_TIMEOUT)
            .into()),
    }
}

fn parse<T: IncomingRequest>(
    parts: &Parts,
    uri: Uri,
    body: &[u8],
    args: &[String],
) -> Result<T, DeserializationError> {
    let mut request = http::Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The router has checked the method.
    T::try_from_http_request_inner(request, &args)
}

/// The variables of the path, percent-decoded. One left out at the end is empty: `/state/m.room.name` means the
/// empty state key.
async fn path_args<T: IncomingRequest>(
    parts: &mut Parts,
    state: &(impl Send + Sync),
) -> Result<Vec<String>, Error> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| StandardError::invalid_param("The path is not valid UTF-8."))?;
    let mut args: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
    args.resize(endpoint::variables::<T>().max(args.len()), String::new());
    Ok(args)
}

/// `uri` with each query parameter's first value that is not empty, and no other.
fn first_values(uri: &Uri) -> Uri {
    let mut seen = HashSet::new();
    let query: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| {
            pair.split_once('=')
                .is_some_and(|(key, value)| !value.is_empty() && seen.insert(key))
        })
        .collect();
    let text = format!("{}?{}", uri.path(), query.join("&"));
    text.parse().unwrap_or_else(|_| uri.clone())
}

/// Refuses what serde would let pass or blame wrongly: arrays for objects, and nesting that no one means.
fn check_json(body: &[u8]) -> Result<(), StandardError> {
    let trimmed = body.trim_ascii_start();
    if trimmed.is_empty() {
        return Ok(());
    }
    if depth(trimmed) > JSON_DEPTH {
        return Err(StandardError::not_json("The JSON is nested too deeply."));
    }
    // A list would do for a struct in serde's eyes.
    if trimmed[0] != b'{' {
        return Err(
            match serde_json::from_slice::<&serde_json::value::RawValue>(trimmed) {
                Ok(_) => StandardError::bad_json("The request must be a JSON object."),
                Err(_) => StandardError::not_json("The request is not valid JSON."),
            },
        );
    }
    Ok(())
}

/// The deepest nesting in `json`, which need not be valid.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn refuse(error: DeserializationError) -> Error {
    match error {
        DeserializationError::Json(error) if error.is_data() => {
            StandardError::bad_json(format!("Bad JSON: {error}."))
        }
        DeserializationError::Json(error) => StandardError::not_json(format!("Not JSON: {error}.")),
        DeserializationError::Utf8(_) => StandardError::not_json("The request is not valid UTF-8."),
        DeserializationError::Query(error) => {
            StandardError::invalid_param(format!("Bad query: {error}."))
        }
        DeserializationError::Ident(error) => {
            StandardError::invalid_param(format!("Bad identifier: {error}."))
        }
        other => StandardError::invalid_param(format!("Bad request: {other}.")),
    }
    .into()
}

#[cfg(test)]
mod tests;
