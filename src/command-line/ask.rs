//! How a command's request gets to a server, and what comes back.

use std::{fmt::Write as _, future::Future, io, path::PathBuf, pin::Pin, time::Duration};

use bytes::Bytes;
use host::Host;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::UnixStream;

/// An answer: its status and its body.
pub type Asked<'a> =
    Pin<Box<dyn Future<Output = Result<(StatusCode, Bytes), AskError>> + Send + 'a>>;

/// A way to a server.
pub trait Ask: Send + Sync {
    /// Sends a request with a JSON body, or none.
    fn ask(&self, method: Method, path: String, body: Bytes) -> Asked<'_>;
}

/// Why a command did not do what it was asked to.
#[derive(Debug, Error)]
pub enum AskError {
    /// The server says no.
    #[error("{message} ({errcode})")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The Matrix error code.
        errcode: String,
        /// For people.
        message: String,
    },
    /// There is no server, or none that answers.
    #[error("{0}")]
    Unreachable(String),
    /// Something here, before anybody was asked.
    #[error("{0}")]
    Local(String),
}

impl AskError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Local(_) => 1,
            Self::Unreachable(_) => 3,
        }
    }
}

/// Long enough for the slowest answer, such as the list of a hundred thousand rooms; jobs that take longer are tasks.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The owner's socket of the server that runs on this machine.
#[derive(Debug)]
pub struct Socket(pub PathBuf);

impl Socket {
    /// Whether a server listens.
    ///
    /// # Errors
    /// Where there is a socket that may not be opened.
    pub async fn is_served(&self) -> Result<bool, AskError> {
        match UnixStream::connect(&self.0).await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(AskError::Unreachable(format!(
                "{}: {error}",
                self.0.display()
            ))),
        }
    }

    async fn send(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let unreachable = |error: &dyn std::error::Error| {
            AskError::Unreachable(format!("{}: {error}", self.0.display()))
        };
        let stream = UnixStream::connect(&self.0)
            .await
            .map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            answer = &mut answer => answer,
            // It ends when the server has nothing more to say: what it said is still to be read.
            _ = &mut connection => answer.await,
        }
        .map_err(|error| unreachable(&error))
    }
}

impl Ask for Socket {
    fn ask(&self, method: Method, path: String, body: Bytes) -> Asked<'_> {
        Box::pin(async move {
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, "localhost")
                .body(Full::new(body))
                .map_err(|error| AskError::Local(error.to_string()))?;
            tokio::time::timeout(TIMEOUT, self.send(request))
                .await
                .map_err(|_| AskError::Unreachable("the server does not answer".to_owned()))?
        })
    }
}

/// A server elsewhere.
#[derive(Debug)]
pub struct Url {
    base: String,
    token: String,
    client: reqwest::Client,
}

impl Url {
    /// The server at `base`, asked with an administrator's access token.
    ///
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub fn new(base: &str, token: String) -> Result<Self, AskError> {
        // An error says that the choice is made: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token,
            client: client.map_err(|error| AskError::Local(error.to_string()))?,
        })
    }
}

impl Ask for Url {
    fn ask(&self, method: Method, path: String, body: Bytes) -> Asked<'_> {
        Box::pin(async move {
            let unreachable =
                |error: reqwest::Error| AskError::Unreachable(format!("{}: {error}", self.base));
            let request = self.client.request(method, format!("{}{path}", self.base));
            let request = request.bearer_auth(&self.token).body(body);
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            Ok((status, response.bytes().await.map_err(unreachable)?))
        })
    }
}

/// Asks in JSON.
pub struct Client<'a> {
    ask: &'a dyn Ask,
    host: Host,
}

impl<'a> Client<'a> {
    /// Over `ask`, with this machine's clock and dice.
    pub fn new(ask: &'a dyn Ask, host: Host) -> Self {
        Self { ask, host }
    }

    /// The clock and the dice.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Result<Value, AskError> {
        self.send(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, AskError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, AskError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `DELETE path` with a JSON body.
    pub async fn delete(&self, path: &str, body: &Value) -> Result<Value, AskError> {
        self.send(Method::DELETE, path, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AskError> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let (status, body) = self.ask.ask(method, path.to_owned(), body).await?;
        let parsed: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            return parsed.ok_or_else(|| {
                AskError::Unreachable("the answer is no JSON: is this a Matrix server?".to_owned())
            });
        }
        let text = |key: &str| {
            parsed
                .as_ref()
                .and_then(|body| body[key].as_str())
                .map(str::to_owned)
        };
        Err(AskError::Refused {
            status,
            errcode: text("errcode").unwrap_or_else(|| status.to_string()),
            message: text("error").unwrap_or_else(|| "The server did not say why".to_owned()),
        })
    }
}

/// A piece of a path, percent-encoded: everything but the unreserved characters of RFC 3986, and those of user ids.
pub(crate) fn encoded(piece: &str) -> String {
    let mut path = String::with_capacity(piece.len());
    for byte in piece.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:!$=+".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn pieces_of_a_path_stay_in_their_place() {
        assert_eq!(encoded("@alice:localhost"), "@alice:localhost");
        assert_eq!(encoded("a/b?c#d e%ä"), "a%2Fb%3Fc%23d%20e%25%C3%A4");
    }
}
