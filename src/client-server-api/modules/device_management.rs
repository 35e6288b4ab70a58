//! [Device management](https://spec.matrix.org/v1.19/client-server-api/#device-management).

use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, RateLimits, StandardError};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::device::{
        Device, delete_device, delete_devices, get_device, get_devices, update_device,
    },
};
use users::Users;

use crate::{Error, Session, interactive::Interactive};

/// `GET /_matrix/client/v3/devices`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices)
pub async fn get_devices(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_devices::v3::Request>,
) -> Result<MatrixResponse<get_devices::v3::Response>, Error> {
    let devices = users
        .devices(session.user)
        .await?
        .into_iter()
        .map(shown)
        .collect();
    Ok(MatrixResponse(get_devices::v3::Response::new(devices)))
}

/// `GET /_matrix/client/v3/devices/{deviceId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_device(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_device::v3::Request>,
) -> Result<MatrixResponse<get_device::v3::Response>, Error> {
    let device = users.device(session.user, &request.device_id).await?;
    let device = device.ok_or_else(|| StandardError::not_found("No such device."))?;
    Ok(MatrixResponse(get_device::v3::Response::new(shown(device))))
}

/// `PUT /_matrix/client/v3/devices/{deviceId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid)
///
/// # Errors
/// `M_NOT_FOUND`; `M_TOO_LARGE` for a name of more than 100 characters.
pub async fn update_device(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<update_device::v3::Request>,
) -> Result<MatrixResponse<update_device::v3::Response>, Error> {
    users
        .rename_device(session.user, &request.device_id, request.display_name)
        .await?;
    Ok(MatrixResponse(update_device::v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/devices/{deviceId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid)
pub async fn delete_device(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<delete_device::v3::Request>,
) -> Result<MatrixResponse<delete_device::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    users
        .delete_devices(session.user, &[request.device_id])
        .await?;
    Ok(MatrixResponse(delete_device::v3::Response::new()))
}

/// `POST /_matrix/client/v3/delete_devices`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices)
pub async fn delete_devices(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<delete_devices::v3::Request>,
) -> Result<MatrixResponse<delete_devices::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    users.delete_devices(session.user, &request.devices).await?;
    Ok(MatrixResponse(delete_devices::v3::Response::new()))
}

fn shown(device: users::Device) -> Device {
    let mut shown = Device::new(device.device_id);
    shown.display_name = device.display_name;
    shown.last_seen_ip = device.last_seen_ip;
    shown.last_seen_ts = device
        .last_seen_ts
        .and_then(UInt::new)
        .map(MilliSecondsSinceUnixEpoch);
    shown
}
