//! [Redactions](https://spec.matrix.org/v1.19/client-server-api/#redactions).

use ::rooms::Rooms;
use axum::extract::State;
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits};
use ruma::api::client::redact::redact_event;

use super::sending_events::transaction;
use crate::{Error, Session, extract::require_active};

/// `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid)
///
/// # Errors
/// `M_NOT_FOUND`; `M_FORBIDDEN` unless the event is the sender's own or the sender has the power to redact.
pub async fn redact_event(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<redact_event::v3::Request>,
) -> Result<MatrixResponse<redact_event::v3::Response>, Error> {
    limits.check(Class::Message, &session.user_id)?;
    if session.suspended {
        // "Redact their own events."
        let (event, _) = rooms
            .visible_event(&request.room_id, &request.event_id, &session.user_id)
            .await?;
        if event.sender != session.user_id {
            require_active(&session)?;
        }
    }
    let transaction = transaction(&session, request.txn_id.as_str())?;
    let event_id = rooms
        .redact(
            &request.room_id,
            &session.user_id,
            &request.event_id,
            request.reason.as_deref(),
            Some(transaction),
        )
        .await?;
    Ok(MatrixResponse(redact_event::v3::Response::new(event_id)))
}
