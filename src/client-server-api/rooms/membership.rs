//! [Room membership](https://spec.matrix.org/v1.19/client-server-api/#room-membership).

use ::rooms::Rooms;
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse};
use ruma::api::client::membership::joined_rooms;
use serde_json::{Map, Value};

use crate::{Error, Sender};

pub mod joining;
pub mod leaving;

/// `GET /_matrix/client/v3/joined_rooms`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms)
pub async fn get_joined_rooms(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(_): MatrixRequest<joined_rooms::v3::Request>,
) -> Result<MatrixResponse<joined_rooms::v3::Response>, Error> {
    let joined = rooms.joined_rooms(&sender).await?;
    Ok(MatrixResponse(joined_rooms::v3::Response::new(joined)))
}

/// What a client adds to a membership event.
fn with_reason(reason: Option<String>) -> Map<String, Value> {
    let reason = reason.map(|reason| ("reason".to_owned(), Value::String(reason)));
    reason.into_iter().collect()
}
