//! [Presence](https://spec.matrix.org/v1.19/client-server-api/#presence).

use std::time::Duration;

use ::sync::{Presence, PresenceError};
use axum::extract::State;
use host::Host;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::{
    api::client::presence::{get_presence, set_presence},
    presence::PresenceState,
};

use crate::{Error, Session};

/// `GET /_matrix/client/v3/presence/{userId}/status`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus)
///
/// # Errors
/// `M_FORBIDDEN` for users with whom the sender shares no room, `M_NOT_FOUND` for those of whom nothing is known.
pub async fn get_presence(
    State(presence): State<Presence>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_presence::v3::Request>,
) -> Result<MatrixResponse<get_presence::v3::Response>, Error> {
    let status = presence.get(session.user, &request.user_id).await?;
    let ago_ms = host.now_ms().saturating_sub(status.active_ms);
    let mut response = get_presence::v3::Response::new(status.state.clone());
    response.last_active_ago = (status.active_ms > 0).then(|| Duration::from_millis(ago_ms));
    response.currently_active = (status.state == PresenceState::Online).then_some(true);
    response.status_msg = status.message;
    Ok(MatrixResponse(response))
}

/// `PUT /_matrix/client/v3/presence/{userId}/status`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus)
///
/// # Errors
/// `M_FORBIDDEN` for another user, `M_INVALID_PARAM` for a state that is none.
pub async fn set_presence(
    State(presence): State<Presence>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<set_presence::v3::Request>,
) -> Result<MatrixResponse<set_presence::v3::Response>, Error> {
    if request.user_id != session.user_id {
        return Err(StandardError::forbidden("You can only set your own presence.").into());
    }
    let known = [
        PresenceState::Online,
        PresenceState::Unavailable,
        PresenceState::Offline,
    ];
    if !known.contains(&request.presence) {
        return Err(StandardError::invalid_param("Unknown `presence`.").into());
    }
    presence
        .set(
            session.user,
            &session.user_id,
            request.presence,
            request.status_msg,
        )
        .await?;
    Ok(MatrixResponse(set_presence::v3::Response::new()))
}

impl From<PresenceError> for Error {
    fn from(error: PresenceError) -> Self {
        let message = error.to_string();
        match error {
            PresenceError::NotShared => StandardError::forbidden(message).into(),
            PresenceError::Unknown => StandardError::not_found(message).into(),
            PresenceError::TooLong { .. } => StandardError::too_large(message).into(),
            PresenceError::Rooms(error) => error.into(),
        }
    }
}
