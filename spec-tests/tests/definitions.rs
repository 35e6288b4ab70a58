//! The harness itself: an answer that is not as the definitions have it fails the test that asked for it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};

use spec_tests::Client;

const SYNC: &str = "/v3/sync";
const JSON: &str = "application/json";

/// What the harness says to one answer of this kind.
fn objection(path: &str, status: &str, content_type: &str, body: &str) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let head = BufReader::new(&stream).lines();
            assert!(head.map_while(Result::ok).any(|line| line.is_empty()));
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        });
        let client = Client::new(&url);
        let said = catch_unwind(AssertUnwindSafe(|| client.get(path))).err()?;
        said.downcast::<String>().ok().map(|said| *said)
    })
}

#[track_caller]
fn check(path: &str, status: &str, content_type: &str, body: &str, wanted: &str) {
    let said = objection(path, status, content_type, body)
        .unwrap_or_else(|| panic!("nothing is said of {status}: {body}"));
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_good_answer_passes() {
    let body = r#"{"next_batch": "1", "rooms": {"join": {"!a:b": {"timeline": {"events": []}}}}}"#;
    assert_eq!(objection(SYNC, "200 OK", JSON, body), None);
    let error = r#"{"errcode": "M_UNKNOWN_TOKEN", "error": "?", "soft_logout": true}"#;
    assert_eq!(objection(SYNC, "401 Unauthorized", JSON, error), None);
    let unknown = r#"{"errcode": "M_UNRECOGNIZED", "error": "?"}"#;
    let path = "/v3/there/is/no/such";
    assert_eq!(objection(path, "404 Not Found", JSON, unknown), None);
}

#[test]
fn a_body_against_its_schema_fails() {
    check(
        SYNC,
        "200 OK",
        JSON,
        "{}",
        "\"next_batch\" is a required property",
    );
    // Three files away: sync.yaml, timeline_batch.yaml, event_batch.yaml and the event itself.
    let body = r#"{"next_batch": "1", "rooms": {"join": {"!a:b": {"timeline": {"events": [
        {"type": "a", "content": {}, "sender": "alice", "event_id": "$a", "origin_server_ts": 1}
    ]}}}}}"#;
    check(SYNC, "200 OK", JSON, body, "/timeline/events/0/sender");
    let body = r#"{"errcode": "M_LIMIT_EXCEEDED", "error": "?", "retry_after_ms": "2000"}"#;
    check(
        "/v3/login",
        "429 Too Many Requests",
        JSON,
        body,
        "/retry_after_ms",
    );
}

#[test]
fn a_status_or_a_type_that_is_not_promised_fails() {
    let unheard_of = r#"{"errcode": "M_ROOM_IN_USE", "error": "?"}"#;
    check(SYNC, "400 Bad Request", JSON, unheard_of, "no such status");
    check(SYNC, "201 Created", JSON, "{}", "no such status");
    check(
        SYNC,
        "200 OK",
        "text/plain",
        r#"{"next_batch": "1"}"#,
        "content-type",
    );
    check(
        SYNC,
        "403 Forbidden",
        JSON,
        r#"{"error": "?"}"#,
        "an error without errcode",
    );
    check(
        "/v3/there/is/no/such",
        "200 OK",
        JSON,
        "{}",
        "an error without errcode",
    );
}

#[test]
fn an_event_of_the_servers_own_with_other_content_fails() {
    let body = r#"{"next_batch": "1", "rooms": {"join": {"!a:b": {"ephemeral": {"events": [
        {"type": "m.typing", "content": {"user_ids": "@alice:b"}}
    ]}}}}}"#;
    check(
        SYNC,
        "200 OK",
        JSON,
        body,
        "the content of m.typing, /user_ids",
    );
}
