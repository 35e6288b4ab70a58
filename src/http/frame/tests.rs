use std::{
    io::{self, Write},
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    response::Response,
    routing::{get, post},
};
use config::{Config, RequestLog};
use futures_util::stream;
use http::{Request, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;
use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};

use super::{Frame, frame, requester};
use crate::{HttpFigures, Peer};

fn router() -> Router {
    let panics = async || -> StatusCode { panic!("out of cheese") };
    let router = Router::new()
        .route("/ok", get(async || "ok"))
        .route("/panics", get(panics));
    frame(router, Frame::default())
}

async fn ask(method: &str, path: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    router().oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_answer_has_the_cors_headers() {
    for (method, path, status) in [
        ("GET", "/ok", 200),
        ("HEAD", "/ok", 200),
        ("OPTIONS", "/ok", 204),
        ("OPTIONS", "/nowhere", 204),
        ("GET", "/nowhere", 404),
        ("POST", "/ok", 405),
        ("GET", "/panics", 500),
    ] {
        let response = ask(method, path).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "*",
            "{method} {path}"
        );
        let allowed = response.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(allowed.contains("Authorization"), "{method} {path}");
        assert!(
            response
                .headers()
                .contains_key("access-control-allow-methods"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_unrecognized() {
    for (method, path) in [
        ("GET", "/_matrix/client/v9/nowhere"),
        ("GET", "/"),
        ("PATCH", "/ok"),
    ] {
        assert_eq!(
            body(ask(method, path).await).await["errcode"],
            "M_UNRECOGNIZED",
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let answer = body(ask("GET", "/panics").await).await;
    assert_eq!(answer["errcode"], "M_UNKNOWN");
    assert!(!answer.to_string().contains("cheese"));
}

/// What is logged on this thread, line by line in JSON, as long as the guard lives.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

/// Holds nothing back and writes nothing. While a process has a single subscriber, `tracing` asks
/// only the thread that first reaches a line whether anybody wants it, and remembers the answer for
/// all: a test on a thread without a subscriber would silence the line for the tests that read it.
/// With a second one alive it asks every subscriber there is.
static ANOTHER: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

impl Lines {
    fn capture(filter: &str) -> (Self, DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let lines = Self::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(filter)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(log))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    fn read(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Endpoints that do what endpoints do.
fn busy(log: RequestLog) -> (Router, HttpFigures) {
    let known = async || {
        requester("@alice:localhost", "PHONE");
        tracing::warn!("something is odd");
        "hello"
    };
    let streamed = async || {
        let chunks = ["one", "two"].map(|chunk| Ok::<_, io::Error>(Bytes::from(chunk)));
        Body::from_stream(stream::iter(chunks))
    };
    let endless = async || {
        let chunks = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from("again")));
        Body::from_stream(chunks)
    };
    let router = Router::new()
        .route("/known/{1}", get(known).post(known))
        .route("/streamed", get(streamed))
        .route("/endless", get(endless))
        .route("/never", get(std::future::pending::<()>))
        .route("/tokens/{token}", post(async || "made"));
    let mut config = Config::default();
    config.log.requests = log;
    let figures = HttpFigures::default();
    (frame(router, Frame::new(&config, figures.clone())), figures)
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from("a body")).unwrap()
}

/// What was counted: pattern, method, status and how often.
fn counted(figures: &HttpFigures) -> Vec<(String, &'static str, Option<u16>, u64)> {
    let requests = figures.requests().into_iter();
    let counted = requests.flat_map(|request| {
        let (endpoint, method) = (request.endpoint, request.method);
        let codes = request.codes.into_iter();
        codes.map(move |(code, count)| (endpoint.clone(), method, code, count))
    });
    counted.collect()
}

#[tokio::test]
async fn every_line_of_a_request_has_its_id_and_the_answer_too() {
    let (lines, _guard) = Lines::capture("info");
    let (router, _) = busy(RequestLog::Info);
    let answer = router
        .oneshot(request("GET", "/known/1?access_token=s3cret", &[]))
        .await
        .unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    let lines = lines.read();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        let span = &line["span"];
        assert_eq!(span["request.id"], id, "{line}");
        assert_eq!(span["http.method"], "GET", "{line}");
        assert_eq!(span["http.path"], "/known/1", "{line}");
        assert_eq!(span["user.id"], "@alice:localhost", "{line}");
        assert_eq!(span["device.id"], "PHONE", "{line}");
    }
    assert_eq!(lines[0]["message"], "something is odd");
    assert_eq!(lines[1]["message"], "answered");
    assert_eq!(
        (&lines[1]["http.status"], &lines[1]["body_bytes"]),
        (&200.into(), &5.into())
    );
    assert!(lines[1]["duration_us"].is_u64());
}

#[tokio::test]
async fn a_filter_for_warnings_leaves_them_their_request() {
    let (lines, _guard) = Lines::capture("warn");
    let (router, _) = busy(RequestLog::Info);
    router
        .oneshot(request("GET", "/known/1", &[]))
        .await
        .unwrap();
    let lines = lines.read();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["span"]["user.id"], "@alice:localhost");
}

#[tokio::test]
async fn requests_are_logged_as_the_option_says() {
    for (log, filter, expected) in [
        (RequestLog::Off, "trace", 0),
        (RequestLog::Debug, "info", 0),
        (RequestLog::Debug, "info,http_layer=debug", 1),
        (RequestLog::Info, "info", 1),
        (RequestLog::Info, "warn", 0),
    ] {
        let (lines, _guard) = Lines::capture(filter);
        let (router, _) = busy(log);
        router
            .oneshot(request("GET", "/known/1", &[]))
            .await
            .unwrap();
        let lines = lines.read().into_iter();
        let answered = lines.filter(|line| line["message"] == "answered").count();
        assert_eq!(answered, expected, "{log:?} {filter}");
    }
}

#[tokio::test]
async fn a_proxys_id_is_taken_and_nobody_elses() {
    for (peer, given, taken) in [
        (Some("127.0.0.1"), "abc-123", true),
        (Some("192.0.2.1"), "abc-123", false),
        (Some("127.0.0.1"), "abc 123", false),
        (None, "abc-123", true),
    ] {
        let (router, _) = busy(RequestLog::Off);
        let mut request = request("GET", "/known/1", &[("x-request-id", given)]);
        let address = peer.map(|peer| peer.parse::<IpAddr>().unwrap());
        request
            .extensions_mut()
            .insert(address.map_or(Peer::Unix, Peer::Tcp));
        let answer = router.oneshot(request).await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(id == given, taken, "{peer:?} {given}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log() {
    let (lines, _guard) = Lines::capture("trace");
    let (router, _) = busy(RequestLog::Info);
    let header = [
        ("authorization", "Bearer s3cret"),
        ("cookie", "s3cret"),
        ("x-request-id", "s3cret!"),
    ];
    for (method, path) in [
        ("GET", "/known/1?access_token=s3cret"),
        ("POST", "/known/1?a=b&access_token=s3cret&c=d"),
        ("POST", "/tokens/s3cret"),
        ("GET", "/nowhere?access_token=s3cret"),
        ("OPTIONS", "/known/1?access_token=s3cret"),
    ] {
        let answer = router
            .clone()
            .oneshot(request(method, path, &header))
            .await
            .unwrap();
        drop(to_bytes(answer.into_body(), 10_000).await.unwrap());
    }
    let text = lines.text();
    assert!(text.lines().count() >= 5, "{text}");
    assert!(
        !text.contains("s3cret") && !text.contains("a body"),
        "{text}"
    );
    assert!(text.contains("\"/tokens/{token}\""), "{text}");
}

#[tokio::test]
async fn a_body_without_a_length_counts_when_it_has_gone_out() {
    let (lines, _guard) = Lines::capture("info");
    let (router, figures) = busy(RequestLog::Info);
    let answer = router
        .oneshot(request("GET", "/streamed", &[]))
        .await
        .unwrap();
    assert_eq!((figures.in_flight(), counted(&figures)), (1, Vec::new()));
    assert_eq!(lines.text(), "");
    assert_eq!(
        to_bytes(answer.into_body(), 10_000).await.unwrap(),
        "onetwo"
    );
    assert_eq!((figures.in_flight(), figures.body_bytes()), (0, 6));
    assert_eq!(
        counted(&figures),
        [("/streamed".to_owned(), "GET", Some(200), 1)]
    );
    let line = &lines.read()[0];
    assert_eq!(
        (&line["message"], &line["body_bytes"]),
        (&"answered".into(), &6.into())
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_is_counted_once() {
    let (lines, _guard) = Lines::capture("info");
    let (router, figures) = busy(RequestLog::Info);
    let mut waiting = Box::pin(router.clone().oneshot(request("GET", "/never", &[])));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(figures.in_flight(), 1);
    drop(waiting);
    let answer = router
        .oneshot(request("GET", "/endless", &[]))
        .await
        .unwrap();
    let mut body = answer.into_body().into_data_stream();
    let first = futures_util::StreamExt::next(&mut body)
        .await
        .unwrap()
        .unwrap();
    drop(body);
    assert_eq!(
        (figures.in_flight(), figures.body_bytes()),
        (0, first.len() as u64)
    );
    let expected = [
        ("/endless".to_owned(), "GET", Some(200), 1),
        ("/never".to_owned(), "GET", Some(499), 1),
    ];
    assert_eq!(counted(&figures), expected);
    let messages: Vec<Value> = lines
        .read()
        .iter()
        .map(|line| line["message"].clone())
        .collect();
    let expected = [
        "the client hung up before it was answered",
        "the client hung up before the end of the answer",
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn a_panic_is_counted() {
    let figures = HttpFigures::default();
    let panics = async || -> StatusCode { panic!("out of cheese") };
    let router = Router::new().route("/panics", get(panics));
    let router = frame(router, Frame::new(&Config::default(), figures.clone()));
    router
        .oneshot(request("GET", "/panics", &[]))
        .await
        .unwrap();
    assert_eq!((figures.panics(), figures.in_flight()), (1, 0));
    assert_eq!(
        counted(&figures),
        [("/panics".to_owned(), "GET", Some(500), 1)]
    );
}
