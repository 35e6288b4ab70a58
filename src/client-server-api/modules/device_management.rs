//! [Device management](https://spec.matrix.org/v1.19/client-server-api/#device-management).

use ::encryption::{DehydratedDevice, Encryption};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, RateLimits, StandardError, WithoutNulls};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, UInt,
    api::client::device::{
        Device, delete_device, delete_devices, get_device, get_devices, update_device,
    },
};
use store::UserNid;
use users::Users;

use crate::{Error, Session, interactive::Interactive};

/// `GET /_matrix/client/v3/devices`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices)
///
/// The dehydrated device (MSC3814) is among them, as in Synapse: Element takes it out of the list that it shows, by what
/// `/keys/query` says of it.
pub async fn get_devices(
    State(users): State<Users>,
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_devices::v3::Request>,
) -> Result<WithoutNulls<get_devices::v3::Response>, Error> {
    let devices = every_device(&users, &encryption, session.user).await?;
    let devices = devices.into_iter().map(|(device, _)| shown(device));
    Ok(WithoutNulls(get_devices::v3::Response::new(
        devices.collect(),
    )))
}

/// The devices of a user; the last one may be the dehydrated one, and then `true` is with it.
///
/// # Errors
/// The store failed.
pub async fn every_device(
    users: &Users,
    encryption: &Encryption,
    user: UserNid,
) -> Result<Vec<(users::Device, bool)>, Error> {
    let devices = users.devices(user).await?.into_iter();
    let dehydrated = encryption.dehydrated_device(user).await?;
    Ok(devices
        .map(|device| (device, false))
        .chain(dehydrated.map(|device| (as_device(device), true)))
        .collect())
}

/// `GET /_matrix/client/v3/devices/{deviceId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_device(
    State(users): State<Users>,
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_device::v3::Request>,
) -> Result<WithoutNulls<get_device::v3::Response>, Error> {
    let device_id = &request.device_id;
    let device = match users.device(session.user, device_id).await? {
        Some(device) => Some(shown(device)),
        None => encryption
            .dehydrated_device(session.user)
            .await?
            .filter(|device| device.device_id == device_id.as_str())
            .map(|device| shown(as_device(device))),
    };
    let device = device.ok_or_else(|| StandardError::not_found("No such device."))?;
    Ok(WithoutNulls(get_device::v3::Response::new(device)))
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
    State(encryption): State<Encryption>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<delete_device::v3::Request>,
) -> Result<MatrixResponse<delete_device::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    let devices = [request.device_id];
    delete_dehydrated(&encryption, session.user, &devices).await?;
    users.delete_devices(session.user, &devices).await?;
    Ok(MatrixResponse(delete_device::v3::Response::new()))
}

/// `POST /_matrix/client/v3/delete_devices`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices)
pub async fn delete_devices(
    State(users): State<Users>,
    State(encryption): State<Encryption>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<delete_devices::v3::Request>,
) -> Result<MatrixResponse<delete_devices::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    delete_dehydrated(&encryption, session.user, &request.devices).await?;
    users.delete_devices(session.user, &request.devices).await?;
    Ok(MatrixResponse(delete_devices::v3::Response::new()))
}

/// Removes the dehydrated device, if it is among those to be removed.
///
/// # Errors
/// The store failed.
pub async fn delete_dehydrated(
    encryption: &Encryption,
    user: UserNid,
    device_ids: &[OwnedDeviceId],
) -> Result<(), Error> {
    let dehydrated = encryption.dehydrated_device(user).await?;
    let named =
        |device: DehydratedDevice| device_ids.iter().any(|id| id.as_str() == device.device_id);
    if dehydrated.is_some_and(named) {
        encryption.delete_dehydrated_device(user).await?;
    }
    Ok(())
}

fn as_device(dehydrated: DehydratedDevice) -> users::Device {
    users::Device {
        device_id: dehydrated.device_id.into(),
        display_name: dehydrated.display_name,
        last_seen_ip: None,
        last_seen_ts: None,
    }
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
