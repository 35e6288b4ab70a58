use std::{net::SocketAddr, time::Duration};

use config::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{Answer, Limits, Longer, Outbound, OutboundError, Url};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(10),
    bytes: 1_000,
    longer: Longer::Refuse,
};

fn outbound(allowed: &[&str]) -> Outbound {
    let mut config = Config::default();
    config.outbound.allowed_networks = allowed.iter().map(|one| one.parse().unwrap()).collect();
    Outbound::new(&config)
}

/// A server that answers everything with what `answer` makes of the request, byte for byte.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    server_at("127.0.0.1:0", answer).await
}

async fn server_at(
    address: &str,
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    host::Host::system().spawn("test server", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 16_384];
            let mut length = 0;
            while !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut head[length..]).await.unwrap();
                if read == 0 {
                    break;
                }
                length += read;
            }
            let text = answer(&String::from_utf8_lossy(&head[..length]));
            // Who has read enough hangs up.
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Text/HTML; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

async fn get(outbound: &Outbound, url: &str, limits: &Limits) -> Result<Answer, OutboundError> {
    outbound.get(&Url::parse(url).unwrap(), "*/*", limits).await
}

#[tokio::test]
async fn an_allowed_server_is_asked() {
    let address = server(|request| {
        assert!(request.contains("user-agent: Myelin/"), "{request}");
        ok("hello")
    })
    .await;
    let outbound = outbound(&["127.0.0.0/8"]);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", address.port());
        let answer = get(&outbound, &url, &LIMITS).await.unwrap();
        assert_eq!(&answer.body[..], b"hello");
        assert_eq!(answer.media_type(), "text/html");
        assert_eq!(answer.url.as_str(), url);
    }
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let address = server(|_| ok("secret")).await;
    let outbound = outbound(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let url = format!("http://{host}:{}/", address.port());
        let result = get(&outbound, &url, &LIMITS).await;
        assert!(
            matches!(result, Err(OutboundError::Refused)),
            "{host}: {result:?}"
        );
    }
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    let result = outbound.post_json(&url, b"{}".to_vec(), &LIMITS).await;
    assert!(matches!(result, Err(OutboundError::Refused)), "{result:?}");
}

#[tokio::test]
async fn every_redirect_is_judged_again() {
    let inside = server(|_| ok("secret")).await;
    for target in [
        format!("http://{inside}/"),
        format!("http://localhost:{}/", inside.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let address = server_at("127.0.0.3:0", move |_| redirect(&target)).await;
        // Only the first server is allowed.
        let result = get(
            &outbound(&["127.0.0.3"]),
            &format!("http://{address}/"),
            &LIMITS,
        )
        .await;
        assert!(matches!(result, Err(OutboundError::Refused)), "{result:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let address = server(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/start" => redirect("page"),
            "/page" => ok("there"),
            "/file" => redirect("file:///etc/passwd"),
            "/login" => redirect("http://user:password@127.0.0.1/"),
            _ => redirect("/again"),
        }
    })
    .await;
    let outbound = outbound(&["127.0.0.1"]);
    let url = |path: &str| format!("http://{address}{path}");
    let answer = get(&outbound, &url("/start"), &LIMITS).await.unwrap();
    assert_eq!(&answer.body[..], b"there");
    assert_eq!(answer.url.path(), "/page");
    let result = get(&outbound, &url("/again"), &LIMITS).await;
    assert!(
        matches!(result, Err(OutboundError::Redirects)),
        "{result:?}"
    );
    for path in ["/file", "/login"] {
        let result = get(&outbound, &url(path), &LIMITS).await;
        assert!(
            matches!(result, Err(OutboundError::BadUrl(_))),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn long_answers_are_refused_or_cut() {
    let declared = server(|_| ok(&"x".repeat(5_000))).await;
    let endless = server(|_| {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "y".repeat(100_000)
        )
    })
    .await;
    let outbound = outbound(&["127.0.0.1"]);
    for address in [declared, endless] {
        let url = format!("http://{address}/");
        let result = get(&outbound, &url, &LIMITS).await;
        assert!(
            matches!(result, Err(OutboundError::TooLarge { limit: 1_000 })),
            "{result:?}"
        );
        let cut = Limits {
            longer: Longer::Cut,
            ..LIMITS
        };
        assert_eq!(get(&outbound, &url, &cut).await.unwrap().body.len(), 1_000);
    }
}

#[tokio::test]
async fn a_silent_server_takes_no_longer_than_the_limit() {
    // Accepts through the backlog and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let limits = Limits {
        time: Duration::from_millis(50),
        ..LIMITS
    };
    let result = get(&outbound(&["127.0.0.1"]), &url, &limits).await;
    assert!(matches!(result, Err(OutboundError::Timeout)), "{result:?}");
}
