//! [Sending events to a room](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room).

use ::rooms::{Delayed, Rooms, ToDelay, Transaction};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::api::client::{message::send_message_event, state::send_state_event};

use crate::{
    ActiveSession, Error, Services, Session,
    extract::{EventType, require_active},
    modules::{
        delayed_events::{Delay, put_off},
        room_upgrades::bring_settings,
    },
};

/// Bytes of a transaction id, as of every other identifier.
const MAX_TXN_ID_BYTES: usize = 255;

/// `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey)
///
/// # Errors
/// `M_FORBIDDEN`, `M_BAD_JSON`, `M_TOO_LARGE`; `M_INVALID_PARAM` and `M_BAD_ALIAS` for `m.room.canonical_alias`.
pub async fn set_room_state_with_key(
    State(services): State<Services>,
    ActiveSession(session): ActiveSession,
    Delay(delay_ms): Delay,
    EventType(event_type): EventType,
    MatrixRequest(request): MatrixRequest<send_state_event::v3::Request>,
) -> Result<Response, Error> {
    let sender = &session.user_id;
    services.limits.check(Class::Message, sender)?;
    let (room_id, state_key) = (&request.room_id, request.state_key.as_str());
    let content = request.body.json();
    if let Some(delay_ms) = delay_ms {
        let event = ToDelay {
            room_id,
            event_type: &event_type,
            state_key: Some(state_key),
            content,
            delay_ms,
            transaction: None,
        };
        return put_off(&services.delayed, &session, event).await;
    }
    let rooms = &services.rooms;
    let event_id = rooms
        .set_state(room_id, sender, &event_type, state_key, content)
        .await?;
    if event_type == "m.room.member" && state_key == sender.as_str() {
        bring_settings(rooms, &services.users, &session, room_id).await?;
    }
    Ok(MatrixResponse(send_state_event::v3::Response::new(event_id)).into_response())
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
    State(delayed): State<Delayed>,
    Delay(delay_ms): Delay,
    EventType(event_type): EventType,
    MatrixRequest(request): MatrixRequest<send_message_event::v3::Request>,
) -> Result<Response, Error> {
    limits.check(Class::Message, &session.user_id)?;
    require_active(&session)?;
    let transaction = transaction(&session, request.txn_id.as_str())?;
    let content = request.body.json();
    if let Some(delay_ms) = delay_ms {
        let event = ToDelay {
            room_id: &request.room_id,
            event_type: &event_type,
            state_key: None,
            content,
            delay_ms,
            transaction: Some(transaction),
        };
        return put_off(&delayed, &session, event).await;
    }
    let event_id = rooms
        .send_message(
            &request.room_id,
            &session.user_id,
            &event_type,
            content,
            Some(transaction),
        )
        .await?;
    Ok(MatrixResponse(send_message_event::v3::Response::new(event_id)).into_response())
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
