//! Long jobs: listed, shown, cancelled.

use administration::{Administration, Task, TaskState};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{StandardError, json};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Pos;

use crate::{
    Administrator,
    extract::{InPath, Params},
};

/// The query of [`list`].
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    /// Those alone that have not ended.
    #[serde(default)]
    unfinished: bool,
}

/// A task as it is told.
pub(crate) fn task_json(task: &Task) -> Value {
    let mut told = json!({
        "id": task.id.0.to_string(),
        "kind": task.job.kind(),
        "target": task.job.target(),
        "parameters": task.job,
        "by": task.by,
        "state": task.state,
        "done": task.done,
        "total": task.total,
        "result": task.result,
        "error": task.error,
        "created_ts": task.created_ms,
        "ended_ts": task.ended_ms,
        "can_be_cancelled": task.can_be_cancelled(),
    });
    if let Some(parameters) = told["parameters"].as_object_mut() {
        parameters.remove("kind");
    }
    told
}

/// The number that a task's name is.
pub(crate) fn id(name: &str) -> Result<Pos, StandardError> {
    let number = name.parse();
    number
        .map(Pos)
        .map_err(|_| StandardError::not_found("There is no such task."))
}

/// `GET /_myelin/admin/v1/tasks`
///
/// The latest first.
pub async fn list(
    State(administration): State<Administration>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Error> {
    let tasks = administration.tasks().await?;
    let wanted = |task: &&Task| !query.unfinished || !task.state.has_ended();
    let tasks: Vec<_> = tasks.iter().filter(wanted).map(task_json).collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "total": tasks.len(), "tasks": tasks }),
    ))
}

/// The query of [`scheduled`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    action_name: Option<String>,
    resource_id: Option<String>,
    status: Option<String>,
    max_timestamp: Option<u64>,
}

/// `GET /_synapse/admin/v1/scheduled_tasks`
///
/// The same, [as Synapse tells of its own](https://element-hq.github.io/synapse/latest/admin_api/scheduled_tasks.html).
pub async fn scheduled(
    State(administration): State<Administration>,
    _: Administrator,
    Params(which): Params<Which>,
) -> Result<Response, Error> {
    let is =
        |wanted: &Option<String>, fact: &str| wanted.as_deref().is_none_or(|wanted| wanted == fact);
    let tasks = administration.tasks().await?;
    let tasks: Vec<Value> = tasks
        .iter()
        .filter(|task| {
            is(&which.action_name, task.job.kind())
                && is(&which.resource_id, task.job.target())
                && is(&which.status, scheduled_status(task))
                && which.max_timestamp.is_none_or(|max| changed_ms(task) < max)
        })
        .map(|task| {
            json!({
                "id": task.id.0.to_string(),
                "action": task.job.kind(),
                "status": scheduled_status(task),
                "timestamp_ms": changed_ms(task),
                "resource_id": task.job.target(),
                "result": task.result,
                "error": task.error,
            })
        })
        .collect();
    Ok(json(StatusCode::OK, &json!({ "scheduled_tasks": tasks })))
}

/// When it was started, or when it ended.
fn changed_ms(task: &Task) -> u64 {
    task.ended_ms.unwrap_or(task.created_ms)
}

fn scheduled_status(task: &Task) -> &'static str {
    match task.state {
        TaskState::Queued => "scheduled",
        TaskState::Running => "active",
        TaskState::Done => "complete",
        TaskState::Cancelled => "cancelled",
        TaskState::Failed => "failed",
    }
}

/// `GET /_myelin/admin/v1/tasks/{taskId}`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn show(
    State(administration): State<Administration>,
    _: Administrator,
    InPath(name): InPath<String>,
) -> Result<Response, Error> {
    let task = administration.task(id(&name)?).await?;
    let task = task.ok_or_else(|| StandardError::not_found("There is no such task."))?;
    Ok(json(StatusCode::OK, &task_json(&task)))
}

/// `POST /_myelin/admin/v1/tasks/{taskId}/cancel`
///
/// Answers once it has stopped.
///
/// # Errors
/// `M_NOT_FOUND`; `M_UNKNOWN` with 409 for one that has ended, or that would leave something half done.
pub async fn cancel(
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath(name): InPath<String>,
) -> Result<Response, Error> {
    let id = id(&name)?;
    administrator
        .audit("task.cancel", &name, Value::Null)
        .await?;
    let task = administration.cancel(id).await?;
    Ok(json(StatusCode::OK, &task_json(&task)))
}
