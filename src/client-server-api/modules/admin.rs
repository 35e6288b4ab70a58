//! [Server administration](https://spec.matrix.org/v1.19/client-server-api/#server-administration).

use administration::Administration;
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, StandardError, json};
use ruma::{
    UserId,
    api::client::admin::{
        get_user_info, is_user_locked, is_user_suspended, lock_user, suspend_user,
    },
};
use serde_json::{Map, Value, json};
use store::UserNid;
use users::{Account, Device, Users};

use crate::{Error, Session};

/// `GET /_matrix/client/v3/admin/whois/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid)
///
/// # Errors
/// `M_FORBIDDEN` unless the sender asks about themself or is an administrator; `M_NOT_FOUND` for who has no account.
pub async fn get_who_is(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_user_info::v3::Request>,
) -> Result<Response, Error> {
    if request.user_id != session.user_id {
        require_admin(&users, &session).await?;
    }
    let account = users.account(&request.user_id).await?;
    let (user, _) = account.ok_or_else(|| StandardError::not_found("User not found."))?;
    let answer = whois(&request.user_id, users.devices(user).await?);
    Ok(json(StatusCode::OK, &answer))
}

/// When and from where the devices of a user were last used.
pub fn whois(user_id: &UserId, devices: Vec<Device>) -> Value {
    let devices: Map<String, Value> = devices
        .into_iter()
        .map(|device| {
            let mut connection = Map::new();
            if let Some(ip) = device.last_seen_ip {
                connection.insert("ip".to_owned(), json!(ip));
            }
            if let Some(last_seen) = device.last_seen_ts {
                connection.insert("last_seen".to_owned(), json!(last_seen));
            }
            let sessions = json!({ "sessions": [{ "connections": [connection] }] });
            (device.device_id.to_string(), sessions)
        })
        .collect();
    json!({ "user_id": user_id, "devices": devices })
}

/// `GET /_matrix/client/v1/admin/suspend/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminsuspenduserid)
///
/// # Errors
/// `M_FORBIDDEN`, `M_INVALID_PARAM` for a user of another server, `M_NOT_FOUND`.
pub async fn get_admin_suspend_user(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<is_user_suspended::v1::Request>,
) -> Result<MatrixResponse<is_user_suspended::v1::Response>, Error> {
    let (_, account) = target(&users, &session, &request.user_id).await?;
    Ok(MatrixResponse(is_user_suspended::v1::Response::new(
        account.suspended,
    )))
}

/// `PUT /_matrix/client/v1/admin/suspend/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid)
///
/// # Errors
/// As [`get_admin_suspend_user`]; `M_FORBIDDEN` for the sender's own account as well.
pub async fn set_admin_suspend_user(
    State(users): State<Users>,
    State(administration): State<Administration>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<suspend_user::v1::Request>,
) -> Result<MatrixResponse<suspend_user::v1::Response>, Error> {
    let (user, _) = target(&users, &session, &request.user_id).await?;
    let (by, whom) = (session.user_id.as_str(), request.user_id.as_str());
    let details = json!({ "suspend": request.suspended });
    administration
        .audit(by, "user.suspend", whom, details)
        .await?;
    users.set_suspended(user, request.suspended).await?;
    Ok(MatrixResponse(suspend_user::v1::Response::new(
        request.suspended,
    )))
}

/// `GET /_matrix/client/v1/admin/lock/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminlockuserid)
///
/// # Errors
/// As [`get_admin_suspend_user`].
pub async fn get_admin_lock_user(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<is_user_locked::v1::Request>,
) -> Result<MatrixResponse<is_user_locked::v1::Response>, Error> {
    let (_, account) = target(&users, &session, &request.user_id).await?;
    Ok(MatrixResponse(is_user_locked::v1::Response::new(
        account.locked,
    )))
}

/// `PUT /_matrix/client/v1/admin/lock/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminlockuserid)
///
/// # Errors
/// As [`set_admin_suspend_user`].
pub async fn set_admin_lock_user(
    State(users): State<Users>,
    State(administration): State<Administration>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<lock_user::v1::Request>,
) -> Result<MatrixResponse<lock_user::v1::Response>, Error> {
    let (user, _) = target(&users, &session, &request.user_id).await?;
    let (by, whom) = (session.user_id.as_str(), request.user_id.as_str());
    let details = json!({ "locked": request.locked });
    administration.audit(by, "user.lock", whom, details).await?;
    users.set_locked(user, request.locked).await?;
    Ok(MatrixResponse(lock_user::v1::Response::new(request.locked)))
}

async fn require_admin(users: &Users, session: &users::Session) -> Result<(), Error> {
    if users.is_admin(session.user).await? {
        return Ok(());
    }
    Err(StandardError::forbidden("Requesting user is not a server administrator.").into())
}

/// Whose account is looked at or changed. "Servers MUST ensure that authorisation is checked prior to trying to do account
/// lookups."
async fn target(
    users: &Users,
    session: &users::Session,
    user_id: &UserId,
) -> Result<(UserNid, Account), Error> {
    require_admin(users, session).await?;
    if user_id.server_name() != users.server_name() {
        let message = "User does not belong to the local server.";
        return Err(StandardError::invalid_param(message).into());
    }
    let account = users.account(user_id).await?;
    let account = account.filter(|(_, account)| !account.deactivated);
    let (user, account) = account.ok_or_else(|| StandardError::not_found("User not found."))?;
    if account.admin {
        return Err(StandardError::forbidden("This user is an administrator.").into());
    }
    Ok((user, account))
}
