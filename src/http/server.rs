//! Listens, serves each connection within limits, and stops gracefully.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use config::{Limits, Listen};
use futures_util::future::join_all;
use host::{Host, Shutdown};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use crate::Peer;

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);

/// Requests that one HTTP/2 client may have under way.
const STREAMS: u32 = 200;

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket and its path, which is removed when the server stops.
    Unix(UnixListener, PathBuf),
    /// The owner's socket: who connects is asked for no token.
    Owner(UnixListener, PathBuf),
}

impl Listener {
    /// Opens the socket that `listen` names. A Unix socket that no process listens on any more is replaced.
    ///
    /// # Errors
    /// The operating system's, such as an address in use.
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                // Owner and group: the reverse proxy is in the group.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    /// Opens the owner's socket at `path`: for processes of our own user, and of root, alone.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn bind_owner(path: PathBuf) -> io::Result<Self> {
        remove_stale(&path).await?;
        // Nobody else reaches into the data directory (mode 0700) before the mode is set.
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Owner(listener, path))
    }

    /// The address as a client writes it; shows the port that port 0 became.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "?".to_owned(), |address| format!("http://{address}")),
            Self::Unix(_, path) | Self::Owner(_, path) => format!("unix:{}", path.display()),
        }
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
        Err(_) => Ok(()),
    }
}

/// Serves a router on listeners until told to stop.
pub struct Server {
    router: Router,
    host: Host,
    builder: auto::Builder<TokioExecutor>,
    header_timeout: Duration,
    drain_timeout: Duration,
    connections: Arc<Semaphore>,
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
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        Self {
            router,
            host,
            builder,
            header_timeout,
            drain_timeout: Duration::from_millis(limits.drain_timeout_ms),
            connections: Arc::new(Semaphore::new(
                limits.connections.min(Semaphore::MAX_PERMITS),
            )),
        }
    }

    /// Serves until `shutdown`, then lets requests under way finish for the configured time.
    pub async fn serve(self, listeners: Vec<Listener>, shutdown: Shutdown) {
        let graceful = GracefulShutdown::new();
        let (cut_off, cut) = Shutdown::new();
        let server = Arc::new(self);
        let accepting = join_all(
            listeners
                .iter()
                .map(|listener| accept(&server, listener, &graceful, &cut)),
        );
        tokio::select! {
            _ = accepting => {}
            () = shutdown.wait() => {}
        }
        for listener in &listeners {
            if let Listener::Unix(_, path) | Listener::Owner(_, path) = listener {
                // Gone already: nobody will miss it.
                let _ = std::fs::remove_file(path);
            }
        }
        drop(listeners);
        if tokio::time::timeout(server.drain_timeout, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way and are cut off");
        }
        cut_off.start();
    }

    fn start(self: &Arc<Self>, io: impl Io, peer: Peer, permit: OwnedSemaphorePermit, end: End) {
        let server = Arc::clone(self);
        self.host.spawn("connection", async move {
            let _permit = permit;
            let End { watcher, cut } = end;
            tokio::select! {
                () = server.connection(io, peer, watcher) => {}
                () = cut.wait() => {}
            }
        });
    }

    async fn connection(&self, io: impl Io, peer: Peer, watcher: Watcher) {
        let seen = AtomicBool::new(false);
        let service = service_fn(|mut request: http::Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            self.router.clone().oneshot(request.map(Body::new))
        });
        let connection = self.builder.serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(watcher.watch(connection));
        // hyper's own timeout begins only after the first bytes have told HTTP/1 from HTTP/2.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(self.header_timeout) => {}
        }
        if seen.load(Ordering::Relaxed)
            && let Err(error) = connection.await
        {
            tracing::debug!(cause = %error, "a connection broke");
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// How a connection is told to end.
struct End {
    watcher: Watcher,
    cut: Shutdown,
}

/// Takes connections from `listener` for ever.
async fn accept(
    server: &Arc<Server>,
    listener: &Listener,
    graceful: &GracefulShutdown,
    cut: &Shutdown,
) {
    loop {
        let Ok(permit) = Arc::clone(&server.connections).acquire_owned().await else {
            return;
        };
        let end = End {
            watcher: graceful.watcher(),
            cut: cut.clone(),
        };
        let accepted = match listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, address)| {
                // Answers are small and awaited.
                let _ = stream.set_nodelay(true);
                server.start(stream, Peer::Tcp(address.ip()), permit, end);
            }),
            Listener::Unix(listener, _) => listener.accept().await.map(|(stream, _)| {
                server.start(stream, Peer::Unix, permit, end);
            }),
            Listener::Owner(listener, _) => listener.accept().await.map(|(stream, _)| {
                // The mode of the file keeps others out already; the kernel's word is the second lock.
                match stream.peer_cred().map(|peer| peer.uid()) {
                    Ok(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => {
                        server.start(stream, Peer::Owner { uid }, permit, end);
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

#[cfg(test)]
mod tests;
