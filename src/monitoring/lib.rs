//! Seeing into the server: `/health` for load balancers, and on a listener of its own, which asks nobody who they are,
//! `/metrics` for Prometheus and `/health` with details.
//!
//! What is counted is counted where it happens, with an atomic addition (`figures`); here it is gathered when somebody asks,
//! named, and written down. `docs/metrics.md` is the list of names, and a test holds it against [`metrics::CATALOGUE`].

use axum::{Router, routing::get};
use client_server_api::Services;
use http_layer::StandardError;

mod health;
pub mod metrics;
mod process;

/// What everybody may ask, without the frame.
pub fn public() -> Router<Services> {
    Router::new().route("/health", get(health::public))
}

/// What is on the private listener, whole.
pub fn private(services: Services) -> Router {
    Router::new()
        .route("/metrics", get(metrics::scrape))
        .route("/health", get(health::details))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(async || StandardError::unrecognized())
        .with_state(services)
}
