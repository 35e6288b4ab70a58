use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Method;
use serde_json::json;
use test_support::{Client, Reply, START_MS, TestServer};

use super::{PNG, download, id, upload};

const UPLOAD: &str = "/_matrix/media/v3/upload";

async fn put(client: &Client, uri: &str, bytes: &'static [u8]) -> Reply {
    let path = format!("{UPLOAD}/{}", id(uri));
    client.send(Method::PUT, &path, bytes).await
}

async fn create(client: &Client) -> Reply {
    client.post("/_matrix/media/v1/create", json!({})).await
}

#[tokio::test]
async fn an_upload_needs_a_login() {
    let server = TestServer::new().await;
    let anyone = server.anyone();
    anyone
        .send(Method::POST, UPLOAD, "x")
        .await
        .is(401, "M_MISSING_TOKEN");
    create(&anyone).await.is(401, "M_MISSING_TOKEN");
    put(&anyone, "mxc://localhost/abc", b"x")
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn an_upload_too_large_is_refused() {
    let server = TestServer::with(|config| config.media.max_upload_bytes = 1_000).await;
    let alice = server.register("alice").await;
    let told = [("content-length", "1001")];
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let reply = alice.send_with(Method::POST, UPLOAD, &told, never).await;
    reply.is(413, "M_TOO_LARGE");
    let streamed = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[0; 100])));
    let reply = alice
        .send(Method::POST, UPLOAD, Body::from_stream(streamed))
        .await;
    reply.is(413, "M_TOO_LARGE");
    upload(&alice, "", &[], &[0; 1_000]).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("gone")]);
    let reply = alice
        .send(Method::POST, UPLOAD, Body::from_stream(broken))
        .await;
    reply.is(400, "M_UNKNOWN");
}

#[tokio::test]
async fn bad_names_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let path = format!("{UPLOAD}?filename={}", "x".repeat(2_000));
    alice
        .send(Method::POST, &path, "x")
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn quotas_hold() {
    let server = TestServer::with(|config| config.media.user_quota_bytes = 10).await;
    let alice = server.register("alice").await;
    upload(&alice, "", &[], b"12345678").await;
    alice
        .send(Method::POST, UPLOAD, "901")
        .await
        .is(403, "M_FORBIDDEN");
    let bob = server.register("bob").await;
    upload(&bob, "", &[], b"12345678").await;
}

#[tokio::test]
async fn uploads_are_limited() {
    let server = TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.upload.burst = 2;
        config.rate_limits.upload.per_second = 1.0;
    })
    .await;
    let alice = server.register("alice").await;
    upload(&alice, "", &[], b"1").await;
    create(&alice).await.ok();
    alice
        .send(Method::POST, UPLOAD, "3")
        .await
        .is(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn content_may_come_later() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let created = create(&alice).await.ok();
    assert_eq!(created["unused_expires_at"], START_MS + 24 * 3_600_000);
    let uri = created["content_uri"].as_str().unwrap().to_owned();
    let path = format!(
        "/_matrix/client/v1/media/download/{}?timeout_ms=0",
        id(&uri)
    );
    bob.get(&path).await.is(504, "M_NOT_YET_UPLOADED");
    put(&bob, &uri, b"x").await.is(403, "M_FORBIDDEN");
    let waiting = download(&bob, &uri, &[]);
    let uploading = async {
        tokio::task::yield_now().await;
        assert_eq!(put(&alice, &uri, b"content").await.ok(), json!({}));
    };
    let (reply, ()) = tokio::join!(waiting, uploading);
    assert_eq!(&reply.bytes[..], b"content");
    put(&alice, &uri, b"again")
        .await
        .is(409, "M_CANNOT_OVERWRITE_MEDIA");
    assert_eq!(&download(&bob, &uri, &[]).await.bytes[..], b"content");
    for unknown in ["mxc://localhost/unknown", "mxc://elsewhere.example/abc"] {
        put(&alice, unknown, b"x").await.is(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn announced_content_expires() {
    let server = TestServer::with(|config| config.media.max_pending_uploads = 1).await;
    let alice = server.register("alice").await;
    let created = create(&alice).await.ok();
    let uri = created["content_uri"].as_str().unwrap().to_owned();
    let refused = create(&alice).await.is(429, "M_LIMIT_EXCEEDED");
    assert_eq!(refused["retry_after_ms"], 24 * 3_600_000);
    server.clock.advance(24 * 3_600_000);
    put(&alice, &uri, b"x").await.is(404, "M_NOT_FOUND");
    download(&alice, &uri, &[]).await.is(404, "M_NOT_FOUND");
    create(&alice).await.ok();
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let uri = upload(&alice, "", &[("content-type", "image/png")], PNG).await;
    let created = create(&alice).await.ok();
    let server = server.restart().await;
    let alice = server.login("alice").await;
    assert_eq!(&download(&alice, &uri, &[]).await.bytes[..], PNG);
    put(&alice, created["content_uri"].as_str().unwrap(), b"x")
        .await
        .ok();
}

#[tokio::test]
async fn the_frozen_paths_serve_only_what_was_open() {
    let paths = |uri: &str| {
        [
            "download/ID",
            "download/ID/x.png",
            "thumbnail/ID?width=32&height=32",
        ]
        .map(|path| format!("/_matrix/media/v3/{}", path.replace("ID", id(uri))))
    };
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let uri = upload(&alice, "", &[("content-type", "image/png")], PNG).await;
    for path in paths(&uri) {
        server.anyone().get(&path).await.is(404, "M_NOT_FOUND");
        alice.get(&path).await.is(404, "M_NOT_FOUND");
    }
    let open = TestServer::with(|config| config.media.unauthenticated_downloads = true).await;
    let alice = open.register("alice").await;
    let uri = upload(&alice, "", &[("content-type", "image/png")], PNG).await;
    for path in paths(&uri) {
        let reply = open.anyone().get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(
            reply.headers.get("cache-control").unwrap(),
            "public, max-age=86400, immutable"
        );
    }
}
