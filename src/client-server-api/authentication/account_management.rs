//! [Account management](https://spec.matrix.org/v1.19/client-server-api/#legacy-account-management).

use administration::Administration;
use axum::extract::State;
use http_layer::{MatrixResponse, RateLimits};
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, change_password, deactivate};
use users::Users;

use crate::{Error, Session, interactive::Interactive};

/// `POST /_matrix/client/v3/account/password`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword)
///
/// Only with an access token: without one, a forgotten password is reset by mail, which this server does not send.
///
/// # Errors
/// `M_WEAK_PASSWORD`, before authentication.
pub async fn change_password(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<change_password::v3::Request>,
) -> Result<MatrixResponse<change_password::v3::Response>, Error> {
    users.check_password(&interactive.request.new_password)?;
    let request = interactive.confirm(&users, &limits, &session).await?;
    users
        .change_password(&session, &request.new_password, request.logout_devices)
        .await?;
    Ok(MatrixResponse(change_password::v3::Response::new()))
}

/// `POST /_matrix/client/v3/account/deactivate`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate)
pub async fn deactivate_account(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    State(administration): State<Administration>,
    Session(session): Session,
    interactive: Interactive<deactivate::v3::Request>,
) -> Result<MatrixResponse<deactivate::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    administration
        .deactivate(session.user, &session.user_id, request.erase)
        .await?;
    // There never is anything to unbind: "This must be `success` if the homeserver has no identifiers to unbind".
    Ok(MatrixResponse(deactivate::v3::Response::new(
        ThirdPartyIdRemovalStatus::Success,
    )))
}
