//! [Sending events to a room](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room).

use ::rooms::{Rooms, Transaction};
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::api::client::{message::send_message_event, state::send_state_event};

use crate::{Error, Sender, Session, extract::EventType};

/// Bytes of a transaction id, as of every other identifier.
const MAX_TXN_ID_BYTES: usize = 255;

/// `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey)
///
/// # Errors
/// `M_FORBIDDEN`, `M_BAD_JSON`, `M_TOO_LARGE`; `M_INVALID_PARAM` and `M_BAD_ALIAS` for `m.room.canonical_alias`.
pub async fn set_room_state_with_key(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    EventType(event_type): EventType,
    MatrixRequest(request): MatrixRequest<send_state_event::v3::Request>,
) -> Result<MatrixResponse<send_state_event::v3::Response>, Error> {
    limits.check(Class::Message, &sender)?;
    let content = request.body.json();
    let event_id = rooms
        .set_state(
            &request.room_id,
            &sender,
            &event_type,
            &request.state_key,
            content,
        )
        .await?;
    Ok(MatrixResponse(send_state_event::v3::Response::new(
        event_id,
    )))
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid)
///
/// # Errors
/// `M_FORBIDDEN`, `M_BAD_JSON`, `M_TOO_LARGE`
pub async fn send_message(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    EventType(event_type): EventType,
    MatrixRequest(request): MatrixRequest<send_message_event::v3::Request>,
) -> Result<MatrixResponse<send_message_event::v3::Response>, Error> {
    limits.check(Class::Message, &session.user_id)?;
    let transaction = transaction(&session, request.txn_id.as_str())?;
    let content = request.body.json();
    let event_id = rooms
        .send_message(
            &request.room_id,
            &session.user_id,
            &event_type,
            content,
            Some(transaction),
        )
        .await?;
    Ok(MatrixResponse(send_message_event::v3::Response::new(
        event_id,
    )))
}

/// The client's name for its request.
///
/// # Errors
/// `M_INVALID_PARAM` if it is longer than 255 bytes.
pub(super) fn transaction<'a>(
    session: &'a users::Session,
    txn_id: &'a str,
) -> Result<Transaction<'a>, StandardError> {
    if txn_id.len() > MAX_TXN_ID_BYTES {
        return Err(StandardError::invalid_param(
            "The transaction id is too long.",
        ));
    }
    Ok(Transaction {
        device_id: session.device_id.as_str(),
        txn_id,
    })
}
