//! [Mutual rooms](https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms).

use ::rooms::Rooms;
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{Class, MatrixRequest, RateLimits, StandardError, json};
use ruma::api::client::membership::get_mutual_rooms;
use serde_json::json;
use store::RoomNid;
use users::Users;

use crate::{Error, Session};

/// Rooms of a page.
const PAGE: usize = 100;

/// `GET /_matrix/client/v1/mutual_rooms`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms)
///
/// # Errors
/// `M_INVALID_PARAM` for the sender's own id, and for a token that is none.
pub async fn get_mutual_rooms(
    State(rooms): State<Rooms>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_mutual_rooms::v1::Request>,
) -> Result<Response, Error> {
    limits.check(Class::Search, &session.user_id)?;
    if request.user_id == session.user_id {
        return Err(StandardError::invalid_param("You share all rooms with yourself.").into());
    }
    let after = request.from.as_deref().map(after).transpose()?;
    let mutual = match users.number(&request.user_id).await? {
        Some(other) => rooms.mutual_rooms(session.user, other).await?,
        None => Vec::new(),
    };
    let rest = mutual.iter().filter(|room| Some(**room) > after);
    let page: Vec<RoomNid> = rest.take(PAGE + 1).copied().collect();
    let mut joined = Vec::with_capacity(page.len());
    for room in page.iter().take(PAGE) {
        joined.push(rooms.store().interner().name(*room).await?);
    }
    let joined: Vec<&str> = joined.iter().map(|room_id| &**room_id).collect();
    let mut answer = json!({ "joined": joined, "count": mutual.len() });
    if page.len() > PAGE {
        answer["next_batch"] = format!("r{}", page[PAGE - 1].0).into();
    }
    Ok(json(StatusCode::OK, &answer))
}

/// The last room of the page before.
fn after(token: &str) -> Result<RoomNid, StandardError> {
    let number = token.strip_prefix('r').and_then(|text| text.parse().ok());
    number
        .map(RoomNid)
        .ok_or_else(|| StandardError::invalid_param("`from` is not a token of this server."))
}
