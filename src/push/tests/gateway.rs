//! The gateway over HTTP.

use std::net::SocketAddr;

use config::Config;
use host::Host;
use outbound::{Outbound, OutboundError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::{Gateway, GatewayError, HttpGateway};

/// A gateway that gives these answers in turn, and what it was sent.
async fn listen(answers: Vec<String>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::unbounded_channel();
    Host::system().spawn("test gateway", async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut chunk = [0; 4_096];
                let read = stream.read(&mut chunk).await.unwrap();
                assert!(read > 0, "the request ends early");
                request.extend_from_slice(&chunk[..read]);
            }
            sender.send(String::from_utf8(request).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn gateway(allowed: &[&str]) -> HttpGateway {
    let mut config = Config::default();
    config.outbound.allowed_networks = allowed.iter().map(|one| one.parse().unwrap()).collect();
    HttpGateway::new(Outbound::new(&config), &config.push)
}

#[tokio::test]
async fn answers_are_understood() {
    let answers = [
        ("200 OK", r#"{"rejected":["a","b"]}"#),
        ("200 OK", r#"{"rejected":[]}"#),
        ("200 OK", "{}"),
        ("202 Accepted", "thank you"),
        ("500 Internal Server Error", "{}"),
        ("404 Not Found", r#"{"rejected":["a"]}"#),
        ("307 Temporary Redirect", ""),
    ];
    let answers = answers.map(|(status, body)| answer(status, body));
    let (address, mut requests) = listen(answers.to_vec()).await;
    let gateway = gateway(&["127.0.0.1"]);
    let url = format!("http://{address}/_matrix/push/v1/notify");
    let mut told = Vec::new();
    for _ in 0..7 {
        told.push(match gateway.notify(&url, b"{\"x\":1}".to_vec()).await {
            Ok(rejected) => format!("{rejected:?}"),
            Err(GatewayError::Status(status)) => status.to_string(),
            Err(GatewayError::Outbound(error)) => error.to_string(),
        });
    }
    let expected = ["[\"a\", \"b\"]", "[]", "[]", "[]", "500", "404", "307"];
    assert_eq!(told, expected);
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("POST /_matrix/push/v1/notify HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request
            .to_lowercase()
            .contains("content-type: application/json"),
        "{request}"
    );
    assert!(request.ends_with("{\"x\":1}"), "{request}");
}

#[tokio::test]
async fn no_gateway_leads_inside() {
    let (address, _requests) = listen(vec![answer("200 OK", "{}")]).await;
    let url = format!("http://{address}/_matrix/push/v1/notify");
    let refused = gateway(&[]).notify(&url, b"{}".to_vec()).await;
    assert!(
        matches!(refused, Err(GatewayError::Outbound(OutboundError::Refused))),
        "{refused:?}"
    );
    let wrong = gateway(&[]).notify("no url", b"{}".to_vec()).await;
    assert!(
        matches!(wrong, Err(GatewayError::Outbound(OutboundError::BadUrl(_)))),
        "{wrong:?}"
    );
}
