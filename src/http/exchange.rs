//! One request and its answer, from the first byte to the last: counted, and written to the log when it is over.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::MatchedPath,
    response::Response,
};
use config::RequestLog;
use http::{Method, StatusCode, header};
use hyper::body::{Frame, SizeHint};

use crate::{
    ClientAddress, HttpFigures,
    spans::{Ended, Spans},
    tally::Route,
};

/// nginx's status for a client that hung up.
const HUNG_UP: u16 = 499;

/// Over when it is dropped: after the last byte of the answer, or when the client hangs up.
pub(crate) struct Exchange {
    figures: HttpFigures,
    route: Arc<Route>,
    method: Method,
    spans: Spans,
    log: RequestLog,
    address: ClientAddress,
    started: Instant,
    /// `None` until the handler has answered.
    status: Option<StatusCode>,
    body_bytes: u64,
    /// The length that the answer's head has promised.
    promised: Option<u64>,
    /// The body went out to its end.
    whole: bool,
}

impl Exchange {
    pub(crate) fn begin(
        figures: &HttpFigures,
        (method, matched): (&Method, Option<&MatchedPath>),
        spans: Spans,
        (log, address): (RequestLog, ClientAddress),
    ) -> Self {
        figures.begin();
        Self {
            figures: figures.clone(),
            route: figures.route(matched.map(MatchedPath::as_str)),
            method: method.clone(),
            spans,
            log,
            address,
            started: Instant::now(),
            status: None,
            body_bytes: 0,
            promised: None,
            whole: false,
        }
    }

    /// The handler has answered. It is over now, or when the body is, if its length shows only then.
    pub(crate) fn answered(mut self, response: Response) -> Response {
        self.status = Some(response.status());
        let length = response.body().size_hint().exact();
        if self.method == Method::HEAD || length.is_some() {
            self.body_bytes = length.filter(|_| self.method != Method::HEAD).unwrap_or(0);
            self.whole = true;
            return response;
        }
        let promised = response.headers().get(header::CONTENT_LENGTH);
        self.promised = promised.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| {
            let exchange = self;
            Body::new(Counted { body, exchange })
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let hung_up = StatusCode::from_u16(HUNG_UP).unwrap_or(StatusCode::BAD_REQUEST);
        let status = self.status.unwrap_or(hung_up);
        self.figures.end(self.body_bytes);
        self.route.count(&self.method, status, took);
        let _entered = self.spans.enter();
        let (what, ended) = match (self.status, self.whole) {
            (Some(status), true) => ("answered", Ended::Answered(status)),
            (Some(_), false) => (
                "the client hung up before the end of the answer",
                Ended::HungUp,
            ),
            (None, _) => ("the client hung up before it was answered", Ended::HungUp),
        };
        self.spans.end(ended);
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A level belongs to the place in the program.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    http.status = status.as_u16(),
                    client.address = %self.address.0,
                    duration_us,
                    body_bytes = self.body_bytes,
                    "{what}"
                )
            };
        }
        match self.log {
            RequestLog::Off => {}
            RequestLog::Debug => log!(debug),
            RequestLog::Info => log!(info),
        }
    }
}

/// A body whose length shows only when it has gone out.
struct Counted {
    body: Body,
    exchange: Exchange,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // What the body still reads belongs to the request.
        let spans = self.exchange.spans.clone();
        let _entered = spans.enter();
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => self.exchange.whole = true,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.exchange.body_bytes += bytes as u64;
                // Nobody asks for more than was promised.
                let all = self.exchange.promised == Some(self.exchange.body_bytes);
                self.exchange.whole = all || self.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
