//! The way to the collector, from the thread that sends.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::redirect::Policy;
use tokio::runtime::{Builder, Runtime};

/// The longest answer that is read; it says how many spans were refused, if any.
const ANSWER_BYTES: usize = 64 << 10;

/// Posts to the collector, on the thread that asks for it.
#[derive(Debug)]
pub(super) struct Collector {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Collector {
    /// `headers` are lines, `Name: value`.
    ///
    /// # Errors
    /// A header that is none, in words for the person who started the server.
    pub(super) fn new(headers: &str, timeout: Duration) -> Result<Self, Box<dyn Error>> {
        // As `Outbound` does: whoever comes first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            client: reqwest::Client::builder()
                .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
                .default_headers(parse(headers)?)
                .redirect(Policy::none())
                .no_proxy()
                .timeout(timeout)
                // Between two requests nobody looks after a connection.
                .pool_max_idle_per_host(0)
                .build()?,
        })
    }
}

fn parse(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines = text.lines().map(str::trim);
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        // Not what is in it: it is a secret.
        let wrong = || {
            let number = number + 1;
            format!("`tracing.otlp_headers`: line {number} is no header; write Name: value")
        };
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The thread that sends runs no other tasks, and what it waits with knows no sockets.
        self.runtime.block_on(async {
            let mut answer = self.client.execute(request.try_into()?).await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > ANSWER_BYTES {
                    return Err("the collector's answer is too long".into());
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = answer.status();
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn headers_are_lines() {
        let headers = parse("Authorization: Bearer abc:d\n\n x-scope : one \r\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer abc:d");
        assert_eq!(headers["x-scope"], "one");
        assert!(parse("").unwrap().is_empty());
        for wrong in ["s3cret", "a b: s3cret", "name: s3\u{1}cret"] {
            let error = parse(&format!("good: 1\n{wrong}")).unwrap_err();
            assert!(
                error.contains("line 2") && !error.contains("cret"),
                "{error}"
            );
        }
    }
}
