//! What an administrator does for and to people in rooms
//! ([Synapse's room API](https://element-hq.github.io/synapse/latest/admin_api/rooms.html),
//! [user API](https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html)).

use ::rooms::Rooms;
use ::users::Users;
use administration::{Administration, Job, Notice, RedactUser, Task};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::UserNid;

use crate::{
    Administrator,
    deletion::status_word,
    extract::{InPath, Target, local_user},
    tasks,
};

/// Events of each room that are redacted, unless asked for otherwise, as in Synapse.
const REDACTED: u64 = 1_000;
/// Rooms that one request may name.
const MAX_ROOMS: usize = 1_000;

/// A local account by its name.
async fn account(users: &Users, name: &str) -> Result<(UserNid, OwnedUserId), Error> {
    let user_id = local_user(users, name)?;
    let found = users.account(&user_id).await?;
    let (user, _) = found.ok_or_else(|| StandardError::not_found("User not found"))?;
    Ok((user, user_id))
}

/// The administrator's own user id; none of a process on the owner's socket.
fn own_id(administrator: &Administrator) -> Option<OwnedUserId> {
    administrator.user?;
    UserId::parse(&administrator.name).ok()
}

/// The body of [`join`].
#[derive(Debug, Deserialize)]
pub(crate) struct Join {
    user_id: String,
}

/// `POST /_synapse/admin/v1/join/{roomIdOrAlias}`
///
/// Lets a user of this server into a room: where it is not open, by the administrator's invitation or a member's who may
/// invite.
///
/// # Errors
/// `M_NOT_FOUND`; `M_UNKNOWN` with 400 if nobody here may invite them, with 403 for a blocked room; `M_FORBIDDEN` for somebody who is banned.
pub async fn join(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    administrator: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
    JsonBody(body): JsonBody<Join>,
) -> Result<Response, Error> {
    let (_, user_id) = account(&users, &body.user_id).await?;
    let room_id = rooms.resolve(&name).await?;
    let details = json!({ "user_id": user_id });
    administrator.audit("room.join", &room_id, details).await?;
    let by = own_id(&administrator);
    rooms.admit(&room_id, &user_id, by.as_deref()).await?;
    Ok(json(StatusCode::OK, &json!({ "room_id": room_id })))
}

/// The body of [`make_room_admin`].
#[derive(Debug, Deserialize)]
pub(crate) struct MakeAdmin {
    user_id: Option<String>,
}

/// `POST /_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin`
///
/// Gives a user, the administrator if nobody is named, as much power as the most powerful local member has.
///
/// # Errors
/// `M_NOT_FOUND`; `M_UNKNOWN` with 400 if no local member may do so; `M_MISSING_PARAM` where nobody is named and the
/// administrator has no account.
pub async fn make_room_admin(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    administrator: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
    JsonBody(body): JsonBody<MakeAdmin>,
) -> Result<Response, Error> {
    let user_id = match &body.user_id {
        Some(name) => account(&users, name).await?.1,
        None => own_id(&administrator)
            .ok_or_else(|| StandardError::missing_param("`user_id` says who."))?,
    };
    let room_id = rooms.resolve(&name).await?;
    let details = json!({ "user_id": user_id });
    administrator
        .audit("room.make_admin", &room_id, details)
        .await?;
    rooms.make_admin(&room_id, &user_id).await?;
    Ok(json(StatusCode::OK, &json!({})))
}

/// The body of [`redact`].
#[derive(Debug, Deserialize)]
pub(crate) struct Redact {
    rooms: Vec<OwnedRoomId>,
    reason: Option<String>,
    limit: Option<u64>,
    #[serde(default)]
    use_admin: bool,
}

/// `POST /_synapse/admin/v1/user/{userId}/redact`
///
/// Redacts what a user has said in some rooms, or in all that they are in where none is named, and answers at once.
/// The user redacts it themselves, or with `use_admin` the administrator, who has to have the power.
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for too many rooms, and for `use_admin` of an administrator without an account.
pub async fn redact(
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Redact>,
) -> Result<Response, Error> {
    if body.rooms.len() > MAX_ROOMS || body.limit == Some(0) {
        let message = format!("`rooms` has at most {MAX_ROOMS}, and `limit` is greater than 0.");
        return Err(StandardError::invalid_param(message).into());
    }
    let redacted_by = own_id(&administrator).filter(|_| body.use_admin);
    if body.use_admin && redacted_by.is_none() {
        let message = "`use_admin` needs an administrator's access token.";
        return Err(StandardError::invalid_param(message).into());
    }
    let details = json!({ "rooms": body.rooms, "reason": body.reason });
    administrator
        .audit("user.redact", &target.user_id, details)
        .await?;
    let job = RedactUser {
        user_id: target.user_id,
        rooms: body.rooms,
        reason: body.reason,
        limit: body.limit.unwrap_or(REDACTED),
        redacted_by,
    };
    let job = Job::RedactUser(job);
    let task = administration.start(job, &administrator.name).await?;
    let answer = json!({ "redact_id": task.id.0.to_string() });
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /_synapse/admin/v1/user/redact_status/{redactId}`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn redact_status(
    State(administration): State<Administration>,
    _: Administrator,
    InPath(redact_id): InPath<String>,
) -> Result<Response, Error> {
    let task = administration.task(tasks::id(&redact_id)?).await?;
    let is_redaction = |task: &Task| matches!(task.job, Job::RedactUser(_));
    let Some(task) = task.filter(is_redaction) else {
        let message = format!("redact id '{redact_id}' not found");
        return Err(StandardError::not_found(message).into());
    };
    let failed = &task.result["failed_redactions"];
    let failed = if failed.is_object() {
        failed.clone()
    } else {
        json!({})
    };
    let answer = json!({ "status": status_word(&task), "failed_redactions": failed });
    Ok(json(StatusCode::OK, &answer))
}

/// The body of [`send_notice`].
#[derive(Debug, Deserialize)]
pub(crate) struct NoticeBody {
    user_id: String,
    content: Map<String, Value>,
    r#type: Option<String>,
    state_key: Option<String>,
}

/// `POST /_synapse/admin/v1/send_server_notice`
///
/// # Errors
/// `M_UNKNOWN` with 400 if the server sends no notices, and for a message without `msgtype` or `body`; `M_NOT_FOUND`,
/// `M_INVALID_PARAM` for who is no local user.
pub async fn send_notice(
    State(administration): State<Administration>,
    State(users): State<Users>,
    administrator: Administrator,
    JsonBody(body): JsonBody<NoticeBody>,
) -> Result<Response, Error> {
    notice(&administration, &users, &administrator, body, None).await
}

/// `PUT /_synapse/admin/v1/send_server_notice/{txnId}`
///
/// The same request twice is one notice.
///
/// # Errors
/// As [`send_notice`].
pub async fn send_notice_once(
    State(administration): State<Administration>,
    State(users): State<Users>,
    administrator: Administrator,
    InPath(txn_id): InPath<String>,
    JsonBody(body): JsonBody<NoticeBody>,
) -> Result<Response, Error> {
    notice(&administration, &users, &administrator, body, Some(txn_id)).await
}

async fn notice(
    administration: &Administration,
    users: &Users,
    administrator: &Administrator,
    body: NoticeBody,
    txn_id: Option<String>,
) -> Result<Response, Error> {
    let (user, user_id) = account(users, &body.user_id).await?;
    let notice = Notice {
        event_type: body.r#type.unwrap_or_else(|| "m.room.message".to_owned()),
        state_key: body.state_key,
        content: body.content,
        txn_id,
    };
    if notice.event_type == "m.room.message" {
        for key in ["msgtype", "body"] {
            if !notice.content.get(key).is_some_and(Value::is_string) {
                let error = StandardError::unknown(format!("'{key}' not in content"));
                return Err(error.with_status(StatusCode::BAD_REQUEST).into());
            }
        }
    }
    let details = json!({ "type": notice.event_type });
    administrator
        .audit("notice.send", &user_id, details)
        .await?;
    let event_id = administration
        .send_notice((user, &user_id), &notice)
        .await?;
    Ok(json(StatusCode::OK, &json!({ "event_id": event_id })))
}
