//! [Capabilities negotiation](https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation).

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use config::Config;
use http::StatusCode;
use http_layer::{MatrixRequest, json};
use ruma::{RoomVersionId, api::client::discovery::get_capabilities};
use serde_json::json;
use users::Users;

use crate::{Error, Session};

/// The room versions that rooms can be created in, each with all its rules.
const ROOM_VERSIONS: [RoomVersionId; 12] = [
    RoomVersionId::V1,
    RoomVersionId::V2,
    RoomVersionId::V3,
    RoomVersionId::V4,
    RoomVersionId::V5,
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// `GET /_matrix/client/v3/capabilities`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities)
///
/// Written by hand: ruma's type leaves out what clients would assume anyway, and they do not all assume the same.
pub async fn get_capabilities(
    State(config): State<Arc<Config>>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_capabilities::v3::Request>,
) -> Result<Response, Error> {
    let available: BTreeMap<&str, &str> = ROOM_VERSIONS
        .iter()
        .map(|version| (version.as_str(), "stable"))
        .collect();
    let mut capabilities = json!({
        "m.change_password": { "enabled": true },
        "m.room_versions": { "default": config.rooms.default_version, "available": available },
        "m.set_displayname": { "enabled": true },
        "m.set_avatar_url": { "enabled": true },
        "m.3pid_changes": { "enabled": false },
        "m.get_login_token": { "enabled": true },
        "m.profile_fields": { "enabled": true },
        "m.forget_forced_upon_leave": { "enabled": false },
    });
    if users.is_admin(session.user).await? {
        capabilities["m.account_moderation"] = json!({ "suspend": true, "lock": true });
    }
    Ok(json(
        StatusCode::OK,
        &json!({ "capabilities": capabilities }),
    ))
}
