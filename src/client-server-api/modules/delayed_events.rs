//! Events that wait for their time
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140)), and where calls take place
//! ([MSC4143](https://github.com/matrix-org/matrix-spec-proposals/pull/4143)): what Element's calls need.

use std::sync::Arc;

use ::rooms::{Delayed, DelayedAction, DelayedEvent, ToDelay};
use axum::{
    extract::{FromRequestParts, Query, State},
    response::Response,
};
use config::Config;
use http::{StatusCode, request::Parts};
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError, json};
use ruma::api::client::{
    delayed_events::{
        get_all_delayed_events,
        update_delayed_event::{UpdateAction, unstable_v1, unstable_v2},
    },
    rtc::transports,
};
use serde::Deserialize;
use serde_json::json;

use crate::{Error, Sender, Session};

/// `org.matrix.msc4140.delay` of the query: for how long an event is put off, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delay(pub Option<u64>);

#[derive(Deserialize)]
struct DelayQuery {
    #[serde(rename = "org.matrix.msc4140.delay")]
    delay: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Delay {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Query(query) = Query::<DelayQuery>::try_from_uri(&parts.uri).map_err(|_| {
            StandardError::invalid_param("The delay must be a number of milliseconds.")
        })?;
        Ok(Self(query.delay))
    }
}

/// Puts an event off and answers with its `delay_id`.
pub(crate) async fn put_off(
    delayed: &Delayed,
    session: &users::Session,
    event: ToDelay<'_>,
) -> Result<Response, Error> {
    if !delayed.is_enabled() {
        return Err(StandardError::forbidden("Delayed events are switched off here.").into());
    }
    let user = (session.user, &*session.user_id);
    let delay_id = delayed.schedule(user, event).await?;
    Ok(json(StatusCode::OK, &json!({ "delay_id": delay_id })))
}

/// `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}`
///
/// Without a session: whoever knows the id may, so that a call's server can tell that somebody has gone.
///
/// # Errors
/// `M_NOT_FOUND` for an event that does not wait (any more), `M_INVALID_PARAM` for an unknown action.
pub async fn update_delayed_event(
    State(delayed): State<Delayed>,
    State(limits): State<RateLimits>,
    MatrixRequest(request): MatrixRequest<unstable_v1::Request>,
) -> Result<MatrixResponse<unstable_v1::Response>, Error> {
    // Each event by itself: nobody knows whose request it is.
    limits.check(Class::Message, &request.delay_id)?;
    let action = action(&request.action)?;
    delayed.update(&request.delay_id, action).await?;
    Ok(MatrixResponse(unstable_v1::Response::new()))
}

/// `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}`
///
/// # Errors
/// As [`update_delayed_event`].
pub async fn update_delayed_event_by_path(
    State(delayed): State<Delayed>,
    State(limits): State<RateLimits>,
    MatrixRequest(request): MatrixRequest<unstable_v2::Request>,
) -> Result<MatrixResponse<unstable_v2::Response>, Error> {
    // Each event by itself: nobody knows whose request it is.
    limits.check(Class::Message, &request.delay_id)?;
    let action = action(&request.action)?;
    delayed.update(&request.delay_id, action).await?;
    Ok(MatrixResponse(unstable_v2::Response::new()))
}

/// `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events`
pub async fn get_delayed_events(
    State(delayed): State<Delayed>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_all_delayed_events::unstable::Request>,
) -> Result<Response, Error> {
    limits.check(Class::Search, &session.user_id)?;
    let events: Vec<DelayedEvent> = delayed.of(session.user).await?;
    Ok(json(StatusCode::OK, &json!({ "delayed_events": events })))
}

/// `GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports`
pub async fn get_rtc_transports(
    State(config): State<Arc<Config>>,
    Sender(_): Sender,
    MatrixRequest(_): MatrixRequest<transports::v1::Request>,
) -> Response {
    let url = config.calls.livekit_service_url.iter();
    let transports: Vec<_> = url
        .map(|url| json!({ "type": "livekit", "livekit_service_url": url }))
        .collect();
    json(StatusCode::OK, &json!({ "rtc_transports": transports }))
}

fn action(action: &UpdateAction) -> Result<DelayedAction, StandardError> {
    match action {
        UpdateAction::Cancel => Ok(DelayedAction::Cancel),
        UpdateAction::Restart => Ok(DelayedAction::Restart),
        UpdateAction::Send => Ok(DelayedAction::Send),
        _ => Err(StandardError::invalid_param("There is no such action.")),
    }
}
