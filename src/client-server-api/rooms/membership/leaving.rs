//! [Leaving rooms](https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms).

use ::rooms::{RoomError, Rooms};
use axum::extract::State;
use http::StatusCode;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::api::client::membership::{ban_user, forget_room, kick_user, leave_room, unban_user};

use crate::{Error, Sender};

/// `POST /_matrix/client/v3/rooms/{roomId}/leave`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave)
///
/// # Errors
/// `M_FORBIDDEN` for somebody who never was in the room, or is banned.
pub async fn leave_room(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<leave_room::v3::Request>,
) -> Result<MatrixResponse<leave_room::v3::Response>, Error> {
    let reason = request.reason.as_deref();
    rooms.leave(&request.room_id, &sender, reason).await?;
    Ok(MatrixResponse(leave_room::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/forget`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget)
///
/// # Errors
/// `M_UNKNOWN` with status 400 for somebody who is still in the room, `M_NOT_FOUND`
pub async fn forget_room(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<forget_room::v3::Request>,
) -> Result<MatrixResponse<forget_room::v3::Response>, Error> {
    match rooms.forget(&request.room_id, &sender).await {
        // The errcode that the spec's example has.
        Err(RoomError::InvalidParam(reason)) => Err(StandardError::unknown(reason)
            .with_status(StatusCode::BAD_REQUEST)
            .into()),
        result => {
            result?;
            Ok(MatrixResponse(forget_room::v3::Response::new()))
        }
    }
}

/// `POST /_matrix/client/v3/rooms/{roomId}/kick`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick)
///
/// # Errors
/// `M_FORBIDDEN` without the power, and for a target who is not there.
pub async fn kick(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<kick_user::v3::Request>,
) -> Result<MatrixResponse<kick_user::v3::Response>, Error> {
    limits.check(Class::Message, &sender)?;
    let reason = request.reason.as_deref();
    rooms
        .kick(&request.room_id, &sender, &request.user_id, reason)
        .await?;
    Ok(MatrixResponse(kick_user::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/ban`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban)
///
/// # Errors
/// `M_FORBIDDEN` without the power.
pub async fn ban(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<ban_user::v3::Request>,
) -> Result<MatrixResponse<ban_user::v3::Response>, Error> {
    limits.check(Class::Message, &sender)?;
    let reason = request.reason.as_deref();
    rooms
        .ban(&request.room_id, &sender, &request.user_id, reason)
        .await?;
    Ok(MatrixResponse(ban_user::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/unban`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban)
///
/// # Errors
/// `M_FORBIDDEN` without the power, and for a target who is not banned.
pub async fn unban(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<unban_user::v3::Request>,
) -> Result<MatrixResponse<unban_user::v3::Response>, Error> {
    limits.check(Class::Message, &sender)?;
    let reason = request.reason.as_deref();
    rooms
        .unban(&request.room_id, &sender, &request.user_id, reason)
        .await?;
    Ok(MatrixResponse(unban_user::v3::Response::new()))
}
