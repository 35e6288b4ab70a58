//! [Typing notifications](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications).

use ::rooms::Typing;
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::api::client::typing::create_typing_event::{self, v3};

use crate::{Error, Sender};

/// `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid)
///
/// # Errors
/// `M_FORBIDDEN` for another user's typing state, and for a room the sender is not in.
pub async fn set_typing(
    State(typing): State<Typing>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<create_typing_event::v3::Request>,
) -> Result<MatrixResponse<create_typing_event::v3::Response>, Error> {
    if request.user_id != sender {
        return Err(StandardError::forbidden("You can only set your own typing state.").into());
    }
    match request.state {
        v3::Typing::Yes(info) => {
            typing
                .start(&request.room_id, &sender, info.timeout)
                .await?;
        }
        v3::Typing::No => typing.stop(&request.room_id, &sender).await?,
    }
    Ok(MatrixResponse(create_typing_event::v3::Response::new()))
}
