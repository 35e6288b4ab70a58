//! Who makes the request ([spec](https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens)).

use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts, Query, RawPathParams};
use http::{header, request::Parts};
use http_layer::{ClientAddress, Errcode, RateLimits, StandardError};
use ruma::OwnedUserId;
use serde::Deserialize;
use users::Users;

use crate::{Error, guests};

/// The session that the access token belongs to. Here, and so in every handler that asks who there is, guests are let
/// through to what guests may do.
///
/// # Errors
/// `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`, `M_USER_LOCKED`; `M_GUEST_ACCESS_FORBIDDEN`.
#[derive(Clone, Debug)]
pub struct Session(pub users::Session);

/// The user that the access token belongs to, for handlers that need no more.
#[derive(Clone, Debug)]
pub struct Sender(pub OwnedUserId);

/// As [`Session`], of a locked account too: for logging out, which is all that it can do.
#[derive(Clone, Debug)]
pub struct EvenLocked(pub users::Session);

/// As [`Session`], but not of an account that is suspended.
///
/// # Errors
/// `M_USER_SUSPENDED` besides.
#[derive(Clone, Debug)]
pub struct ActiveSession(pub users::Session);

/// As [`Sender`], but not of an account that is suspended.
#[derive(Clone, Debug)]
pub struct ActiveSender(pub OwnedUserId);

impl<S: Send + Sync> FromRequestParts<S> for EvenLocked
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token = access_token(parts).ok_or_else(StandardError::missing_token)?;
        let users = Users::from_ref(state);
        let (session, _) = users.authenticate_locked(&token, address(parts)).await?;
        note(&session);
        guests::check(&session, parts, &RateLimits::from_ref(state))?;
        Ok(Self(session))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token = access_token(parts).ok_or_else(StandardError::missing_token)?;
        let users = Users::from_ref(state);
        let session = users.authenticate(&token, address(parts)).await?;
        note(&session);
        guests::check(&session, parts, &RateLimits::from_ref(state))?;
        Ok(Self(session))
    }
}

/// A request without a token is the handler's to answer, and so is a guest's who may not ask more than anybody may; a wrong
/// token is refused.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Session
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let Some(token) = access_token(parts) else {
            return Ok(None);
        };
        let users = Users::from_ref(state);
        let session = users.authenticate(&token, address(parts)).await?;
        note(&session);
        let admitted = guests::check(&session, parts, &RateLimits::from_ref(state));
        Ok(admitted.is_ok().then_some(Self(session)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sender
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self(session.0.user_id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ActiveSession
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        require_active(&session.0)?;
        Ok(Self(session.0))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ActiveSender
where
    Users: FromRef<S>,
    RateLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let ActiveSession(session) = ActiveSession::from_request_parts(parts, state).await?;
        Ok(Self(session.user_id))
    }
}

/// Refuses what a suspended account may not do
/// ([spec](https://spec.matrix.org/v1.19/client-server-api/#account-suspension)).
pub(crate) fn require_active(session: &users::Session) -> Result<(), StandardError> {
    if session.suspended {
        let message = "You cannot perform this action while your account is suspended.";
        return Err(StandardError::new(Errcode::UserSuspended, message));
    }
    Ok(())
}

/// From now on the log of the request says whose it is.
fn note(session: &users::Session) {
    http_layer::requester(session.user_id.as_str(), session.device_id.as_str());
}

fn address(parts: &Parts) -> Option<IpAddr> {
    let address = parts.extensions.get::<ClientAddress>();
    address
        .map(|address| address.0)
        .filter(|ip: &IpAddr| !ip.is_unspecified())
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
