//! [Read markers](https://spec.matrix.org/v1.19/client-server-api/#read-and-unread-markers).

use ::rooms::{ReceiptKind, ReceiptThread, RoomError, Rooms};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse};
use ruma::{EventId, RoomId, api::client::read_marker::set_read_marker};
use serde_json::json;
use store::rows::Membership;
use users::Users;

use crate::{Error, Session};

/// `POST /_matrix/client/v3/rooms/{roomId}/read_markers`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers)
///
/// # Errors
/// `M_FORBIDDEN` for a room that the sender is not in, `M_NOT_FOUND` for an event that is not in the room.
pub async fn set_read_marker(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_read_marker::v3::Request>,
) -> Result<MatrixResponse<set_read_marker::v3::Response>, Error> {
    let room_id = &request.room_id;
    if let Some(event_id) = &request.fully_read {
        set_fully_read(&rooms, &users, &session, room_id, event_id).await?;
    }
    let receipts = [
        (ReceiptKind::Read, &request.read_receipt),
        (ReceiptKind::ReadPrivate, &request.private_read_receipt),
    ];
    for (kind, event_id) in receipts {
        if let Some(event_id) = event_id {
            let receipt = (kind, ReceiptThread::Unthreaded);
            rooms
                .set_receipt(room_id, &session.user_id, receipt, event_id)
                .await?;
        }
    }
    Ok(MatrixResponse(set_read_marker::v3::Response::new()))
}

/// Puts the marker under an event: account data of the room. It may point anywhere, back as well.
pub(crate) async fn set_fully_read(
    rooms: &Rooms,
    users: &Users,
    session: &users::Session,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), Error> {
    let room = rooms.nid(room_id).await.map_err(|error| match error {
        RoomError::UnknownRoom => RoomError::NotJoined,
        error => error,
    })?;
    let member = rooms.member(room, session.user).await?;
    if member.is_none_or(|member| member.membership != Membership::Join) {
        return Err(RoomError::NotJoined.into());
    }
    let event = rooms.event_by_id(event_id).await?;
    if event.is_none_or(|event| event.room != room) {
        return Err(RoomError::NotFound("event").into());
    }
    let content = json!({ "event_id": event_id }).to_string();
    users
        .put_account_data(session.user, Some(room), "m.fully_read", content.into())
        .await?;
    Ok(())
}
