//! Who asks, and the parts of a request that have no ruma type.

use ::users::{Account, Users};
use administration::Administration;
use axum::{
    extract::{FromRef, FromRequestParts, Path, Query},
    http::request::Parts,
};
use client_server_api::{Error, Services, Session};
use http_layer::{Peer, StandardError};
use ruma::{OwnedUserId, UserId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{StoreError, UserNid};

/// An administrator: a process of the server's own user, or of root, on the owner's socket; or an administrator's
/// access token.
///
/// # Errors
/// `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`; `M_FORBIDDEN` for everybody else.
#[derive(Clone)]
pub struct Administrator {
    /// A user id, or `uid 1000`, for the audit log.
    pub name: String,
    /// The administrator's own account, if it was a token.
    pub user: Option<UserNid>,
    administration: Administration,
}

impl Administrator {
    /// Keeps that they are about to do `action` to `target`: on the disk before it is done. No secrets in `details`.
    pub(crate) async fn audit(
        &self,
        action: &str,
        target: impl AsRef<str>,
        details: Value,
    ) -> Result<(), StoreError> {
        let by = &self.name;
        self.administration
            .audit(by, action, target.as_ref(), details)
            .await
    }
}

impl FromRequestParts<Services> for Administrator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Services) -> Result<Self, Error> {
        let administration = Administration::from_ref(state);
        if let Some(Peer::Owner { uid }) = parts.extensions.get::<Peer>() {
            let name = format!("uid {uid}");
            http_layer::requester(&name, "");
            return Ok(Self {
                name,
                user: None,
                administration,
            });
        }
        let session = <Session as FromRequestParts<_>>::from_request_parts(parts, state).await?;
        let Session(session) = session;
        if !Users::from_ref(state).is_admin(session.user).await? {
            return Err(StandardError::forbidden("You are not a server admin").into());
        }
        Ok(Self {
            name: session.user_id.to_string(),
            user: Some(session.user),
            administration,
        })
    }
}

/// A process of the server's own user, or of root, on the owner's socket: for what concerns files on this machine, which
/// administrators elsewhere have no business with.
///
/// # Errors
/// As [`Administrator`], and `M_FORBIDDEN` for one with an access token.
#[derive(Clone)]
pub struct Owner(pub Administrator);

impl FromRequestParts<Services> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Services) -> Result<Self, Error> {
        let asks = Administrator::from_request_parts(parts, state).await?;
        if asks.user.is_none() {
            return Ok(Self(asks));
        }
        let message = "Only on the server's own machine, through the socket in its data directory";
        Err(StandardError::forbidden(message).into())
    }
}

/// The query.
///
/// # Errors
/// `M_INVALID_PARAM`.
#[derive(Clone, Copy, Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(StandardError::invalid_param(format!("The query: {error}.")).into()),
        }
    }
}

/// The variables of the path.
///
/// # Errors
/// `M_INVALID_PARAM`.
#[derive(Clone, Copy, Debug)]
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(variables)) => Ok(Self(variables)),
            Err(error) => Err(StandardError::invalid_param(format!("The path: {error}.")).into()),
        }
    }
}

/// A local account, the first variable of the path.
///
/// # Errors
/// `M_INVALID_PARAM` for what is no user id, or another server's; `M_NOT_FOUND` for who has no account.
#[derive(Clone, Debug)]
pub struct Target {
    /// The user's number.
    pub user: UserNid,
    /// The user id.
    pub user_id: OwnedUserId,
    /// The account.
    pub account: Account,
}

impl<S: Send + Sync> FromRequestParts<S> for Target
where
    Users: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| StandardError::invalid_param("The path is not UTF-8."))?;
        let name = path.iter().next().map(|(_, value)| value.to_owned());
        let users = Users::from_ref(state);
        let user_id = local_user(&users, &name.unwrap_or_default())?;
        let account = users.account(&user_id).await?;
        let (user, account) = account.ok_or_else(|| StandardError::not_found("User not found"))?;
        Ok(Self {
            user,
            user_id,
            account,
        })
    }
}

/// `name` as the id of a user of this server; a localpart alone will do.
pub(crate) fn local_user(users: &Users, name: &str) -> Result<OwnedUserId, StandardError> {
    let full = if name.starts_with('@') {
        name.to_owned()
    } else {
        format!("@{name}:{}", users.server_name())
    };
    let user_id = UserId::parse(full)
        .map_err(|_| StandardError::invalid_param(format!("`{name}` is not a user id.")))?;
    if user_id.server_name() != users.server_name() {
        return Err(StandardError::invalid_param(
            "This endpoint can only be used with local users",
        ));
    }
    Ok(user_id)
}
