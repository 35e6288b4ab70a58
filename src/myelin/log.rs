//! The log: to standard error, for people or for machines.

use std::io::{self, IsTerminal};

use config::LogFormat;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

/// Starts the log for the whole process. A second start changes nothing.
///
/// # Errors
/// A filter that is none.
pub(crate) fn start(options: &config::Log) -> Result<(), ParseError> {
    let filter: EnvFilter = options.filter.parse()?;
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error here means that a log is running already.
    let _ = match options.format {
        LogFormat::Pretty => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}
