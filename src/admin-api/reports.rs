//! What people reported
//! ([Synapse's, for events](https://element-hq.github.io/synapse/latest/admin_api/event_reports.html)).

use ::rooms::{Report, Rooms};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use host::Host;
use http::StatusCode;
use http_layer::{StandardError, json};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Pos;

use crate::{
    Administrator,
    extract::{InPath, Params},
    rooms::event_json,
};

/// Reports on a page, and on the largest.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;
/// Reports that are looked through: a user leaves a thousand at most.
const MAX_REPORTS: usize = 100_000;

/// The query of [`list_of_events`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    from: usize,
    limit: Option<usize>,
    dir: Option<String>,
    user_id: Option<String>,
    room_id: Option<String>,
}

/// `GET /_synapse/admin/v1/event_reports`
///
/// Events alone; [`list`] has rooms and users too.
///
/// # Errors
/// `M_INVALID_PARAM`.
pub async fn list_of_events(
    State(rooms): State<Rooms>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Error> {
    let limit = query.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let contains = |wanted: Option<&str>, text: Option<&str>| {
        wanted.is_none_or(|wanted| text.is_some_and(|text| text.contains(wanted)))
    };
    let mut found: Vec<(Pos, Report)> = rooms.reports(None, MAX_REPORTS).await?;
    found.retain(|(_, report)| {
        report.what == "event"
            && contains(query.user_id.as_deref(), Some(report.by.as_str()))
            && contains(
                query.room_id.as_deref(),
                report.room_id.as_ref().map(|room| room.as_str()),
            )
    });
    match query.dir.as_deref() {
        None | Some("b") => {}
        Some("f") => found.reverse(),
        Some(_) => return Err(StandardError::invalid_param("`dir` is `f` or `b`.").into()),
    }
    let total = found.len();
    let mut page = Vec::new();
    for (pos, report) in found.into_iter().skip(query.from).take(limit) {
        page.push(of_event(&rooms, pos, &report).await?);
    }
    let next = query.from + page.len();
    let mut answer = json!({ "event_reports": page, "total": total });
    if next < total {
        answer["next_token"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

async fn of_event(rooms: &Rooms, pos: Pos, report: &Report) -> Result<Value, Error> {
    let event = match &report.event_id {
        Some(event_id) => rooms.event_by_id(event_id).await?,
        None => None,
    };
    let (mut name, mut alias) = (Value::Null, Value::Null);
    if let Some(event) = &event {
        let summary = rooms.public_summary(event.room).await?;
        (name, alias) = (json!(summary.name), json!(summary.canonical_alias));
    }
    Ok(json!({
        "id": pos.0,
        "received_ts": report.at_ms,
        "room_id": report.room_id,
        "name": name,
        "canonical_alias": alias,
        "event_id": report.event_id,
        "user_id": report.by,
        "sender": event.map(|event| event.sender.clone()),
        "reason": report.reason,
        // Clients no longer send one.
        "score": null,
    }))
}

/// `GET /_synapse/admin/v1/event_reports/{reportId}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn show_of_event(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    _: Administrator,
    InPath(id): InPath<i64>,
) -> Result<Response, Error> {
    let report = rooms.report_at(Pos(id)).await?;
    let report = report.filter(|report| report.what == "event");
    let report = report.ok_or_else(no_such)?;
    let mut answer = of_event(&rooms, Pos(id), &report).await?;
    if let Some(event_id) = &report.event_id
        && let Some(event) = rooms.event_by_id(event_id).await?
    {
        let room = rooms.room(event.room).await?;
        answer["event_json"] = json!(event_json(&event, room.id.as_str(), host.now_ms())?);
    }
    Ok(json(StatusCode::OK, &answer))
}

fn no_such() -> StandardError {
    StandardError::not_found("Event report not found")
}

/// `DELETE /_synapse/admin/v1/event_reports/{reportId}`
///
/// Closes a report of whatever kind.
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn close(
    State(rooms): State<Rooms>,
    administrator: Administrator,
    InPath(id): InPath<i64>,
) -> Result<Response, Error> {
    let name = id.to_string();
    administrator
        .audit("report.close", &name, Value::Null)
        .await?;
    if !rooms.close_report(Pos(id)).await? {
        return Err(no_such().into());
    }
    Ok(json(StatusCode::OK, &json!({})))
}

/// The query of [`list`].
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    before: Option<i64>,
    limit: Option<usize>,
}

/// `GET /_myelin/admin/v1/reports`
///
/// Of events, rooms and users, the latest first; `next` goes on from there.
pub async fn list(
    State(rooms): State<Rooms>,
    _: Administrator,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let found = rooms.reports(page.before.map(Pos), limit).await?;
    let next = found.last().filter(|_| found.len() == limit);
    let next = next.map(|(pos, _)| pos.0);
    let reports: Vec<Value> = found
        .iter()
        .map(|(pos, report)| {
            json!({
                "id": pos.0,
                "what": report.what,
                "room_id": report.room_id,
                "event_id": report.event_id,
                "user_id": report.user_id,
                "by": report.by,
                "reason": report.reason,
                "at_ms": report.at_ms,
            })
        })
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "reports": reports, "next": next }),
    ))
}
