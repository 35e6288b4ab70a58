//! Options of TLS. A doc comment here is the text in `config/myelin.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Listen;

/// `tls.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Where to listen for TLS, besides `listen`: "host:port" or "[ipv6]:port", such as "[::]:443".
    pub listen: Vec<Listen>,
    /// The certificate and those between it and the root, in PEM. It is read again when it changes, and at SIGHUP.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub key_file: Option<PathBuf>,
}
