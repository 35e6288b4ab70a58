//! [Reporting content](https://spec.matrix.org/v1.19/client-server-api/#reporting-content): kept for the administrator.

use ::rooms::{Reported, RoomError, Rooms};
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::api::client::{
    reporting::report_user,
    room::{report_content, report_room},
};
use store::rows::Membership;
use users::Users;

use crate::{Error, Session};

/// `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid)
///
/// # Errors
/// `M_NOT_FOUND` if there is no such event, if the sender may not see it, and if they are not in the room.
pub async fn report_event(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<report_content::v3::Request>,
) -> Result<MatrixResponse<report_content::v3::Response>, Error> {
    limits.check(Class::Message, &session.user_id)?;
    let (room_id, event_id) = (&*request.room_id, &*request.event_id);
    let (event, _) = rooms
        .visible_event(room_id, event_id, &session.user_id)
        .await?;
    let membership = rooms.membership_of(event.room, &session.user_id).await?;
    if membership != Some(Membership::Join) {
        return Err(StandardError::not_found("Event not found.").into());
    }
    let reported = Reported::Event { room_id, event_id };
    let user = (session.user, &*session.user_id);
    let reason = request.reason.as_deref().unwrap_or_default();
    rooms.report(user, reported, reason).await?;
    Ok(MatrixResponse(report_content::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/report`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn report_room(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<report_room::v3::Request>,
) -> Result<MatrixResponse<report_room::v3::Response>, Error> {
    limits.check(Class::Message, &session.user_id)?;
    rooms
        .room_by_id(&request.room_id)
        .await
        .map_err(|error| match error {
            RoomError::UnknownRoom => StandardError::not_found("Room not found.").into(),
            error => Error::from(error),
        })?;
    let reported = Reported::Room {
        room_id: &request.room_id,
    };
    let user = (session.user, &*session.user_id);
    rooms.report(user, reported, &request.reason).await?;
    Ok(MatrixResponse(report_room::v3::Response::new()))
}

/// `POST /_matrix/client/v3/users/{userId}/report`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport)
///
/// # Errors
/// `M_NOT_FOUND` for somebody whom the server has never met.
pub async fn report_user(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<report_user::v3::Request>,
) -> Result<MatrixResponse<report_user::v3::Response>, Error> {
    limits.check(Class::Message, &session.user_id)?;
    if users.number(&request.user_id).await?.is_none() {
        return Err(StandardError::not_found("User not found.").into());
    }
    let reported = Reported::User {
        user_id: &request.user_id,
    };
    let user = (session.user, &*session.user_id);
    rooms.report(user, reported, &request.reason).await?;
    Ok(MatrixResponse(report_user::v3::Response::new()))
}
