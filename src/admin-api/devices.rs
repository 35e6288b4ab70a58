//! Devices of an account
//! ([Synapse's](https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#user-devices)).

use ::users::{Device, Users};
use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::{OwnedDeviceId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Administrator,
    extract::{InPath, Target},
};

fn device_json(user_id: &UserId, device: &Device) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_user_agent": null,
        "last_seen_ts": device.last_seen_ts,
        "user_id": user_id,
    })
}

/// `GET /_synapse/admin/v2/users/{userId}/devices`
pub async fn list(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let devices = users.devices(target.user).await?;
    let devices: Vec<Value> = devices
        .iter()
        .map(|device| device_json(&target.user_id, device))
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "total": devices.len(), "devices": devices }),
    ))
}

/// `GET /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn show(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
) -> Result<Response, Error> {
    let device = users.device(target.user, &device_id).await?;
    let device = device.ok_or_else(|| StandardError::not_found("Device not found"))?;
    Ok(json(StatusCode::OK, &device_json(&target.user_id, &device)))
}

/// The body of [`rename`].
#[derive(Debug, Deserialize)]
pub(crate) struct Rename {
    #[serde(default)]
    display_name: Option<String>,
}

/// `PUT /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
///
/// # Errors
/// `M_NOT_FOUND`; `M_TOO_LARGE` for a long name.
pub async fn rename(
    State(users): State<Users>,
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
    JsonBody(body): JsonBody<Rename>,
) -> Result<Response, Error> {
    let audit = administration.audit(
        &administrator.name,
        "user.rename_device",
        target.user_id.as_str(),
        json!({ "device": device_id }),
    );
    audit.await?;
    users
        .rename_device(target.user, &device_id, body.display_name)
        .await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// `DELETE /_synapse/admin/v2/users/{userId}/devices/{deviceId}`
///
/// One that is not there is deleted already.
pub async fn delete(
    State(users): State<Users>,
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
) -> Result<Response, Error> {
    remove(
        &users,
        &administration,
        &administrator,
        &target,
        &[device_id],
    )
    .await
}

/// The body of [`delete_several`].
#[derive(Debug, Deserialize)]
pub(crate) struct Several {
    devices: Vec<OwnedDeviceId>,
}

/// `POST /_synapse/admin/v2/users/{userId}/delete_devices`
pub async fn delete_several(
    State(users): State<Users>,
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Several>,
) -> Result<Response, Error> {
    remove(
        &users,
        &administration,
        &administrator,
        &target,
        &body.devices,
    )
    .await
}

async fn remove(
    users: &Users,
    administration: &Administration,
    administrator: &Administrator,
    target: &Target,
    devices: &[OwnedDeviceId],
) -> Result<Response, Error> {
    let audit = administration.audit(
        &administrator.name,
        "user.delete_devices",
        target.user_id.as_str(),
        json!({ "devices": devices }),
    );
    audit.await?;
    users.delete_devices(target.user, devices).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// `POST /_myelin/admin/v1/users/{userId}/logout`
///
/// Every device.
pub async fn log_out(
    State(users): State<Users>,
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let audit = administration.audit(
        &administrator.name,
        "user.logout",
        target.user_id.as_str(),
        Value::Null,
    );
    audit.await?;
    users.logout_all(target.user).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// `GET /_synapse/admin/v1/whois/{userId}`
pub async fn whois(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let mut devices = Map::new();
    for device in users.devices(target.user).await? {
        let connection = json!({
            "ip": device.last_seen_ip,
            "last_seen": device.last_seen_ts,
            "user_agent": null,
        });
        let sessions = json!({ "sessions": [{ "connections": [connection] }] });
        devices.insert(device.device_id.to_string(), sessions);
    }
    Ok(json(
        StatusCode::OK,
        &json!({ "user_id": target.user_id, "devices": devices }),
    ))
}
