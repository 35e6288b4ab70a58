//! [Forming relationships between events](https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events).
//!
//! Answers are written as bytes, see `event_writer.rs`.

use ::rooms::{RECURSION_DEPTH, RelationQuery};
use axum::extract::State;
use http_layer::{JsonBytes, MatrixRequest};
use ruma::{
    EventId, RoomId, UInt,
    api::{
        Direction,
        client::relations::{
            get_relating_events, get_relating_events_with_rel_type,
            get_relating_events_with_rel_type_and_event_type,
        },
    },
};

use crate::{
    Error, Services, Session,
    event_writer::EventWriter,
    events::getting_events::{count, position, token},
    extract::LastOfPath,
};

/// Events on a page if the client does not say. The spec's example.
const DEFAULT_LIMIT: usize = 20;

/// What all three endpoints ask.
struct Question<'a> {
    room_id: &'a RoomId,
    event_id: &'a EventId,
    rel_type: Option<&'a str>,
    event_type: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    direction: Direction,
    limit: Option<UInt>,
    recurse: bool,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid)
///
/// # Errors
/// `M_NOT_FOUND` if there is no such event, or none that the sender may see; `M_INVALID_PARAM` for a bad token.
pub async fn get_relating_events(
    State(services): State<Services>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_relating_events::v1::Request>,
) -> Result<JsonBytes, Error> {
    let question = Question {
        room_id: &request.room_id,
        event_id: &request.event_id,
        rel_type: None,
        event_type: None,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
        direction: request.dir,
        limit: request.limit,
        recurse: request.recurse,
    };
    answer(&services, &session, &question).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltype)
///
/// # Errors
/// As [`get_relating_events`].
pub async fn get_relating_events_with_rel_type(
    State(services): State<Services>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_relating_events_with_rel_type::v1::Request>,
) -> Result<JsonBytes, Error> {
    let question = Question {
        room_id: &request.room_id,
        event_id: &request.event_id,
        rel_type: Some(request.rel_type.as_str()),
        event_type: None,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
        direction: request.dir,
        limit: request.limit,
        recurse: request.recurse,
    };
    answer(&services, &session, &question).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltypeeventtype)
///
/// # Errors
/// As [`get_relating_events`].
pub async fn get_relating_events_with_rel_type_and_event_type(
    State(services): State<Services>,
    Session(session): Session,
    LastOfPath(event_type): LastOfPath,
    MatrixRequest(request): MatrixRequest<
        get_relating_events_with_rel_type_and_event_type::v1::Request,
    >,
) -> Result<JsonBytes, Error> {
    let question = Question {
        room_id: &request.room_id,
        event_id: &request.event_id,
        rel_type: Some(request.rel_type.as_str()),
        event_type: Some(&event_type),
        from: request.from.as_deref(),
        to: request.to.as_deref(),
        direction: request.dir,
        limit: request.limit,
        recurse: request.recurse,
    };
    answer(&services, &session, &question).await
}

async fn answer(
    services: &Services,
    session: &users::Session,
    question: &Question<'_>,
) -> Result<JsonBytes, Error> {
    let rooms = &services.rooms;
    let (parent, visibility) = rooms
        .visible_event(question.room_id, question.event_id, &session.user_id)
        .await?;
    let query = RelationQuery {
        rel_type: question.rel_type,
        event_type: question.event_type,
        recurse: question.recurse,
        from: position(rooms, question.from)?,
        to: position(rooms, question.to)?,
        direction: question.direction,
        limit: question.limit.map_or(DEFAULT_LIMIT, count),
    };
    let page = rooms.relations(&parent, &visibility, &query).await?;
    let mut answer = EventWriter::new(&services.host, session, question.room_id)
        .with_membership(&visibility)
        .with_relations(rooms, &services.users, &page.events)
        .await?;
    answer.events("chunk", &page.events);
    if let Some(end) = page.end {
        answer.text("next_batch", &token(rooms, end));
    }
    if let Some(from) = question.from {
        answer.text("prev_batch", from);
    }
    if question.recurse {
        answer.number("recursion_depth", RECURSION_DEPTH.into());
    }
    Ok(answer.finish())
}
