//! The two spans of a request: what each of its lines in the log says, and what a collector of OpenTelemetry gets.

use std::future::Future;

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use tracing::{
    Instrument, Span, debug_span, error_span, field::Empty, instrument::Instrumented, span::Entered,
};

use crate::{ClientAddress, request_id::RequestId};

/// What the frame has found out about a request.
pub(crate) struct Seen<'a> {
    pub(crate) id: &'a RequestId,
    pub(crate) address: ClientAddress,
    /// Whoever sends it is believed to know which trace it belongs to.
    pub(crate) trusted: bool,
    /// The server's name, if somebody collects spans.
    pub(crate) traced: Option<&'a str>,
}

/// Both spans; cheap to clone.
#[derive(Clone)]
pub(crate) struct Spans {
    /// Of [`traces::TARGET`]; none where nobody collects them.
    trace: Span,
    /// Within it, so that extractors find it as the current one and add who asks ([`crate::requester`]).
    log: Span,
}

/// What is shown of a path, in bytes; the longest of an endpoint's, with identifiers of 255 bytes, is far shorter.
const PATH_BYTES: usize = 1_000;

impl Spans {
    pub(crate) fn of(request: &Request, seen: &Seen<'_>) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let pattern = matched.map(MatchedPath::as_str);
        // Some paths end in what is as good as a password.
        let path = match pattern {
            Some(pattern) if pattern.contains("{token}") => pattern,
            // The path only: the query may hold an access token.
            _ => request.uri().path(),
        };
        let path = &path[..path.floor_char_boundary(PATH_BYTES)];
        // An error's level, so that a filter which lets warnings through does not take them their request.
        let log = error_span!(
            "request",
            request.id = seen.id.as_str(),
            http.method = %request.method(),
            http.path = %path,
            user.id = Empty,
            device.id = Empty,
        );
        let trace = match seen.traced {
            Some(server_name) => trace(request, (pattern, path), seen, server_name),
            None => Span::none(),
        };
        Self { trace, log }
    }

    /// Both are entered whenever `future` goes on.
    pub(crate) fn around<F: Future>(&self, future: F) -> Instrumented<Instrumented<F>> {
        future
            .instrument(self.log.clone())
            .instrument(self.trace.clone())
    }

    pub(crate) fn enter(&self) -> (Entered<'_>, Entered<'_>) {
        // What is dropped first was entered last.
        let trace = self.trace.enter();
        (self.log.enter(), trace)
    }

    /// The request is over.
    pub(crate) fn end(&self, ended: Ended) {
        let failed = match ended {
            Ended::HungUp => Some("hung up".to_owned()),
            Ended::Answered(status) => {
                let code = i64::from(status.as_u16());
                self.trace.record("http.response.status_code", code);
                let failed = status.is_server_error();
                failed.then(|| status.as_u16().to_string())
            }
        };
        if let Some(failed) = failed {
            self.trace.record("error.type", failed);
            if let Ended::Answered(_) = ended {
                self.trace.record("otel.status_code", "ERROR");
            }
        }
    }
}

/// How a request ends.
#[derive(Clone, Copy)]
pub(crate) enum Ended {
    Answered(StatusCode),
    /// Its client has, before or while it was answered.
    HungUp,
}

/// With the names of the
/// [conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span).
fn trace(
    request: &Request,
    (pattern, path): (Option<&str>, &str),
    seen: &Seen<'_>,
    server_name: &str,
) -> Span {
    let method = known(request.method());
    let name = match pattern {
        Some(pattern) => format!("{} {pattern}", method.unwrap_or("HTTP")),
        None => method.unwrap_or("HTTP").to_owned(),
    };
    let goes_on = (seen.trusted && request.headers().contains_key("traceparent"))
        .then(|| traces::go_on(request.headers()));
    let span = debug_span!(
        target: traces::TARGET,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = pattern,
        http.response.status_code = Empty,
        url.path = path,
        server.address = server_name,
        client.address = %seen.address.0,
        request.id = seen.id.as_str(),
        user.id = Empty,
        device.id = Empty,
        error.type = Empty,
    );
    drop(goes_on);
    span
}

/// A method that stands for itself: anybody can make up others.
fn known(method: &Method) -> Option<&str> {
    let standard = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    standard.contains(method).then(|| method.as_str())
}
