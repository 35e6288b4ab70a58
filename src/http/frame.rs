//! What every answer has: a request id in the log, the CORS headers, and an answer even when a handler panics.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients)

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use config::{Config, Network};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tracing::Instrument;

use crate::{BodyLimits, ClientAddress, Peer, StandardError};

/// What the frame needs to know.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    body: BodyLimits,
    trusted_proxies: Arc<[Network]>,
    count: Arc<AtomicU64>,
}

impl Frame {
    /// From the options.
    pub fn new(config: &Config) -> Self {
        Self {
            body: BodyLimits {
                bytes: config.limits.request_body_bytes,
                timeout: Duration::from_millis(config.limits.request_body_timeout_ms),
            },
            trusted_proxies: config.trusted_proxies.as_slice().into(),
            count: Arc::default(),
        }
    }
}

/// Puts the frame around `router`, whose endpoints are all there: elsewhere is `M_UNRECOGNIZED`.
pub fn frame<S: Clone + Send + Sync + 'static>(router: Router<S>, frame: Frame) -> Router<S> {
    router
        .fallback(async || StandardError::unrecognized())
        .method_not_allowed_fallback(async || StandardError::method_not_allowed())
        .layer(from_fn_with_state(frame, around))
}

async fn around(State(frame): State<Frame>, mut request: Request, next: Next) -> Response {
    // No endpoint's logic may run for a browser's question what it may ask.
    if request.method() == Method::OPTIONS {
        return with_cors(StatusCode::NO_CONTENT.into_response());
    }
    let id = frame.count.fetch_add(1, Ordering::Relaxed);
    let peer = request.extensions().get::<Peer>().copied();
    let address = ClientAddress::find(peer, request.headers(), &frame.trusted_proxies);
    request.extensions_mut().insert(address);
    request.extensions_mut().insert(frame.body);
    // The path only: the query may hold an access token.
    let span = tracing::info_span!(
        "request",
        request.id = id,
        http.method = %request.method(),
        http.path = request.uri().path(),
    );
    let started = Instant::now();
    let answer = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let _entered = span.enter();
    let response = answer.unwrap_or_else(|panic| {
        tracing::error!(cause = text_of(&*panic), "a handler panicked");
        StandardError::unknown("Internal server error.").into_response()
    });
    tracing::debug!(
        http.status = response.status().as_u16(),
        client.address = %address.0,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    with_cors(response)
}

fn with_cors(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization, Date"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After"),
    );
    // A day: a browser would ask again before every request.
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    response
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;
