//! [Spaces](https://spec.matrix.org/v1.19/client-server-api/#spaces).

use ::rooms::{Hierarchy, HierarchyQuery, Rooms, write_json_str};
use axum::extract::State;
use http_layer::{Class, JsonBytes, MatrixRequest, RateLimits, StandardError};
use ruma::api::client::space::get_hierarchy;

use crate::{Error, Sender, events::getting_events::count};

/// `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy)
///
/// # Errors
/// `M_FORBIDDEN` for a room that is not the sender's to see, or not here; `M_INVALID_PARAM` for a bad token or limit.
pub async fn get_space_hierarchy(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    Sender(sender): Sender,
    MatrixRequest(request): MatrixRequest<get_hierarchy::v1::Request>,
) -> Result<JsonBytes, Error> {
    limits.check(Class::Search, &sender)?;
    let limit = request.limit.map(count);
    if limit == Some(0) {
        return Err(StandardError::invalid_param("`limit` must be greater than zero.").into());
    }
    let query = HierarchyQuery {
        from: request.from.as_deref(),
        limit,
        max_depth: request.max_depth.map(count),
        suggested_only: request.suggested_only,
    };
    let page = rooms.hierarchy(&request.room_id, &sender, &query).await?;
    Ok(JsonBytes(write(&page).map_err(Error::internal)?))
}

fn write(page: &Hierarchy) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = b"{\"rooms\":[".to_vec();
    for (index, room) in page.rooms.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, &room.summary.to_json())?;
        // Into the object, whose brace is the last byte: it has members for sure.
        out.pop();
        out.extend_from_slice(b",\"children_state\":[");
        for (index, child) in room.children.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            child.write_stripped(&mut out);
            out.pop();
            out.extend_from_slice(
                format!(",\"origin_server_ts\":{}}}", child.origin_server_ts).as_bytes(),
            );
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
    if let Some(token) = &page.next_batch {
        out.extend_from_slice(b",\"next_batch\":");
        write_json_str(&mut out, token);
    }
    out.push(b'}');
    Ok(out)
}
