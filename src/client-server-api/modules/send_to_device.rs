//! [Send-to-device messaging](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging).

use ::encryption::{Encryption, Messages, Recipient, Sending};
use axum::extract::State;
use host::Host;
use http_layer::{MatrixRequest, MatrixResponse};
use ruma::{
    api::client::to_device::send_event_to_device::v3::{Request, Response},
    to_device::DeviceIdOrAllDevices,
};
use users::Users;

use super::end_to_end_encryption::keys::number;
use crate::{Error, Session, extract::FirstOfPath};

/// `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid)
///
/// Users and devices that do not exist are passed over.
///
/// # Errors
/// `M_BAD_JSON`, `M_TOO_LARGE`, `M_INVALID_PARAM`
pub async fn send_to_device(
    State(encryption): State<Encryption>,
    State(users): State<Users>,
    State(host): State<Host>,
    Session(session): Session,
    FirstOfPath(event_type): FirstOfPath,
    MatrixRequest(request): MatrixRequest<Request>,
) -> Result<MatrixResponse<Response>, Error> {
    let mut messages = Messages::new();
    for (user_id, contents) in request.messages {
        let Some(user) = number(&users, &user_id).await? else {
            continue;
        };
        let contents = contents.into_iter().map(|(device, content)| {
            let recipient = match device {
                DeviceIdOrAllDevices::AllDevices => Recipient::All,
                DeviceIdOrAllDevices::DeviceId(device_id) => {
                    Recipient::Device(device_id.to_string())
                }
            };
            (recipient, content.into_json())
        });
        messages.insert(user, contents.collect());
    }
    let sending = Sending {
        user: session.user,
        user_id: &session.user_id,
        device_id: session.device_id.as_str(),
        event_type: &event_type,
        txn_id: request.txn_id.as_str(),
        now_ms: host.now_ms(),
    };
    encryption.send_to_devices(sending, &messages).await?;
    Ok(MatrixResponse(Response::new()))
}
