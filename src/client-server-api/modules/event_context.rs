//! [Event context](https://spec.matrix.org/v1.19/client-server-api/#event-context).
//!
//! Answers are written as bytes, see `event_writer.rs`.

use std::sync::Arc;

use ::rooms::{EventFilter, MAX_PAGE_EVENTS, Paging, Rooms};
use axum::extract::State;
use host::Host;
use http_layer::{JsonBytes, MatrixRequest};
use ruma::api::{Direction, client::context::get_context};
use users::Users;

use crate::{
    Error, Session,
    event_writer::EventWriter,
    events::getting_events::{count, token},
};

/// `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_NOT_FOUND` if there is no such event, or
/// none that the sender may see.
pub async fn get_event_context(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_context::v3::Request>,
) -> Result<JsonBytes, Error> {
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let (event, _) = rooms
        .visible_event(&request.room_id, &request.event_id, &session.user_id)
        .await?;
    let filter = EventFilter::from(request.filter);
    let limit = count(request.limit)
        .min(filter.limit.unwrap_or(usize::MAX))
        .min(MAX_PAGE_EVENTS);
    let paging = |from, direction, limit| Paging {
        from: Some(from),
        to: None,
        direction,
        limit,
        filter: &filter,
    };
    let before = rooms
        .page(
            &view,
            &paging(event.pos.prev(), Direction::Backward, limit / 2),
        )
        .await?;
    let after = rooms
        .page(
            &view,
            &paging(event.pos, Direction::Forward, limit - limit / 2),
        )
        .await?;

    let last = after.events.last().unwrap_or(&event);
    let told: Vec<_> = before
        .events
        .iter()
        .chain([&event])
        .chain(&after.events)
        .map(Arc::clone)
        .collect();
    let state = if filter.lazy_load_members {
        let mut state = rooms
            .members_of_events(view.room.nid, &told, last.pos)
            .await?;
        state.extend(
            rooms
                .state_events_but_members(view.room.nid, last.pos)
                .await?,
        );
        state
    } else {
        rooms.state_events(view.room.nid, last.pos).await?
    };
    let state: Vec<_> = state
        .into_iter()
        .filter(|event| filter.takes(event))
        .collect();

    let mut answer = EventWriter::new(&host, &session, &request.room_id)
        .with_membership(&view.visibility)
        .with_relations(&rooms, &users, &told)
        .await?;
    answer.text("start", &token(&rooms, before.end));
    answer.text("end", &token(&rooms, after.end));
    answer.events("events_before", &before.events);
    answer.event("event", &event);
    answer.events("events_after", &after.events);
    answer.events("state", &state);
    Ok(answer.finish())
}
