//! Options of traces. A doc comment here is the text in `config/myelin.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// `tracing.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// The URL of a collector that takes OTLP over HTTP, such as "http://127.0.0.1:4318"; spans go to /v1/traces under it.
    /// Without it there are none. Spans say who asked for what, as the log does: the collector must be your own.
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, one "Name: value" a line.
    pub otlp_headers: Option<Secret>,
    /// A file that holds them.
    pub otlp_headers_file: Option<PathBuf>,
    /// Which part of the requests is sent, from 0.0 to 1.0. What a trusted proxy says of a request in `traceparent` goes before.
    pub sample_ratio: f64,
    /// What the server is called there, `service.name`.
    pub service_name: String,
    /// Hosts that are told which trace a request to them belongs to, in `traceparent`: your own push gateway, for example.
    pub propagate_to: Vec<String>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: None,
            otlp_headers_file: None,
            sample_ratio: 1.0,
            service_name: "myelin".to_owned(),
            propagate_to: Vec::new(),
        }
    }
}
