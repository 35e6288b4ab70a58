//! [Server Side Search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search).
//!
//! Events are spliced into the answer as they are, see `event_writer.rs`.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use ::rooms::{Event, EventFilter, Paging, RoomView, Rooms};
use axum::{extract::State, response::Response};
use host::Host;
use http::StatusCode;
use http_layer::{Class, JsonBytes, MatrixRequest, StandardError, json};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId,
    api::{
        Direction,
        client::search::search_events::v3::{Criteria, GroupingKey, OrderBy, Request, SearchKeys},
    },
};
use search::{Found, Group, Hit, Key, Order, Query, Search};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use users::Users;

use crate::{
    AllServices, Error, Services, Session,
    event_writer::EventWriter,
    events::getting_events::{count, token},
};

/// Results if the client does not say, and at most. Synapse's default is the same.
const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// The most events around each result, on either side.
const MAX_CONTEXT: usize = 20;

#[derive(Serialize)]
struct Answer {
    search_categories: Categories,
}

#[derive(Default, Serialize)]
struct Categories {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<RoomEvents>,
}

#[derive(Serialize)]
struct RoomEvents {
    count: usize,
    highlights: Vec<String>,
    results: Vec<SearchResult>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    state: BTreeMap<OwnedRoomId, Box<RawValue>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<&'static str, BTreeMap<String, GroupResult>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

#[derive(Serialize)]
struct SearchResult {
    rank: f64,
    result: Box<RawValue>,
    context: Context,
}

#[derive(Serialize)]
struct Context {
    start: String,
    end: String,
    events_before: Box<RawValue>,
    events_after: Box<RawValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    profile_info: BTreeMap<OwnedUserId, Profile>,
}

/// What a member event says of its user.
#[derive(Default, Deserialize, Serialize)]
struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

#[derive(Serialize)]
struct GroupResult {
    results: Vec<String>,
    order: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// What the parts of an answer need.
struct Writer<'a> {
    rooms: &'a Rooms,
    users: &'a Users,
    host: &'a Host,
    session: &'a users::Session,
    views: HashMap<OwnedRoomId, RoomView>,
}

/// `POST /_matrix/client/v3/search`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search)
///
/// # Errors
/// `M_INVALID_PARAM` for an unknown order, key, group or token.
pub async fn search(
    State(services): State<Services>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<Request>,
) -> Result<Response, Error> {
    let AllServices {
        search,
        rooms,
        users,
        host,
        limits,
        ..
    } = &*services;
    limits.check(Class::Search, &session.user_id)?;
    let mut search_categories = Categories::default();
    if let Some(criteria) = &request.search_categories.room_events {
        let ignored = users.ignored_users(session.user).await?;
        let found = find(
            search,
            &session,
            &ignored,
            (criteria, request.next_batch.as_deref()),
        )
        .await?;
        let writer = Writer {
            rooms,
            users,
            host,
            session: &session,
            views: HashMap::new(),
        };
        search_categories.room_events = Some(writer.room_events(criteria, found).await?);
    }
    let answer = Answer { search_categories };
    Ok(json(StatusCode::OK, &answer))
}

async fn find(
    search: &Search,
    session: &users::Session,
    ignored: &HashSet<OwnedUserId>,
    (criteria, from): (&Criteria, Option<&str>),
) -> Result<Found, Error> {
    let filter = EventFilter::from(criteria.filter.clone());
    let keys = criteria.keys.as_deref().unwrap_or_default();
    let keys: Vec<Key> = keys
        .iter()
        .map(|key| match key {
            SearchKeys::ContentBody => Ok(Key::Body),
            SearchKeys::ContentName => Ok(Key::Name),
            SearchKeys::ContentTopic => Ok(Key::Topic),
            _ => Err(StandardError::invalid_param("Unknown key.")),
        })
        .collect::<Result<_, _>>()?;
    let order = match criteria.order_by {
        None | Some(OrderBy::Rank) => Order::Rank,
        Some(OrderBy::Recent) => Order::Recent,
        _ => return Err(StandardError::invalid_param("Unknown order.").into()),
    };
    let query = Query {
        user: session.user,
        user_id: &session.user_id,
        ignored,
        term: &criteria.search_term,
        keys: &keys,
        filter: &filter,
        order,
        limit: filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        from,
    };
    Ok(search.find(&query).await?)
}

impl Writer<'_> {
    async fn room_events(mut self, criteria: &Criteria, found: Found) -> Result<RoomEvents, Error> {
        let mut results = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            results.push(self.result(criteria, hit).await?);
        }
        let mut state = BTreeMap::new();
        if criteria.include_state == Some(true) {
            for (room_id, view) in &self.views {
                let events = self.rooms.state_events(view.room.nid, view.upto).await?;
                let writer = EventWriter::new(self.host, self.session, room_id);
                state.insert(room_id.clone(), raw(&writer.only_events(&events))?);
            }
        }
        let mut groups = BTreeMap::new();
        for grouping in &criteria.groupings.group_by {
            match grouping.key {
                Some(GroupingKey::RoomId) => {
                    let of =
                        |hit: &Hit| (hit.room_id.to_string(), Group::Room(hit.room_id.clone()));
                    groups.insert("room_id", group(&found, of));
                }
                Some(GroupingKey::Sender) => {
                    let of = |hit: &Hit| {
                        let sender = &hit.event.sender;
                        (sender.to_string(), Group::Sender(sender.clone()))
                    };
                    groups.insert("sender", group(&found, of));
                }
                _ => return Err(StandardError::invalid_param("Unknown group.").into()),
            }
        }
        Ok(RoomEvents {
            count: found.count,
            highlights: found.highlights,
            results,
            state,
            groups,
            next_batch: found.next,
        })
    }

    /// A result, with what is told about it and around it.
    async fn result(&mut self, criteria: &Criteria, hit: &Hit) -> Result<SearchResult, Error> {
        let view = self.view(&hit.room_id).await?;
        let result = EventWriter::new(self.host, self.session, &hit.room_id)
            .with_membership(&view.visibility)
            .with_relations(self.rooms, self.users, std::slice::from_ref(&hit.event))
            .await?
            .only_event(&hit.event);
        let (event, around) = (&hit.event, &criteria.event_context);
        let filter = EventFilter::default();
        let paging = |from, direction, limit| Paging {
            from: Some(from),
            to: None,
            direction,
            limit: count(limit).min(MAX_CONTEXT),
            filter: &filter,
        };
        let before = paging(event.pos.prev(), Direction::Backward, around.before_limit);
        let before = self.rooms.page(&view, &before).await?;
        let after = paging(event.pos, Direction::Forward, around.after_limit);
        let after = self.rooms.page(&view, &after).await?;
        let mut profile_info = BTreeMap::new();
        if around.include_profile {
            let told = before.events.iter().chain([event]).chain(&after.events);
            let told: Vec<Arc<Event>> = told.cloned().collect();
            let members = self
                .rooms
                .members_of_events(view.room.nid, &told, event.pos)
                .await?;
            for member in &members {
                if let Some(user_id) = member.member() {
                    let profile = serde_json::from_str(member.content()).unwrap_or_default();
                    profile_info.insert(user_id.to_owned(), profile);
                }
            }
        }
        let list = |events: &[Arc<Event>]| {
            let writer = EventWriter::new(self.host, self.session, &hit.room_id)
                .with_membership(&view.visibility);
            raw(&writer.only_events(events))
        };
        Ok(SearchResult {
            rank: hit.rank,
            result: raw(&result)?,
            context: Context {
                start: token(self.rooms, before.end),
                end: token(self.rooms, after.end),
                events_before: list(&before.events)?,
                events_after: list(&after.events)?,
                profile_info,
            },
        })
    }

    /// A room as the reader may read it, looked up once.
    async fn view(&mut self, room_id: &RoomId) -> Result<RoomView, Error> {
        Ok(match self.views.entry(room_id.to_owned()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let view = self.rooms.view(room_id, &self.session.user_id).await?;
                place.insert(view).clone()
            }
        })
    }
}

/// The results by what they have in common; the group with the first result comes first.
fn group(found: &Found, of: impl Fn(&Hit) -> (String, Group)) -> BTreeMap<String, GroupResult> {
    let mut groups: BTreeMap<String, GroupResult> = BTreeMap::new();
    for (index, hit) in found.hits.iter().enumerate() {
        let (name, group) = of(hit);
        let entry = groups.entry(name).or_insert_with(|| GroupResult {
            results: Vec::new(),
            order: index + 1,
            next_batch: found.next_of(&group),
        });
        entry.results.push(hit.event.event_id.to_string());
    }
    groups
}

/// JSON that was written by hand, as a part of other JSON.
fn raw(json: &JsonBytes) -> Result<Box<RawValue>, Error> {
    serde_json::from_slice(&json.0).map_err(Error::internal)
}
