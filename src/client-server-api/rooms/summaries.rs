//! [Room summaries](https://spec.matrix.org/v1.19/client-server-api/#room-summaries).

use ::rooms::{RoomError, Rooms};
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{Class, ClientAddress, MatrixRequest, RateLimits, StandardError, json};
use ruma::api::client::room::get_summary;

use crate::{Error, Session};

/// Where Cinny and others look for it: the proposal's first path.
pub const OLD_PATH: &str = "/_matrix/client/unstable/im.nheko.summary/summary/{1}";

/// `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias)
///
/// # Errors
/// `M_NOT_FOUND` for a room that is not here, or not theirs to see.
pub async fn get_room_summary(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    session: Option<Session>,
    MatrixRequest(request): MatrixRequest<get_summary::v1::Request>,
) -> Result<Response, Error> {
    match &session {
        Some(session) => limits.check(Class::Search, &session.0.user_id)?,
        None => limits.check(Class::Search, address.limit_key())?,
    }
    let unknown = || StandardError::not_found("Room not found.");
    let resolved = rooms.resolve(&request.room_id_or_alias).await;
    let room_id = resolved.map_err(|error| match error {
        RoomError::UnknownRoom | RoomError::NotFound(_) => unknown().into(),
        error => Error::from(error),
    })?;
    let user = session.as_ref().map(|session| &*session.0.user_id);
    let summary = rooms.summary(&room_id, user).await?.ok_or_else(unknown)?;
    let mut answer = summary.to_json();
    if let Some(user) = user
        && let Some(membership) = rooms.membership_of(summary.room, user).await?
    {
        answer.insert("membership".to_owned(), membership.as_str().into());
    }
    Ok(json(StatusCode::OK, &answer))
}
