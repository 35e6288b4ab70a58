//! Requests to an authority: within limits of time and size, and with an ear for when it wants to be asked again.

use std::{io, path::Path, pin::Pin, sync::Arc, time::Duration, time::UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use host::Host;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use reqwest::{Certificate, Client, redirect::Policy};

use crate::AcmeError;

/// For one request and its answer.
const TIME: Duration = Duration::from_secs(30);

/// The longest answer read, in bytes; chains of certificates have a few KiB. With its key one has to fit into a file.
const ANSWER_BYTES: usize = 128 << 10;

/// Asks; cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests {
    client: Client,
    pause: Arc<Mutex<Option<u64>>>,
    host: Host,
}

impl Requests {
    /// Believes the system's certificate authorities, and those in the file.
    pub(crate) fn new(roots: Option<&Path>, host: Host) -> Result<Self, AcmeError> {
        let mut builder = Client::builder()
            .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(TIME);
        if let Some(path) = roots {
            builder = builder.tls_certs_merge(read(path)?);
        }
        Ok(Self {
            client: builder.build().map_err(AcmeError::Client)?,
            pause: Arc::default(),
            host,
        })
    }

    /// How long the authority wants to be left alone, in milliseconds, if it has said so since this was asked last.
    pub(crate) fn pause(&self) -> Option<u64> {
        self.pause.lock().take()
    }

    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(other)?.to_bytes();
        let request = reqwest::Request::try_from(Request::from_parts(head, body)).map_err(other)?;
        let mut response = self.client.execute(request).await.map_err(other)?;
        if response.status().is_client_error() || response.status().is_server_error() {
            let pause = retry_after(response.headers(), self.host.now_ms());
            let mut longest = self.pause.lock();
            *longest = (*longest).max(pause);
        }
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.extend(response.headers().clone());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(other)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                let error = format!("an answer of more than {ANSWER_BYTES} bytes");
                return Err(other(io::Error::other(error)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(Full::new(body.freeze()))?.into())
    }
}

impl HttpClient for Requests {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let requests = self.clone();
        Box::pin(async move { requests.ask(request).await })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

fn read(path: &Path) -> Result<Vec<Certificate>, AcmeError> {
    let wrong =
        |error: &dyn std::fmt::Display| AcmeError::Roots(format!("{}: {error}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(found)
}

/// `Retry-After`: seconds, or a date ([RFC 9110, 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#field.retry-after)); in
/// milliseconds from now.
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(u64::try_from(date).ok()?.saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

    use super::retry_after;

    #[test]
    fn authorities_say_in_seconds_or_by_a_date_when_to_come_back() {
        // Thu, 01 Jan 1970 00:00:10 GMT
        let now_ms = 10_000;
        for (text, expected) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(50_000)),
            ("Thu, 01 Jan 1970 00:00:01 GMT", Some(0)),
            ("99999999999999999999", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers: HeaderMap = [(RETRY_AFTER, HeaderValue::from_static(text))]
                .into_iter()
                .collect();
            assert_eq!(retry_after(&headers, now_ms), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now_ms), None);
    }
}
