//! [Client config](https://spec.matrix.org/v1.19/client-server-api/#client-config): account data, global and per room.

use ::rooms::{RoomError, Rooms};
use axum::extract::State;
use bytes::Bytes;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::{
    RoomId, UserId,
    api::client::config::{
        get_global_account_data, get_room_account_data, set_global_account_data,
        set_room_account_data,
    },
    serde::Raw,
};
use serde_json::value::RawValue;
use store::RoomNid;
use users::Users;

use crate::{Error, Session};

/// `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype)
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_BAD_JSON` (405) for what the server manages, `M_TOO_LARGE`.
pub async fn set_account_data(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_global_account_data::v3::Request>,
) -> Result<MatrixResponse<set_global_account_data::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let content = Bytes::copy_from_slice(request.data.json().get().as_bytes());
    users
        .set_account_data(session.user, None, &request.event_type.to_string(), content)
        .await?;
    Ok(MatrixResponse(set_global_account_data::v3::Response::new()))
}

/// `GET /_matrix/client/v3/user/{userId}/account_data/{type}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype)
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_NOT_FOUND`.
pub async fn get_account_data(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_global_account_data::v3::Request>,
) -> Result<MatrixResponse<get_global_account_data::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let content = users
        .account_data(session.user, None, &request.event_type.to_string())
        .await?;
    Ok(MatrixResponse(get_global_account_data::v3::Response::new(
        raw(content)?,
    )))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype)
///
/// # Errors
/// As for [`set_account_data`]; `M_NOT_FOUND` for a room that the server does not know.
pub async fn set_account_data_per_room(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_room_account_data::v3::Request>,
) -> Result<MatrixResponse<set_room_account_data::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let room = Some(number(&rooms, &request.room_id).await?);
    let content = Bytes::copy_from_slice(request.data.json().get().as_bytes());
    users
        .set_account_data(session.user, room, &request.event_type.to_string(), content)
        .await?;
    Ok(MatrixResponse(set_room_account_data::v3::Response::new()))
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype)
///
/// # Errors
/// As for [`get_account_data`].
pub async fn get_account_data_per_room(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_room_account_data::v3::Request>,
) -> Result<MatrixResponse<get_room_account_data::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let room = Some(number(&rooms, &request.room_id).await?);
    let content = users
        .account_data(session.user, room, &request.event_type.to_string())
        .await?;
    Ok(MatrixResponse(get_room_account_data::v3::Response::new(
        raw(content)?,
    )))
}

/// Refuses what belongs to somebody else.
pub(crate) fn own(session: &users::Session, user_id: &UserId) -> Result<(), StandardError> {
    if session.user_id == user_id {
        return Ok(());
    }
    Err(StandardError::forbidden("This belongs to another user."))
}

/// The number of a room that the server knows.
pub(crate) async fn number(rooms: &Rooms, room_id: &RoomId) -> Result<RoomNid, Error> {
    rooms.nid(room_id).await.map_err(|error| match error {
        RoomError::UnknownRoom => StandardError::not_found("Unknown room.").into(),
        other => Error::internal(other),
    })
}

fn raw<T>(content: Option<Bytes>) -> Result<Raw<T>, Error> {
    let content = content.ok_or_else(|| StandardError::not_found("Account data not found."))?;
    let content: Box<RawValue> = serde_json::from_slice(&content).map_err(Error::internal)?;
    Ok(Raw::from_json(content))
}
