//! What `myelin doctor` asks of the server that it examines: how its requests arrive.
//!
//! The way from the outside leads through proxies that change requests. Only the server can say what was left of one, so
//! it tells: but only who shows a key that the owner has just been given. For everybody else there is no such endpoint.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use bytes::Bytes;
use client_server_api::Services;
use config::Config;
use futures_util::{StreamExt, stream};
use host::{Host, Shutdown};
use http::{HeaderMap, StatusCode, header};
use http_layer::{ClientAddress, Peer, StandardError, json};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{Administrator, extract::Params};

/// How long a key holds, in milliseconds: an examination takes one minute, and a slow line another.
const LIFETIME_MS: u64 = 5 * 60_000;

/// Requests that one key allows: an examination makes about 30.
const USES: u32 = 100;

/// Keys that hold at the same time.
const KEYS: usize = 8;

/// The longest pause that may be asked for, in milliseconds.
const MAX_PAUSE_MS: u64 = 90_000;

/// The keys given out; cheap to clone.
#[derive(Clone, Default)]
struct Keys(Arc<parking_lot::Mutex<HashMap<String, Key>>>);

struct Key {
    ends_ms: u64,
    uses: u32,
}

impl Keys {
    /// A new key. Of too many, the oldest ends.
    fn give(&self, host: &Host) -> String {
        let now = host.now_ms();
        let mut keys = self.0.lock();
        keys.retain(|_, key| key.ends_ms > now);
        while keys.len() >= KEYS {
            let oldest = keys.iter().min_by_key(|(_, key)| key.ends_ms);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            keys.remove(&oldest);
        }
        let key = host.random_string(32);
        let ends_ms = now + LIFETIME_MS;
        keys.insert(key.clone(), Key { ends_ms, uses: 0 });
        key
    }

    /// Whether `key` holds; counts as one use of it.
    fn take(&self, key: &str, now_ms: u64) -> bool {
        let mut keys = self.0.lock();
        let Some(key) = keys.get_mut(key) else {
            return false;
        };
        key.uses += 1;
        key.ends_ms > now_ms && key.uses <= USES
    }
}

/// The two endpoints. Apart from the others, because one of them asks for no administrator.
pub(crate) fn endpoints() -> Router<Services> {
    Router::new()
        .route("/_myelin/admin/v1/doctor", post(begin))
        // Below `/_matrix`, because that is what proxies pass on.
        .route(
            "/_matrix/client/unstable/org.myelin.doctor/{key}/{*rest}",
            any(arrived),
        )
        .layer(Extension(Keys::default()))
}

/// `POST /_myelin/admin/v1/doctor`
///
/// Gives a key for [`arrived`], which holds for five minutes, and what the process alone knows.
async fn begin(
    State(host): State<Host>,
    Extension(keys): Extension<Keys>,
    _: Administrator,
) -> Response {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let answer = json!({
        "key": keys.give(&host),
        "open_files": files.current,
        "now_ms": host.now_ms(),
    });
    json(StatusCode::OK, &answer)
}

/// The query of [`arrived`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pauses {
    /// Before the head of the answer, as `/sync` does, in milliseconds.
    wait_ms: u64,
    /// Between the first and the second half of the body, in milliseconds.
    pause_ms: u64,
}

/// `… /_matrix/client/unstable/org.myelin.doctor/{key}/{rest}`
///
/// Tells the request as it arrived: its path, its headers, how long its body was, and who is taken for the client.
///
/// # Errors
/// `M_UNRECOGNIZED` without a key that holds, as if nothing were here; `M_TOO_LARGE` for a body that no upload may have.
async fn arrived(
    State(services): State<Services>,
    Extension(keys): Extension<Keys>,
    path: Result<Path<(String, String)>, PathRejection>,
    client: ClientAddress,
    pauses: Result<Params<Pauses>, client_server_api::Error>,
    request: Request,
) -> Response {
    let holds = path.is_ok_and(|Path((key, _))| keys.take(&key, services.host.now_ms()));
    if !holds {
        return StandardError::unrecognized().into_response();
    }
    let Params(pauses) = match pauses {
        Ok(pauses) => pauses,
        Err(error) => return error.into_response(),
    };
    let (parts, body) = request.into_parts();
    let body_bytes = match length(body, &services.config).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    let told = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "version": format!("{:?}", parts.version),
        "headers": told(&parts.headers),
        "peer": parts.extensions.get::<Peer>().map(|peer| match peer {
            Peer::Tcp(address) => address.to_string(),
            Peer::Unix => "unix".to_owned(),
            Peer::Owner { .. } => "owner".to_owned(),
        }),
        "client": client.0,
        "body_bytes": body_bytes,
    });
    pause(pauses.wait_ms, &services.shutdown).await;
    if pauses.pause_ms == 0 {
        return json(StatusCode::OK, &told);
    }
    in_two_halves(
        &told.to_string(),
        pauses.pause_ms,
        services.shutdown.clone(),
    )
}

/// Names in lower case with their values, in order.
fn told(headers: &HeaderMap) -> Vec<(&str, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

/// How long a body is; nothing of it is kept.
async fn length(body: Body, config: &Config) -> Result<u64, StandardError> {
    let idle = Duration::from_millis(config.media.upload_idle_timeout_ms);
    let mut frames = body.into_data_stream();
    let mut bytes = 0;
    loop {
        let next = timeout(idle, frames.next()).await;
        match next.map_err(|_| StandardError::unknown("The body takes too long."))? {
            None => return Ok(bytes),
            Some(Err(_)) => return Err(StandardError::unknown("The body broke off.")),
            Some(Ok(frame)) => bytes += frame.len() as u64,
        }
        if bytes > config.media.max_upload_bytes {
            return Err(StandardError::too_large("More than may be uploaded."));
        }
    }
}

async fn pause(ms: u64, shutdown: &Shutdown) {
    if ms > 0 {
        tokio::select! {
            () = sleep(Duration::from_millis(ms.min(MAX_PAUSE_MS))) => {}
            () = shutdown.wait() => {}
        }
    }
}

/// `text` with a pause in the middle.
fn in_two_halves(text: &str, pause_ms: u64, shutdown: Shutdown) -> Response {
    let mut text = Bytes::copy_from_slice(text.as_bytes());
    let first = text.split_to(text.len() / 2);
    let second = stream::once(async move {
        pause(pause_ms, &shutdown).await;
        Ok::<_, Infallible>(text)
    });
    let halves = stream::iter([Ok(first)]).chain(second);
    (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(halves),
    )
        .into_response()
}
