//! Whether the server does its work: in a word for everybody, in detail for those who look after it.
//!
//! *Live* says that a restart would not help: the process answers, and its store has not failed. *Ready* says that
//! requests would be answered: the store can be written, and the server is not stopping.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use client_server_api::Services;
use host::Shutdown;
use http::StatusCode;
use http_layer::json;
use serde_json::{Value, json};
use store::{Store, Unwritable};
use tls::Certificates;

/// `GET /health`, where Synapse has it: `OK`, or status 503.
pub async fn public(State(services): State<Services>) -> Response {
    let health = Health::of(&services);
    if health.is_ready() {
        "OK".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE").into_response()
    }
}

/// `GET /health` of the private listener: everything, and the status of [`ready`].
pub async fn details(State(services): State<Services>) -> Response {
    let health = Health::of(&services);
    let stats = services.rooms.store().stats();
    let details = json!({
        "live": health.is_live(),
        "ready": health.is_ready(),
        "version": env!("CARGO_PKG_VERSION"),
        "store": health.store(),
        "stopping": health.stopping,
        "commit_queue": {
            "batches": stats.queue_depth,
            "bytes": stats.queue_bytes,
            "limit_bytes": stats.queue_limit_bytes,
        },
        "certificate": certificate(&services.certificates),
    });
    json(status(health.is_ready()), &details)
}

/// `GET /health/live`: 503 where only a restart helps.
pub async fn live(State(services): State<Services>) -> Response {
    let health = Health::of(&services);
    let answer = json!({ "live": health.is_live(), "store": health.store() });
    json(status(health.is_live()), &answer)
}

/// `GET /health/ready`: 503 where requests should go elsewhere.
pub async fn ready(State(services): State<Services>) -> Response {
    let health = Health::of(&services);
    let answer = json!({
        "ready": health.is_ready(),
        "store": health.store(),
        "stopping": health.stopping,
    });
    json(status(health.is_ready()), &answer)
}

/// The certificate that TLS clients are shown, and how its renewal goes; null where neither is ours to say. One that is
/// not there yet makes nothing unready: listeners without TLS serve.
fn certificate(certificates: &Certificates) -> Value {
    let (facts, standing) = (certificates.facts(), certificates.renewals.standing());
    if facts.is_none() && standing.is_none() {
        return Value::Null;
    }
    json!({
        "in_force": facts.map(|facts| json!({
            "names": facts.names,
            "issuer": facts.issuer,
            "not_after_ms": facts.not_after_ms,
        })),
        "renewal": standing.map(|standing| json!({
            "failure": standing.failure,
            "next_ms": standing.next_ms,
        })),
    })
}

fn status(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// What decides.
struct Health {
    store: Result<(), Unwritable>,
    stopping: bool,
}

impl Health {
    fn of(services: &Services) -> Self {
        Self::from(services.rooms.store(), &services.shutdown)
    }

    fn from(store: &Store, shutdown: &Shutdown) -> Self {
        Self {
            store: store.writable(),
            stopping: shutdown.is_started(),
        }
    }

    fn is_live(&self) -> bool {
        // A disk that does not answer is not healed by a restart, and a store that closes is what a stop looks like.
        !matches!(self.store, Err(Unwritable::Failed(_)))
    }

    fn is_ready(&self) -> bool {
        self.store.is_ok() && !self.stopping
    }

    fn store(&self) -> Value {
        match &self.store {
            Ok(()) => json!({ "writable": true }),
            Err(reason) => json!({ "writable": false, "reason": reason.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use host::Shutdown;
    use store::Unwritable;

    use super::Health;

    #[test]
    fn what_is_live_and_what_is_ready() {
        let failed = Unwritable::Failed("no space".to_owned());
        let stuck = Unwritable::Stuck(Duration::from_secs(11));
        for (store, stopping, live, ready) in [
            (Ok(()), false, true, true),
            (Ok(()), true, true, false),
            (Err(stuck), false, true, false),
            (Err(Unwritable::Closed), true, true, false),
            (Err(failed), false, false, false),
        ] {
            let health = Health { store, stopping };
            assert_eq!(
                (health.is_live(), health.is_ready()),
                (live, ready),
                "{:?} {stopping}",
                health.store
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_stops_is_not_ready() {
        let store = store::Store::open_memory(host::Host::system());
        let (trigger, shutdown) = Shutdown::new();
        assert!(Health::from(&store, &shutdown).is_ready());
        trigger.start();
        assert!(!Health::from(&store, &shutdown).is_ready());
        store.close().await;
        let closed = Health::from(&store, &Shutdown::never());
        assert!(!closed.is_ready());
        assert_eq!(closed.store()["reason"], "the store is closed");
    }
}
