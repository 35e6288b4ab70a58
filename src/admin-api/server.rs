//! The server itself.

use std::sync::Arc;

use ::rooms::Rooms;
use ::users::Users;
use administration::{Administration, LogFilter};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use config::Config;
use host::Host;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use serde::Deserialize;
use serde_json::{Value, json};
use sync::Engine;

use crate::{Administrator, extract::Params};

/// Sessions on a page, and on the largest.
const PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;

/// `GET /_synapse/admin/v1/server_version`
///
/// Says that it is Myelin: tools that look for features of Synapse's by version find none of a later one.
pub async fn version(_: Administrator) -> Response {
    let version = format!("Myelin {}", env!("CARGO_PKG_VERSION"));
    json(StatusCode::OK, &json!({ "server_version": version }))
}

/// `GET /_myelin/admin/v1/server`
pub async fn info(
    State(config): State<Arc<Config>>,
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    _: Administrator,
) -> Result<Response, Error> {
    let answer = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "server_name": config.server_name,
        "base_url": config.base_url(),
        "data_dir": config.data_dir,
        "default_room_version": config.rooms.default_version,
        "users": users.account_counts().await?,
        "position": rooms.store().visible().0,
        "instance": rooms.store().instance().to_string(),
    });
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /_myelin/admin/v1/server/statistics`
///
/// How much there is, and how much of it is in memory.
pub async fn statistics(
    State(administration): State<Administration>,
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    State(media): State<media::Media>,
    State(sync): State<Engine>,
    State(host): State<Host>,
    _: Administrator,
) -> Result<Response, Error> {
    let all_rooms = rooms.all_rooms().await?;
    let sessions = sync.resident();
    let usage = media.usage_by_user().await?;
    let store = rooms.store().stats();
    let sum = |of: fn(&(store::UserNid, u64, u64)) -> u64| usage.iter().map(of).sum::<u64>();
    let answer = json!({
        "uptime_ms": host.now_ms().saturating_sub(administration.started_ms()),
        "users": users.account_counts().await?,
        "rooms": {
            "all": all_rooms.len(),
            "joined": all_rooms.iter().filter(|(_, head)| head.joined > 0).count(),
            "events": all_rooms.iter().map(|(_, head)| u64::from(head.last_rsn.0)).sum::<u64>(),
        },
        "media": { "files": sum(|usage| usage.1), "bytes": sum(|usage| usage.2) },
        "sync": {
            "sessions": sessions.len(),
            "bytes": sessions.iter().map(|session| session.bytes).sum::<usize>(),
            "requests": sessions.iter().map(|session| session.requests).sum::<usize>(),
        },
        "store": {
            "position": rooms.store().visible().0,
            "commits": store.batches,
            "commits_waiting": store.queue_depth,
            "syncs": store.syncs,
            "longest_sync_ms": store.longest_sync_micros / 1_000,
            "memory_bytes": store.engine_memory_bytes,
        },
        "memory_bytes": administration.resident_bytes(),
    });
    Ok(json(StatusCode::OK, &answer))
}

/// The query of [`sessions`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    from: usize,
    limit: Option<usize>,
}

/// `GET /_myelin/admin/v1/server/sessions`
///
/// Whose `/sync` is in memory, the latest used first.
pub async fn sessions(
    State(users): State<Users>,
    State(sync): State<Engine>,
    _: Administrator,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let all = sync.resident();
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let mut sessions = Vec::new();
    for session in all.iter().skip(page.from).take(limit) {
        sessions.push(json!({
            "user_id": users.user_id(session.user).await?,
            "rooms": session.rooms,
            "bytes": session.bytes,
            "requests": session.requests,
            "last_used_ts": session.used_ms,
        }));
    }
    let next = page.from + sessions.len();
    let mut answer = json!({ "sessions": sessions, "total": all.len() });
    if next < all.len() {
        answer["next"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

fn log(administration: &Administration) -> Result<&dyn LogFilter, StandardError> {
    let log = administration.log();
    log.ok_or_else(|| StandardError::not_found("No server runs here that writes a log."))
}

/// `GET /_myelin/admin/v1/server/log`
///
/// # Errors
/// `M_NOT_FOUND` where the command has opened the data directory itself.
pub async fn show_log(
    State(administration): State<Administration>,
    _: Administrator,
) -> Result<Response, Error> {
    let filter = log(&administration)?.get();
    Ok(json(StatusCode::OK, &json!({ "filter": filter })))
}

/// The body of [`set_log`].
#[derive(Debug, Deserialize)]
pub(crate) struct SetLog {
    filter: String,
}

/// `PUT /_myelin/admin/v1/server/log`
///
/// Until the server stops: `log.filter` is what it starts with.
///
/// # Errors
/// `M_INVALID_PARAM` for a filter that is none; else as [`show_log`].
pub async fn set_log(
    State(administration): State<Administration>,
    administrator: Administrator,
    JsonBody(body): JsonBody<SetLog>,
) -> Result<Response, Error> {
    let log = log(&administration)?;
    administrator
        .audit("server.log", "", json!({ "filter": body.filter }))
        .await?;
    log.set(&body.filter)
        .map_err(|why| StandardError::invalid_param(format!("The filter: {why}.")))?;
    Ok(json(StatusCode::OK, &json!({ "filter": log.get() })))
}

/// `GET /_synapse/admin/v1/background_updates/status`
///
/// There are none: the database is read as it is.
pub async fn background_updates(_: Administrator) -> Response {
    json(
        StatusCode::OK,
        &json!({ "enabled": true, "current_updates": {} }),
    )
}

/// `GET /_synapse/admin/v1/background_updates/enabled`
pub async fn background_updates_enabled(_: Administrator) -> Response {
    json(StatusCode::OK, &json!({ "enabled": true }))
}

/// The body of [`enable_background_updates`].
#[derive(Debug, Deserialize)]
pub(crate) struct Enable {
    enabled: bool,
}

/// `POST /_synapse/admin/v1/background_updates/enabled`
///
/// # Errors
/// `M_INVALID_PARAM` for who would pause them: there is nothing to pause.
pub async fn enable_background_updates(
    _: Administrator,
    JsonBody(body): JsonBody<Enable>,
) -> Result<Response, Error> {
    if !body.enabled {
        return Err(StandardError::invalid_param("There are no background updates.").into());
    }
    Ok(json(StatusCode::OK, &json!({ "enabled": true })))
}

/// The body of [`start_job`].
#[derive(Debug, Deserialize)]
pub(crate) struct StartJob {
    job_name: String,
}

/// `POST /_synapse/admin/v1/background_updates/start_job`
///
/// # Errors
/// Always `M_INVALID_PARAM`: indexes and counts are never behind.
pub async fn start_job(_: Administrator, JsonBody(body): JsonBody<StartJob>) -> StandardError {
    StandardError::invalid_param(format!("There is no job `{}`.", body.job_name))
}

/// `GET /_synapse/admin/v1/federation/destinations`
///
/// None, while there is no federation.
pub async fn destinations(_: Administrator) -> Response {
    let none: [Value; 0] = [];
    json(StatusCode::OK, &json!({ "destinations": none, "total": 0 }))
}

/// `GET /_synapse/admin/v1/federation/destinations/{destination}`, its `/rooms` and
/// `POST …/reset_connection`
///
/// # Errors
/// Always `M_NOT_FOUND`.
pub async fn destination(_: Administrator) -> StandardError {
    StandardError::not_found("Unknown destination")
}
