//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing).
//!
//! The answer is written as bytes by the sync engine, and streamed: see [`sync`].

use std::sync::Arc;

use ::rooms::Rooms;
use ::sync::{Engine, Filter, SyncError, SyncRequest};
use axum::{
    body::Body,
    extract::{FromRequest, Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use host::Host;
use http::{HeaderValue, header};
use http_layer::{JsonBytes, MatrixRequest, StandardError};
use ruma::{
    EventId, RoomId,
    api::client::sync::sync_events::v3::{self, Request},
};
use users::Users;

use crate::{
    Error, Session,
    event_writer::EventWriter,
    modules::room_previews::{Peeking, peek_events},
};

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

/// `GET /_matrix/client/v3/events`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events)
///
/// Deprecated. With a `room_id` it is [`peek_events`], which is what clients still use it for; the stream of all rooms is
/// [`sync`]'s.
///
/// # Errors
/// As [`peek_events`]; `M_MISSING_PARAM` without a `room_id`.
pub async fn get_events(
    peeking: State<Peeking>,
    session: Session,
    RawQuery(query): RawQuery,
    request: http::Request<Body>,
) -> Result<JsonBytes, Error> {
    let query = query.unwrap_or_default();
    if !query.split('&').any(|pair| pair.starts_with("room_id=")) {
        let message = "`room_id` is missing: for the events of all rooms use /sync.";
        return Err(StandardError::missing_param(message).into());
    }
    let request = MatrixRequest::from_request(request, &()).await?;
    peek_events(peeking, session, request).await
}

/// `GET /_matrix/client/v3/events/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3eventseventid)
///
/// Deprecated: it does not name the room.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such event, or none that the sender may see.
pub async fn get_one_event(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    Session(session): Session,
    Path(event_id): Path<String>,
) -> Result<JsonBytes, Error> {
    let unknown = || StandardError::not_found("Event not found.");
    let event_id = EventId::parse(event_id).map_err(|_| unknown())?;
    let event = rooms.event_by_id(&event_id).await?.ok_or_else(unknown)?;
    let room_id = rooms.store().interner().name(event.room).await?;
    let room_id = RoomId::parse(&*room_id).map_err(Error::internal)?;
    let (event, visibility) = rooms
        .visible_event(&room_id, &event_id, &session.user_id)
        .await?;
    Ok(EventWriter::new(&host, &session, &room_id)
        .with_membership(&visibility)
        .only_event(&event))
}

/// The path of [`get_one_event`], for which ruma has no type.
pub const ONE_EVENT_PATH: &str = "/_matrix/client/v3/events/{1}";

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
