//! [Administrative contact information](https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information):
//! no mail address and no telephone number is ever kept here.

use axum::response::Response;
use http::StatusCode;
use http_layer::{MatrixRequest, json};
use ruma::api::client::account::get_3pids;
use serde_json::json;

use crate::Sender;

/// `GET /_matrix/client/v3/account/3pid`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid)
///
/// Written by hand: ruma's type leaves an empty list out, and Element's settings read it.
pub async fn get_account_3pids(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_3pids::v3::Request>,
) -> Response {
    json(StatusCode::OK, &json!({ "threepids": [] }))
}
