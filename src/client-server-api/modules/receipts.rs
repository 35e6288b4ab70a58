//! [Receipts](https://spec.matrix.org/v1.19/client-server-api/#receipts).

use ::rooms::{ReceiptKind, ReceiptThread, Rooms};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::{
    api::client::receipt::create_receipt::{self, v3::ReceiptType},
    events::receipt,
};
use users::Users;

use crate::{Error, Session, modules::read_markers::set_fully_read};

/// `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid)
///
/// # Errors
/// `M_FORBIDDEN` for a room that the sender is not in, `M_NOT_FOUND` for an event that is not in the room,
/// `M_INVALID_PARAM` for an unknown type, a thread where there can be none, and one that the event is not in.
pub async fn post_receipt(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<create_receipt::v3::Request>,
) -> Result<MatrixResponse<create_receipt::v3::Response>, Error> {
    let thread = match request.thread {
        receipt::ReceiptThread::Unthreaded => ReceiptThread::Unthreaded,
        receipt::ReceiptThread::Main => ReceiptThread::Main,
        receipt::ReceiptThread::Thread(root) => ReceiptThread::Thread(root),
        _ => return Err(StandardError::invalid_param("Bad `thread_id`.").into()),
    };
    if let ReceiptThread::Thread(root) = &thread
        && !rooms.is_in_thread(&request.event_id, root).await?
    {
        return Err(StandardError::invalid_param("The event is not in this thread.").into());
    }
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::ReadPrivate => ReceiptKind::ReadPrivate,
        ReceiptType::FullyRead if thread == ReceiptThread::Unthreaded => {
            set_fully_read(
                &rooms,
                &users,
                &session,
                &request.room_id,
                &request.event_id,
            )
            .await?;
            return Ok(MatrixResponse(create_receipt::v3::Response::new()));
        }
        ReceiptType::FullyRead => {
            return Err(StandardError::invalid_param("`m.fully_read` has no `thread_id`.").into());
        }
        _ => return Err(StandardError::invalid_param("Unknown type of receipt.").into()),
    };
    rooms
        .set_receipt(
            &request.room_id,
            &session.user_id,
            (kind, thread),
            &request.event_id,
        )
        .await?;
    Ok(MatrixResponse(create_receipt::v3::Response::new()))
}
