//! Requests to URLs that clients name: pages to preview, push gateways. One place that keeps them out of private
//! networks ([`Filter`]) and within limits of time and size.
//!
//! The filter judges the address that is connected to, after names are resolved, so that no name and no redirect leads
//! inside. Nothing of this server's is sent along: no cookies, no credentials, no proxy of the environment, and no trace but
//! to the hosts that `tracing.propagate_to` names.

use std::{
    error::Error as StdError,
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use config::Config;
use http::{StatusCode, header};
use reqwest::{
    Client, RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use thiserror::Error;
use tokio::time::timeout;
use tracing::{Instrument, debug_span, field::Empty};

mod filter;

pub use filter::Filter;
pub use http::header::HeaderMap;
pub use reqwest::{Method, Url};

/// Redirects followed by a [`Outbound::get`].
const REDIRECTS: usize = 5;
/// The longest URL asked, in bytes.
const URL_BYTES: usize = 8_192;

/// Asks others; cheap to clone.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    filter: Filter,
    connect_timeout: Duration,
    /// Hosts that are told of the trace.
    told: Vec<String>,
    /// Made when first used: reading the system's certificates takes time and memory that most servers save.
    client: OnceLock<Result<Client, String>>,
}

/// How much an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first connection to the last byte.
    pub time: Duration,
    /// Bytes of the body.
    pub bytes: usize,
    /// What becomes of a longer body.
    pub longer: Longer,
}

/// What becomes of a body longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Longer {
    /// [`OutboundError::TooLarge`].
    Refuse,
    /// Its beginning is given: enough for a page's head.
    Cut,
}

/// What somebody answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it came from, after redirects.
    pub url: Url,
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
}

impl Answer {
    /// `Content-Type` without parameters, in lower case; empty if there is none.
    pub fn media_type(&self) -> String {
        let value = self.headers.get(header::CONTENT_TYPE);
        let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
        let media_type = text.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    }
}

/// Why there is no answer. To be logged, not told to clients: it would show them the inside of a network.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// The URL is none that can be asked.
    #[error("the URL {0}")]
    BadUrl(&'static str),
    /// The address is not public, nor allowed.
    #[error("the address is not public")]
    Refused,
    /// One redirect led to the next.
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
    /// The body is longer than the limit, in bytes.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The time is up.
    #[error("no answer in time")]
    Timeout,
    /// No connection, no answer, or none that is HTTP.
    #[error("{0}")]
    Failed(String),
}

impl Outbound {
    /// By the options `outbound.*`.
    ///
    /// Also chooses the process's cryptography for TLS: whoever else speaks TLS (the media's bucket) comes later.
    pub fn new(config: &Config) -> Self {
        // An error says that the choice is made: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(Arc::new(Inner {
            filter: Filter::new(config.outbound.allowed_networks.clone()),
            connect_timeout: Duration::from_millis(config.outbound.connect_timeout_ms),
            told: config.tracing.propagate_to.clone(),
            client: OnceLock::new(),
        }))
    }

    /// `GET url`, following redirects.
    ///
    /// # Errors
    /// See [`OutboundError`]; a status that is no success is none.
    pub async fn get(
        &self,
        url: &Url,
        accept: &str,
        limits: &Limits,
    ) -> Result<Answer, OutboundError> {
        let asking = async {
            let mut url = url.clone();
            for _ in 0..=REDIRECTS {
                let request = self.request(Method::GET, &url)?;
                let request = request.header(header::ACCEPT, accept);
                let response = self.send(request, ("GET", &url)).await?;
                match next(&url, &response)? {
                    Some(target) => url = target,
                    None => return read(response, limits).await,
                }
            }
            Err(OutboundError::Redirects)
        };
        within(limits.time, asking).await
    }

    /// `POST url` with a JSON body; redirects are not followed.
    ///
    /// # Errors
    /// See [`OutboundError`]; a status that is no success is none.
    pub async fn post_json(
        &self,
        url: &Url,
        body: Vec<u8>,
        limits: &Limits,
    ) -> Result<Answer, OutboundError> {
        let asking = async {
            let request = self.request(Method::POST, url)?;
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let request = request.body(body);
            read(self.send(request, ("POST", url)).await?, limits).await
        };
        within(limits.time, asking).await
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, OutboundError> {
        self.check(url)?;
        let client = self.0.client.get_or_init(|| self.client());
        let client = client.as_ref().map_err(|why| failed(why))?;
        Ok(client.request(method, url.clone()))
    }

    /// Sends it: as a span of its own, which ends with the head of the answer.
    async fn send(
        &self,
        request: RequestBuilder,
        (method, url): (&'static str, &Url),
    ) -> Result<Response, OutboundError> {
        // Of the URL the host alone: the rest may hold a secret.
        let host = url.host_str().unwrap_or_default();
        let span = debug_span!(
            target: traces::TARGET,
            "ask",
            otel.name = method,
            otel.kind = "client",
            http.request.method = method,
            http.response.status_code = Empty,
            server.address = host,
            error.type = Empty,
        );
        let sending = async {
            let mut headers = HeaderMap::new();
            if self.0.told.iter().any(|told| told == host) {
                traces::pass_on(&mut headers);
            }
            let sent = request.headers(headers).send().await;
            sent.map_err(|error| explain(&error))
        };
        let result = sending.instrument(span.clone()).await;
        match &result {
            Ok(response) => {
                let status = i64::from(response.status().as_u16());
                span.record("http.response.status_code", status);
            }
            Err(OutboundError::Timeout) => {
                span.record("error.type", "timeout");
            }
            Err(OutboundError::Refused) => {
                span.record("error.type", "refused");
            }
            Err(_) => {
                span.record("error.type", "failed");
            }
        }
        result
    }

    /// What can be said before a name is resolved: an address in a URL is never resolved.
    fn check(&self, url: &Url) -> Result<(), OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::BadUrl("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::BadUrl("holds credentials"));
        }
        if url.as_str().len() > URL_BYTES {
            return Err(OutboundError::BadUrl("is too long"));
        }
        let host = url
            .host_str()
            .ok_or(OutboundError::BadUrl("names no host"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        match literal {
            Ok(address) if !self.0.filter.allows(address) => Err(OutboundError::Refused),
            _ => Ok(()),
        }
    }

    fn client(&self) -> Result<Client, String> {
        Client::builder()
            .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Filtered(self.0.filter.clone())))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.0.connect_timeout)
            .pool_max_idle_per_host(4)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| {
                tracing::error!(cause = chain(&error), "no requests to others are possible");
                chain(&error)
            })
    }
}

/// Resolves names as the system does and keeps the addresses that the filter allows.
struct Filtered(Filter);

/// A name has no address that may be asked.
#[derive(Debug)]
struct NoneAllowed;

impl fmt::Display for NoneAllowed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("none of the addresses is public")
    }
}

impl StdError for NoneAllowed {}

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| filter.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(NoneAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

async fn within<T>(
    time: Duration,
    asking: impl Future<Output = Result<T, OutboundError>>,
) -> Result<T, OutboundError> {
    timeout(time, asking)
        .await
        .map_err(|_| OutboundError::Timeout)?
}

/// Where `response` redirects to, if it does.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, OutboundError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION);
    let Some(location) = location else {
        return Ok(None);
    };
    let text = std::str::from_utf8(location.as_bytes()).unwrap_or_default();
    let target = url
        .join(text)
        .map_err(|_| OutboundError::BadUrl("redirects to nowhere"))?;
    Ok(Some(target))
}

async fn read(mut response: Response, limits: &Limits) -> Result<Answer, OutboundError> {
    let too_large = OutboundError::TooLarge {
        limit: limits.bytes,
    };
    let limit = limits.bytes as u64;
    if limits.longer == Longer::Refuse
        && response
            .content_length()
            .is_some_and(|length| length > limit)
    {
        return Err(too_large);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        let room = limits.bytes - body.len();
        if chunk.len() <= room {
            body.extend_from_slice(&chunk);
        } else if limits.longer == Longer::Refuse {
            return Err(too_large);
        } else {
            body.extend_from_slice(&chunk[..room]);
            break;
        }
    }
    Ok(Answer {
        url: response.url().clone(),
        status: response.status(),
        headers: response.headers().clone(),
        body: body.freeze(),
    })
}

fn explain(error: &reqwest::Error) -> OutboundError {
    if error.is_timeout() {
        return OutboundError::Timeout;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NoneAllowed>() {
            return OutboundError::Refused;
        }
        cause = error.source();
    }
    failed(&chain(error))
}

fn failed(why: &str) -> OutboundError {
    OutboundError::Failed(why.to_owned())
}

/// An error with its causes, on one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
