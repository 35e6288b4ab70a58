//! [Joining rooms](https://spec.matrix.org/v1.19/client-server-api/#joining-rooms).

use ::rooms::Rooms;
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits};
use ruma::api::client::{
    knock::knock_room,
    membership::{
        invite_user::{self, v3::InvitationRecipient},
        join_room_by_id, join_room_by_id_or_alias,
    },
};
use users::Users;

use super::with_reason;
use crate::{
    ActiveSender, ActiveSession, Error,
    modules::{room_upgrades::bring_settings, third_party_invites},
};

/// `POST /_matrix/client/v3/rooms/{roomId}/invite`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite)
///
/// With the address of a person instead of a user id it is
/// [`invite_by_3pid`](third_party_invites::invite_by_3pid).
///
/// # Errors
/// `M_FORBIDDEN` unless the sender is in the room and may invite, and the user is neither in it nor banned;
/// `M_INVITE_BLOCKED` if the user does not want to be invited.
pub async fn invite_user(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    ActiveSender(sender): ActiveSender,
    MatrixRequest(request): MatrixRequest<invite_user::v3::Request>,
) -> Result<MatrixResponse<invite_user::v3::Response>, Error> {
    limits.check(Class::Invite, &sender)?;
    let room_id = &request.room_id;
    match request.recipient {
        InvitationRecipient::UserId(invited) => {
            let content = with_reason(invited.reason);
            rooms
                .invite(room_id, &sender, &invited.user_id, content)
                .await?;
        }
        InvitationRecipient::ThirdPartyId(_) => {
            return third_party_invites::invite_by_3pid(&rooms, &sender, room_id).await;
        }
        // ruma may come to know more kinds.
        _ => return Err(http_layer::StandardError::unrecognized().into()),
    }
    Ok(MatrixResponse(invite_user::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/join`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin)
///
/// # Errors
/// `M_FORBIDDEN` by the room's join rules, `M_NOT_FOUND`
pub async fn join_room_by_id(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    ActiveSession(session): ActiveSession,
    MatrixRequest(request): MatrixRequest<join_room_by_id::v3::Request>,
) -> Result<MatrixResponse<join_room_by_id::v3::Response>, Error> {
    limits.check(Class::Join, &session.user_id)?;
    let content = with_reason(request.reason);
    rooms
        .join(&request.room_id, &session.user_id, content)
        .await?;
    bring_settings(&rooms, &users, &session, &request.room_id).await?;
    Ok(MatrixResponse(join_room_by_id::v3::Response::new(
        request.room_id,
    )))
}

/// `POST /_matrix/client/v3/join/{roomIdOrAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias)
///
/// The servers in `via` are for rooms that this server is not in.
///
/// # Errors
/// `M_FORBIDDEN` by the room's join rules, `M_NOT_FOUND`
pub async fn join_room(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    ActiveSession(session): ActiveSession,
    MatrixRequest(request): MatrixRequest<join_room_by_id_or_alias::v3::Request>,
) -> Result<MatrixResponse<join_room_by_id_or_alias::v3::Response>, Error> {
    limits.check(Class::Join, &session.user_id)?;
    let room_id = rooms.resolve(&request.room_id_or_alias).await?;
    let content = with_reason(request.reason);
    rooms.join(&room_id, &session.user_id, content).await?;
    bring_settings(&rooms, &users, &session, &room_id).await?;
    Ok(MatrixResponse(join_room_by_id_or_alias::v3::Response::new(
        room_id,
    )))
}

/// `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias)
///
/// # Errors
/// `M_FORBIDDEN` by the room's join rules, `M_NOT_FOUND`
pub async fn knock_room(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    ActiveSender(sender): ActiveSender,
    MatrixRequest(request): MatrixRequest<knock_room::v3::Request>,
) -> Result<MatrixResponse<knock_room::v3::Response>, Error> {
    limits.check(Class::Join, &sender)?;
    let room_id = rooms.resolve(&request.room_id_or_alias).await?;
    let content = with_reason(request.reason);
    rooms.knock(&room_id, &sender, content).await?;
    Ok(MatrixResponse(knock_room::v3::Response::new(room_id)))
}
