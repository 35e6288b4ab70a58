//! Devices of an account
//! ([Synapse's](https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#user-devices)).

use ::users::{Device, Users};
use axum::{extract::State, response::Response};
use client_server_api::{
    Error,
    modules::{
        admin,
        device_management::{delete_dehydrated, every_device},
    },
};
use encryption::Encryption;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::{OwnedDeviceId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, Target},
};

fn device_json(user_id: &UserId, device: &Device, dehydrated: bool) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_user_agent": null,
        "last_seen_ts": device.last_seen_ts,
        "user_id": user_id,
        "dehydrated": dehydrated,
    })
}

/// `GET /_synapse/admin/v2/users/{userId}/devices`
pub async fn list(
    State(users): State<Users>,
    State(encryption): State<Encryption>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let devices = every_device(&users, &encryption, target.user).await?;
    let devices: Vec<Value> = devices
        .iter()
        .map(|(device, dehydrated)| device_json(&target.user_id, device, *dehydrated))
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
    State(encryption): State<Encryption>,
    _: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
) -> Result<Response, Error> {
    let devices = every_device(&users, &encryption, target.user).await?;
    let found = devices
        .iter()
        .find(|(device, _)| device.device_id == device_id);
    let (device, dehydrated) = found.ok_or_else(|| StandardError::not_found("Device not found"))?;
    Ok(json(
        StatusCode::OK,
        &device_json(&target.user_id, device, *dehydrated),
    ))
}

/// The body of [`create`].
#[derive(Debug, Deserialize)]
pub(crate) struct Create {
    device_id: OwnedDeviceId,
    #[serde(default)]
    display_name: Option<String>,
}

/// `POST /_synapse/admin/v2/users/{userId}/devices`
///
/// A device that nobody is logged in with yet; one that is there stays as it is.
///
/// # Errors
/// `M_USER_LIMIT_EXCEEDED`; `M_USER_DEACTIVATED`; `M_INVALID_PARAM` for an id that is empty or too long.
pub async fn create(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Create>,
) -> Result<Response, Error> {
    if body.device_id.as_str().is_empty() {
        return Err(StandardError::invalid_param("`device_id` is empty.").into());
    }
    let details = json!({ "device": body.device_id });
    administrator
        .audit("user.create_device", &target.user_id, details)
        .await?;
    let name = body.display_name.as_deref();
    let made = users.create_device(target.user, &body.device_id, name);
    let status = if made.await? {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json(status, &json!({})))
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
    administrator: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
    JsonBody(body): JsonBody<Rename>,
) -> Result<Response, Error> {
    administrator
        .audit(
            "user.rename_device",
            &target.user_id,
            json!({ "device": device_id }),
        )
        .await?;
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
    State(encryption): State<Encryption>,
    administrator: Administrator,
    target: Target,
    InPath((_, device_id)): InPath<(String, OwnedDeviceId)>,
) -> Result<Response, Error> {
    remove((&users, &encryption), &administrator, &target, &[device_id]).await
}

/// The body of [`delete_several`].
#[derive(Debug, Deserialize)]
pub(crate) struct Several {
    devices: Vec<OwnedDeviceId>,
}

/// `POST /_synapse/admin/v2/users/{userId}/delete_devices`
pub async fn delete_several(
    State(users): State<Users>,
    State(encryption): State<Encryption>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Several>,
) -> Result<Response, Error> {
    remove(
        (&users, &encryption),
        &administrator,
        &target,
        &body.devices,
    )
    .await
}

async fn remove(
    (users, encryption): (&Users, &Encryption),
    administrator: &Administrator,
    target: &Target,
    devices: &[OwnedDeviceId],
) -> Result<Response, Error> {
    administrator
        .audit(
            "user.delete_devices",
            &target.user_id,
            json!({ "devices": devices }),
        )
        .await?;
    delete_dehydrated(encryption, target.user, devices).await?;
    users.delete_devices(target.user, devices).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// `POST /_myelin/admin/v1/users/{userId}/logout`
///
/// Every device.
pub async fn log_out(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
) -> Result<Response, Error> {
    administrator
        .audit("user.logout", &target.user_id, Value::Null)
        .await?;
    users.logout_all(target.user).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// `GET /_synapse/admin/v1/whois/{userId}`
pub async fn whois(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let answer = admin::whois(&target.user_id, users.devices(target.user).await?);
    Ok(json(StatusCode::OK, &answer))
}
