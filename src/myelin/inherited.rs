//! Sockets that the service manager has opened for us:
//! [`sd_listen_fds(3)`](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html).
//!
//! What `FileDescriptorName=` calls `https` gets TLS. `http` is plain, and so is a socket without such a line, which
//! systemd gives the name of its unit. They take the place of `tls.listen` and of `listen`.

use std::{io, net::TcpListener, os::unix::net::UnixListener};

use listenfd::ListenFd;

/// Sockets that listen already.
#[derive(Default)]
pub(crate) struct Inherited {
    /// For HTTP as it is.
    pub(crate) http: Vec<Socket>,
    /// For TLS.
    pub(crate) https: Vec<TcpListener>,
}

/// A socket that listens already.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes them from the environment, which it changes: to be called before there are threads.
    ///
    /// # Errors
    /// A name or a kind of socket that nothing can be done with, in words for the person who wrote the unit.
    pub(crate) fn take() -> Result<Self, String> {
        let mut inherited = Self::default();
        let names: Vec<String> = sd_notify::listen_fds_with_names()
            .map_err(|error| format!("the service manager's sockets: {error}"))?
            .map(|(_, name)| name)
            .collect();
        if names.is_empty() {
            return Ok(inherited);
        }
        let mut sockets = ListenFd::from_env();
        for (index, name) in names.iter().enumerate() {
            let socket = take(&mut sockets, index)
                .map_err(|error| format!("the service manager's socket `{name}`: {error}"))?;
            match (is_tls(name)?, socket) {
                (false, socket) => inherited.http.push(socket),
                (true, Socket::Tcp(socket)) => inherited.https.push(socket),
                (true, Socket::Unix(_)) => {
                    return Err(format!("the socket `{name}` is for TLS, which is for TCP"));
                }
            }
        }
        Ok(inherited)
    }
}

fn take(sockets: &mut ListenFd, index: usize) -> io::Result<Socket> {
    let taken = || io::Error::other("there is none");
    if let Ok(socket) = sockets.take_tcp_listener(index) {
        let socket = socket.ok_or_else(taken)?;
        socket.set_nonblocking(true)?;
        return Ok(Socket::Tcp(socket));
    }
    // Not TCP: then it has to be a Unix socket.
    let socket = sockets.take_unix_listener(index)?.ok_or_else(taken)?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Unix(socket))
}

/// Whether a socket of this name is for TLS. A name that was mistyped must not serve passwords in the clear.
fn is_tls(name: &str) -> Result<bool, String> {
    match name {
        "https" => Ok(true),
        // `unknown` is systemd's word for a socket without a name.
        "http" | "unknown" | "" => Ok(false),
        unit if unit.ends_with(".socket") => Ok(false),
        other => Err(format!(
            "the service manager's socket `{other}`: write FileDescriptorName=http or https"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::is_tls;

    #[test]
    fn names_say_whether_it_is_tls() {
        for (name, expected) in [
            ("https", Some(true)),
            ("http", Some(false)),
            ("myelin.socket", Some(false)),
            ("unknown", Some(false)),
            ("htpps", None),
            ("HTTPS", None),
        ] {
            assert_eq!(is_tls(name).ok(), expected, "{name}");
        }
    }
}
