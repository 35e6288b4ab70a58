//! HTTP/2, with TLS and without, and the limits that only it needs.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use config::Limits;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tls::{Acceptor, Certificate, Certificates};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Running, ask, connect, run, run_on, tcp};
use crate::Listener;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that speaks HTTP/2, and its end.
#[expect(
    clippy::disallowed_methods,
    reason = "the test waits for the connection's end"
)]
async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn request(path: &str) -> Request<Body> {
    Request::get(format!("http://localhost{path}"))
        .header("x-forwarded-for", "192.0.2.9")
        .body(Body::empty())
        .unwrap()
}

async fn answer(sender: &mut SendRequest<Body>, path: &str) -> (StatusCode, String) {
    sender.ready().await.unwrap();
    let response = sender.send_request(request(path)).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A server with TLS, and a client's side of its certificate.
async fn with_tls(limits: &Limits) -> (Running, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (cert.pem(), signing_key.serialize_pem());
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let time = Duration::from_millis(limits.handshake_timeout_ms);
    let acceptor = Acceptor::new(Certificates::new(&certificate), time).unwrap();
    let listener = Listener::bind_tls("127.0.0.1:0", acceptor).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (run_on(vec![listener], limits), Arc::new(client))
}

async fn tcp_of(running: &Running) -> TcpStream {
    let address = running.addresses[0].strip_prefix("https://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

async fn tls_of(
    running: &Running,
    client: &Arc<ClientConfig>,
    protocol: &str,
) -> TlsStream<TcpStream> {
    let mut client = ClientConfig::clone(client);
    client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("localhost").unwrap();
    connector
        .connect(name, tcp_of(running).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn it_is_spoken_without_tls_by_clients_that_know() {
    let running = run(&[tcp()], &Limits::default()).await;
    let (mut sender, _) = http2(connect(&running).await).await;
    let (status, body) = answer(&mut sender, "/address").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "192.0.2.9"));
    assert_eq!(
        answer(&mut sender, "/nowhere").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn with_tls_both_versions_are_served_and_know_the_client() {
    let (running, client) = with_tls(&Limits::default()).await;
    let stream = tls_of(&running, &client, "h2").await;
    let (mut sender, _) = http2(stream).await;
    let (status, body) = answer(&mut sender, "/address").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "192.0.2.9"));
    let stream = tls_of(&running, &client, "http/1.1").await;
    let text = ask(stream, "/address").await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("192.0.2.9"),
        "{text}"
    );
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go() {
    let limits = Limits {
        handshake_timeout_ms: 50,
        ..Limits::default()
    };
    let (running, client) = with_tls(&limits).await;
    for first_words in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = tcp_of(&running).await;
        stream.write_all(first_words).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset, with an alert or without.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .unwrap();
        assert!(!rest.starts_with(b"HTTP"));
    }
    let text = ask(tls_of(&running, &client, "http/1.1").await, "/address").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // Nor does a handshake keep the server from stopping.
    let _silent = tcp_of(&running).await;
    running.trigger.start();
    timeout(PATIENCE, running.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_connections_are_let_go_and_waiting_ones_are_not() {
    let limits = Limits {
        header_timeout_ms: 50,
        ..Limits::default()
    };
    let running = run(&[tcp()], &limits).await;
    let (mut waiting, _) = http2(connect(&running).await).await;
    let long = async {
        waiting.ready().await.unwrap();
        let response = waiting.send_request(request("/long")).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let idle = async {
        let (silent, ended) = http2(connect(&running).await).await;
        let _ = timeout(PATIENCE, ended).await.unwrap();
        drop(silent);
        let (mut sender, ended) = http2(connect(&running).await).await;
        answer(&mut sender, "/address").await;
        let _ = timeout(PATIENCE, ended).await.unwrap();
        // Twice the time that a silent client has: the other still waits.
        running.trigger.start();
    };
    let (body, ()) = tokio::join!(long, idle);
    assert_eq!(body, "finished");
}

/// The preface and empty settings; [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame: length, type, flags, stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET /stuck` as a whole request.
fn get_stuck(stream: u32) -> Vec<u8> {
    // GET, http, and literals for the path and the authority; END_STREAM and END_HEADERS.
    frame(1, 5, stream, b"\x82\x86\x04\x06/stuck\x01\x01x")
}

/// Frames as they come: type, stream, payload. None at the end.
async fn next_frame(stream: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut head))
        .await
        .unwrap()
        .ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], id, payload))
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused() {
    let running = run(&[tcp()], &Limits::default()).await;
    let mut stream = connect(&running).await;
    let mut bytes = PREFACE.to_vec();
    for number in 0..=super::super::STREAMS {
        bytes.extend(get_stuck(2 * number + 1));
    }
    stream.write_all(&bytes).await.unwrap();
    loop {
        let (kind, id, payload) = next_frame(&mut stream).await.unwrap();
        // RST_STREAM with REFUSED_STREAM, for the last and for no other.
        if kind == 3 {
            assert_eq!(
                (id, payload.as_slice()),
                (2 * super::super::STREAMS + 1, &[0, 0, 0, 7][..])
            );
            break;
        }
    }
}

#[tokio::test]
async fn who_opens_and_resets_in_a_row_is_let_go() {
    let running = run(&[tcp()], &Limits::default()).await;
    let mut stream = connect(&running).await;
    let mut bytes = PREFACE.to_vec();
    for number in 0..5_000 {
        let id = 2 * number + 1;
        bytes.extend(get_stuck(id));
        // RST_STREAM with CANCEL.
        bytes.extend(frame(3, 0, id, &[0, 0, 0, 8]));
    }
    // The server may be gone before all is written.
    let _ = stream.write_all(&bytes).await;
    let mut farewell = None;
    while let Some((kind, _, payload)) = next_frame(&mut stream).await {
        if kind == 7 {
            farewell = Some(payload[4..8].to_vec());
        }
    }
    // GOAWAY with ENHANCE_YOUR_CALM, unless the kernel threw it away with what was not read.
    assert!(
        farewell.is_none_or(|reason| reason == [0, 0, 0, 11]),
        "another reason"
    );
    let text = ask(connect(&running).await, "/address").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn heads_out_of_all_proportion_are_refused() {
    let running = run(&[tcp()], &Limits::default()).await;
    let (mut sender, _) = http2(connect(&running).await).await;
    let mut long = request("/address");
    long.headers_mut()
        .insert("x-long", "y".repeat(1 << 17).parse().unwrap());
    match sender.send_request(long).await {
        Ok(response) => assert_eq!(
            response.status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        ),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
}
