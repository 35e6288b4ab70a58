//! What those see who look after the server, against a whole server in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]
#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use monitoring::metrics::{CATALOGUE, Kind};
use serde_json::{Value, json};
use test_support::{TestServer, open_metrics::Scrape};
use tower::ServiceExt;

/// Asks the private listener.
async fn ask(server: &TestServer, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let router = monitoring::private(server.services.clone());
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn scrape(server: &TestServer) -> Scrape {
    let (status, text) = ask(server, "GET", "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    Scrape::parse(&text).unwrap()
}

#[tokio::test]
async fn a_scrape_is_the_catalogue() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let scrape = scrape(&server).await;
    let told: BTreeSet<(&str, &str)> = scrape
        .families
        .iter()
        .map(|(name, family)| (name.as_str(), family.kind.as_str()))
        .collect();
    let listed: BTreeSet<(&str, &str)> = CATALOGUE
        .iter()
        .map(|metric| (metric.name.trim_end_matches("_total"), metric.kind.name()))
        .collect();
    assert_eq!(told, listed);
    for metric in CATALOGUE {
        let family = &scrape.families[metric.name.trim_end_matches("_total")];
        let mut labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
        for sample in &family.samples {
            if sample.name.ends_with("_bucket") && metric.kind == Kind::Histogram {
                labels.insert("le");
            } else {
                labels.remove("le");
            }
            let there: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
            assert_eq!(there, labels, "{}", metric.name);
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_their_pattern() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = alice
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap().to_owned();
    let state = format!("/_matrix/client/v3/rooms/{room}/state");
    for _ in 0..3 {
        alice.get(&state).await.ok();
    }
    server.anyone().get(&state).await.is(401, "M_MISSING_TOKEN");
    alice
        .get("/_matrix/client/v3/nowhere")
        .await
        .is(404, "M_UNRECOGNIZED");
    let (_, text) = ask(&server, "GET", "/metrics").await;
    assert!(!text.contains(&room), "a path is in it");
    let scrape = Scrape::parse(&text).unwrap();
    let pattern = "/_matrix/client/v3/rooms/{1}/state";
    let count = |endpoint, code| {
        let labels = [("endpoint", endpoint), ("method", "GET"), ("code", code)];
        scrape.value("myelin_http_requests_total", &labels)
    };
    assert_eq!(count(pattern, "200"), Some(3.0));
    assert_eq!(count(pattern, "401"), Some(1.0));
    assert_eq!(count("elsewhere", "404"), Some(1.0));
    let endpoint = [("endpoint", pattern)];
    let seconds = scrape.value("myelin_http_request_duration_seconds_count", &endpoint);
    assert_eq!(seconds, Some(4.0));
    assert_eq!(
        scrape.value("myelin_http_requests_in_flight", &[]),
        Some(0.0)
    );
}

#[tokio::test]
async fn the_work_of_the_server_shows() {
    let server = TestServer::new().await;
    let before = scrape(&server).await;
    let alice = server.register("alice").await;
    let room = alice
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    alice.get("/_matrix/client/v3/sync").await.ok();
    let path = "/_matrix/media/v3/upload";
    alice
        .send(http::Method::POST, path, Body::from("12345"))
        .await
        .ok();
    let after = scrape(&server).await;
    let grew = |name: &str, labels: &[(&str, &str)]| {
        after.value(name, labels).unwrap() - before.value(name, labels).unwrap()
    };
    assert!(room["room_id"].is_string());
    assert_eq!(grew("myelin_password_hashes_total", &[]), 1.0);
    assert_eq!(grew("myelin_rooms_resident", &[]), 1.0);
    assert_eq!(grew("myelin_sync_sessions", &[]), 1.0);
    assert_eq!(grew("myelin_media_received_bytes_total", &[]), 5.0);
    assert!(grew("myelin_commit_batches_total", &[]) > 2.0);
    assert!(grew("myelin_commit_bytes_total", &[]) > 100.0);
    assert!(grew("myelin_commit_sync_duration_seconds_count", &[]) > 0.0);
    assert!(grew("myelin_commit_group_batches_sum", &[]) > 2.0);
    assert!(grew("myelin_commit_position", &[]) > 2.0);
    assert!(grew("myelin_cache_bytes", &[("cache", "rooms")]) > 0.0);
    assert!(grew("myelin_http_response_body_bytes_total", &[]) > 100.0);
    assert_eq!(after.value("myelin_store_writable", &[]), Some(1.0));
}

#[tokio::test]
async fn a_client_that_waits_shows_until_it_is_woken() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let first = alice.get("/_matrix/client/v3/sync").await.ok();
    let since = first["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/sync?since={since}&timeout=30000");
    let waking = async {
        while server.services.sync.figures().waiting == 0 {
            tokio::task::yield_now().await;
        }
        let during = scrape(&server).await;
        assert_eq!(during.value("myelin_sync_waiting", &[]), Some(1.0));
        let in_flight = during.value("myelin_http_requests_in_flight", &[]);
        assert_eq!(in_flight, Some(1.0));
        let room = alice.post("/_matrix/client/v3/createRoom", json!({}));
        room.await.ok();
    };
    let (answer, ()) = tokio::join!(alice.get(&path), waking);
    answer.ok();
    let after = scrape(&server).await;
    assert_eq!(after.value("myelin_sync_waiting", &[]), Some(0.0));
    let news = [("ended_by", "news")];
    assert!(after.value("myelin_sync_waits_total", &news).unwrap() >= 1.0);
}

#[tokio::test]
async fn health_is_a_word_for_everybody_and_details_for_the_owner() {
    let server = TestServer::new().await;
    let public = server.anyone().get("/health").await;
    assert_eq!((public.status, &public.bytes[..]), (200, &b"OK"[..]));
    let (status, details) = ask(&server, "GET", "/health").await;
    let details: Value = serde_json::from_str(&details).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(details["store"], json!({ "writable": true }));
    assert_eq!(
        (&details["live"], &details["ready"]),
        (&json!(true), &json!(true))
    );
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(ask(&server, "GET", path).await.0, StatusCode::OK, "{path}");
    }

    server.services.rooms.store().close().await;
    let public = server.anyone().get("/health").await;
    assert_eq!(
        (public.status, &public.bytes[..]),
        (503, &b"UNAVAILABLE"[..])
    );
    for (path, status) in [
        ("/health", 503),
        ("/health/ready", 503),
        ("/health/live", 200),
    ] {
        assert_eq!(ask(&server, "GET", path).await.0, status, "{path}");
    }
    let (_, details) = ask(&server, "GET", "/health").await;
    assert!(details.contains("the store is closed"), "{details}");
}

#[tokio::test]
async fn nothing_of_it_is_on_the_public_listener() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for path in ["/metrics", "/health/live", "/health/ready", "/health/"] {
        alice.get(path).await.is(404, "M_UNRECOGNIZED");
        server.anyone().get(path).await.is(404, "M_UNRECOGNIZED");
    }
    assert_eq!(
        ask(&server, "POST", "/metrics").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        ask(&server, "GET", "/_matrix/client/versions").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_certificate_and_its_renewal_show() {
    let server = TestServer::new().await;
    let health = async || {
        let (status, text) = ask(&server, "GET", "/health").await;
        assert_eq!(status, StatusCode::OK);
        let health: Value = serde_json::from_str(&text).unwrap();
        health["certificate"].clone()
    };
    let expiry = "myelin_tls_certificate_expiry_timestamp_seconds";
    let failing = "myelin_tls_acme_failing";
    // Where TLS ends elsewhere there is nothing to say.
    assert_eq!(health().await, Value::Null);
    let figures = scrape(&server).await;
    assert_eq!(figures.value(expiry, &[]), None);
    assert_eq!(figures.value(failing, &[]), None);
    // Nobody has looked at the name yet: that is told, and other listeners serve.
    let certificates = &server.services.certificates;
    certificates.renewals.failed.increment();
    certificates.renewals.stands(tls::Standing {
        failure: Some("connection refused".to_owned()),
        next_ms: 7_000,
    });
    let told = health().await;
    assert_eq!(told["in_force"], Value::Null);
    assert_eq!(told["renewal"]["failure"], "connection refused");
    assert_eq!(told["renewal"]["next_ms"], 7_000);
    let pair = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    let key = pair.signing_key.serialize_pem();
    let certificate = tls::Certificate::from_pem(pair.cert.pem().as_bytes(), key.as_bytes());
    let certificate = certificate.unwrap();
    certificates.replace(&certificate);
    assert_eq!(health().await["in_force"]["names"], json!(["example.org"]));
    let figures = scrape(&server).await;
    let until = std::time::Duration::from_millis(certificate.facts.not_after_ms);
    assert_eq!(figures.value(expiry, &[]), Some(until.as_secs_f64()));
    assert_eq!(figures.value(failing, &[]), Some(1.0));
    let failed = [("result", "failed")];
    let attempts = figures.value("myelin_tls_acme_attempts_total", &failed);
    assert_eq!(attempts, Some(1.0));
}
