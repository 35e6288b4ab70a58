//! Spans for a collector of OpenTelemetry: what the real program sends of a request, to whom, and that nobody waits for it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{ResourceSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::{Value, json};
use spec_tests::{Client, PATIENCE_SECONDS, Server, User, encode, open_metrics::Scrape, room_path};

/// A trace that somebody in front has begun, and the span that asks.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A request as it came: its head, in lower case, and its body.
type Asked = (String, Vec<u8>);

/// Listens on this machine and answers everything with `answer`; or nothing at all.
struct Listening {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Listening {
    fn start(address: &str, answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&asked);
        std::thread::spawn(move || {
            // Open until the end, so that whoever is not answered waits.
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else {
                    continue;
                };
                keep.lock().unwrap().push(request);
                match answer {
                    // Who hangs up meanwhile is not interested.
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => open.push(stream),
                }
            }
        });
        Self { address, asked }
    }

    fn collector() -> Self {
        Self::start("127.0.0.1:0", Some(TAKEN))
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// All that a collector got.
    fn spans(&self) -> Spans {
        let mut spans = Spans::default();
        for (head, body) in self.asked() {
            assert!(head.starts_with("post /v1/traces "), "{head}");
            let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
            for resource in request.resource_spans {
                let scopes = resource.scope_spans.iter();
                let got = scopes.flat_map(|scope| scope.spans.clone());
                spans.spans.extend(got);
                spans.resources.push(resource);
            }
        }
        spans
    }
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 21\r\nconnection: close\r\n\r\n<title>Hello</title>\n";

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[derive(Default)]
struct Spans {
    spans: Vec<Span>,
    resources: Vec<ResourceSpans>,
}

impl Spans {
    /// The one span of the request with this id.
    #[track_caller]
    fn of(&self, id: &str) -> &Span {
        let of_it = |span: &&Span| text(&span.attributes, "request.id") == Some(id);
        let found: Vec<&Span> = self.spans.iter().filter(of_it).collect();
        let [span] = found.as_slice() else {
            panic!("{} spans of {id} among {}", found.len(), self.spans.len());
        };
        span
    }

    /// What is inside of `parent`.
    fn inside(&self, parent: &Span) -> Vec<&Span> {
        let inside = |span: &&Span| span.parent_span_id == parent.span_id;
        self.spans.iter().filter(inside).collect()
    }

    #[track_caller]
    fn child(&self, parent: &Span, name: &str) -> &Span {
        let inside = self.inside(parent);
        let found = inside.iter().find(|span| span.name == name);
        let names: Vec<&str> = inside.iter().map(|span| span.name.as_str()).collect();
        let child = found.unwrap_or_else(|| panic!("no `{name}` in {}: {names:?}", parent.name));
        assert_eq!(child.trace_id, parent.trace_id);
        assert!(child.start_time_unix_nano >= parent.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= parent.end_time_unix_nano);
        child
    }
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Any> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attribute(attributes, key)? {
        Any::StringValue(text) => Some(text),
        other => panic!("{key}: {other:?}"),
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attribute(attributes, key)? {
        Any::IntValue(number) => Some(*number),
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn took(span: &Span) -> Duration {
    Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano)
}

/// A server that sends to `endpoint`, with these settings besides.
fn sending_to(endpoint: &str, settings: &[(&str, &str)]) -> Server {
    let endpoint = format!("\"{endpoint}\"");
    let mut all = vec![("tracing.otlp_endpoint", endpoint.as_str())];
    all.extend(settings);
    Server::with(&all)
}

fn message() -> Value {
    json!({"msgtype": "m.text", "body": "nobody's business"})
}

/// What the collector got came with its headers, and without what is nobody's business.
#[track_caller]
fn check_requests(got: &[Asked], alice: &User) {
    assert!(!got.is_empty(), "nothing came");
    for (head, body) in got {
        assert!(
            head.contains("\r\nauthorization: bearer for-the-c0llector\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nx-scope: one\r\n"), "{head}");
        assert!(
            head.contains("\r\ncontent-type: application/x-protobuf\r\n"),
            "{head}"
        );
        let body = String::from_utf8_lossy(body);
        for secret in [
            alice.access_token.as_str(),
            &alice.password,
            "nobody's business",
            "in-the-query",
            "reg-t0ken",
            "access_token",
        ] {
            assert!(!body.contains(secret), "{secret}");
        }
    }
}

#[test]
fn a_request_is_a_span_with_what_it_waited_for_and_no_secret() {
    let collector = Listening::collector();
    let headers = "\"Authorization: Bearer for-the-c0llector\\nX-Scope: one\"";
    let settings = [
        ("tracing.otlp_headers", headers),
        ("tracing.service_name", "\"ours\""),
    ];
    let mut server = sending_to(&collector.url(), &settings);
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let path = room_path(&room, "send/m.room.message/1");
    let begun = [("traceparent", &*format!("00-{TRACE}-{PARENT}-01"))];
    let body = message().to_string();
    let sent = alice.send("PUT", &path, &begun, Some(body.as_bytes()));
    let query = format!("/v3/account/whoami?access_token={}", alice.access_token);
    let asked = server.client().get(&query);
    let refused = server.client().get("/v3/account/whoami");
    let elsewhere = alice.get("/v3/nowhere?secret=in-the-query");
    let since = alice.now();
    let waited = alice.get(&format!("/v3/sync?since={since}&timeout=50"));
    let token = "/_synapse/admin/v1/registration_tokens/reg-t0ken";
    let in_path = alice.get(token);
    assert!(server.terminate().0.success());

    check_requests(&collector.asked(), &alice);
    let spans = collector.spans();
    let resource = spans.resources[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), Some("ours"));
    let instance = text(&resource.attributes, "service.instance.id");
    assert_eq!(instance, Some("localhost"));

    let span = spans.of(sent.header("x-request-id"));
    let route = "/_matrix/client/v3/rooms/{1}/send/{2}/{3}";
    assert_eq!(span.name, format!("PUT {route}"));
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    for (key, value) in [
        ("http.request.method", "PUT"),
        ("http.route", route),
        ("server.address", "localhost"),
        ("client.address", "127.0.0.1"),
        ("user.id", &alice.id),
        ("device.id", &alice.device_id),
    ] {
        assert_eq!(text(&span.attributes, key), Some(value), "{key}");
    }
    let status = |span: &Span| number(&span.attributes, "http.response.status_code");
    assert_eq!(status(span), Some(200));
    let commit = spans.child(span, "commit");
    assert_eq!(commit.kind(), SpanKind::Internal);
    assert!(number(&commit.attributes, "commit.group_batches") >= Some(1));
    let synced = number(&commit.attributes, "commit.sync_us").unwrap();
    assert!(Duration::from_micros(synced.try_into().unwrap()) <= took(commit));

    let span = spans.of(asked.header("x-request-id"));
    assert_eq!(span.parent_span_id, [0; 0]);
    assert_eq!(
        text(&span.attributes, "url.path"),
        Some("/_matrix/client/v3/account/whoami")
    );
    for (answer, expected) in [(&refused, 401), (&elsewhere, 404)] {
        let span = spans.of(answer.header("x-request-id"));
        assert_eq!(status(span), Some(expected));
        let failed = span.status.as_ref().map(Status::code);
        // A mistake of the client's is none of the server's.
        assert_ne!(failed, Some(StatusCode::Error));
        assert_eq!(text(&span.attributes, "user.id"), None);
    }
    assert_eq!(spans.of(elsewhere.header("x-request-id")).name, "GET");
    let span = spans.of(waited.header("x-request-id"));
    let wait = spans.child(span, "wait for news");
    assert_eq!(text(&wait.attributes, "ended_by"), Some("timeout"));
    assert!(took(wait) >= Duration::from_millis(40), "{:?}", took(wait));
    assert!(took(spans.child(span, "compose")) < took(wait));
    let span = spans.of(in_path.header("x-request-id"));
    assert!(
        text(&span.attributes, "url.path")
            .unwrap()
            .ends_with("/{token}")
    );
    let register = spans
        .spans
        .iter()
        .find(|span| span.name.ends_with("/v3/register"));
    spans.child(register.unwrap(), "hash a password");
    // The server's own work belongs to nobody.
    let names = spans
        .spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty());
    for span in names {
        assert_ne!(span.kind(), SpanKind::Internal, "{}", span.name);
    }
}

#[test]
fn only_a_trusted_proxy_says_which_trace_it_is_and_whether_it_is_wanted() {
    let collector = Listening::collector();
    let ask = |server: &Server, sampled: &str| {
        let parent = format!("00-{TRACE}-{PARENT}-{sampled}");
        let headers = [("traceparent", parent.as_str())];
        let answer = server.client().send("GET", "/v3/login", &headers, None);
        answer.header("x-request-id").to_owned()
    };
    // By default no request is sampled, and the proxy wants one.
    let none = [("tracing.sample_ratio", "0.0")];
    let mut trusting = sending_to(&collector.url(), &none);
    let wanted = ask(&trusting, "01");
    ask(&trusting, "00");
    trusting.client().get("/v3/login");
    trusting.terminate();
    assert_eq!(collector.spans().spans.len(), 1);
    assert_eq!(hex(&collector.spans().of(&wanted).trace_id), TRACE);

    let mut alone = sending_to(&collector.url(), &[("trusted_proxies", "[]")]);
    let (one, other) = (ask(&alone, "01"), ask(&alone, "00"));
    alone.terminate();
    for id in [one, other] {
        let spans = collector.spans();
        assert_ne!(hex(&spans.of(&id).trace_id), TRACE);
        assert!(spans.of(&id).parent_span_id.is_empty());
    }
}

#[test]
fn the_trace_is_told_to_the_hosts_that_the_options_name_and_to_nobody_else() {
    let (collector, told, stranger) = (
        Listening::collector(),
        Listening::start("127.0.0.1:0", Some(PAGE)),
        Listening::start("127.0.0.2:0", Some(PAGE)),
    );
    let mut server = sending_to(
        &collector.url(),
        &[
            ("previews.enabled", "true"),
            ("outbound.allowed_networks", "[\"127.0.0.0/8\"]"),
            ("tracing.propagate_to", "[\"127.0.0.1\"]"),
        ],
    );
    let alice = server.client().register("alice");
    let mut ids = Vec::new();
    for page in [&told, &stranger] {
        let url = encode(&format!("{}/page?secret=in-the-query", page.url()));
        let answer = alice.get(&format!("/v1/media/preview_url?url={url}"));
        answer.ok();
        ids.push(answer.header("x-request-id").to_owned());
    }
    server.terminate();
    let spans = collector.spans();
    let asking = spans.child(spans.of(&ids[0]), "GET");
    assert_eq!(asking.kind(), SpanKind::Client);
    assert_eq!(
        text(&asking.attributes, "server.address"),
        Some("127.0.0.1")
    );
    assert_eq!(
        number(&asking.attributes, "http.response.status_code"),
        Some(200)
    );
    let (head, _) = &told.asked()[0];
    let parent = format!(
        "\r\ntraceparent: 00-{}-{}-01\r\n",
        hex(&asking.trace_id),
        hex(&asking.span_id)
    );
    assert!(head.contains(&parent), "{head}");
    spans.child(spans.of(&ids[1]), "GET");
    let (head, _) = &stranger.asked()[0];
    assert!(!head.contains("trace"), "{head}");
    let sent = collector.asked().into_iter();
    let sent: Vec<String> = sent
        .map(|(_, body)| String::from_utf8_lossy(&body).into_owned())
        .collect();
    assert!(!sent.concat().contains("in-the-query"));
}

/// What the metrics say of spans, once they say more than `than` of them.
#[track_caller]
fn more_than(than: f64, result: &str, private: &Client) -> f64 {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    while Instant::now() < deadline {
        let scrape = Scrape::parse(&private.get("/metrics").text()).unwrap();
        let value = scrape.value("myelin_trace_spans_total", &[("result", result)]);
        if value.unwrap() > than {
            return value.unwrap();
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("no more than {than} spans were {result}");
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    // A port that nobody listens on, for now.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let metrics = [("metrics.listen", "[\"127.0.0.1:0\"]")];
    let server = sending_to(&format!("http://{address}"), &metrics);
    let (alice, private) = (server.client().register("alice"), server.private_client());
    let room = alice.public_room();
    alice.say(&room, "hello");
    let lost = more_than(0.0, "dropped", &private);
    alice.say(&room, "still there?");
    more_than(lost, "dropped", &private);
    let warnings = || server.log().matches("the collector takes no spans").count();
    assert_eq!(warnings(), 1, "{}", server.log());
    let collector = Listening::start(&address, Some(TAKEN));
    let said = alice.put(&room_path(&room, "send/m.room.message/x"), message());
    more_than(0.0, "sent", &private);
    collector.spans().of(said.header("x-request-id"));
    assert_eq!(warnings(), 1);
    let log = server.log();
    assert_eq!(
        log.matches("the collector takes spans again").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_collector_that_does_not_answer_does_not_keep_the_server() {
    let silent = Listening::start("127.0.0.1:0", None);
    let mut server = sending_to(&silent.url(), &[]);
    let alice = server.client().register("alice");
    let room = alice.public_room();
    for number in 0..50 {
        alice.say(&room, &number.to_string());
    }
    let (status, took) = server.terminate();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!silent.asked().is_empty(), "it was asked");
    assert!(
        server.log().contains("the last spans are lost"),
        "{}",
        server.log()
    );
}

#[test]
fn the_log_says_the_same_with_a_collector_as_without() {
    let collector = Listening::collector();
    let settings = [
        ("log.format", "\"json\""),
        ("log.requests", "\"info\""),
        ("log.filter", "\"trace\""),
    ];
    let with = sending_to(&collector.url(), &settings);
    let without = Server::with(&settings);
    for server in [&with, &without] {
        let alice = server.client().register("alice");
        let said = alice.put(
            &room_path(&alice.public_room(), "send/m.room.message/x"),
            message(),
        );
        let id = said.header("x-request-id");
        let log = server.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines
            .filter(|line: &Value| line["span"]["request.id"] == id)
            .collect();
        let last = lines.last().unwrap();
        assert_eq!(last["message"], "answered");
        assert_eq!(last["span"]["user.id"], alice.id.as_str());
        assert_eq!(last["span"]["http.method"], "PUT");
        assert_eq!(last["span"]["name"], "request");
        assert!(
            !log.contains("otel.kind") && !log.contains("wait for news"),
            "{log}"
        );
    }
}

#[test]
fn options_that_cannot_be_used_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let endpoint = ("MYELIN_TRACING__OTLP_ENDPOINT", "http://127.0.0.1:4318");
    for (name, value, told) in [
        (
            "MYELIN_TRACING__OTLP_ENDPOINT",
            "127.0.0.1:4318",
            "tracing.otlp_endpoint",
        ),
        (
            "MYELIN_TRACING__OTLP_ENDPOINT",
            "http://not a host",
            "tracing.otlp_endpoint",
        ),
        (
            "MYELIN_TRACING__SAMPLE_RATIO",
            "1.5",
            "tracing.sample_ratio",
        ),
        (
            "MYELIN_TRACING__OTLP_HEADERS",
            "s3cret",
            "tracing.otlp_headers",
        ),
        ("MYELIN_TRACING__SERVICE_NAME", "", "tracing.service_name"),
    ] {
        let environment = [
            endpoint,
            (name, value),
            ("MYELIN_DATA_DIR", data.to_str().unwrap()),
        ];
        let (ended_well, _, error) = Server::command(&["serve"], &environment);
        assert!(!ended_well && error.contains(told), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
