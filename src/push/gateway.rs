//! The way to push gateways, over the requests that go to URLs which clients name.
//!
//! [spec](https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify)

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use outbound::{Limits, Longer, Outbound, OutboundError, Url};
use parking_lot::Mutex;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;

/// Takes notifications.
pub trait Gateway: Send + Sync + 'static {
    /// `POST url` with the JSON `body`; gives the push keys that the gateway rejects.
    fn notify<'a>(&'a self, url: &'a str, body: Vec<u8>) -> GatewayFuture<'a>;
}

/// What [`Gateway::notify`] gives.
pub type GatewayFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<String>, GatewayError>> + Send + 'a>>;

/// Why a notification is not with its gateway.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// It cannot be asked.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It has not taken it.
    #[error("the gateway answered {0}")]
    Status(u16),
}

/// Speaks HTTP.
pub struct HttpGateway {
    outbound: Outbound,
    limits: Limits,
    /// Requests at the same time.
    permits: Semaphore,
    /// The same by host, so that a slow gateway does not hold up the others.
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
    per_host: usize,
}

/// The most of an answer that is read: each request is of one device, so it can reject one push key of 512 bytes.
const ANSWER_BYTES: usize = 16 * 1024;
/// Hosts whose counters may be idle before they are swept out.
const IDLE_HOSTS: usize = 64;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    rejected: Vec<String>,
}

impl HttpGateway {
    /// Within the limits of `options`.
    pub fn new(outbound: Outbound, options: &config::Push) -> Self {
        let max_concurrent = options.max_concurrent.max(1);
        Self {
            outbound,
            limits: Limits {
                time: Duration::from_millis(options.timeout_ms),
                bytes: ANSWER_BYTES,
                longer: Longer::Cut,
            },
            permits: Semaphore::new(max_concurrent),
            hosts: Mutex::default(),
            per_host: max_concurrent.div_ceil(2),
        }
    }

    fn host(&self, url: &Url) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock();
        if hosts.len() > IDLE_HOSTS {
            hosts.retain(|_, permits| permits.strong_count() > 0);
        }
        let name = url.host_str().unwrap_or_default();
        if let Some(permits) = hosts.get(name).and_then(Weak::upgrade) {
            return permits;
        }
        let permits = Arc::new(Semaphore::new(self.per_host));
        hosts.insert(name.to_owned(), Arc::downgrade(&permits));
        permits
    }

    async fn ask(&self, url: &str, body: Vec<u8>) -> Result<Vec<String>, GatewayError> {
        let url = Url::parse(url).map_err(|_| OutboundError::BadUrl("cannot be read"))?;
        let host = self.host(&url);
        // Neither is ever closed.
        let _of_host = host.acquire().await;
        let _permit = self.permits.acquire().await;
        let answer = self.outbound.post_json(&url, body, &self.limits).await?;
        if !answer.status.is_success() {
            return Err(GatewayError::Status(answer.status.as_u16()));
        }
        // Whoever says 200 has it, whatever else they say.
        let answer = serde_json::from_slice::<Answer>(&answer.body);
        Ok(answer.map_or_else(|_| Vec::new(), |answer| answer.rejected))
    }
}

impl Gateway for HttpGateway {
    fn notify<'a>(&'a self, url: &'a str, body: Vec<u8>) -> GatewayFuture<'a> {
        Box::pin(self.ask(url, body))
    }
}
