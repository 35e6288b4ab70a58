use std::time::Duration;

use axum::{Router, routing::get};
use config::{Limits, Listen};
use host::{Host, Shutdown, ShutdownTrigger};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};

use super::Server;
use crate::{ClientAddress, Frame, HttpFigures, Listener, frame};

mod http2;

struct Running {
    addresses: Vec<String>,
    trigger: ShutdownTrigger,
    server: JoinHandle<()>,
}

async fn run(listen: &[Listen], limits: &Limits) -> Running {
    let mut listeners = Vec::new();
    for listen in listen {
        listeners.push(Listener::bind(listen).await.unwrap());
    }
    run_on(listeners, limits)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test waits for the server's end"
)]
fn run_on(listeners: Vec<Listener>, limits: &Limits) -> Running {
    let (trigger, shutdown) = Shutdown::new();
    let waiting = shutdown.clone();
    let router = Router::new()
        .route(
            "/address",
            get(async |address: ClientAddress| address.0.to_string()),
        )
        .route(
            "/long",
            get(async move || {
                waiting.wait().await;
                "finished"
            }),
        )
        .route("/stuck", get(std::future::pending::<()>));
    let addresses = listeners.iter().map(Listener::address).collect();
    let router = frame(
        router,
        Frame::new(&config::Config::default(), HttpFigures::default()),
    );
    let server = Server::new(router, limits, Host::system());
    let server = tokio::spawn(server.serve(listeners, shutdown));
    Running {
        addresses,
        trigger,
        server,
    }
}

fn tcp() -> Listen {
    Listen::Tcp("127.0.0.1:0".to_owned())
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.addresses[0].strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, path: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The connection is closed by the server, after this many bytes.
async fn closed(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest))
        .await
        .unwrap();
    rest.len()
}

#[tokio::test]
async fn tcp_and_unix_sockets_are_served_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("myelin.sock");
    // A socket left behind by a crash.
    drop(tokio::net::UnixListener::bind(&path).unwrap());
    let running = run(&[tcp(), Listen::Unix(path.clone())], &Limits::default()).await;
    assert!(
        ask(connect(&running).await, "/address")
            .await
            .ends_with("192.0.2.9")
    );
    let unix = UnixStream::connect(&path).await.unwrap();
    assert!(ask(unix, "/address").await.ends_with("192.0.2.9"));
    assert!(
        Listener::bind(&Listen::Unix(path.clone())).await.is_err(),
        "somebody listens there"
    );
    running.trigger.start();
    running.server.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn long_requests_finish_when_the_server_stops() {
    let running = run(&[tcp()], &Limits::default()).await;
    let stream = connect(&running).await;
    let idle = connect(&running).await;
    let (answer, ()) = tokio::join!(ask(stream, "/long"), async {
        // Once a second request is answered, the first is under way.
        ask(connect(&running).await, "/address").await;
        running.trigger.start();
    });
    assert!(answer.ends_with("finished"), "{answer}");
    assert_eq!(closed(idle).await, 0);
    running.server.await.unwrap();
}

#[tokio::test]
async fn stuck_requests_are_cut_off() {
    let limits = Limits {
        drain_timeout_ms: 50,
        ..Limits::default()
    };
    let running = run(&[tcp()], &limits).await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    ask(connect(&running).await, "/address").await;
    running.trigger.start();
    running.server.await.unwrap();
    assert_eq!(closed(stream).await, 0);
}

#[tokio::test]
async fn silent_clients_are_let_go() {
    let limits = Limits {
        header_timeout_ms: 100,
        ..Limits::default()
    };
    let running = run(&[tcp()], &limits).await;
    for first_words in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = connect(&running).await;
        stream.write_all(first_words.as_bytes()).await.unwrap();
        closed(stream).await;
    }
    // Between two requests as well.
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /address HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(closed(stream).await > 0);
}

#[tokio::test]
async fn waiting_clients_are_not_let_go() {
    let limits = Limits {
        header_timeout_ms: 50,
        ..Limits::default()
    };
    let running = run(&[tcp()], &limits).await;
    let stream = connect(&running).await;
    let (answer, ()) = tokio::join!(ask(stream, "/long"), async {
        // Long enough for silent clients to be let go.
        closed(connect(&running).await).await;
        closed(connect(&running).await).await;
        running.trigger.start();
    });
    assert!(answer.ends_with("finished"), "{answer}");
}

#[tokio::test]
async fn heads_out_of_all_proportion_are_refused() {
    let running = run(&[tcp()], &Limits::default()).await;
    let many = "X-Again: y\r\n".repeat(200);
    let long = format!("X: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let mut stream = connect(&running).await;
        let request = format!("GET /address HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        // The kernel may throw the answer away with what it has not read.
        if stream.read_exact(&mut answer).await.is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 431");
        }
    }
}
