//! Who makes the request ([spec](https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens)).

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts, Query, RawPathParams};
use http::{header, request::Parts};
use http_layer::{ClientAddress, StandardError};
use ruma::OwnedUserId;
use serde::Deserialize;
use users::Users;

use crate::Error;

/// The session that the access token belongs to.
///
/// # Errors
/// `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`.
#[derive(Clone, Debug)]
pub struct Session(pub users::Session);

/// The user that the access token belongs to, for handlers that need no more.
#[derive(Clone, Debug)]
pub struct Sender(pub OwnedUserId);

impl<S: Send + Sync> FromRequestParts<S> for Session
where
    Users: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token = access_token(parts).ok_or_else(StandardError::missing_token)?;
        let ip = parts
            .extensions
            .get::<ClientAddress>()
            .map(|address| address.0);
        let ip = ip.filter(|ip: &IpAddr| !ip.is_unspecified());
        Ok(Self(Users::from_ref(state).authenticate(&token, ip).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sender
where
    Users: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Session(session) = Session::from_request_parts(parts, state).await?;
        Ok(Self(session.user_id))
    }
}

/// The event type, second variable of its path, as the client spells it: ruma's types replace some unstable names by
/// stable ones and the other way round.
#[derive(Clone, Debug)]
pub struct EventType(pub String);

impl<S: Send + Sync> FromRequestParts<S> for EventType {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| StandardError::invalid_param("The path is not valid UTF-8."))?;
        let event_type = params.iter().nth(1).map(|(_, value)| value.to_owned());
        Ok(Self(event_type.ok_or_else(StandardError::unrecognized)?))
    }
}

/// The first variable of the path, as the client spells it: the event type of `/sendToDevice`.
#[derive(Clone, Debug)]
pub struct FirstOfPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for FirstOfPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| StandardError::invalid_param("The path is not valid UTF-8."))?;
        let first = params.iter().next().map(|(_, value)| value.to_owned());
        Ok(Self(first.ok_or_else(StandardError::unrecognized)?))
    }
}

/// The last variable of the path, as the client spells it: the event type of `/relations`.
#[derive(Clone, Debug)]
pub struct LastOfPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for LastOfPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| StandardError::invalid_param("The path is not valid UTF-8."))?;
        let last = params.iter().last().map(|(_, value)| value.to_owned());
        Ok(Self(last.ok_or_else(StandardError::unrecognized)?))
    }
}

/// The token in the header, or in the query, which is deprecated and still used.
fn access_token(parts: &Parts) -> Option<String> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned());
    }
    let Query(query) = Query::<TokenQuery>::try_from_uri(&parts.uri).ok()?;
    query.access_token.filter(|token| !token.is_empty())
}

#[derive(Deserialize)]
struct TokenQuery {
    access_token: Option<String>,
}
