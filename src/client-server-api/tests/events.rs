//! [Events](https://spec.matrix.org/v1.19/client-server-api/#events).

pub(crate) mod getting_events;
mod redactions;
pub(crate) mod relationships;
mod sending_events;
pub(crate) mod syncing;
