//! [Current account information](https://spec.matrix.org/v1.19/client-server-api/#current-account-information).

use http_layer::{MatrixRequest, MatrixResponse};
use ruma::api::client::account::whoami;

use crate::Session;

/// `GET /_matrix/client/v3/account/whoami`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami)
pub async fn get_token_owner(
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<whoami::v3::Request>,
) -> MatrixResponse<whoami::v3::Response> {
    let mut response = whoami::v3::Response::new(session.user_id, session.guest);
    response.device_id = Some(session.device_id);
    MatrixResponse(response)
}
