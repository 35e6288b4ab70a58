//! [Room previews](https://spec.matrix.org/v1.19/client-server-api/#room-previews): following a room without being in it.
//! Deprecated by the spec, and still what Element does with rooms that are world-readable.

use std::{pin::pin, sync::Arc, time::Duration};

use ::rooms::{Event, EventFilter, Page, Paging, RoomView, Rooms, Watch};
use axum::extract::{FromRef, State};
use config::Config;
use host::{Host, Shutdown};
use http_layer::{JsonBytes, MatrixRequest};
use ruma::api::{Direction, client::peeking::listen_to_new_events};
use store::Pos;
use tokio::time::Instant;

use crate::{
    Error, Services, Session,
    event_writer::EventWriter,
    events::getting_events::{position, token},
};

/// Events of one answer.
const PAGE: usize = 100;

/// What peeking needs besides the request.
#[derive(Clone)]
pub struct Peeking {
    rooms: Rooms,
    watch: Watch,
    host: Host,
    shutdown: Shutdown,
    config: Arc<Config>,
}

impl FromRef<Services> for Peeking {
    fn from_ref(services: &Services) -> Self {
        Self {
            rooms: services.rooms.clone(),
            watch: services.watch.clone(),
            host: services.host.clone(),
            shutdown: services.shutdown.clone(),
            config: Arc::clone(&services.config),
        }
    }
}

/// `GET /_matrix/client/v3/events` with a `room_id`.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events)
///
/// Waits for events after `from`, or for the next one from now on.
///
/// # Errors
/// `M_FORBIDDEN` for a room that the sender is not in and may not look into; `M_INVALID_PARAM` for a bad token.
pub async fn peek_events(
    State(peeking): State<Peeking>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<listen_to_new_events::v3::Request>,
) -> Result<JsonBytes, Error> {
    let rooms = &peeking.rooms;
    let from = position(rooms, request.from.as_deref())?;
    let from = from.unwrap_or_else(|| rooms.store().visible());
    let longest = Duration::from_millis(peeking.config.limits.sync_timeout_ms);
    let deadline = Instant::now() + request.timeout.unwrap_or_default().min(longest);
    let room = rooms
        .view(&request.room_id, &session.user_id)
        .await?
        .room
        .nid;
    let watcher = peeking.watch.on(room);
    loop {
        let mut news = pin!(watcher.next());
        news.as_mut().enable();
        // News come a moment before they may be told.
        rooms.store().reached(watcher.latest()).await;
        // Anew each time: the room may have been closed meanwhile.
        let view = rooms.view(&request.room_id, &session.user_id).await?;
        let page = after(rooms, &view, from).await?;
        let stopping = peeking.shutdown.is_started();
        if !page.events.is_empty() || stopping || Instant::now() >= deadline {
            let mut answer = EventWriter::new(&peeking.host, &session, &request.room_id)
                .with_membership(&view.visibility);
            let end = page
                .events
                .last()
                .map_or(from, |event: &Arc<Event>| event.pos);
            answer.text("start", &token(rooms, from));
            answer.text("end", &token(rooms, end));
            answer.events("chunk", &page.events);
            return Ok(answer.finish());
        }
        tokio::select! {
            () = news => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = peeking.shutdown.wait() => {}
        }
    }
}

async fn after(rooms: &Rooms, view: &RoomView, from: Pos) -> Result<Page, Error> {
    let filter = EventFilter::default();
    let paging = Paging {
        from: Some(from),
        to: None,
        direction: Direction::Forward,
        limit: PAGE,
        filter: &filter,
    };
    Ok(rooms.page(view, &paging).await?)
}
