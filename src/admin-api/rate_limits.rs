//! Users who may do more or less than others at a time
//! ([Synapse's](https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#override-ratelimiting-for-users)).

use administration::{Administration, RateLimitOverride};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use config::RateLimit;
use http::StatusCode;
use http_layer::{JsonBody, Override, RateLimits, StandardError, json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Administrator, extract::Target};

/// The largest number taken: more than a server can answer.
const MAX: u32 = 1_000_000;

/// What an override means to those who limit requests: as in Synapse, none a second is no limit at all, and any other number
/// is about messages alone.
pub fn meaning(instead: RateLimitOverride) -> Override {
    match instead.messages_per_second {
        0 => Override::Unlimited,
        per_second => Override::Messages(RateLimit {
            per_second: f64::from(per_second),
            // Who may send may send one.
            burst: instead.burst_count.max(1),
        }),
    }
}

/// `GET /_synapse/admin/v1/users/{userId}/override_ratelimit`
///
/// An empty object for whom the same holds as for everybody.
pub async fn show(
    State(administration): State<Administration>,
    _: Administrator,
    target: Target,
) -> Result<Response, Error> {
    let instead = administration.rate_limit_override(target.user).await?;
    let answer = instead.map_or_else(|| json!({}), |instead| json!(instead));
    Ok(json(StatusCode::OK, &answer))
}

/// The body of [`set`].
#[derive(Debug, Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    messages_per_second: u32,
    #[serde(default)]
    burst_count: u32,
}

/// `POST /_synapse/admin/v1/users/{userId}/override_ratelimit`
///
/// # Errors
/// `M_BAD_JSON` for negative numbers, `M_INVALID_PARAM` for more than a million.
pub async fn set(
    State(administration): State<Administration>,
    State(limits): State<RateLimits>,
    administrator: Administrator,
    target: Target,
    JsonBody(body): JsonBody<Body>,
) -> Result<Response, Error> {
    let instead = RateLimitOverride {
        messages_per_second: body.messages_per_second,
        burst_count: body.burst_count,
    };
    if instead.messages_per_second.max(instead.burst_count) > MAX {
        return Err(StandardError::invalid_param("A million is enough.").into());
    }
    administrator
        .audit("user.override_ratelimit", &target.user_id, json!(instead))
        .await?;
    administration
        .set_rate_limit_override(target.user, Some(instead))
        .await?;
    limits.set_override(&target.user_id, Some(meaning(instead)));
    Ok(json(StatusCode::OK, &instead))
}

/// `DELETE /_synapse/admin/v1/users/{userId}/override_ratelimit`
pub async fn delete(
    State(administration): State<Administration>,
    State(limits): State<RateLimits>,
    administrator: Administrator,
    target: Target,
) -> Result<Response, Error> {
    administrator
        .audit("user.override_ratelimit", &target.user_id, Value::Null)
        .await?;
    administration
        .set_rate_limit_override(target.user, None)
        .await?;
    limits.set_override(&target.user_id, None);
    Ok(json(StatusCode::OK, &json!({})))
}
