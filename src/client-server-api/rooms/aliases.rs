//! [Room aliases](https://spec.matrix.org/v1.19/client-server-api/#room-aliases).

use ::rooms::{RoomError, Rooms};
use axum::extract::State;
use http::StatusCode;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::api::client::{
    alias::{create_alias, delete_alias, get_alias},
    room::aliases,
};

use users::Users;

use crate::{Error, Sender, Session};

/// `PUT /_matrix/client/v3/directory/room/{roomAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias)
///
/// # Errors
/// `M_ROOM_IN_USE` with status 409, `M_FORBIDDEN` for somebody who is not in the room, `M_INVALID_PARAM`
pub async fn set_room_alias(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<create_alias::v3::Request>,
) -> Result<MatrixResponse<create_alias::v3::Response>, Error> {
    limits.check(Class::Message, &sender)?;
    let alias = &request.room_alias;
    match rooms.set_alias(alias, &request.room_id, &sender).await {
        Err(error @ RoomError::AliasTaken(_)) => Err(StandardError::room_in_use(error.to_string())
            .with_status(StatusCode::CONFLICT)
            .into()),
        result => {
            result?;
            Ok(MatrixResponse(create_alias::v3::Response::new()))
        }
    }
}

/// `GET /_matrix/client/v3/directory/room/{roomAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_room_id_by_alias(
    State(rooms): State<Rooms>,
    MatrixRequest(request): MatrixRequest<get_alias::v3::Request>,
) -> Result<MatrixResponse<get_alias::v3::Response>, Error> {
    let (room_id, servers) = rooms.resolve_alias(&request.room_alias).await?;
    Ok(MatrixResponse(get_alias::v3::Response::new(
        room_id, servers,
    )))
}

/// `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias)
///
/// # Errors
/// `M_NOT_FOUND`; `M_FORBIDDEN` unless the sender made the alias or may send `m.room.canonical_alias` in its room.
pub async fn delete_room_alias(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<delete_alias::v3::Request>,
) -> Result<MatrixResponse<delete_alias::v3::Response>, Error> {
    rooms.delete_alias(&request.room_alias, &sender).await?;
    Ok(MatrixResponse(delete_alias::v3::Response::new()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/aliases`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases)
///
/// # Errors
/// `M_FORBIDDEN` for those who are not in the room, unless its history is world readable or they administer the server, as
/// with Synapse: synadm asks so.
pub async fn get_local_aliases(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<aliases::v3::Request>,
) -> Result<MatrixResponse<aliases::v3::Response>, Error> {
    let room_id = &request.room_id;
    let aliases = match rooms.local_aliases(room_id, &session.user_id).await {
        Err(RoomError::NotJoined) if users.is_admin(session.user).await? => {
            rooms.aliases_of(rooms.nid(room_id).await?).await?
        }
        aliases => aliases?,
    };
    Ok(MatrixResponse(aliases::v3::Response::new(aliases)))
}
