//! Certificates of the server's own by ACME ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)): ordered from an
//! authority, kept, renewed in time.
//!
//! A [`Keeper`] decides when an [`Authority`] is asked ([`schedule`]) and keeps what it gives ([`Kept`]); [`Directory`] is
//! the authority behind a URL. What it wants to see is shown by `tls` in its handshakes (`tls-alpn-01`). Knows no HTTP of
//! our own.

mod directory;
mod keeper;
mod kept;
mod requests;
mod schedule;

pub use directory::{Authority, Directory, Issued, Order, Refusal};
pub use keeper::Keeper;
pub use kept::{Attempt, Kept, SMALL_FILES, State};

use thiserror::Error;

/// Why there will be no certificate whatever the authority says.
#[derive(Debug, Error)]
pub enum AcmeError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file with certificate authorities of one's own.
    #[error("`tls.acme_ca_file`: {0}")]
    Roots(String),
    /// No requests can be made.
    #[error("requests to the authority are not possible: {0}")]
    Client(reqwest::Error),
}

#[cfg(test)]
mod tests;
