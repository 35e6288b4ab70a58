//! What an administrator does to one account, and what it has.

use ::rooms::Rooms;
use ::users::Users;
use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Administrator,
    extract::{Params, Target},
};

/// The body of [`deactivate`].
#[derive(Debug, Deserialize)]
pub(crate) struct Deactivate {
    #[serde(default)]
    erase: bool,
}

/// `POST /_synapse/admin/v1/deactivate/{userId}`
///
/// Closes an account: no password, no devices, no profile, no rooms.
///
/// # Errors
/// `M_FORBIDDEN` for the administrator's own.
pub async fn deactivate(
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Deactivate>,
) -> Result<Response, Error> {
    not_oneself(&administrator, &target)?;
    let details = json!({ "erase": body.erase });
    administrator
        .audit("user.deactivate", &target.user_id, details)
        .await?;
    administration
        .deactivate(target.user, &target.user_id, body.erase)
        .await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "id_server_unbind_result": "success" }),
    ))
}

/// The body of [`reset_password`].
#[derive(Debug, Deserialize)]
pub(crate) struct ResetPassword {
    new_password: String,
    #[serde(default = "yes")]
    logout_devices: bool,
}

fn yes() -> bool {
    true
}

/// `POST /_synapse/admin/v1/reset_password/{userId}`
///
/// # Errors
/// As a change of password's; `M_FORBIDDEN` for a closed account.
pub async fn reset_password(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<ResetPassword>,
) -> Result<Response, Error> {
    if target.account.deactivated {
        let message =
            "The account is deactivated. Reactivate it with `deactivated: false` and a password.";
        return Err(StandardError::forbidden(message).into());
    }
    let details = json!({ "logout_devices": body.logout_devices });
    administrator
        .audit("user.reset_password", &target.user_id, details)
        .await?;
    users
        .reset_password(target.user, &body.new_password, body.logout_devices)
        .await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// The body of [`suspend`].
#[derive(Debug, Deserialize)]
pub(crate) struct Suspend {
    suspend: bool,
}

/// `PUT /_synapse/admin/v1/suspend/{userId}`
///
/// # Errors
/// `M_FORBIDDEN` for the administrator's own account.
pub async fn suspend(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Suspend>,
) -> Result<Response, Error> {
    not_oneself(&administrator, &target)?;
    let details = json!({ "suspend": body.suspend });
    administrator
        .audit("user.suspend", &target.user_id, details)
        .await?;
    users.set_suspended(target.user, body.suspend).await?;
    let key = format!("user_{}_suspended", target.user_id);
    let answer = Map::from_iter([(key, Value::Bool(body.suspend))]);
    Ok(json(StatusCode::OK, &answer))
}

/// The body of [`lock`].
#[derive(Debug, Deserialize)]
pub(crate) struct Lock {
    locked: bool,
}

/// `PUT /_myelin/admin/v1/lock/{userId}`
///
/// # Errors
/// `M_FORBIDDEN` for the administrator's own account.
pub async fn lock(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Lock>,
) -> Result<Response, Error> {
    not_oneself(&administrator, &target)?;
    let details = json!({ "locked": body.locked });
    administrator
        .audit("user.lock", &target.user_id, details)
        .await?;
    users.set_locked(target.user, body.locked).await?;
    Ok(json(StatusCode::OK, &json!({ "locked": body.locked })))
}

/// `GET /_synapse/admin/v1/users/{userId}/admin`
pub async fn is_admin(_: Administrator, target: Target) -> Response {
    json(StatusCode::OK, &json!({ "admin": target.account.admin }))
}

/// The body of [`set_admin`].
#[derive(Debug, Deserialize)]
pub(crate) struct SetAdmin {
    admin: bool,
}

/// `PUT /_synapse/admin/v1/users/{userId}/admin`
///
/// # Errors
/// `M_UNKNOWN` (400) for who would demote themself, as Synapse has it; `M_FORBIDDEN` for a closed account.
pub async fn set_admin(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<SetAdmin>,
) -> Result<Response, Error> {
    if administrator.user == Some(target.user) && !body.admin {
        return Err(StandardError::unknown("You may not demote yourself.")
            .with_status(StatusCode::BAD_REQUEST)
            .into());
    }
    if target.account.deactivated && body.admin {
        return Err(StandardError::forbidden("The account is deactivated.").into());
    }
    let action = if body.admin {
        "user.promote"
    } else {
        "user.demote"
    };
    administrator
        .audit(action, &target.user_id, Value::Null)
        .await?;
    users.set_admin(target.user, body.admin).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// The body of [`login_as`].
#[derive(Debug, Deserialize)]
pub(crate) struct LoginAs {
    #[serde(default)]
    valid_until_ms: Option<u64>,
}

/// `POST /_synapse/admin/v1/users/{userId}/login`
///
/// In a device of its own, which the user sees, where Synapse's is hidden; always in the audit log.
///
/// # Errors
/// `M_FORBIDDEN` for the administrator's own account; `M_USER_DEACTIVATED`.
pub async fn login_as(
    State(users): State<Users>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<LoginAs>,
) -> Result<Response, Error> {
    if administrator.user == Some(target.user) {
        let message = "Cannot use admin API to login as self";
        return Err(StandardError::forbidden(message).into());
    }
    let details = json!({ "valid_until_ms": body.valid_until_ms });
    administrator
        .audit("user.login_as", &target.user_id, details)
        .await?;
    let access_token = users.login_as(target.user, body.valid_until_ms).await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "access_token": access_token }),
    ))
}

/// `GET /_synapse/admin/v1/users/{userId}/joined_rooms`
pub async fn joined_rooms(
    State(rooms): State<Rooms>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let joined = rooms.joined_rooms(&target.user_id).await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "total": joined.len(), "joined_rooms": joined }),
    ))
}

/// `GET /_synapse/admin/v1/users/{userId}/memberships`
///
/// Every room that the user has to do with, or had.
pub async fn memberships(
    State(rooms): State<Rooms>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let mut memberships = Map::new();
    for (room, row) in rooms.rooms_of_nid(target.user).await? {
        let room = rooms.room(room).await?;
        memberships.insert(room.id.to_string(), row.member.membership.as_str().into());
    }
    let answer = json!({ "total": memberships.len(), "memberships": memberships });
    Ok(json(StatusCode::OK, &answer))
}

/// The query of [`joined_since`].
#[derive(Debug, Deserialize)]
pub(crate) struct Since {
    from_ts: u64,
}

/// `GET /_synapse/admin/v1/users/{userId}/cumulative_joined_room_count`
///
/// # Errors
/// `M_INVALID_PARAM` without `from_ts`.
pub async fn joined_since(
    State(rooms): State<Rooms>,
    _: Administrator,
    target: Target,
    Params(since): Params<Since>,
) -> Result<Response, Error> {
    let count = rooms.joined_since(target.user, since.from_ts).await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "cumulative_joined_room_count": count }),
    ))
}

/// `GET /_synapse/admin/v1/users/{userId}/pushers`
pub async fn pushers(
    State(users): State<Users>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let pushers = users.pushers(target.user).await?;
    Ok(json(
        StatusCode::OK,
        &json!({ "total": pushers.len(), "pushers": pushers }),
    ))
}

/// `GET /_synapse/admin/v1/users/{userId}/accountdata`
pub async fn account_data(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    administrator: Administrator,
    target: Target,
) -> Result<Response, Error> {
    administrator
        .audit("user.account_data", &target.user_id, Value::Null)
        .await?;
    let (mut global, mut by_room) = (Map::new(), Map::new());
    for event in users.account_data_all(target.user).await? {
        let content: Value = serde_json::from_slice(&event.content).map_err(Error::internal)?;
        match event.room {
            None => {
                global.insert(event.event_type, content);
            }
            Some(room) => {
                let room = rooms.room(room).await?;
                let of_room = by_room.entry(room.id.to_string()).or_insert(json!({}));
                of_room[event.event_type.as_str()] = content;
            }
        }
    }
    let answer = json!({ "account_data": { "global": global, "rooms": by_room } });
    Ok(json(StatusCode::OK, &answer))
}

fn not_oneself(administrator: &Administrator, target: &Target) -> Result<(), StandardError> {
    if administrator.user == Some(target.user) {
        return Err(StandardError::forbidden(
            "You cannot do this to your own account.",
        ));
    }
    Ok(())
}
