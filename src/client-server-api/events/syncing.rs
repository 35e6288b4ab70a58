//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing).
//!
//! The answer is written as bytes by the sync engine, and streamed: see [`sync`].

use std::sync::Arc;

use ::sync::{Engine, Filter, SyncError, SyncRequest};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use http::{HeaderValue, header};
use http_layer::{MatrixRequest, StandardError};
use ruma::api::client::sync::sync_events::v3::{self, Request};
use users::Users;

use crate::{Error, Session};

/// `GET /_matrix/client/v3/sync`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync)
///
/// # Errors
/// `M_INVALID_PARAM` for a token that no server of this kind wrote, and for a filter that the user does not have;
/// `M_BAD_JSON` for a filter that is none.
pub async fn sync(
    State(engine): State<Engine>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<Request>,
) -> Result<Response, Error> {
    let since = match request.since.as_deref() {
        None | Some("") => None,
        Some(token) => engine
            .since(token)
            .map_err(|error| StandardError::invalid_param(format!("`since` is {error}.")))?,
    };
    let inbox = since.map(|since| {
        let token = request.since.as_deref().unwrap_or_default();
        engine.since_inbox(token).unwrap_or(since).min(since)
    });
    let filter = Arc::new(filter(&users, &session, request.filter).await?);
    let request = SyncRequest {
        user: session.user,
        user_id: session.user_id,
        device_id: session.device_id,
        since,
        inbox: inbox.unwrap_or_default(),
        filter,
        full_state: request.full_state,
        use_state_after: request.use_state_after,
        timeout: request.timeout.unwrap_or_default(),
        set_presence: request.set_presence,
    };
    let body = match engine.sync(request).await?.whole() {
        Ok(bytes) => Body::from(bytes),
        // The status is out by then: an error can only break the connection off.
        Err(body) => Body::from_stream(body.into_stream().inspect_err(|error| {
            tracing::error!(%error, "a sync breaks off");
        })),
    };
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}

/// The filter that a request names, or carries.
async fn filter(
    users: &Users,
    session: &users::Session,
    filter: Option<v3::Filter>,
) -> Result<Filter, Error> {
    let id = match filter {
        None => return Ok(Filter::default()),
        Some(v3::Filter::FilterDefinition(filter)) => return Ok(filter.into()),
        Some(v3::Filter::FilterId(id)) => id,
        Some(_) => return Err(StandardError::invalid_param("Bad filter.").into()),
    };
    // "The server will detect whether it is an ID or a JSON object by whether the first character is a "{" open brace."
    if id.starts_with('{') {
        return Err(StandardError::bad_json("The filter is not a filter.").into());
    }
    let unknown = || StandardError::invalid_param("Unknown filter.");
    let number = id.parse().map_err(|_| unknown())?;
    let filter = users
        .filter(session.user, number)
        .await?
        .ok_or_else(unknown)?;
    Ok(Filter::from((*filter).clone()))
}

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Rooms(error) => error.into(),
            SyncError::Store(error) => error.into(),
        }
    }
}
