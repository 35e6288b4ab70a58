//! A client of TLS that sees the certificate it is shown.

use std::{
    io::{Error, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

/// What a client was shown.
#[derive(Debug)]
pub struct Shown {
    /// The server's own certificate, without its chain.
    pub certificate: CertificateDer<'static>,
    /// The answer, head and body.
    pub answer: String,
}

/// `GET path` over TLS from the server at `address`, as `localhost`.
///
/// # Errors
/// Nobody listens there, or shows a certificate that `roots` vouch for.
pub fn get_over_tls(
    address: SocketAddr,
    roots: &[CertificateDer<'static>],
    path: &str,
) -> Result<Shown, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).expect("a root is a certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    let certificate = chain.first().expect("a server shows a certificate");
    Ok(Shown {
        certificate: certificate.clone().into_owned(),
        answer,
    })
}
