//! Listens, serves each connection within limits, and stops gracefully.

use std::{future::ready, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use config::Limits;
use futures_util::future::join_all;
use host::{Host, Shutdown};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use crate::{Listener, Peer, traffic::Traffic};

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);

/// Requests that one HTTP/2 client may have under way.
const STREAMS: u32 = 200;

/// Streams that an HTTP/2 client may open and reset before anybody has looked at them; of more, the connection ends
/// ([CVE-2023-44487](https://nvd.nist.gov/vuln/detail/CVE-2023-44487)). h2's own number, written down so that it stays.
const RESETS: usize = 20;

/// Streams that an HTTP/2 client may make us reset, by frames that are wrong; of more, the connection ends
/// ([CVE-2025-8671](https://nvd.nist.gov/vuln/detail/CVE-2025-8671)). hyper's own number is 1,024.
const FAULTS: usize = 128;

/// Bytes of an answer that wait for a slow HTTP/2 client, for each stream. hyper's own number, 400 KiB, would let one
/// connection hold 80 MB.
const SEND_BUFFER: usize = 64 << 10;

/// Serves a router on listeners until told to stop.
pub struct Server {
    router: Router,
    host: Host,
    builder: auto::Builder<TokioExecutor>,
    /// Also how long a connection may be without a request.
    header_timeout: Duration,
    drain_timeout: Duration,
    connections: Arc<Semaphore>,
    /// How many connections there may be.
    capacity: u32,
}

impl Server {
    /// A server of `router` within `limits`.
    pub fn new(router: Router, limits: &Limits, host: Host) -> Self {
        let header_timeout = Duration::from_millis(limits.header_timeout_ms);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Runs between requests too, so it is the idle timeout as well.
            .header_read_timeout(header_timeout)
            // hyper's least; the configuration asks for no less.
            .max_buf_size(limits.header_bytes.max(8_192))
            .max_headers(limits.headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(FAULTS)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        let most = limits.connections.min(Semaphore::MAX_PERMITS);
        let capacity = u32::try_from(most).unwrap_or(u32::MAX);
        Self {
            router,
            host,
            builder,
            header_timeout,
            drain_timeout: Duration::from_millis(limits.drain_timeout_ms),
            connections: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
        }
    }

    /// Serves until `shutdown`, then lets requests under way finish for the configured time.
    pub async fn serve(self, listeners: Vec<Listener>, shutdown: Shutdown) {
        let (finish, finishing) = Shutdown::new();
        let (cut_off, cut) = Shutdown::new();
        let end = End { finishing, cut };
        let server = Arc::new(self);
        let accepting = join_all(
            listeners
                .iter()
                .map(|listener| accept(&server, listener, &end)),
        );
        tokio::select! {
            _ = accepting => {}
            () = shutdown.wait() => {}
        }
        for path in listeners.iter().filter_map(Listener::path) {
            // Gone already: nobody will miss it.
            let _ = std::fs::remove_file(path);
        }
        drop(listeners);
        finish.start();
        // Every connection holds a permit.
        let none_left = server.connections.acquire_many(server.capacity);
        if tokio::time::timeout(server.drain_timeout, none_left)
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way and are cut off");
        }
        cut_off.start();
    }

    /// Serves the connection that `opening` gives, such as a handshake.
    fn start<I: Io>(
        self: &Arc<Self>,
        opening: impl Future<Output = io::Result<I>> + Send + 'static,
        peer: Peer,
        permit: OwnedSemaphorePermit,
        end: &End,
    ) {
        let server = Arc::clone(self);
        let End { finishing, cut } = end.clone();
        self.host.spawn("connection", async move {
            let _permit = permit;
            let opened = tokio::select! {
                opened = opening => opened,
                () = finishing.wait() => return,
            };
            let io = match opened {
                Ok(io) => io,
                Err(error) => {
                    tracing::debug!(cause = %error, "a connection did not come about");
                    return;
                }
            };
            tokio::select! {
                () = server.connection(io, peer, &finishing) => {}
                () = cut.wait() => {}
            }
        });
    }

    async fn connection(&self, io: impl Io, peer: Peer, finishing: &Shutdown) {
        let traffic = Traffic::default();
        let service = service_fn(|mut request: http::Request<Incoming>| {
            let under_way = traffic.begin();
            request.extensions_mut().insert(peer);
            let answer = self.router.clone().oneshot(request.map(Body::new));
            async move { answer.await.map(|response| under_way.lasts_with(response)) }
        });
        let connection = self.builder.serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let (mut begun, mut is_finishing) = (0, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(cause = %error, "a connection broke");
                    }
                    return;
                }
                () = finishing.wait(), if !is_finishing => {
                    is_finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own timeout begins only after the first bytes have told HTTP/1 from HTTP/2, and knows only
                // HTTP/1: a client that answers pings would keep its place for ever.
                () = tokio::time::sleep(self.header_timeout) => {
                    if traffic.begun() == 0 {
                        return;
                    }
                    if traffic.is_idle() && traffic.begun() == begun {
                        connection.as_mut().graceful_shutdown();
                    }
                    begun = traffic.begun();
                }
            }
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// How connections are told to end.
#[derive(Clone)]
struct End {
    /// With the answer that is under way.
    finishing: Shutdown,
    /// At once.
    cut: Shutdown,
}

/// Takes connections from `listener` for ever.
async fn accept(server: &Arc<Server>, listener: &Listener, end: &End) {
    loop {
        let Ok(permit) = Arc::clone(&server.connections).acquire_owned().await else {
            return;
        };
        let accepted = match listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, address)| {
                let stream = ready(Ok(without_delay(stream)));
                server.start(stream, Peer::Tcp(address.ip()), permit, end);
            }),
            Listener::Tls(listener, acceptor) => listener.accept().await.map(|(stream, address)| {
                let acceptor = acceptor.clone();
                let handshake = async move { acceptor.accept(without_delay(stream)).await };
                server.start(handshake, Peer::Tcp(address.ip()), permit, end);
            }),
            Listener::Unix(listener, _) => listener.accept().await.map(|(stream, _)| {
                server.start(ready(Ok(stream)), Peer::Unix, permit, end);
            }),
            Listener::Owner(listener, _) => listener.accept().await.map(|(stream, _)| {
                // The mode of the file keeps others out already; the kernel's word is the second lock.
                match stream.peer_cred().map(|peer| peer.uid()) {
                    Ok(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => {
                        server.start(ready(Ok(stream)), Peer::Owner { uid }, permit, end);
                    }
                    Ok(uid) => {
                        tracing::warn!(uid, "another user was turned away from the owner's socket");
                    }
                    Err(error) => {
                        tracing::warn!(cause = %error, "nobody knows who opened the owner's socket");
                    }
                }
            }),
        };
        if let Err(error) = accepted {
            // No file descriptor left, mostly: others will close theirs.
            tracing::warn!(cause = %error, "a connection cannot be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Answers are small and awaited.
fn without_delay(stream: TcpStream) -> TcpStream {
    // A connection that is gone already says so when it is read.
    let _ = stream.set_nodelay(true);
    stream
}

#[cfg(test)]
mod tests;
