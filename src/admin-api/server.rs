//! The server itself.

use std::sync::Arc;

use ::rooms::Rooms;
use ::users::Users;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use config::Config;
use http::StatusCode;
use http_layer::json;
use serde_json::json;

use crate::Administrator;

/// `GET /_synapse/admin/v1/server_version`
///
/// Says that it is Myelin: tools that look for features of Synapse's by version find none of a later one.
pub async fn version(_: Administrator) -> Response {
    let version = format!("Myelin {}", env!("CARGO_PKG_VERSION"));
    json(StatusCode::OK, &json!({ "server_version": version }))
}

/// `GET /_myelin/admin/v1/server`
pub async fn info(
    State(config): State<Arc<Config>>,
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    _: Administrator,
) -> Result<Response, Error> {
    let answer = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "server_name": config.server_name,
        "base_url": config.base_url(),
        "data_dir": config.data_dir,
        "default_room_version": config.rooms.default_version,
        "users": users.account_counts().await?,
        "position": rooms.store().visible().0,
        "instance": rooms.store().instance().to_string(),
    });
    Ok(json(StatusCode::OK, &answer))
}
