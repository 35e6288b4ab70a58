//! The private listener of the real program: figures that Prometheus reads, health, and nothing of it for the public.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::json;
use spec_tests::{Client, Server, encode, open_metrics::Scrape};

/// A server with a private listener, and a client of that.
fn watched(settings: &[(&str, &str)]) -> (Server, Client) {
    let mut all = vec![("metrics.listen", "[\"127.0.0.1:0\"]")];
    all.extend(settings);
    let server = Server::with(&all);
    let private = server.private_client();
    (server, private)
}

fn scrape(private: &Client) -> Scrape {
    let answer = private.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), kind);
    Scrape::parse(&answer.text()).unwrap()
}

#[test]
fn known_requests_are_counted_right() {
    let (server, private) = watched(&[]);
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let before = scrape(&private);
    for number in 0..20 {
        alice.say(&room, &number.to_string());
    }
    let profile = format!("/v3/profile/{}", encode("@nobody:localhost"));
    for _ in 0..3 {
        server.client().get(&profile).fails(404, "M_NOT_FOUND");
    }
    alice.sync(&[]);
    let after = scrape(&private);

    let grew =
        |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    let send = "/_matrix/client/v3/rooms/{1}/send/{2}/{3}";
    let sent = [("endpoint", send), ("method", "PUT"), ("code", "200")];
    assert_eq!(grew("myelin_http_requests_total", &sent), 20.0);
    let sends = [("endpoint", send), ("method", "PUT")];
    let seconds = "myelin_http_request_duration_seconds";
    assert_eq!(grew(&format!("{seconds}_count"), &sends), 20.0);
    let took = grew(&format!("{seconds}_sum"), &sends);
    assert!(took > 0.0 && took < 60.0, "{took}");
    let missed = [
        ("endpoint", "/_matrix/client/v3/profile/{1}"),
        ("code", "404"),
    ];
    assert_eq!(grew("myelin_http_requests_total", &missed), 3.0);
    assert_eq!(grew("myelin_http_requests_total", &[]), 24.0);
    assert!(grew("myelin_commit_batches_total", &[]) >= 20.0);
    let syncs = grew("myelin_commit_sync_duration_seconds_count", &[]);
    assert!((1.0..=40.0).contains(&syncs), "{syncs}");
    assert_eq!(grew("myelin_sync_sessions", &[]), 1.0);

    // The engine's figures are the real one's.
    let families = &after.families["myelin_rocksdb_sst_bytes"].samples;
    assert_eq!(families.len(), 7, "{families:?}");
    let blocks = [("cache", "blocks")];
    let limit = after.value("myelin_cache_limit_bytes", &blocks);
    assert_eq!(limit, Some(f64::from(64 << 20)));
    assert!(after.value("myelin_cache_bytes", &blocks).unwrap() > 0.0);
    assert!(after.sum("myelin_rocksdb_memtable_bytes", &[]) > 0.0);
    // The process's, too: `SPEC_TESTS_URL` never comes here, and the tests run where there is a `/proc`.
    let resident = after.value("process_resident_memory_bytes", &[]).unwrap();
    assert!(resident > f64::from(10 << 20), "{resident}");
    assert!(after.value("process_open_fds", &[]).unwrap() > 5.0);
    assert!(grew("process_cpu_seconds_total", &[]) >= 0.0);
    assert!(
        !private.get("/metrics").text().contains(&room),
        "a path is in it"
    );
}

#[test]
fn who_has_to_wait_and_who_waits_is_counted() {
    let (server, private) = watched(&[
        ("rate_limits.enabled", "true"),
        ("rate_limits.create_room", "{per_second = 0.001, burst = 2}"),
    ]);
    let alice = server.client().register("alice");
    for status in [200, 200, 429, 429] {
        assert_eq!(alice.post("/v3/createRoom", json!({})).status, status);
    }
    let since = alice.now();
    alice.sync(&[("since", &since), ("timeout", "1")]);
    let scrape = scrape(&private);
    let limited = |limit| scrape.value("myelin_http_rate_limited_total", &[("limit", limit)]);
    assert_eq!(limited("create_room"), Some(2.0));
    assert_eq!(limited("message"), Some(0.0));
    let waited = scrape.value("myelin_sync_waits_total", &[("ended_by", "timeout")]);
    assert_eq!(waited, Some(1.0));
}

#[test]
fn nothing_of_it_is_on_the_public_listener() {
    let (server, private) = watched(&[]);
    let public = server.client();
    for path in ["/metrics", "/health/live", "/health/ready"] {
        public.get(path).fails(404, "M_UNRECOGNIZED");
        assert_eq!(private.get(path).status, 200, "{path}");
    }
    let health = public.get("/health");
    assert_eq!((health.status, health.text().as_str()), (200, "OK"));
    let details = private.get("/health").ok();
    assert_eq!(details["ready"], true);
    assert_eq!(details["store"]["writable"], true);
}

/// Speaks to a Unix socket.
fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("metrics.sock");
    let listen = format!("[\"unix:{}\"]", socket.display());
    let mut server = Server::with(&[("metrics.listen", &listen)]);
    let answer = ask(&socket, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\nmyelin_store_writable 1\n"), "{answer}");
    assert!(ask(&socket, "/health").contains("\"ready\":true"));
    // And nothing of the public's is there.
    let versions = ask(&socket, "/_matrix/client/versions");
    assert!(versions.starts_with("HTTP/1.1 404 "), "{versions}");
    server.terminate();
    assert!(!socket.exists(), "it is taken away at the end");
}

#[test]
fn an_address_of_the_public_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let same = format!("unix:{}", folder.path().join("a.sock").display());
    let data = folder.path().join("data");
    let environment = [
        ("MYELIN_LISTEN", same.as_str()),
        ("MYELIN_METRICS__LISTEN", &same),
        ("MYELIN_DATA_DIR", data.to_str().unwrap()),
    ];
    let (ended_well, _, error) = Server::command(&["serve"], &environment);
    assert!(!ended_well && error.contains("metrics.listen"), "{error}");
}
