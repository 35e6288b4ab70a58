//! HTTP/1.1 without manners: paths go out byte for byte, certificates are looked at before they are believed, and time
//! is taken. Libraries for clients mend what is to be seen here.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use host::Host;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest answer read, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// Bytes sent at once.
const CHUNK: usize = 64 << 10;

/// A URL in parts: `https://host:port/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path, without a slash at its end.
    pub(crate) prefix: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no URL with https:// or http://");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?;
        let default = if is_tls { 443 } else { 80 };
        Ok(Self {
            is_tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(default),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// `host:port`, or the host alone where the port is the usual one.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// A target at one of its addresses.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) host: Host,
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Until the first bytes of the body.
    pub(crate) first: Duration,
    /// Until the last.
    pub(crate) whole: Duration,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Each value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).into_iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }
}

/// What a handshake has shown.
pub(crate) struct Handshake {
    /// The certificates that were sent, the server's own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Whether a client believes them, and why not.
    pub(crate) verdict: Result<(), TlsError>,
    /// The protocol agreed upon.
    pub(crate) protocol: Option<Vec<u8>>,
}

/// A request to be sent.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// With the query, byte for byte, below the target's prefix.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// Zero bytes to send.
    pub(crate) body: u64,
    /// From the first byte of the request to the last of the answer.
    pub(crate) time: Duration,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: &[],
            body: 0,
            time: Duration::from_secs(20),
        }
    }
}

impl Front {
    /// Opens a TCP connection and closes it.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        timeout(CONNECT, TcpStream::connect(self.address)).await?
    }

    /// Shakes hands as a browser would, and says what it saw. The certificate need not be believed.
    pub(crate) async fn handshake(&self) -> io::Result<Handshake> {
        let (stream, witness) = self.tls(&[b"h2", b"http/1.1"]).await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let seen = witness.seen.lock().take();
        let (chain, verdict) = seen.ok_or_else(|| io::Error::other("no certificate was shown"))?;
        Ok(Handshake {
            chain,
            verdict,
            protocol,
        })
    }

    async fn tls(&self, protocols: &[&[u8]]) -> io::Result<(TlsStream<TcpStream>, Arc<Witness>)> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(self.roots.clone(), Arc::clone(&provider))
            .map_err(io::Error::other)?;
        let witness = Arc::new(Witness {
            verifier,
            seen: Mutex::new(None),
            provider: Arc::clone(&provider),
        });
        let verifier: Arc<dyn ServerCertVerifier> = witness.clone();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        let name = ServerName::try_from(self.target.host.clone()).map_err(io::Error::other)?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, self.connect().await?);
        Ok((timeout(CONNECT, connecting).await??, witness))
    }

    /// Sends a request and reads the answer. Redirects are answers.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Reply, String> {
        let time = ask.time;
        let sent = async {
            if self.target.is_tls {
                let (stream, _) = self.tls(&[b"http/1.1"]).await.map_err(in_words)?;
                self.send_over(stream, ask).await
            } else {
                self.send_over(self.connect().await.map_err(in_words)?, ask)
                    .await
            }
        };
        let late = || format!("no answer within {} s", time.as_secs());
        timeout(time, sent).await.map_err(|_| late())?
    }

    async fn send_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ask: Ask<'_>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.target.prefix, ask.path))
            .header(header::HOST, self.target.authority());
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Zeros(ask.body)).map_err(in_words)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(in_words)?;
        self.host.spawn("connection of an examination", async move {
            // What breaks it is told with the answer.
            let _ = connection.await;
        });
        let started = Instant::now();
        let response = sender.send_request(request).await.map_err(in_words)?;
        let (head, mut body) = response.into_parts();
        let (mut bytes, mut first) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            first.get_or_insert_with(|| started.elapsed());
            if let Ok(data) = frame.map_err(in_words)?.into_data() {
                bytes.extend_from_slice(&data);
            }
            if bytes.len() > ANSWER_BYTES {
                return Err(format!("more than {ANSWER_BYTES} bytes came back"));
            }
        }
        let whole = started.elapsed();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: bytes.into(),
            first: first.unwrap_or(whole),
            whole,
        })
    }
}

/// An error with its causes.
fn in_words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// So many zero bytes.
struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static ZEROS: [u8; CHUNK] = [0; CHUNK];
        let length = usize::try_from(self.0).map_or(CHUNK, |left| left.min(CHUNK));
        self.0 -= length as u64;
        let frame = Frame::data(Bytes::from_static(&ZEROS[..length]));
        Poll::Ready((length > 0).then_some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// Looks at a certificate as the platform would, remembers the verdict, and goes on whatever it is.
#[derive(Debug)]
struct Witness {
    verifier: Verifier,
    seen: Mutex<Option<Seen>>,
    provider: Arc<CryptoProvider>,
}

type Seen = (Vec<CertificateDer<'static>>, Result<(), TlsError>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let mut chain = vec![end_entity.clone().into_owned()];
        chain.extend(intermediates.iter().map(|it| it.clone().into_owned()));
        *self.seen.lock() = Some((chain, verdict.map(|_| ())));
        // Nothing but the key of this examination is sent, which is worth nothing to others.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
