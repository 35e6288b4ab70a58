//! The log: to standard error, for people or for machines.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use administration::LogFilter;
use config::LogFormat;
use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, ParseError},
    fmt,
    layer::SubscriberExt,
    registry, reload,
    util::SubscriberInitExt,
};

use crate::otlp::Traces;

/// Starts the log for the whole process, and `traces` beside it; gives what changes it. A second start changes nothing.
///
/// # Errors
/// A filter that is none.
pub(crate) fn start(
    options: &config::Log,
    traces: Option<&Traces>,
) -> Result<Arc<dyn LogFilter>, ParseError> {
    let filter = parse(&options.filter)?;
    let log = fmt::layer().with_writer(io::stderr);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match options.format {
        LogFormat::Pretty => log.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            // There is one span, the request.
            .with_span_list(false)
            .boxed(),
    };
    // An error of `try_init` means that a log is running already.
    let set: Box<Set> = match traces {
        // One filter for all is cheaper than one for each.
        None => {
            let (filter, handle) = reload::Layer::new(filter);
            let _ = registry().with(log).with(filter).try_init();
            Box::new(move |filter| handle.reload(filter))
        }
        Some(traces) => {
            let (filter, handle) = reload::Layer::new(filter);
            let log = log.with_filter(filter);
            let _ = registry().with(log).with(traces.layer()).try_init();
            Box::new(move |filter| handle.reload(filter))
        }
    };
    Ok(Arc::new(Changeable {
        filter: Mutex::new(options.filter.clone()),
        set,
    }))
}

/// What `text` lets through, and never the spans of traces: theirs are other names, and the request's would be hidden.
fn parse(text: &str) -> Result<EnvFilter, ParseError> {
    let filter: EnvFilter = text.parse()?;
    let never: Directive = format!("{}={}", traces::TARGET, LevelFilter::OFF).parse()?;
    Ok(filter.add_directive(never))
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
        let parsed = parse(filter).map_err(|error| error.to_string())?;
        let mut said = self.filter.lock();
        (self.set)(parsed).map_err(|error| error.to_string())?;
        filter.clone_into(&mut said);
        Ok(())
    }
}
