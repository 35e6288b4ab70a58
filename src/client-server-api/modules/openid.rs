//! [OpenID](https://spec.matrix.org/v1.19/client-server-api/#openid).

use std::time::Duration;

use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse};
use ruma::{api::client::account::request_openid_token, authentication::TokenType};
use users::Users;

use crate::{Error, Session, modules::account_data::own};

/// `POST /_matrix/client/v3/user/{userId}/openid/request_token`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token)
///
/// # Errors
/// `M_FORBIDDEN` for another user's.
pub async fn request_open_id_token(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<request_openid_token::v3::Request>,
) -> Result<MatrixResponse<request_openid_token::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let issued = users.issue_openid_token(session.user).await?;
    Ok(MatrixResponse(request_openid_token::v3::Response::new(
        issued.token,
        TokenType::Bearer,
        users.server_name().clone(),
        Duration::from_millis(issued.lifetime_ms),
    )))
}
