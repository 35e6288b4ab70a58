//! The harness of the conformance tests: it starts a homeserver, speaks HTTP to it and waits on conditions.
//!
//! Nothing in here knows Myelin's insides. `SPEC_TESTS_URL=http://…` runs the same tests against another
//! server that has open registration and no rate limits; the tests that start, stop or configure a server of their
//! own need the binary: `MYELIN_BIN`, or else the one Cargo builds.

#[path = "../../src/test-support/asked.rs"]
mod asked;
mod client;
mod feed;
#[path = "../../src/test-support/open_metrics.rs"]
pub mod open_metrics;
mod openapi;
mod proxy;
mod server;
mod tls;
mod values;

use std::io::Write;

pub use client::{Client, Response, User};
pub use feed::Feed;
pub use proxy::{Fault, proxy};
pub use server::{Server, free_address};
pub use tls::{Shown, get_over_tls};
pub use values::{encode, event_ids, find_event, find_state, fresh, room_path};

/// How long a condition may take to come true before the test fails, in seconds.
pub const PATIENCE_SECONDS: u64 = 30;

/// Says that a test did not happen, past the capture of what passing tests print. `cargo xtask test` counts these lines.
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let line = format!("\nskipped: {name}: {reason}\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("standard output takes it");
}

/// A client of the shared server, without a login.
pub fn anonymous() -> Client {
    Client::new(Server::shared().url())
}

/// A fresh account on the shared server, logged in.
pub fn user(name: &str) -> User {
    anonymous().register(name)
}
