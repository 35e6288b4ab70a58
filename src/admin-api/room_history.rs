//! A room's past as an administrator reads it, whoever may see it otherwise, and how it is removed
//! ([Synapse's room API](https://element-hq.github.io/synapse/latest/admin_api/rooms.html),
//! [purge history](https://element-hq.github.io/synapse/latest/admin_api/purge_history_api.html)).

use std::sync::Arc;

use ::rooms::{
    Event, EventFilter, HierarchyQuery, MAX_PAGE_EVENTS, Paging, Rooms, Token, TokenError,
};
use administration::{Administration, Job, PurgeHistory, Task, TaskState};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use host::Host;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedRoomOrAliasId, RoomId,
    api::{Direction, client::filter::RoomEventFilter},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use store::Pos;

use crate::{
    Administrator,
    deletion::status_word,
    extract::{InPath, Params},
    rooms::event_json,
    tasks,
};

/// Events of a page, and around an event, unless asked for otherwise, as in Synapse.
const EVENTS: usize = 10;

/// The query of [`messages`].
#[derive(Debug, Deserialize)]
pub(crate) struct MessagesQuery {
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    dir: Option<Direction>,
    filter: Option<String>,
}

fn filter(json: Option<&str>) -> Result<EventFilter, StandardError> {
    let Some(json) = json else {
        return Ok(EventFilter::default());
    };
    let filter = serde_json::from_str::<RoomEventFilter>(json);
    let filter = filter.map_err(|error| StandardError::bad_json(format!("`filter`: {error}.")));
    Ok(filter?.into())
}

fn position(rooms: &Rooms, token: Option<&str>) -> Result<Option<Pos>, StandardError> {
    match token.map(|token| Token::parse(token, rooms.store().instance())) {
        None | Some(Err(TokenError::OtherInstance)) => Ok(None),
        Some(Ok(token)) => Ok(Some(token.pos)),
        Some(Err(error @ TokenError::Malformed)) => {
            Err(StandardError::invalid_param(error.to_string()))
        }
    }
}

fn token(rooms: &Rooms, pos: Pos) -> String {
    let instance = rooms.store().instance();
    Token { instance, pos }.to_string()
}

/// Events as clients see them.
fn told(events: &[Arc<Event>], room_id: &RoomId, host: &Host) -> Result<Vec<Box<RawValue>>, Error> {
    let told = events.iter();
    told.map(|event| event_json(event, room_id.as_str(), host.now_ms()))
        .collect()
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/messages`
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for a token that is none.
pub async fn messages(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    _: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    Params(query): Params<MessagesQuery>,
) -> Result<Response, Error> {
    let view = rooms.view_all(&room_id).await?;
    let filter = filter(query.filter.as_deref())?;
    let from = position(&rooms, query.from.as_deref())?;
    let paging = Paging {
        from,
        to: position(&rooms, query.to.as_deref())?,
        direction: query.dir.unwrap_or(Direction::Forward),
        limit: query.limit.unwrap_or(EVENTS).min(MAX_PAGE_EVENTS),
        filter: &filter,
    };
    let page = rooms.page(&view, &paging).await?;
    let mut answer = json!({
        "chunk": told(&page.events, &room_id, &host)?,
        "start": token(&rooms, from.unwrap_or(page.start)),
    });
    if page.more {
        answer["end"] = json!(token(&rooms, page.end));
    }
    Ok(json(StatusCode::OK, &answer))
}

/// The query of [`context`].
#[derive(Debug, Deserialize)]
pub(crate) struct ContextQuery {
    limit: Option<usize>,
    filter: Option<String>,
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/context/{eventId}`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn context(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    _: Administrator,
    InPath((room_id, event_id)): InPath<(OwnedRoomId, OwnedEventId)>,
    Params(query): Params<ContextQuery>,
) -> Result<Response, Error> {
    let view = rooms.view_all(&room_id).await?;
    let event = rooms.event_by_id(&event_id).await?;
    let event = event
        .filter(|event| event.room == view.room.nid)
        .ok_or_else(|| StandardError::not_found("Event not found."))?;
    let filter = filter(query.filter.as_deref())?;
    let limit = query.limit.unwrap_or(EVENTS).min(MAX_PAGE_EVENTS);
    let paging = |from, direction, limit| Paging {
        from: Some(from),
        to: None,
        direction,
        limit,
        filter: &filter,
    };
    let before = paging(event.pos.prev(), Direction::Backward, limit / 2);
    let before = rooms.page(&view, &before).await?;
    let after = paging(event.pos, Direction::Forward, limit - limit / 2);
    let after = rooms.page(&view, &after).await?;
    let last = after.events.last().unwrap_or(&event).pos;
    let state = rooms.state_events(view.room.nid, last).await?;
    let answer = json!({
        "start": token(&rooms, before.end),
        "end": token(&rooms, after.end),
        "events_before": told(&before.events, &room_id, &host)?,
        "event": event_json(&event, room_id.as_str(), host.now_ms())?,
        "events_after": told(&after.events, &room_id, &host)?,
        "state": told(&state, &room_id, &host)?,
    });
    Ok(json(StatusCode::OK, &answer))
}

/// The query of [`timestamp_to_event`].
#[derive(Debug, Deserialize)]
pub(crate) struct TimeQuery {
    ts: u64,
    dir: Option<Direction>,
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/timestamp_to_event`
///
/// # Errors
/// `M_NOT_FOUND`, also where no event is on that side of the time.
pub async fn timestamp_to_event(
    State(rooms): State<Rooms>,
    _: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    Params(query): Params<TimeQuery>,
) -> Result<Response, Error> {
    let view = rooms.view_all(&room_id).await?;
    let direction = query.dir.unwrap_or(Direction::Forward);
    let event = rooms.event_by_time(&view, query.ts, direction).await?;
    let answer = json!({
        "event_id": event.event_id,
        "origin_server_ts": event.origin_server_ts,
    });
    Ok(json(StatusCode::OK, &answer))
}

/// The room's id, and it is there.
async fn named(rooms: &Rooms, name: &OwnedRoomOrAliasId) -> Result<OwnedRoomId, Error> {
    let room_id = rooms.resolve(name).await?;
    Ok(rooms.room_by_id(&room_id).await?.id.clone())
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/forward_extremities`
pub async fn forward_extremities(
    State(rooms): State<Rooms>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
) -> Result<Response, Error> {
    let room = rooms.nid(&named(&rooms, &name).await?).await?;
    let head = rooms.head(room).await?;
    let mut results = Vec::new();
    for event in rooms.events(room, &head.forward_extremities).await? {
        results.push(json!({
            "event_id": event.event_id,
            // Where in the room's line of state: there are no groups of it here.
            "state_group": event.pos.0,
            "depth": head.depth,
            "received_ts": event.origin_server_ts,
        }));
    }
    Ok(json(
        StatusCode::OK,
        &json!({ "count": results.len(), "results": results }),
    ))
}

/// The query of [`hierarchy`].
#[derive(Debug, Deserialize)]
pub(crate) struct TreeQuery {
    from: Option<String>,
    limit: Option<usize>,
    max_depth: Option<usize>,
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/hierarchy`
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for a token that is none.
pub async fn hierarchy(
    State(rooms): State<Rooms>,
    _: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    Params(query): Params<TreeQuery>,
) -> Result<Response, Error> {
    rooms.room_by_id(&room_id).await?;
    let wanted = HierarchyQuery {
        from: query.from.as_deref(),
        limit: query.limit,
        max_depth: query.max_depth,
        suggested_only: false,
    };
    let page = rooms.whole_hierarchy(&room_id, &wanted).await?;
    let mut told = Vec::with_capacity(page.rooms.len());
    for room in &page.rooms {
        let mut object = room.to_json();
        let mut children = Vec::with_capacity(room.children.len());
        for child in &room.children {
            let mut stripped = Vec::new();
            child.write_stripped(&mut stripped);
            let mut stripped: Value = serde_json::from_slice(&stripped).map_err(Error::internal)?;
            stripped["origin_server_ts"] = json!(child.origin_server_ts);
            children.push(stripped);
        }
        object.insert("children_state".to_owned(), Value::Array(children));
        told.push(object);
    }
    let mut answer = json!({ "rooms": told });
    if let Some(next) = page.next_batch {
        answer["next_batch"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

/// The body of [`purge`].
#[derive(Debug, Deserialize)]
pub(crate) struct Past {
    #[serde(default)]
    delete_local_events: bool,
    purge_up_to_event_id: Option<OwnedEventId>,
    purge_up_to_ts: Option<u64>,
}

/// `POST /_synapse/admin/v1/purge_history/{roomId}`
///
/// Removes what was said before an event or a time, and answers at once. As with Synapse, what users of this server have
/// said stays unless `delete_local_events` is set.
///
/// # Errors
/// `M_NOT_FOUND`, also if there is no such event, or none before the time; `M_BAD_JSON` if neither is named; `M_UNKNOWN`
/// while the room's history is being purged already.
pub async fn purge(
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath(room_id): InPath<OwnedRoomId>,
    JsonBody(body): JsonBody<Past>,
) -> Result<Response, Error> {
    start_purge(&rooms, &administration, &administrator, room_id, body).await
}

/// `POST /_synapse/admin/v1/purge_history/{roomId}/{eventId}`
///
/// # Errors
/// As [`purge`].
pub async fn purge_before_event(
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath((room_id, event_id)): InPath<(OwnedRoomId, OwnedEventId)>,
    JsonBody(body): JsonBody<Past>,
) -> Result<Response, Error> {
    let body = Past {
        purge_up_to_event_id: Some(event_id),
        ..body
    };
    start_purge(&rooms, &administration, &administrator, room_id, body).await
}

async fn start_purge(
    rooms: &Rooms,
    administration: &Administration,
    administrator: &Administrator,
    room_id: OwnedRoomId,
    body: Past,
) -> Result<Response, Error> {
    let room = rooms.room_by_id(&room_id).await?.nid;
    let before = match (&body.purge_up_to_event_id, body.purge_up_to_ts) {
        (Some(event_id), _) => rooms.horizon_at_event(room, event_id).await?,
        (None, Some(ts_ms)) => rooms.horizon_at_time(&room_id, ts_ms).await?,
        (None, None) => {
            let message = "must specify purge_up_to_event_id or purge_up_to_ts";
            return Err(StandardError::bad_json(message).into());
        }
    };
    let is_active = |task: &Task| {
        !task.state.has_ended()
            && matches!(&task.job, Job::PurgeHistory(job) if job.room_id == room_id)
    };
    if administration.tasks().await?.iter().any(is_active) {
        let message = format!("History purge already in progress for {room_id}");
        let error = StandardError::unknown(message).with_status(StatusCode::BAD_REQUEST);
        return Err(error.into());
    }
    let by = &administrator.name;
    let details = json!({ "before": before.0, "delete_local_events": body.delete_local_events });
    administrator
        .audit("room.purge_history", &room_id, details)
        .await?;
    let job = PurgeHistory {
        room_id,
        before: before.0,
        delete_local_events: body.delete_local_events,
    };
    let task = administration.start(Job::PurgeHistory(job), by).await?;
    let answer = json!({ "purge_id": task.id.0.to_string() });
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /_synapse/admin/v1/purge_history_status/{purgeId}`
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn purge_status(
    State(administration): State<Administration>,
    _: Administrator,
    InPath(purge_id): InPath<String>,
) -> Result<Response, Error> {
    let task = administration.task(tasks::id(&purge_id)?).await?;
    let is_purge = |task: &Task| matches!(task.job, Job::PurgeHistory(_));
    let Some(task) = task.filter(is_purge) else {
        let message = format!("purge id '{purge_id}' not found");
        return Err(StandardError::not_found(message).into());
    };
    // Synapse knows no purge that waits, and those who ask go on asking while it is active.
    let status = match task.state {
        TaskState::Queued => "active",
        _ => status_word(&task),
    };
    let mut answer = json!({ "status": status });
    match task.state {
        TaskState::Failed => answer["error"] = json!(task.error),
        TaskState::Cancelled => answer["error"] = json!("somebody has cancelled it"),
        TaskState::Queued | TaskState::Running | TaskState::Done => {}
    }
    Ok(json(StatusCode::OK, &answer))
}
