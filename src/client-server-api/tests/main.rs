//! Ring 2: every endpoint through an in-process server. A test file has the path of the handler it tests.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]

mod authentication;
mod capabilities;
mod events;
mod filtering;
mod guests;
mod modules;
mod rooms;
mod server_discovery;
mod user_data;
