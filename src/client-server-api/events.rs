//! [Events](https://spec.matrix.org/v1.19/client-server-api/#events).

pub mod getting_events;
pub mod redactions;
pub mod relationships;
pub mod sending_events;
pub mod syncing;

mod event_stream;
pub(crate) mod snapshot;
