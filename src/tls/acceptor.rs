//! What a listener does with a connection: the handshake, within its time.

use std::{io, sync::Arc, time::Duration};

use rustls::{ServerConfig, crypto::ring};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Certificates, TlsError, shown::CHALLENGE};

/// A connection after its handshake.
pub type Stream = TlsStream<TcpStream>;

/// HTTP/2 first ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)); last what certificate authorities speak, alone.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", CHALLENGE];

/// Makes TLS of TCP connections; cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
}

impl Acceptor {
    /// Shows `certificates`; TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1. A handshake may take `handshake_timeout`.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] if the cryptography cannot be set up.
    pub fn new(
        certificates: Arc<Certificates>,
        handshake_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Clients that come back prove who they are with a ticket that only they keep: no memory, no second signature.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            handshake_timeout,
        })
    }

    /// The handshake.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`], whatever is wrong with what the client says, and a certificate authority that has
    /// seen what it wanted to see: nothing is ever sent over its connection
    /// ([RFC 8737, 3](https://www.rfc-editor.org/rfc/rfc8737#section-3)).
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let handshake = async {
            let mut stream = self.acceptor.accept(stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(CHALLENGE) {
                return Ok(stream);
            }
            stream.shutdown().await?;
            Err(io::Error::other("an authority has seen its challenge"))
        };
        timeout(self.handshake_timeout, handshake).await?
    }
}
