//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing).
//!
//! The answer is written as bytes by the sync engine, and streamed: see [`sync`].

use std::sync::Arc;

use ::rooms::Rooms;
use ::sync::{Engine, Filter, SyncError, SyncRequest};
use axum::{
    body::Body,
    extract::{FromRequest, Path, Query, State},
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use host::Host;
use http::{HeaderValue, Uri, header};
use http_layer::{Errcode, JsonBytes, MatrixRequest, StandardError};
use ruma::{
    EventId, RoomId,
    api::client::sync::sync_events::v3::{self, Request},
};
use serde::Deserialize;
use users::Users;

use super::{
    event_stream::EventStream,
    snapshot::{self, InitialSync, Snapshots},
};
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
/// `M_BAD_JSON` for a filter that is none; `M_UNKNOWN_TOKEN` as soon as the session ends.
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
    let mut filter = filter(&users, &session, request.filter).await?;
    if session.guest {
        // A guest shares a room with whom they like, for a look: nobody agreed to be watched.
        filter = filter.without_presence();
    }
    let starts_over = since.is_none() && request.since.is_some_and(|token| !token.is_empty());
    let request = SyncRequest {
        user: session.user,
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        since,
        starts_over,
        inbox: inbox.unwrap_or_default(),
        filter: Arc::new(filter),
        full_state: request.full_state,
        use_state_after: request.use_state_after,
        timeout: request.timeout.unwrap_or_default(),
        set_presence: request.set_presence,
    };
    let waiting = async { Ok(engine.sync(request).await?) };
    let body = match while_logged_in(&users, &session, waiting).await?.whole() {
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
/// Deprecated. With a `room_id` it is [`peek_events`], which is what clients still use it for, and all that guests may;
/// without, the events of all rooms.
///
/// # Errors
/// `M_INVALID_PARAM` for a bad token; as [`peek_events`]; `M_UNKNOWN_TOKEN` as soon as the session ends.
pub async fn get_events(
    peeking: State<Peeking>,
    State(stream): State<EventStream>,
    State(users): State<Users>,
    Session(session): Session,
    request: http::Request<Body>,
) -> Result<JsonBytes, Error> {
    let uri = request.uri().clone();
    let query = uri.query().unwrap_or_default();
    let peeks = query.split('&').any(|pair| pair.starts_with("room_id="));
    if session.guest && !peeks {
        let message = "Guests can follow single rooms only.";
        return Err(StandardError::new(Errcode::GuestAccessForbidden, message).into());
    }
    let waiting = async {
        if !peeks {
            return stream.next(session.clone(), &uri).await;
        }
        let request = MatrixRequest::from_request(request, &()).await?;
        peek_events(peeking, Session(session.clone()), request).await
    };
    while_logged_in(&users, &session, waiting).await
}

/// What comes of `waiting`, unless the session ends first.
async fn while_logged_in<T>(
    users: &Users,
    session: &users::Session,
    waiting: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        // That a device is gone is news to its user, too: who has lost it must not be told of it by an answer.
        biased;
        why = users.ended(session) => Err(why.into()),
        result = waiting => result,
    }
}

/// `GET /_matrix/client/v3/initialSync`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync)
///
/// Deprecated. Written and sent room by room, like a first `/sync`.
///
/// # Errors
/// `M_INVALID_PARAM` for a `limit` that is no number.
pub async fn initial_sync(
    State(snapshots): State<Snapshots>,
    State(engine): State<Engine>,
    Session(session): Session,
    uri: Uri,
) -> Result<Response, Error> {
    #[derive(Deserialize)]
    struct Archived {
        #[serde(default)]
        archived: bool,
    }
    let Query(Archived { archived }) = Query::try_from_uri(&uri)
        .map_err(|_| StandardError::invalid_param("`archived` must be true or false."))?;
    let reader = snapshots.reader(session, snapshot::limit(&uri)?).await?;
    // Taken before anything is read: what comes meanwhile is told by the first `/events`.
    let upto = snapshots.rooms.store().visible();
    let presence = engine.presence_around(reader.session.user).await?;
    let rooms = InitialSync::begin(snapshots, reader, (upto, archived), &presence);
    let body = Body::from_stream(rooms.await?.into_stream().inspect_err(|error| {
        tracing::error!(%error, "an initialSync breaks off");
    }));
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}

/// The path of [`initial_sync`], for which ruma has no type.
pub const INITIAL_SYNC_PATH: &str = "/_matrix/client/v3/initialSync";

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
