//! [Room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades).

use ::rooms::{Rooms, Upgrade};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse};
use ruma::api::client::room::upgrade_room;

use crate::{ActiveSender, Error};

/// `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade)
///
/// # Errors
/// `M_UNSUPPORTED_ROOM_VERSION`; `M_NOT_FOUND` for an unknown room; `M_FORBIDDEN` for those outside it or without the power.
pub async fn upgrade_room(
    State(rooms): State<Rooms>,
    ActiveSender(sender): ActiveSender,
    MatrixRequest(request): MatrixRequest<upgrade_room::v3::Request>,
) -> Result<MatrixResponse<upgrade_room::v3::Response>, Error> {
    let upgrade = Upgrade {
        sender,
        new_version: request.new_version,
        additional_creators: request.additional_creators,
    };
    let replacement_room = rooms.upgrade(&request.room_id, upgrade).await?;
    Ok(MatrixResponse(upgrade_room::v3::Response::new(
        replacement_room,
    )))
}
