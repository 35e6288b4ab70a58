//! Rooms: found, shown and explained
//! ([Synapse's room API](https://element-hq.github.io/synapse/latest/admin_api/rooms.html)).

use std::cmp::Reverse;

use ::rooms::{ClientView, Event, Rooms};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use host::Host;
use http::StatusCode;
use http_layer::{StandardError, json};
use ruma::{OwnedRoomOrAliasId, RoomOrAliasId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use store::{
    Pos, RoomNid,
    rows::{Membership, RoomHeadRow},
};

use crate::{
    Administrator,
    extract::{InPath, Params},
};

/// Rooms on a page, unless asked for otherwise, as in Synapse; and on the largest.
const PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;
/// Changes of a piece of state that are told.
const CHANGES: usize = 100;

/// The query of [`list`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    from: usize,
    limit: Option<usize>,
    order_by: Option<String>,
    dir: Option<String>,
    search_term: Option<String>,
    public_rooms: Option<bool>,
    empty_rooms: Option<bool>,
}

/// `GET /_synapse/admin/v1/rooms`
///
/// # Errors
/// `M_INVALID_PARAM` for an order that does not exist, and for an empty search.
pub async fn list(
    State(rooms): State<Rooms>,
    _: Administrator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Error> {
    let limit = query.limit.unwrap_or(PAGE);
    let backwards = match query.dir.as_deref() {
        None | Some("f") => false,
        Some("b") => true,
        Some(_) => return Err(StandardError::invalid_param("`dir` is `f` or `b`.").into()),
    };
    if limit > MAX_PAGE || query.search_term.as_deref() == Some("") {
        let message = "`limit` is at most 10000, and `search_term` is not empty.";
        return Err(StandardError::invalid_param(message).into());
    }
    let mut found = Vec::new();
    for (room, head) in rooms.all_rooms().await? {
        let described = describe(&rooms, room, &head).await?;
        let is = |wanted: Option<bool>, fact: bool| wanted.is_none_or(|wanted| wanted == fact);
        let is_wanted = is(query.public_rooms, described["public"] == true)
            && is(query.empty_rooms, head.joined == 0);
        let term = query.search_term.as_deref().map(str::to_lowercase);
        if is_wanted && term.is_none_or(|term| is_about(&described, &term)) {
            found.push(described);
        }
    }
    sort(&mut found, query.order_by.as_deref().unwrap_or("name"))?;
    if backwards {
        found.reverse();
    }
    let total = found.len();
    let page: Vec<Value> = found.into_iter().skip(query.from).take(limit).collect();
    let next = query.from + page.len();
    let mut answer = json!({ "rooms": page, "offset": query.from, "total_rooms": total });
    if next < total {
        answer["next_batch"] = json!(next);
    }
    if query.from > 0 {
        answer["prev_batch"] = json!(query.from.saturating_sub(limit));
    }
    Ok(json(StatusCode::OK, &answer))
}

/// As Synapse: the name and the alias contain the term, or it is the room's id.
fn is_about(room: &Value, term: &str) -> bool {
    let contains = |key: &str| {
        let text = room[key].as_str().unwrap_or_default();
        text.to_lowercase().contains(term)
    };
    contains("name") || contains("canonical_alias") || contains("room_id")
}

/// Text from A to Z, numbers from the largest, as Synapse has it.
fn sort(rooms: &mut [Value], order: &str) -> Result<(), StandardError> {
    let text = |room: &Value, key: &str| room[key].as_str().unwrap_or_default().to_lowercase();
    match order {
        "name" | "alphabetical" => rooms.sort_by_cached_key(|room| text(room, "name")),
        "canonical_alias" | "version" | "creator" | "encryption" | "join_rules"
        | "guest_access" | "history_visibility" => {
            rooms.sort_by_cached_key(|room| text(room, order));
        }
        "size" | "joined_members" | "joined_local_members" => {
            rooms.sort_by_cached_key(|room| Reverse(room["joined_members"].as_u64()));
        }
        "state_events" => {
            rooms.sort_by_cached_key(|room| Reverse(room[order].as_u64()));
        }
        "federatable" | "public" => rooms.sort_by_cached_key(|room| room[order].as_bool()),
        _ => {
            let message = format!("`order_by`: there is no order `{order}`.");
            return Err(StandardError::invalid_param(message));
        }
    }
    Ok(())
}

async fn describe(rooms: &Rooms, room: RoomNid, head: &RoomHeadRow) -> Result<Value, Error> {
    let summary = rooms.public_summary(room).await?;
    let content = async |event_type: &str| -> Result<Value, Error> {
        let event = rooms.state_event(room, event_type, "").await?;
        let content = event.and_then(|event| serde_json::from_str(event.content()).ok());
        Ok(content.unwrap_or(Value::Null))
    };
    let create = rooms.state_event(room, "m.room.create", "").await?;
    let creation = content("m.room.create").await?;
    Ok(json!({
        "room_id": summary.room_id,
        "name": summary.name,
        "topic": summary.topic,
        "avatar": summary.avatar_url,
        "canonical_alias": summary.canonical_alias,
        "joined_members": head.joined,
        // There is no other server yet.
        "joined_local_members": head.joined,
        "version": head.version,
        "creator": create.map(|event| event.sender.clone()),
        "encryption": content("m.room.encryption").await?["algorithm"],
        "federatable": creation["m.federate"].as_bool().unwrap_or(true),
        "public": rooms.is_published(&summary.room_id).await?,
        "join_rules": content("m.room.join_rules").await?["join_rule"],
        "guest_access": content("m.room.guest_access").await?["guest_access"],
        "history_visibility": content("m.room.history_visibility").await?["history_visibility"],
        "state_events": rooms.current_state(room).await?.len(),
        "room_type": creation["type"],
    }))
}

/// The room that an id or an alias names.
pub(crate) async fn named(rooms: &Rooms, name: &RoomOrAliasId) -> Result<RoomNid, Error> {
    let room_id = rooms.resolve(name).await?;
    Ok(rooms.nid(&room_id).await?)
}

/// `GET /_synapse/admin/v1/rooms/{roomId}`
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for what is no room.
pub async fn show(
    State(rooms): State<Rooms>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    let head = rooms.head(room).await?;
    let mut answer = describe(&rooms, room, &head).await?;
    answer["joined_members"] = json!(head.joined);
    answer["invited_members"] = json!(head.invited);
    answer["events"] = json!(head.last_rsn.0);
    answer["forgotten"] = json!(head.joined == 0 && head.invited == 0);
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/members`
pub async fn members(
    State(rooms): State<Rooms>,
    State(users): State<::users::Users>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    let mut members = Vec::new();
    for (user, row) in rooms.members(room).await? {
        if row.membership == Membership::Join {
            members.push(users.user_id(user).await?);
        }
    }
    Ok(json(
        StatusCode::OK,
        &json!({ "total": members.len(), "members": members }),
    ))
}

/// The query of [`state`].
#[derive(Debug, Deserialize)]
pub(crate) struct StateQuery {
    r#type: Option<String>,
}

/// `GET /_synapse/admin/v1/rooms/{roomId}/state`
pub async fn state(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
    Params(query): Params<StateQuery>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    let wanted = |event: &Event| {
        let event_type = query.r#type.as_deref();
        event_type.is_none_or(|event_type| *event.event_type == *event_type)
    };
    let events = rooms.state_events(room, Pos::MAX).await?;
    let room_id = rooms.room(room).await?.id.clone();
    let events: Vec<Box<RawValue>> = events
        .iter()
        .filter(|event| wanted(event))
        .map(|event| event_json(event, room_id.as_str(), host.now_ms()))
        .collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &json!({ "state": events })))
}

/// An event as clients see it, its bytes untouched.
pub(crate) fn event_json(
    event: &Event,
    room_id: &str,
    now_ms: u64,
) -> Result<Box<RawValue>, Error> {
    let mut bytes = Vec::new();
    let view = ClientView {
        room_id: Some(room_id),
        now_ms,
        ..ClientView::default()
    };
    event.write_client(&mut bytes, &view);
    let text = String::from_utf8(bytes).map_err(Error::internal)?;
    RawValue::from_string(text).map_err(Error::internal)
}

/// The query of [`explain`].
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    r#type: String,
    #[serde(default)]
    state_key: String,
}

/// `GET /_myelin/admin/v1/rooms/{roomId}/explain`
///
/// How a piece of state came to be what it is: the latest change first, at most a hundred.
pub async fn explain(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
    Params(which): Params<Which>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    let room_id = rooms.room(room).await?.id.clone();
    let key = (which.r#type.as_str(), which.state_key.as_str());
    let mut changes = Vec::new();
    for change in rooms.explain(room, key, CHANGES).await? {
        changes.push(json!({
            "position": change.pos.0,
            "by_resolution": change.by_resolution,
            "event": event_json(&change.event, room_id.as_str(), host.now_ms())?,
        }));
    }
    Ok(json(StatusCode::OK, &json!({ "changes": changes })))
}
