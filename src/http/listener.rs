//! The sockets that clients connect to.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use config::Listen;
use tls::Acceptor;
use tokio::net::{TcpListener, UnixListener, UnixStream, unix::SocketAddr};

/// A socket that clients connect to.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener, Acceptor),
    /// A Unix socket and, if it is ours, its path, which is removed when the server stops.
    Unix(UnixListener, Option<PathBuf>),
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
                Ok(Self::Unix(listener, Some(path.clone())))
            }
        }
    }

    /// The path to remove when the server stops.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) | Self::Tls(..) => None,
            Self::Unix(_, path) => path.as_deref(),
            Self::Owner(_, path) => Some(path),
        }
    }

    /// Opens the TCP socket at `address`, `host:port`, for TLS.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn bind_tls(address: &str, acceptor: Acceptor) -> io::Result<Self> {
        Ok(Self::Tls(TcpListener::bind(address).await?, acceptor))
    }

    /// A TCP socket that listens already and does not block, for TLS if there is an acceptor.
    ///
    /// # Errors
    /// The operating system's.
    pub fn from_tcp(socket: std::net::TcpListener, acceptor: Option<Acceptor>) -> io::Result<Self> {
        let listener = TcpListener::from_std(socket)?;
        Ok(match acceptor {
            Some(acceptor) => Self::Tls(listener, acceptor),
            None => Self::Tcp(listener),
        })
    }

    /// A Unix socket that listens already and does not block. Whoever opened it removes it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn from_unix(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Ok(Self::Unix(UnixListener::from_std(socket)?, None))
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
            Self::Tcp(listener) => url("http", listener),
            Self::Tls(listener, _) => url("https", listener),
            Self::Unix(listener, _) | Self::Owner(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(SocketAddr::as_pathname);
                format!("unix:{}", path.unwrap_or(Path::new("?")).display())
            }
        }
    }
}

fn url(scheme: &str, listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(
        |_| "?".to_owned(),
        |address| format!("{scheme}://{address}"),
    )
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
