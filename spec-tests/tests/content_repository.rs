//! [Content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use spec_tests::{Client, Response, Server, User, anonymous, encode, user};

mod s3;

const UPLOAD: &str = "/_matrix/media/v3/upload";

/// 20 × 20 pixels, the first of them transparent.
const PNG: &[u8] = include_bytes!("content_repository/dot.png");

fn upload(client: &Client, content_type: &str, bytes: &[u8]) -> String {
    let headers = [("content-type", content_type)];
    let answer = client.send("POST", UPLOAD, &headers, Some(bytes)).ok();
    answer["content_uri"].as_str().expect("a URI").to_owned()
}

/// `/v1/media/{kind}/{server}/{id}` of an mxc URI.
fn path(kind: &str, uri: &str) -> String {
    let id = uri.strip_prefix("mxc://").expect("an mxc URI");
    format!("/v1/media/{kind}/{id}")
}

fn download(client: &Client, uri: &str) -> Response {
    client.get(&path("download", uri))
}

#[test]
fn what_one_uploads_another_downloads() {
    let (alice, bob) = (user("alice"), user("bob"));
    let bytes: Vec<u8> = (0_u8..=255).cycle().take(3_000_000).collect();
    let headers = [("content-type", "video/mp4")];
    let name = format!("{UPLOAD}?filename={}", encode("ünique name.mp4"));
    let answer = alice.send("POST", &name, &headers, Some(&bytes)).ok();
    let uri = answer["content_uri"].as_str().unwrap();
    assert!(
        uri.starts_with(&format!("mxc://{}/", alice.server_name())),
        "{uri}"
    );
    let answer = download(&bob, uri);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("content-type"), "video/mp4");
    let disposition = answer.header("content-disposition");
    let kind = disposition.split(';').next().unwrap();
    assert!(matches!(kind, "inline" | "attachment"), "{disposition}");
    assert!(
        disposition
            .to_lowercase()
            .contains("filename*=utf-8''%c3%bcnique%20name.mp4"),
        "{disposition}"
    );
    assert_eq!(
        answer.header("cross-origin-resource-policy"),
        "cross-origin"
    );
    assert!(answer.header("content-security-policy").contains("sandbox"));
}

#[test]
fn a_download_may_choose_the_file_name() {
    let alice = user("alice");
    let uri = upload(&alice, "text/plain", b"hello");
    let answer = alice.get(&format!("{}/other.txt", path("download", &uri)));
    assert_eq!(answer.body, b"hello");
    assert!(answer.header("content-disposition").contains("other.txt"));
}

#[test]
fn everything_needs_a_login() {
    let uri = upload(&user("alice"), "image/png", PNG);
    let nobody = anonymous();
    for path in [
        path("download", &uri),
        format!("{}/name.png", path("download", &uri)),
        format!("{}?width=32&height=32", path("thumbnail", &uri)),
        "/v1/media/config".to_owned(),
        "/v1/media/preview_url?url=http%3A%2F%2Fexample.org%2F".to_owned(),
        "/_matrix/media/v3/config".to_owned(),
    ] {
        nobody.get(&path).fails(401, "M_MISSING_TOKEN");
    }
    let refused = nobody.send("POST", UPLOAD, &[], Some(b"x"));
    refused.fails(401, "M_MISSING_TOKEN");
    nobody
        .post("/_matrix/media/v1/create", json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn newly_uploaded_media_is_not_on_the_frozen_paths() {
    let uri = upload(&user("alice"), "image/png", PNG);
    let id = uri.strip_prefix("mxc://").unwrap();
    for path in [
        format!("/_matrix/media/v3/download/{id}"),
        format!("/_matrix/media/v3/download/{id}/name.png"),
        format!("/_matrix/media/v3/thumbnail/{id}?width=32&height=32&method=crop"),
    ] {
        anonymous().get(&path).fails(404, "M_NOT_FOUND");
    }
}

#[test]
fn unknown_media_is_not_found() {
    let alice = user("alice");
    let uri = format!("mxc://{}/unknownmedia", alice.server_name());
    download(&alice, &uri).fails(404, "M_NOT_FOUND");
    let uri = format!("mxc://{}/..%2F..%2Fsecret", alice.server_name());
    assert!(download(&alice, &uri).status >= 400);
}

#[test]
fn the_limit_is_told_and_kept() {
    let server = Server::with(&[("media.max_upload_bytes", "100000")]);
    let alice = server.client().register("alice");
    for path in ["/v1/media/config", "/_matrix/media/v3/config"] {
        assert_eq!(alice.get(path).ok()["m.upload.size"], 100_000);
    }
    upload(&alice, "x/y", &vec![0; 100_000]);
    // More than the sockets between hold: the answer comes although nobody wanted the rest.
    let too_large = vec![0; 5_000_000];
    let refused = alice.send("POST", UPLOAD, &[], Some(&too_large));
    refused.fails(413, "M_TOO_LARGE");
}

#[test]
fn content_may_come_later() {
    let (alice, bob) = (user("alice"), user("bob"));
    let created = alice.post("/_matrix/media/v1/create", json!({})).ok();
    let uri = created["content_uri"].as_str().unwrap();
    assert!(created["unused_expires_at"].is_u64(), "{created}");
    let early = bob.get(&format!("{}?timeout_ms=0", path("download", uri)));
    early.fails(504, "M_NOT_YET_UPLOADED");
    let id = uri.strip_prefix("mxc://").unwrap();
    let put = |who: &User| {
        let headers = [("content-type", "text/plain")];
        who.send("PUT", &format!("{UPLOAD}/{id}"), &headers, Some(b"late"))
    };
    put(&bob).fails(403, "M_FORBIDDEN");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| download(&bob, uri));
        put(&alice).ok();
        assert_eq!(waiting.join().unwrap().body, b"late");
    });
    put(&alice).fails(409, "M_CANNOT_OVERWRITE_MEDIA");
}

#[test]
fn an_image_has_thumbnails() {
    let alice = user("alice");
    let uri = upload(&alice, "image/png", PNG);
    for query in [
        "width=8&height=8&method=crop",
        "width=640&height=480&method=scale",
    ] {
        let answer = alice.get(&format!("{}?{query}", path("thumbnail", &uri)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("content-type").starts_with("image/"));
        assert!(answer.header("content-disposition").starts_with("inline"));
        assert!(!answer.body.is_empty());
    }
    let thumbnails = path("thumbnail", &uri);
    assert_eq!(
        alice.get(&format!("{thumbnails}?width=-1&height=8")).status,
        400
    );
    assert_eq!(alice.get(&format!("{thumbnails}?width=8")).status, 400);
}

#[test]
fn what_could_run_in_a_browser_does_not() {
    let alice = user("alice");
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let html = b"<!doctype html><script>alert(1)</script>";
    for (content_type, bytes) in [
        ("image/svg+xml", &svg[..]),
        ("text/html", html),
        ("application/xhtml+xml", html),
    ] {
        let answer = download(&alice, &upload(&alice, content_type, bytes));
        let disposition = answer.header("content-disposition");
        assert!(
            disposition.starts_with("attachment"),
            "{content_type}: {disposition}"
        );
    }
    // HTML that calls itself an image stays what it calls itself.
    let uri = upload(&alice, "image/png", html);
    let answer = download(&alice, &uri);
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let thumbnail = alice.get(&format!("{}?width=32&height=32", path("thumbnail", &uri)));
    thumbnail.fails(400, "M_UNKNOWN");
}

#[test]
fn part_of_a_file_can_be_had() {
    let alice = user("alice");
    let uri = upload(&alice, "text/plain", b"0123456789");
    let part = |range: &str| alice.send("GET", &path("download", &uri), &[("range", range)], None);
    let answer = part("bytes=3-5");
    assert_eq!((answer.status, answer.text().as_str()), (206, "345"));
    assert_eq!(answer.header("content-range"), "bytes 3-5/10");
    assert_eq!(part("bytes=20-").status, 416);
    assert_eq!(part("bytes=a-b").text(), "0123456789");
}

/// Everything below the server's media directory.
fn files(server: &Server) -> Vec<std::path::PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![server.dir().join("data/media")]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn an_upload_whose_client_goes_leaves_nothing() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 9000000\r\n\r\n",
        alice.access_token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![0; 4_000_000]).unwrap();
    let patience = std::time::Instant::now();
    let wait = |done: &dyn Fn() -> bool| {
        while !done() && patience.elapsed().as_secs() < spec_tests::PATIENCE_SECONDS {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        assert!(done(), "{:?}", files(&server));
    };
    wait(&|| files(&server).len() == 1);
    drop(stream);
    wait(&|| files(&server).is_empty());
}

#[test]
fn what_was_uploaded_survives_a_kill() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let bytes = vec![7; 1_000_000];
    let uri = upload(&alice, "x/y", &bytes);
    server.kill();
    server.start_again();
    assert_eq!(download(&alice.reconnected(), &uri).body, bytes);
}

/// An image that says it has 900 million pixels, and one that really has 25 million in a few kilobytes.
#[test]
fn image_bombs_do_no_harm() {
    let server = Server::start();
    let alice = server.client().register("alice");
    for (bytes, expected) in [
        (
            &include_bytes!("content_repository/30000x30000.png")[..],
            &[413][..],
        ),
        (include_bytes!("content_repository/5000x5000.png"), &[200]),
        (
            include_bytes!("content_repository/text_bomb.png"),
            &[200, 400, 413],
        ),
    ] {
        let uri = upload(&alice, "image/png", bytes);
        let answer = alice.get(&format!("{}?width=96&height=96", path("thumbnail", &uri)));
        assert!(
            expected.contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text()
        );
    }
    let status = server
        .pid()
        .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")));
    if let Some(Ok(status)) = status {
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 500_000, "{kilobytes} kB");
    }
    download(&alice, &upload(&alice, "x/y", b"still here"));
}

/// Answers each request with a page, until the test ends.
fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4_096];
            let length = stream.read(&mut head).unwrap_or(0);
            let image = head[..length].starts_with(b"GET /dot.png");
            let page: &[u8] = b"<title>A page</title><meta property='og:image' content='dot.png'>";
            let (kind, body) = if image {
                ("image/png", PNG)
            } else {
                ("text/html", page)
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // Whoever has gone needs no answer.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body));
        }
    });
    format!("http://{address}/page")
}

fn preview(client: &Client, url: &str) -> Response {
    client.get(&format!("/v1/media/preview_url?url={}", encode(url)))
}

#[test]
fn a_page_is_previewed_where_that_is_allowed() {
    let server = Server::with(&[
        ("previews.enabled", "true"),
        ("outbound.allowed_networks", "[\"127.0.0.1\"]"),
    ]);
    let alice = server.client().register("alice");
    let url = web();
    let found: Value = preview(&alice, &url).ok();
    assert_eq!(found["og:title"], "A page");
    let older = format!("/_matrix/media/v3/preview_url?url={}", encode(&url));
    assert_eq!(alice.get(&older).ok()["og:title"], "A page");
    assert_eq!(found["matrix:image:size"], PNG.len());
    let image = found["og:image"].as_str().unwrap();
    assert_eq!(download(&alice, image).body, PNG);
}

#[test]
fn the_inside_of_a_network_is_not_previewed() {
    let server = Server::with(&[("previews.enabled", "true")]);
    let alice = server.client().register("alice");
    let url = web();
    let port = url.split(':').nth(2).unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let answer = preview(&alice, &format!("http://{host}:{port}"));
        assert_eq!(answer.status, 502, "{host}: {}", answer.text());
    }
    assert_eq!(preview(&alice, "nonsense").status, 400);
}
