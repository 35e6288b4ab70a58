//! [Threading](https://spec.matrix.org/v1.19/client-server-api/#threading).
//!
//! Answers are written as bytes, see `event_writer.rs`.

use ::rooms::{Reader, Rooms};
use axum::extract::State;
use host::Host;
use http_layer::{JsonBytes, MatrixRequest, StandardError};
use ruma::api::client::threads::get_threads::{self, v1::IncludeThreads};
use users::Users;

use crate::{
    Error, Session,
    event_writer::EventWriter,
    events::getting_events::{count, position, token},
};

/// Threads on a page if the client does not say. The spec's example.
const DEFAULT_LIMIT: usize = 20;

/// `GET /_matrix/client/v1/rooms/{roomId}/threads`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads)
///
/// # Errors
/// `M_FORBIDDEN` for those who were never in the room and may not look into it; `M_INVALID_PARAM` for a bad token, limit or
/// `include`.
pub async fn get_thread_roots(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_threads::v1::Request>,
) -> Result<JsonBytes, Error> {
    let participated = match request.include {
        IncludeThreads::All => false,
        IncludeThreads::Participated => true,
        _ => return Err(StandardError::invalid_param("Unknown `include`.").into()),
    };
    let limit = request.limit.map_or(DEFAULT_LIMIT, count);
    if limit == 0 {
        return Err(StandardError::invalid_param("`limit` must be greater than zero.").into());
    }
    let from = position(&rooms, request.from.as_deref())?;
    let view = rooms.view(&request.room_id, &session.user_id).await?;
    let ignored = users.ignored_users(session.user).await?;
    let reader = Reader {
        user_id: &session.user_id,
        visibility: Some(&view.visibility),
        ignored: &ignored,
        upto: view.upto,
    };
    let page = rooms
        .threads(&view, &reader, participated, (from, limit))
        .await?;
    let mut answer = EventWriter::new(&host, &session, &request.room_id)
        .with_membership(&view.visibility)
        .with_relations(&rooms, &users, &page.roots)
        .await?;
    answer.events("chunk", &page.roots);
    if let Some(end) = page.end {
        answer.text("next_batch", &token(&rooms, end));
    }
    Ok(answer.finish())
}
