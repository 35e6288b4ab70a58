//! The log: to standard error, for people or for machines.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use administration::LogFilter;
use config::LogFormat;
use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, reload};

/// Starts the log for the whole process; gives what changes it. A second start changes nothing.
///
/// # Errors
/// A filter that is none.
pub(crate) fn start(options: &config::Log) -> Result<Arc<dyn LogFilter>, ParseError> {
    let filter: EnvFilter = options.filter.parse()?;
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error of `try_init` means that a log is running already.
    let set: Box<Set> = match options.format {
        LogFormat::Pretty => {
            let log = log.with_ansi(io::stderr().is_terminal());
            let log = log.with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init();
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let log = log
                .json()
                .flatten_event(true)
                // There is one span, the request.
                .with_span_list(false)
                .with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init();
            Box::new(move |filter| handle.reload(filter))
        }
    };
    Ok(Arc::new(Changeable {
        filter: Mutex::new(options.filter.clone()),
        set,
    }))
}

type Set = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// A log whose filter can be changed.
struct Changeable {
    /// As it was said, for who asks.
    filter: Mutex<String>,
    set: Box<Set>,
}

/// The longest filter, in bytes: some dozens of modules.
const MAX_FILTER_BYTES: usize = 4_096;

impl LogFilter for Changeable {
    fn get(&self) -> String {
        self.filter.lock().clone()
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        if filter.len() > MAX_FILTER_BYTES {
            return Err(format!("it is longer than {MAX_FILTER_BYTES} bytes"));
        }
        let parsed: EnvFilter = filter
            .parse()
            .map_err(|error: ParseError| error.to_string())?;
        let mut said = self.filter.lock();
        (self.set)(parsed).map_err(|error| error.to_string())?;
        filter.clone_into(&mut said);
        Ok(())
    }
}
