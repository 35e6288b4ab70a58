//! Rooms, deleted and blocked
//! ([Synapse's delete and block API](https://element-hq.github.io/synapse/latest/admin_api/rooms.html#delete-room-api)).

use ::rooms::{RoomError, Rooms};
use ::users::Users;
use administration::{Administration, DeleteRoom, Job, Task, TaskState};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, local_user},
    tasks,
};

/// The body of [`delete`] and [`delete_in_background`].
#[derive(Debug, Deserialize)]
pub(crate) struct Deletion {
    #[serde(default)]
    block: bool,
    #[serde(default = "yes")]
    purge: bool,
    #[serde(default)]
    force_purge: bool,
    new_room_user_id: Option<String>,
    room_name: Option<String>,
    message: Option<String>,
}

fn yes() -> bool {
    true
}

/// Bytes of a name or message of the new room: well below what an event may have.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Starts the task.
async fn start(
    administration: &Administration,
    users: &Users,
    administrator: &Administrator,
    room_id: OwnedRoomId,
    body: Deletion,
) -> Result<Task, Error> {
    let new_room_user_id = body.new_room_user_id.as_deref();
    let new_room_user_id = new_room_user_id.map(|name| local_user(users, name));
    let texts = [&body.room_name, &body.message];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > MAX_TEXT_BYTES)
    {
        let message = format!("`room_name` and `message` have at most {MAX_TEXT_BYTES} bytes.");
        return Err(StandardError::invalid_param(message).into());
    }
    let job = DeleteRoom {
        room_id,
        block: body.block,
        purge: body.purge,
        force_purge: body.force_purge,
        new_room_user_id: new_room_user_id.transpose()?,
        room_name: body.room_name,
        message: body.message,
    };
    if is_being_deleted(administration, &job.room_id).await? {
        let message = format!("Purge already in progress for {}", job.room_id);
        let error = StandardError::unknown(message).with_status(StatusCode::BAD_REQUEST);
        return Err(error.into());
    }
    let details = json!({ "block": job.block, "purge": job.purge });
    administrator
        .audit("room.delete", &job.room_id, details)
        .await?;
    let by = &administrator.name;
    Ok(administration.start(Job::DeleteRoom(job), by).await?)
}

async fn is_being_deleted(
    administration: &Administration,
    room_id: &RoomId,
) -> Result<bool, Error> {
    let tasks = administration.tasks().await?;
    Ok(tasks.iter().any(|task| {
        !task.state.has_ended()
            && matches!(&task.job, Job::DeleteRoom(job) if job.room_id == room_id)
    }))
}

/// `DELETE /_synapse/admin/v1/rooms/{roomId}`
///
/// Answers once the room is deleted. A room that is not known can be blocked.
///
/// # Errors
/// `M_NOT_FOUND`; `M_UNKNOWN` while the room is being deleted already, and where it could not be.
pub async fn delete(
    State(administration): State<Administration>,
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    administrator: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    JsonBody(body): JsonBody<Deletion>,
) -> Result<Response, Error> {
    match rooms.deletable(&room_id).await {
        Err(RoomError::UnknownRoom) if body.block => {
            administrator
                .audit("room.block", &room_id, Value::Null)
                .await?;
            rooms.block(&room_id, &administrator.name).await?;
            return Ok(json(StatusCode::OK, &outcome(&Value::Null)));
        }
        found => found?,
    }
    let task = start(&administration, &users, &administrator, room_id, body).await?;
    let task = administration.ended(task.id).await?;
    if task.state == TaskState::Done {
        return Ok(json(StatusCode::OK, &outcome(&task.result)));
    }
    let why = task.error.as_deref();
    let why = why.unwrap_or("somebody has cancelled it");
    let message = format!("The room was not deleted: {why}.");
    Err(StandardError::unknown(message)
        .with_status(StatusCode::INTERNAL_SERVER_ERROR)
        .into())
}

/// `DELETE /_synapse/admin/v2/rooms/{roomId}`
///
/// Answers at once, with what [`status`] is asked by.
///
/// # Errors
/// `M_NOT_FOUND`; `M_UNKNOWN` while the room is being deleted already.
pub async fn delete_in_background(
    State(administration): State<Administration>,
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    administrator: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    JsonBody(body): JsonBody<Deletion>,
) -> Result<Response, Error> {
    rooms.deletable(&room_id).await?;
    let task = start(&administration, &users, &administrator, room_id, body).await?;
    let answer = json!({ "delete_id": task.id.0.to_string() });
    Ok(json(StatusCode::OK, &answer))
}

/// What became of the members and aliases; nothing yet where there is no word of it.
fn outcome(result: &Value) -> Value {
    if result.is_null() {
        return json!({
            "kicked_users": [],
            "failed_to_kick_users": [],
            "local_aliases": [],
            "new_room_id": null,
        });
    }
    result.clone()
}

/// A task in Synapse's words.
fn status_json(task: &Task) -> Value {
    let mut told = json!({
        "delete_id": task.id.0.to_string(),
        "room_id": task.job.target(),
        "status": status_word(task),
        "shutdown_room": outcome(&task.result),
    });
    if task.state == TaskState::Failed {
        told["error"] = json!(task.error);
    }
    if task.state == TaskState::Cancelled {
        told["error"] = json!("somebody has cancelled it");
    }
    told
}

/// A task's state in Synapse's words.
pub(crate) fn status_word(task: &Task) -> &'static str {
    match task.state {
        TaskState::Queued => "scheduled",
        TaskState::Running => "active",
        TaskState::Done => "complete",
        TaskState::Failed | TaskState::Cancelled => "failed",
    }
}

/// `GET /_synapse/admin/v2/rooms/delete_status/{deleteId}`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn status(
    State(administration): State<Administration>,
    _: Administrator,
    InPath(delete_id): InPath<String>,
) -> Result<Response, Error> {
    let task = administration.task(tasks::id(&delete_id)?).await?;
    let is_deletion = |task: &Task| matches!(task.job, Job::DeleteRoom(_));
    let Some(task) = task.filter(is_deletion) else {
        let message = format!("delete id '{delete_id}' not found");
        return Err(StandardError::not_found(message).into());
    };
    Ok(json(StatusCode::OK, &status_json(&task)))
}

/// `GET /_synapse/admin/v2/rooms/{roomId}/delete_status`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn status_of_room(
    State(administration): State<Administration>,
    _: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
) -> Result<Response, Error> {
    let is_of_room =
        |task: &&Task| matches!(&task.job, Job::DeleteRoom(job) if job.room_id == room_id);
    let tasks = administration.tasks().await?;
    let results: Vec<_> = tasks.iter().filter(is_of_room).map(status_json).collect();
    if results.is_empty() {
        let message = format!("No delete task for room_id '{room_id}' found");
        return Err(StandardError::not_found(message).into());
    }
    Ok(json(StatusCode::OK, &json!({ "results": results })))
}

/// The body of [`set_block`].
#[derive(Debug, Deserialize)]
pub(crate) struct Block {
    block: bool,
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/block`
pub async fn block(
    State(rooms): State<Rooms>,
    _: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
) -> Result<Response, Error> {
    let blocked = rooms.blocked(&room_id).await?;
    let answer = match blocked.filter(|blocked| !blocked.until_deleted) {
        Some(blocked) => json!({ "block": true, "user_id": blocked.by }),
        None => json!({ "block": false }),
    };
    Ok(json(StatusCode::OK, &answer))
}

/// `PUT /_synapse/admin/v1/rooms/{roomId}/block`
///
/// Also for a room that is not known here.
///
/// # Errors
/// `M_UNKNOWN` for letting people into a room that is being deleted.
pub async fn set_block(
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    JsonBody(body): JsonBody<Block>,
) -> Result<Response, Error> {
    if !body.block && is_being_deleted(&administration, &room_id).await? {
        let error = StandardError::unknown("The room is being deleted.");
        return Err(error.with_status(StatusCode::BAD_REQUEST).into());
    }
    let action = if body.block {
        "room.block"
    } else {
        "room.unblock"
    };
    administrator.audit(action, &room_id, Value::Null).await?;
    if body.block {
        rooms.block(&room_id, &administrator.name).await?;
    } else {
        rooms.unblock(&room_id).await?;
    }
    Ok(json(StatusCode::OK, &json!({ "block": body.block })))
}
