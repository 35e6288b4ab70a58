//! Every option of the server, with its default; how options are read; how they are shown.
//!
//! Defaults, then the file, then the environment (`MYELIN_…`, `__` for a dot), then `-O key=value`: later wins.
//! `config/myelin.toml` is generated from the doc comments of the types.

mod calls;
mod limits;
mod load;
mod media;
mod options;
mod push;
mod secret;
mod server_notices;
mod tls;
mod tracing;
mod values;

#[cfg(test)]
mod generate;
#[cfg(test)]
mod tests;

pub use calls::Calls;
pub use limits::{Limits, RateLimit, RateLimits};
pub use load::{ConfigError, Source, load, portable};
pub use media::{Media, MediaBackend, Outbound, Previews, Thumbnails};
pub use options::{
    Config, Jwt, Log, LogFormat, Metrics, Passwords, Presence, Registration, RegistrationMode,
    RequestLog, Rooms, Sessions, Storage, WellKnown,
};
pub use push::Push;
pub use secret::Secret;
pub use server_notices::ServerNotices;
pub use tls::Tls;
pub use tracing::Tracing;
pub use values::{Durability, JwtAlgorithm, Listen, Network};

/// Every option with its doc comment and default: the text of `config/myelin.toml`.
pub const DEFAULTS: &str = include_str!("../../config/myelin.toml");
