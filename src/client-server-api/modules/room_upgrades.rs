//! [Room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades).

use ::rooms::{Rooms, Upgrade};
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits};
use ruma::{RoomId, api::client::room::upgrade_room};
use users::{RoomName, Users};

use crate::{ActiveSession, Error};

/// `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade)
///
/// # Errors
/// `M_UNSUPPORTED_ROOM_VERSION`; `M_NOT_FOUND` for an unknown room; `M_FORBIDDEN` for those outside it or without the power.
pub async fn upgrade_room(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    ActiveSession(session): ActiveSession,
    MatrixRequest(request): MatrixRequest<upgrade_room::v3::Request>,
) -> Result<MatrixResponse<upgrade_room::v3::Response>, Error> {
    limits.check(Class::CreateRoom, &session.user_id)?;
    let upgrade = Upgrade {
        sender: session.user_id.clone(),
        new_version: request.new_version,
        additional_creators: request.additional_creators,
    };
    let replacement_room = rooms.upgrade(&request.room_id, upgrade).await?;
    bring_settings(&rooms, &users, &session, &replacement_room).await?;
    Ok(MatrixResponse(upgrade_room::v3::Response::new(
        replacement_room,
    )))
}

/// Somebody has joined a room: what they have set about the one that it replaces goes with them.
pub(crate) async fn bring_settings(
    rooms: &Rooms,
    users: &Users,
    session: &users::Session,
    room_id: &RoomId,
) -> Result<(), Error> {
    let Some(old) = rooms.predecessor(room_id).await? else {
        return Ok(());
    };
    let new = RoomName {
        nid: rooms.nid(room_id).await?,
        id: room_id,
    };
    let old = RoomName {
        nid: old.nid,
        id: &old.id,
    };
    Ok(users.follow_upgrade(session.user, old, new).await?)
}
