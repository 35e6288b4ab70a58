//! TLS of the server's own: the certificate that listeners show, read from files and read again when they change, or had
//! from an authority by the crate `acme`.
//!
//! Knows no HTTP. The cryptography is ring's, as for requests to others; the process's default provider is not asked.

use std::{io, path::PathBuf};

use thiserror::Error;

mod acceptor;
mod certificate;
mod files;
mod shown;

pub use acceptor::{Acceptor, Stream};
pub use certificate::{Certificate, Facts};
pub use files::{Files, Watched};
pub use shown::{Certificates, Challenges, Renewals, Standing};

/// Why a certificate cannot be shown.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is longer than any certificate.
    #[error("{} is longer than {limit} bytes: is it a certificate?", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// There is no certificate in PEM.
    #[error("there is no certificate: it begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no private key in PEM.
    #[error(
        "there is no private key: it begins with -----BEGIN PRIVATE KEY----- or -----BEGIN EC PRIVATE KEY-----"
    )]
    NoKey,
    /// What stands there is no certificate.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// The key is not the certificate's, or of a kind that nobody supports.
    #[error("the certificate and its key: {0}")]
    Unusable(#[from] rustls::Error),
}

#[cfg(test)]
mod tests;
