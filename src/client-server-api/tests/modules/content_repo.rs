use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use test_support::{Client, Reply, TestServer};

mod legacy;

const PNG: &[u8] = include_bytes!("content_repo/dot.png");

/// `mxc://…` of `bytes`, uploaded by `client` with this query and these headers.
async fn upload(client: &Client, query: &str, headers: &[(&str, &str)], bytes: &[u8]) -> String {
    let path = format!("/_matrix/media/v3/upload{query}");
    let body = Body::from(bytes.to_vec());
    let reply = client.send_with(Method::POST, &path, headers, body).await;
    let uri = reply.ok()["content_uri"]
        .as_str()
        .expect("a URI")
        .to_owned();
    assert!(uri.starts_with("mxc://localhost/"), "{uri}");
    uri
}

/// `localhost/id` of `mxc://localhost/id`.
fn id(uri: &str) -> &str {
    uri.strip_prefix("mxc://").expect("an mxc URI")
}

async fn download(client: &Client, uri: &str, headers: &[(&str, &str)]) -> Reply {
    let path = format!("/_matrix/client/v1/media/download/{}", id(uri));
    client
        .send_with(Method::GET, &path, headers, Body::empty())
        .await
}

async fn thumbnail(client: &Client, uri: &str, query: &str) -> Reply {
    let path = format!("/_matrix/client/v1/media/thumbnail/{}?{query}", id(uri));
    client.get(&path).await
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply
        .headers
        .get(name)
        .map_or("", |value| value.to_str().expect("a text"))
}

#[tokio::test]
async fn a_download_has_the_headers_of_the_spec() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let uri = upload(
        &alice,
        "?filename=a%20b.png",
        &[("content-type", "image/png")],
        PNG,
    )
    .await;
    let reply = download(&bob, &uri, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(&reply.bytes[..], PNG);
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-disposition", "inline; filename=\"a b.png\""),
        ("content-length", &PNG.len().to_string()),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, max-age=86400, immutable"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(header(&reply, name), value, "{name}");
    }
    let policy = header(&reply, "content-security-policy");
    assert!(
        policy.starts_with("sandbox; default-src 'none';"),
        "{policy}"
    );
    server
        .anyone()
        .get(&format!("/_matrix/client/v1/media/download/{}", id(&uri)))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn file_names_are_what_was_asked_for() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let plain = upload(&alice, "", &[("content-type", "text/plain")], b"x").await;
    assert_eq!(
        header(&download(&alice, &plain, &[]).await, "content-disposition"),
        "inline"
    );
    for (asked, expected) in [
        ("x.txt", "inline; filename=x.txt"),
        (
            "%C3%BC%E2%82%AC.txt",
            "inline; filename*=utf-8''%C3%BC%E2%82%AC.txt",
        ),
        ("a%22b%5C.txt", "inline; filename=\"a\\\"b\\\\.txt\""),
        (
            "a%0D%0Ax-evil:%201.txt",
            "inline; filename=\"ax-evil: 1.txt\"",
        ),
    ] {
        let path = format!("/_matrix/client/v1/media/download/{}/{asked}", id(&plain));
        let reply = alice.get(&path).await;
        assert_eq!(header(&reply, "content-disposition"), expected);
        assert!(!reply.headers.contains_key("x-evil"));
    }
    let path = format!("/_matrix/client/v1/media/download/{}/x.txt", id(&plain));
    server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn what_a_browser_could_run_is_an_attachment() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let script: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for (content_type, disposition) in [
        ("image/svg+xml", "attachment"),
        ("text/html", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("application/pdf", "attachment"),
        // A lie, but a harmless one: nobody sniffs.
        ("image/png", "inline"),
    ] {
        let uri = upload(&alice, "", &[("content-type", content_type)], script).await;
        let reply = download(&alice, &uri, &[]).await;
        assert_eq!(
            header(&reply, "content-disposition"),
            disposition,
            "{content_type}"
        );
        assert_eq!(header(&reply, "content-type"), content_type);
        assert_eq!(header(&reply, "x-content-type-options"), "nosniff");
        assert!(header(&reply, "content-security-policy").contains("script-src 'none'"));
        thumbnail(&alice, &uri, "width=32&height=32")
            .await
            .is(400, "M_UNKNOWN");
    }
    let uri = upload(&alice, "", &[("content-type", "text/html\u{e9}")], script).await;
    let reply = download(&alice, &uri, &[]).await;
    assert_eq!(header(&reply, "content-type"), "application/octet-stream");
    assert_eq!(header(&reply, "content-disposition"), "attachment");
}

#[tokio::test]
async fn parts_are_served() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let uri = upload(&alice, "", &[], b"0123456789").await;
    let etag = header(&download(&alice, &uri, &[]).await, "etag").to_owned();
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, &b"234"[..], "bytes 2-4/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", ""),
        ("nonsense", 200, b"0123456789", ""),
    ] {
        let reply = download(&alice, &uri, &[("range", range), ("if-range", &etag)]).await;
        assert_eq!((reply.status, &reply.bytes[..]), (status, body), "{range}");
        assert_eq!(header(&reply, "content-range"), content_range);
        assert_eq!(header(&reply, "content-length"), body.len().to_string());
    }
    let reply = download(&alice, &uri, &[("range", "bytes=10-")]).await;
    assert_eq!(header(&reply, "content-range"), "bytes */10");
    reply.is(416, "M_INVALID_PARAM");
    let reply = download(
        &alice,
        &uri,
        &[("range", "bytes=2-4"), ("if-range", "\"x\"")],
    )
    .await;
    assert_eq!(reply.status, 200);
    let reply = download(
        &alice,
        &uri,
        &[("if-none-match", &format!("\"x\", {etag}"))],
    )
    .await;
    assert_eq!((reply.status, reply.bytes.len()), (304, 0));
}

#[tokio::test]
async fn only_what_is_here_is_found() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for path in [
        "localhost/unknown",
        "localhost/..%2F..%2Fx",
        "elsewhere.example/abc",
        "127.0.0.1/abc",
    ] {
        for kind in ["download", "thumbnail"] {
            let path = format!("/_matrix/client/v1/media/{kind}/{path}?width=32&height=32");
            alice.get(&path).await.is(404, "M_NOT_FOUND");
        }
    }
    let bad = "/_matrix/client/v1/media/download/no%20server/abc";
    alice.get(bad).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn thumbnails_are_images_that_browsers_show() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let uri = upload(&alice, "", &[("content-type", "application/x-lie")], PNG).await;
    for query in [
        "width=32&height=32&method=crop",
        "width=16&height=16&animated=true",
    ] {
        let reply = thumbnail(&alice, &uri, query).await;
        assert_eq!(reply.status, 200, "{}", reply.json);
        let content_type = header(&reply, "content-type");
        assert!(
            matches!(content_type, "image/png" | "image/jpeg"),
            "{content_type}"
        );
        let disposition = header(&reply, "content-disposition");
        assert!(
            disposition.starts_with("inline; filename=thumbnail."),
            "{disposition}"
        );
        assert_eq!(
            header(&reply, "content-length"),
            reply.bytes.len().to_string()
        );
        assert_eq!(header(&reply, "x-content-type-options"), "nosniff");
    }
    for query in [
        "width=0&height=32",
        "width=32",
        "width=-1&height=32",
        "width=a&height=32",
        "width=32&height=32&method=stretch",
    ] {
        thumbnail(&alice, &uri, query)
            .await
            .is(400, "M_INVALID_PARAM");
    }
    let anyone = server.anyone();
    thumbnail(&anyone, &uri, "width=32&height=32")
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn an_image_too_large_has_no_thumbnail() {
    let server = TestServer::with(|config| config.thumbnails.max_pixels = 100).await;
    let alice = server.register("alice").await;
    let uri = upload(&alice, "", &[("content-type", "image/png")], PNG).await;
    thumbnail(&alice, &uri, "width=8&height=8")
        .await
        .is(413, "M_TOO_LARGE");
    // It can be had whole.
    assert_eq!(download(&alice, &uri, &[]).await.status, 200);
}

#[tokio::test]
async fn the_limit_is_told() {
    let server = TestServer::with(|config| config.media.max_upload_bytes = 1_234).await;
    let alice = server.register("alice").await;
    for path in [
        "/_matrix/client/v1/media/config",
        "/_matrix/media/v3/config",
    ] {
        assert_eq!(
            alice.get(path).await.ok(),
            json!({ "m.upload.size": 1_234 })
        );
        server.anyone().get(path).await.is(401, "M_MISSING_TOKEN");
    }
}

const PREVIEWS: [&str; 2] = [
    "/_matrix/client/v1/media/preview_url",
    "/_matrix/media/v3/preview_url",
];

#[tokio::test]
async fn previews_need_to_be_switched_on() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for path in PREVIEWS {
        let path = format!("{path}?url=http%3A%2F%2Fexample.org%2F");
        alice.get(&path).await.is(404, "M_UNRECOGNIZED");
        server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
    }
}

#[tokio::test]
async fn previews_do_not_show_the_inside_of_a_network() {
    let server = TestServer::with(|config| config.previews.enabled = true).await;
    let alice = server.register("alice").await;
    for path in PREVIEWS {
        let ask = |url: &'static str| alice.get(format!("{path}?url={url}").leak());
        ask("http%3A%2F%2F127.0.0.1%3A1%2F")
            .await
            .is(502, "M_UNKNOWN");
        ask("http%3A%2F%2Flocalhost%3A1%2F")
            .await
            .is(502, "M_UNKNOWN");
        ask("file%3A%2F%2F%2Fetc%2Fpasswd")
            .await
            .is(400, "M_INVALID_PARAM");
        ask("nonsense").await.is(400, "M_INVALID_PARAM");
        alice.get(path).await.is(400, "M_INVALID_PARAM");
    }
}

/// A web server that counts what it is asked.
async fn web() -> (String, std::sync::Arc<std::sync::atomic::AtomicU32>) {
    use axum::{Router, response::Html, routing::get};
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counting = std::sync::Arc::clone(&count);
    let page = move || {
        counting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async {
            Html(
                r#"<meta property="og:title" content="A page"><meta property="og:image" content="/dot.png">"#,
            )
        }
    };
    let router = Router::new()
        .route("/page", get(page))
        .route(
            "/dot.png",
            get(async || ([("content-type", "image/png")], PNG)),
        )
        .route("/plain", get(async || "text"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a socket");
    let address = listener.local_addr().expect("a socket");
    host::Host::system().spawn("web", async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a socket");
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
            host::Host::system().spawn("connection", async move {
                let _ = serving.await;
            });
        }
    });
    (format!("http%3A%2F%2F{address}"), count)
}

#[tokio::test]
async fn a_page_is_previewed_with_its_image_and_remembered() {
    let server = TestServer::with(|config| {
        config.previews.enabled = true;
        config.outbound.allowed_networks = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let alice = server.register("alice").await;
    let (web, count) = web().await;
    let preview = async |path: &str| -> Value {
        alice
            .get(&format!("{}?url={web}{path}", PREVIEWS[0]))
            .await
            .ok()
    };
    let found = preview("%2Fpage").await;
    assert_eq!(found["og:title"], "A page");
    assert_eq!(found["og:image:type"], "image/png");
    assert_eq!(found["og:image:width"], 20);
    assert_eq!(found["matrix:image:size"], PNG.len());
    let image = found["og:image"].as_str().unwrap();
    assert_eq!(&download(&alice, image, &[]).await.bytes[..], PNG);
    assert_eq!(preview("%2Fpage%23part").await, found);
    let older = format!("{}?url={web}%2Fpage", PREVIEWS[1]);
    assert_eq!(alice.get(&older).await.ok(), found);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
    server.clock.advance(60 * 60_000);
    preview("%2Fpage").await;
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(preview("%2Fplain").await, json!({}));
    let image = preview("%2Fdot.png").await;
    assert_eq!(
        (&image["og:title"], &image["og:image:height"]),
        (&json!("dot.png"), &json!(20))
    );
    let missing = alice
        .get(&format!("{}?url={web}%2Fmissing", PREVIEWS[0]))
        .await;
    missing.is(502, "M_UNKNOWN");
}
