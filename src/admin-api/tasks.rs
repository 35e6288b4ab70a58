//! Long jobs: listed, shown, cancelled.

use administration::{Administration, Task};
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
