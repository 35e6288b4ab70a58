//! [Listing notifications](https://spec.matrix.org/v1.19/client-server-api/#listing-notifications).

use ::rooms::{ClientView, Rooms, write_json_str};
use ::sync::Engine;
use axum::extract::State;
use host::Host;
use http_layer::{JsonBytes, MatrixRequest};
use ruma::api::client::push::get_notifications;

use crate::{
    Error, Session,
    events::getting_events::{count, position},
};

/// Notifications of a page when the client does not say.
const DEFAULT_PAGE: usize = 20;

/// `GET /_matrix/client/v3/notifications`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications)
///
/// # Errors
/// `M_INVALID_PARAM` for a bad token.
pub async fn get_notifications(
    State(engine): State<Engine>,
    State(rooms): State<Rooms>,
    State(host): State<Host>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_notifications::v3::Request>,
) -> Result<JsonBytes, Error> {
    let from = position(&rooms, request.from.as_deref())?;
    let limit = request.limit.map_or(DEFAULT_PAGE, count);
    let highlights_only = request.only.as_deref() == Some("highlight");
    let user = (session.user, &*session.user_id);
    let page = engine
        .notifications(user, from, limit, highlights_only)
        .await?;
    let now_ms = host.now_ms();
    let mut out = b"{\"notifications\":[".to_vec();
    for (index, notification) in page.notifications.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"actions\":");
        out.extend_from_slice(&serde_json::to_vec(&notification.actions).map_err(Error::internal)?);
        out.extend_from_slice(b",\"event\":");
        let view = ClientView {
            now_ms,
            ..ClientView::default()
        };
        notification.event.write_client(&mut out, &view);
        let rest = format!(
            ",\"read\":{},\"ts\":{},\"room_id\":",
            notification.read, notification.event.origin_server_ts
        );
        out.extend_from_slice(rest.as_bytes());
        write_json_str(&mut out, notification.room_id.as_str());
        out.push(b'}');
    }
    out.push(b']');
    if let Some(token) = &page.next_token {
        out.extend_from_slice(b",\"next_token\":");
        write_json_str(&mut out, token);
    }
    out.push(b'}');
    Ok(JsonBytes(out))
}
