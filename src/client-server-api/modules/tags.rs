//! [Room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging).

use ::rooms::Rooms;
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, StandardError, json};
use ruma::api::client::tag::{create_tag, delete_tag, get_tags};
use serde_json::{Map, Value, json};
use users::Users;

use super::account_data::{number, own};
use crate::{Error, Session, interactive::WithBody};

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags)
///
/// # Errors
/// `M_FORBIDDEN` for another user's.
pub async fn get_room_tags(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_tags::v3::Request>,
) -> Result<Response, Error> {
    own(&session, &request.user_id)?;
    let room = number(&rooms, &request.room_id).await?;
    let tags = users.tags(session.user, room).await?;
    Ok(json(StatusCode::OK, &json!({ "tags": tags })))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag)
///
/// What a client says about a tag besides its order is kept as it came.
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_INVALID_PARAM` for a name of more than 255 bytes.
pub async fn set_room_tag(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    WithBody(request, body): WithBody<create_tag::v3::Request>,
) -> Result<MatrixResponse<create_tag::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let room = number(&rooms, &request.room_id).await?;
    let info: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| StandardError::bad_json(format!("Bad JSON: {error}.")))?;
    users
        .set_tag(session.user, room, &request.tag, info)
        .await?;
    Ok(MatrixResponse(create_tag::v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag)
///
/// # Errors
/// `M_FORBIDDEN` for another user's.
pub async fn delete_room_tag(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_tag::v3::Request>,
) -> Result<MatrixResponse<delete_tag::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let room = number(&rooms, &request.room_id).await?;
    users.delete_tag(session.user, room, &request.tag).await?;
    Ok(MatrixResponse(delete_tag::v3::Response::new()))
}
