//! What the parts of the server know of traces: the target of the spans that they make, whose trace a request goes on with,
//! and how others are told of it. Where spans are sent is `myelin`'s; where no collector is configured nobody listens to the
//! target, and a span costs the load of an atomic.
//!
//! [Trace Context](https://www.w3.org/TR/trace-context/)

use std::sync::Arc;

use figures::Counter;
use http::HeaderMap;
use opentelemetry::{
    Context, ContextGuard, KeyValue, propagation::TextMapPropagator, trace::TraceContextExt,
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The target of the spans that are sent to a collector, at the level debug. The log never shows them.
pub const TARGET: &str = "myelin::trace";

/// Spans made on this thread as long as what is returned is kept go on with the trace that `headers` name, if they do
/// (`traceparent`, `tracestate`). Only for the headers of somebody trusted.
pub fn go_on(headers: &HeaderMap) -> ContextGuard {
    TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &HeaderExtractor(headers))
        .attach()
}

/// Tells whoever gets `headers` of the current span, if there is one that is sent somewhere.
pub fn pass_on(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject(&mut HeaderInjector(headers));
}

/// The current span has this attribute, if there is one.
pub fn note(key: &'static str, value: &str) {
    Context::map_current(|context| {
        if context.has_active_span() {
            let attribute = KeyValue::new(key, value.to_owned());
            context.span().set_attribute(attribute);
        }
    });
}

/// What became of spans; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TraceFigures(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: Counter,
    dropped: Counter,
}

impl TraceFigures {
    /// The collector has taken so many more.
    pub fn add_sent(&self, spans: usize) {
        self.0.sent.add(spans as u64);
    }

    /// So many more are lost: the queue was full, or the collector did not take them.
    pub fn add_dropped(&self, spans: usize) {
        self.0.dropped.add(spans as u64);
    }

    /// Spans that the collector has taken.
    pub fn sent(&self) -> u64 {
        self.0.sent.get()
    }

    /// Spans that are lost.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.get()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{go_on, pass_on};

    #[test]
    fn a_trace_is_passed_on_as_it_came_and_a_malformed_one_is_none() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (parent, taken) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), true),
            (format!("00-{trace}-00f067aa0ba902b7-00"), true),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), false),
            (format!("00-{trace}-01"), false),
            ("rubbish".to_owned(), false),
        ] {
            let (mut came, mut went) = (HeaderMap::new(), HeaderMap::new());
            came.insert("traceparent", parent.parse().unwrap());
            let guard = go_on(&came);
            pass_on(&mut went);
            assert_eq!(went.get("traceparent").is_some(), taken, "{parent}");
            if taken {
                assert_eq!(went["traceparent"], parent);
            }
            drop(guard);
            went.clear();
            pass_on(&mut went);
            assert!(went.is_empty(), "{parent} is over");
        }
    }
}
