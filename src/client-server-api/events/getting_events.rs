//! [Getting events for a room](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room).
//!
//! Answers are written as bytes, see `event_writer.rs`.

use std::{collections::BTreeMap, sync::Arc};

use ::rooms::{Event, EventFilter, Paging, Rooms, Token, TokenError};
use axum::{extract::State, response::Response};
use host::Host;
use http::{StatusCode, Uri};
use http_layer::{JsonBytes, MatrixRequest, MatrixResponse, StandardError, json};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::{
        membership::{get_member_events, joined_members},
        message::get_message_events,
        peeking::get_current_state,
        room::{get_event_by_timestamp, get_room_event},
        state::{
            get_state_event_for_key::{self, v3::StateEventFormat},
            get_state_events,
        },
    },
    events::room::member::MembershipState,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use store::{Pos, rows::Membership};
use users::Users;

use super::snapshot::{self, Snapshots};
use crate::{Error, Sender, Session, event_writer::EventWriter};

/// `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid)
///
/// # Errors
/// `M_NOT_FOUND` if there is no such event, or none that the sender may see.
pub async fn get_one_room_event(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_room_event::v3::Request>,
) -> Result<JsonBytes, Error> {
    let (event, visibility) = rooms
        .visible_event(&request.room_id, &request.event_id, &session.user_id)
        .await?;
    Ok(EventWriter::new(&host, &session, &request.room_id)
        .with_membership(&visibility)
        .with_relations(&rooms, &users, std::slice::from_ref(&event))
        .await?
        .only_event(&event))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/messages`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_INVALID_PARAM` for a bad token.
pub async fn get_room_events(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_message_events::v3::Request>,
) -> Result<JsonBytes, Error> {
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let from = position(&rooms, request.from.as_deref())?;
    let filter = EventFilter::from(request.filter);
    let paging = Paging {
        from,
        to: position(&rooms, request.to.as_deref())?,
        direction: request.dir,
        limit: count(request.limit).min(filter.limit.unwrap_or(usize::MAX)),
        filter: &filter,
    };
    let page = rooms.page(&view, &paging).await?;

    let mut answer = EventWriter::new(&host, &session, &request.room_id)
        .with_membership(&view.visibility)
        .with_relations(&rooms, &users, &page.events)
        .await?;
    answer.text("start", &token(&rooms, from.unwrap_or(page.start)));
    if page.more {
        answer.text("end", &token(&rooms, page.end));
    }
    answer.events("chunk", &page.events);
    let newest = page.events.iter().map(|event| event.pos).max();
    if let Some(newest) = newest.filter(|_| filter.lazy_load_members) {
        answer.events(
            "state",
            &rooms
                .members_of_events(view.room.nid, &page.events, newest)
                .await?,
        );
    }
    Ok(answer.finish())
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it.
pub async fn get_room_state(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_state_events::v3::Request>,
) -> Result<JsonBytes, Error> {
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let state = rooms.state_events(view.room.nid, view.upto).await?;
    Ok(EventWriter::new(&host, &session, &request.room_id).only_events(&state))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_NOT_FOUND` without such state.
pub async fn get_room_state_with_key(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_state_event_for_key::v3::Request>,
) -> Result<JsonBytes, Error> {
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let event_type = request.event_type.to_string();
    let event = rooms
        .state_event_at(view.room.nid, &event_type, &request.state_key, view.upto)
        .await?;
    let event = event.ok_or_else(|| StandardError::not_found("The room has no such state."))?;
    Ok(match request.format {
        StateEventFormat::Event => {
            EventWriter::new(&host, &session, &request.room_id).only_event(&event)
        }
        _ => JsonBytes(event.content_bytes().to_vec()),
    })
}

/// `GET /_matrix/client/v3/rooms/{roomId}/members`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_INVALID_PARAM` for a bad token.
pub async fn get_members_by_room(
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_member_events::v3::Request>,
) -> Result<JsonBytes, Error> {
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let at = position(&rooms, request.at.as_deref())?.map_or(view.upto, |at| at.min(view.upto));
    let is =
        |state: &MembershipState, membership: Membership| state.as_str() == membership.as_str();
    // "When specified alongside `not_membership`, the two parameters create an 'or' condition."
    let wanted = |membership| match (&request.membership, &request.not_membership) {
        (None, None) => true,
        (Some(only), None) => is(only, membership),
        (None, Some(not)) => !is(not, membership),
        (Some(only), Some(not)) => is(only, membership) || !is(not, membership),
    };
    let members = rooms.members_at(view.room.nid, at).await?;
    let mut numbers: Vec<_> = members
        .into_iter()
        .filter(|(_, row)| wanted(row.membership))
        .map(|(_, row)| row.rsn)
        .collect();
    numbers.sort_unstable();
    let members = rooms.events(view.room.nid, &numbers).await?;
    let mut answer = EventWriter::new(&host, &session, &request.room_id);
    answer.events("chunk", &members);
    Ok(answer.finish())
}

/// `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members)
///
/// Written by hand: clients know from Synapse that a name or picture that is not set is null, ruma leaves it out.
///
/// # Errors
/// `M_FORBIDDEN` unless the sender is in the room.
pub async fn get_joined_members_by_room(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<joined_members::v3::Request>,
) -> Result<Response, Error> {
    let view = rooms.view(&request.room_id, &sender).await?;
    if view.visibility.membership_at(view.upto) != Some(Membership::Join) {
        return Err(StandardError::forbidden("You are not in this room.").into());
    }
    let members = rooms.members_at(view.room.nid, view.upto).await?;
    let joined = members
        .into_iter()
        .filter(|(_, row)| row.membership == Membership::Join);
    let numbers: Vec<_> = joined.map(|(_, row)| row.rsn).collect();
    let events = rooms.events(view.room.nid, &numbers).await?;
    let joined: BTreeMap<_, _> = events
        .iter()
        .filter_map(|event| Some((event.member()?.as_str(), profile(event))))
        .collect();
    Ok(json(StatusCode::OK, &json!({ "joined": joined })))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/initialSync`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync)
///
/// Deprecated; Element asks for it where it shows a room without joining it.
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it.
pub async fn room_initial_sync(
    State(snapshots): State<Snapshots>,
    Session(session): Session,
    uri: Uri,
    MatrixRequest(request): MatrixRequest<get_current_state::v3::Request>,
) -> Result<JsonBytes, Error> {
    let reader = snapshots.reader(session, snapshot::limit(&uri)?).await?;
    let now = snapshots.rooms.store().visible();
    let room = snapshots.room(&reader, &request.room_id, now).await?;
    Ok(JsonBytes(room))
}

/// `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_NOT_FOUND` without such an event.
pub async fn get_event_by_timestamp(
    State(rooms): State<Rooms>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<get_event_by_timestamp::v1::Request>,
) -> Result<MatrixResponse<get_event_by_timestamp::v1::Response>, Error> {
    let view = rooms.view(&request.room_id, &sender).await?;
    let event = rooms
        .event_by_time(&view, request.ts.get().into(), request.dir)
        .await?;
    let sent = MilliSecondsSinceUnixEpoch(UInt::new_saturating(event.origin_server_ts));
    Ok(MatrixResponse(get_event_by_timestamp::v1::Response::new(
        event.event_id.clone(),
        sent,
    )))
}

/// The position behind a client's token. A token of another database starts over, as if there were none.
pub(crate) fn position(rooms: &Rooms, token: Option<&str>) -> Result<Option<Pos>, StandardError> {
    let Some(text) = token.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match Token::parse(text, rooms.store().instance()) {
        Ok(token) => Ok(Some(token.pos)),
        Err(TokenError::OtherInstance) => Ok(None),
        Err(error @ TokenError::Malformed) => Err(StandardError::invalid_param(error.to_string())),
    }
}

/// The token for a position.
pub(crate) fn token(rooms: &Rooms, pos: Pos) -> String {
    Token {
        instance: rooms.store().instance(),
        pos,
    }
    .to_string()
}

/// A client's limit. What does not fit is more than any bound of ours.
pub(crate) fn count(limit: UInt) -> usize {
    usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)
}

/// What a member event says of its user. Anything else than a text is as good as nothing.
fn profile(event: &Arc<Event>) -> Value {
    #[derive(Default, Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        displayname: Option<&'a RawValue>,
        #[serde(borrow)]
        avatar_url: Option<&'a RawValue>,
    }
    let content: Content<'_> = serde_json::from_str(event.content()).unwrap_or_default();
    let text =
        |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    [
        ("display_name", text(content.displayname)),
        ("avatar_url", text(content.avatar_url)),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .collect()
}
