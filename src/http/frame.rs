//! What every answer has: a request id, the CORS headers, a line in the log, a place in the figures, a span where somebody
//! collects them, and an answer even when a handler panics.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients)

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use config::{Config, Network, RequestLog};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tracing::Span;

use crate::{
    BodyLimits, ClientAddress, HttpFigures, Peer, StandardError,
    exchange::Exchange,
    request_id::{REQUEST_ID, RequestIds},
    spans::{Seen, Spans},
};

/// What the frame needs to know.
#[derive(Clone, Default)]
pub struct Frame {
    body: BodyLimits,
    trusted_proxies: Arc<[Network]>,
    ids: RequestIds,
    log: RequestLog,
    figures: HttpFigures,
    /// The server's name, if somebody collects spans.
    traced: Option<Arc<str>>,
}

impl Frame {
    /// From the options. Requests are counted in `figures`.
    pub fn new(config: &Config, figures: HttpFigures) -> Self {
        Self {
            body: BodyLimits {
                bytes: config.limits.request_body_bytes,
                timeout: Duration::from_millis(config.limits.request_body_timeout_ms),
            },
            trusted_proxies: config.trusted_proxies.as_slice().into(),
            ids: RequestIds::default(),
            log: config.log.requests,
            figures,
            traced: (config.tracing.otlp_endpoint.is_some())
                .then(|| config.server_name.as_str().into()),
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
    let peer = request.extensions().get::<Peer>().copied();
    let address = ClientAddress::find(peer, request.headers(), &frame.trusted_proxies);
    let trusted = Peer::is_trusted(peer, &frame.trusted_proxies);
    let id = frame.ids.of(request.headers(), trusted);
    request.extensions_mut().insert(address);
    request.extensions_mut().insert(frame.body);
    let seen = Seen {
        id: &id,
        address,
        trusted,
        traced: frame.traced.as_deref(),
    };
    let spans = Spans::of(&request, &seen);
    let matched = request.extensions().get::<MatchedPath>();
    let exchange = Exchange::begin(
        &frame.figures,
        (request.method(), matched),
        spans.clone(),
        (frame.log, address),
    );
    let mut response = if request.method() == Method::OPTIONS {
        // No endpoint's logic may run for a browser's question what it may ask.
        StatusCode::NO_CONTENT.into_response()
    } else {
        let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
        let answer = spans.around(answering).await;
        answer.unwrap_or_else(|panic| {
            let _entered = spans.enter();
            tracing::error!(cause = text_of(&*panic), "a handler panicked");
            frame.figures.panicked();
            StandardError::unknown("Internal server error.").into_response()
        })
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    add_cors(headers);
    exchange.answered(response)
}

/// From now on the request's lines in the log say who asks, and its span does.
pub fn requester(user_id: &str, device_id: &str) {
    let span = Span::current();
    for (name, value) in [("user.id", user_id), ("device.id", device_id)] {
        span.record(name, value);
        traces::note(name, value);
    }
}

fn add_cors(headers: &mut HeaderMap) {
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
        HeaderValue::from_static("Retry-After, X-Request-Id"),
    );
    // A day: a browser would ask again before every request.
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
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
