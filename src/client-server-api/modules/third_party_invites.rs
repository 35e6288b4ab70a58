//! [Third-party invites](https://spec.matrix.org/v1.19/client-server-api/#third-party-invites).

use ::rooms::{RoomError, Rooms};
use http_layer::{Errcode, MatrixResponse, StandardError};
use ruma::{RoomId, UserId, api::client::membership::invite_user};

use crate::Error;

/// `POST /_matrix/client/v3/rooms/{roomId}/invite` with an email address or a phone number
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#thirdparty_post_matrixclientv3roomsroomidinvite)
///
/// This server talks to no identity server, so it cannot find the person.
///
/// # Errors
/// `M_FORBIDDEN` for somebody who is not in the room, `M_THREEPID_DENIED` for everybody else.
pub async fn invite_by_3pid(
    rooms: &Rooms,
    sender: &UserId,
    room_id: &RoomId,
) -> Result<MatrixResponse<invite_user::v3::Response>, Error> {
    if !rooms.is_joined(room_id, sender).await? {
        return Err(RoomError::NotJoined.into());
    }
    Err(StandardError::new(
        Errcode::ThreepidDenied,
        "This server uses no identity server and cannot invite by email or phone.",
    )
    .into())
}
