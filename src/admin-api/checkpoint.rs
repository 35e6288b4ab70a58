//! Copies of the database for commands on the server's machine.

use std::sync::Arc;

use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use config::Config;
use http::StatusCode;
use http_layer::json;
use serde_json::{Value, json};

use crate::Owner;

/// `POST /_myelin/admin/v1/checkpoints`
///
/// Copies the database as it is, by links, into a folder of the data directory: for `myelin backup create` and
/// `myelin check`, which remove it. Whatever was answered before is in it.
///
/// # Errors
/// `M_FORBIDDEN` for everybody but the owner: it is a file on the server's machine.
pub async fn make(
    State(config): State<Arc<Config>>,
    State(administration): State<Administration>,
    Owner(owner): Owner,
) -> Result<Response, Error> {
    owner
        .audit("server.checkpoint", "database", Value::Null)
        .await?;
    let checkpoint = administration.checkpoint(&config.data_dir).await?;
    let answer = json!({
        "name": checkpoint.name,
        "position": checkpoint.position.0,
    });
    Ok(json(StatusCode::OK, &answer))
}
