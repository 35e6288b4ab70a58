//! [Third-party networks](https://spec.matrix.org/v1.19/client-server-api/#third-party-networks): there are none here
//! before there are application services. Clients ask all the same.

use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, StandardError, json};
use ruma::api::client::thirdparty::{
    get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
    get_user_for_protocol, get_user_for_user_id,
};
use serde_json::json;
use users::Users;

use crate::{Error, Sender};

/// `GET /_matrix/client/v3/thirdparty/protocols`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols)
pub async fn get_protocols(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_protocols::v3::Request>,
) -> Response {
    json(StatusCode::OK, &json!({}))
}

/// `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_protocol_metadata(
    State(_): State<Users>,
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_protocol::v3::Request>,
) -> Result<Response, Error> {
    Err(StandardError::not_found("Unknown protocol.").into())
}

/// `GET /_matrix/client/v3/thirdparty/location/{protocol}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocationprotocol)
pub async fn query_location_by_protocol(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_location_for_protocol::v3::Request>,
) -> Response {
    nothing()
}

/// `GET /_matrix/client/v3/thirdparty/user/{protocol}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyuserprotocol)
pub async fn query_user_by_protocol(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_user_for_protocol::v3::Request>,
) -> Response {
    nothing()
}

/// `GET /_matrix/client/v3/thirdparty/location`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocation)
pub async fn query_location_by_alias(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_location_for_room_alias::v3::Request>,
) -> Response {
    nothing()
}

/// `GET /_matrix/client/v3/thirdparty/user`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyuser)
pub async fn query_user_by_id(
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<get_user_for_user_id::v3::Request>,
) -> Response {
    nothing()
}

/// An empty list, as Synapse answers: Element asks about its own protocols with each direct chat.
fn nothing() -> Response {
    json(StatusCode::OK, &json!([]))
}
