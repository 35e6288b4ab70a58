//! The [client-server API](https://spec.matrix.org/v1.19/client-server-api/): one file per heading of the spec, one
//! function per operation. Handlers ask who, may they, do it, answer; no store, no outgoing HTTP.

use axum::Router;

pub mod authentication;
pub mod capabilities;
pub mod events;
pub mod filtering;
pub mod modules;
pub mod rooms;
pub mod server_discovery;
pub mod user_data;

mod error;
mod event_writer;
mod extract;
mod guests;
mod interactive;
mod router;
mod services;

pub use error::Error;
pub use extract::{ActiveSender, ActiveSession, EvenLocked, Sender, Session};
pub use services::{AllServices, Services};

/// Every endpoint, without the frame.
pub fn endpoints() -> Router<Services> {
    let mut endpoints = Router::new();
    endpoints = router::discovery::routes(endpoints);
    endpoints = router::accounts::routes(endpoints);
    endpoints = router::rooms::routes(endpoints);
    endpoints = router::events::routes(endpoints);
    endpoints = router::sync::routes(endpoints);
    endpoints = router::encryption::routes(endpoints);
    endpoints = router::media::routes(endpoints);
    endpoints = router::people::routes(endpoints);
    router::previews::routes(endpoints)
}
