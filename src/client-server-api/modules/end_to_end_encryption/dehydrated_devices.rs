//! [Dehydrated devices](https://github.com/matrix-org/matrix-spec-proposals/pull/3814), under their unstable paths, as
//! Element uses them.

use ::encryption::{Encryption, KeyUpload, NewDehydratedDevice};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::{
    api::client::dehydrated_device::{
        delete_dehydrated_device, get_dehydrated_device, get_events, put_dehydrated_device,
    },
    serde::Raw,
};
use store::Pos;

use super::keys::by_name;
use crate::{Error, Session};

/// Messages in one answer, as in a sync.
const MAX_EVENTS: usize = 100;

/// `PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
///
/// # Errors
/// `M_INVALID_PARAM` for the keys of another device, and for a device that somebody is logged in with.
pub async fn put_dehydrated_device(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<put_dehydrated_device::unstable::Request>,
) -> Result<MatrixResponse<put_dehydrated_device::unstable::Response>, Error> {
    let device_id = request.device_id;
    let new = NewDehydratedDevice {
        device_id: device_id.to_string(),
        display_name: request.initial_device_display_name,
        device_data: request.device_data.into_json(),
        keys: KeyUpload {
            device_keys: Some(request.device_keys.into_json()),
            one_time_keys: by_name(request.one_time_keys),
            fallback_keys: by_name(request.fallback_keys),
        },
    };
    encryption
        .put_dehydrated_device((session.user, &session.user_id), new)
        .await?;
    let response = put_dehydrated_device::unstable::Response::new(device_id);
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_dehydrated_device(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_dehydrated_device::unstable::Request>,
) -> Result<MatrixResponse<get_dehydrated_device::unstable::Response>, Error> {
    let device = encryption.dehydrated_device(session.user).await?;
    let device = device.ok_or_else(none)?;
    let data = Raw::from_json(device.device_data);
    let response = get_dehydrated_device::unstable::Response::new(device.device_id.into(), data);
    Ok(MatrixResponse(response))
}

/// `DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn delete_dehydrated_device(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<delete_dehydrated_device::unstable::Request>,
) -> Result<MatrixResponse<delete_dehydrated_device::unstable::Response>, Error> {
    let device_id = encryption.delete_dehydrated_device(session.user).await?;
    let device_id = device_id.ok_or_else(none)?;
    let response = delete_dehydrated_device::unstable::Response::new(device_id.into());
    Ok(MatrixResponse(response))
}

/// `POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events`
///
/// Messages stay until the device goes: a client that is interrupted begins anew.
///
/// # Errors
/// `M_FORBIDDEN` for another device than the dehydrated one, `M_INVALID_PARAM` for a bad token.
pub async fn get_dehydrated_device_events(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_events::unstable::Request>,
) -> Result<MatrixResponse<get_events::unstable::Response>, Error> {
    let device = encryption.dehydrated_device(session.user).await?;
    if device.is_none_or(|device| device.device_id != request.device_id.as_str()) {
        return Err(StandardError::forbidden("This is not your dehydrated device.").into());
    }
    let since = match &request.next_batch {
        None => Pos::ZERO,
        Some(token) => token
            .strip_prefix('d')
            .and_then(|pos| pos.parse().ok())
            .map(Pos)
            .filter(|pos| (Pos::ZERO..Pos::MAX).contains(pos))
            .ok_or_else(|| StandardError::invalid_param("`next_batch` is not a token."))?,
    };
    let inbox = (session.user, request.device_id.as_str());
    let page = encryption.inbox(inbox, since, Pos::MAX, MAX_EVENTS).await?;
    let last = page.events.last().map_or(since, |(pos, _)| *pos);
    let mut events = Vec::with_capacity(page.events.len());
    for (_, event) in page.events {
        let event = serde_json::from_slice(&event).map_err(Error::internal)?;
        events.push(Raw::from_json(event));
    }
    let mut response = get_events::unstable::Response::new(events);
    response.next_batch = Some(format!("d{last}"));
    Ok(MatrixResponse(response))
}

fn none() -> StandardError {
    StandardError::not_found("There is no dehydrated device.")
}
