//! [Voice over IP](https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip): the relay servers.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use config::Config;
use hmac::{Hmac, KeyInit, Mac};
use host::Host;
use http::StatusCode;
use http_layer::{MatrixRequest, json};
use ruma::api::client::voip::get_turn_server_info;
use serde_json::json;
use sha1::Sha1;

use crate::{Error, Sender};

/// `GET /_matrix/client/v3/voip/turnServer`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver)
///
/// The user name says until when it holds and whose it is, and the password is its HMAC-SHA1 under the secret that the
/// relay knows (`draft-uberti-behave-turn-rest-00`). Without a relay the answer is empty, as Synapse's.
pub async fn get_turn_server(
    State(config): State<Arc<Config>>,
    State(host): State<Host>,
    Sender(sender): Sender,
    MatrixRequest(_): MatrixRequest<get_turn_server_info::v3::Request>,
) -> Result<Response, Error> {
    let calls = &config.calls;
    let Some(secret) = calls
        .turn_shared_secret
        .as_ref()
        .filter(|_| !calls.turn_uris.is_empty())
    else {
        return Ok(json(StatusCode::OK, &json!({})));
    };
    let ttl = calls.turn_lifetime_ms / 1_000;
    let username = format!("{}:{sender}", host.now_ms() / 1_000 + ttl);
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).map_err(Error::internal)?;
    mac.update(username.as_bytes());
    let password = STANDARD.encode(mac.finalize().into_bytes());
    let answer = json!({
        "username": username,
        "password": password,
        "uris": calls.turn_uris,
        "ttl": ttl,
    });
    Ok(json(StatusCode::OK, &answer))
}
