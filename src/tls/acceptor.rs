//! What a listener does with a connection: the handshake, within its time.

use std::{io, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Certificate, TlsError};

/// A connection after its handshake.
pub type Stream = TlsStream<TcpStream>;

/// HTTP/2 first; [RFC 7301](https://www.rfc-editor.org/rfc/rfc7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate in force. It changes under listeners that go on listening.
#[derive(Debug)]
pub struct Certificates(RwLock<Arc<CertifiedKey>>);

impl Certificates {
    /// Shows `certificate`.
    pub fn new(certificate: &Certificate) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(&certificate.key))))
    }

    /// Shows `certificate` from now on; connections that stand are not touched.
    pub fn replace(&self, certificate: &Certificate) {
        *self.0.write() = Arc::clone(&certificate.key);
    }

    /// What is shown now.
    pub(crate) fn shown(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read())
    }
}

impl ResolvesServerCert for Certificates {
    /// The same for every name: a server has one.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

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
    /// [`io::ErrorKind::TimedOut`], and whatever is wrong with what the client says.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        timeout(self.handshake_timeout, self.acceptor.accept(stream)).await?
    }
}
