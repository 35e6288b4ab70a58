//! What the library does not tell: how many spans are lost, and whether the collector takes any.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use traces::TraceFigures;

/// Lets as many spans through as may wait, and counts those that it turns away.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    waiting: Arc<AtomicUsize>,
    most: usize,
    figures: TraceFigures,
}

impl Gate {
    pub(super) fn new(most: usize, figures: TraceFigures) -> Self {
        Self {
            waiting: Arc::default(),
            most,
            figures,
        }
    }

    /// In front of `next`.
    pub(super) fn before<P: SpanProcessor>(self, next: P) -> Gated<P> {
        Gated { gate: self, next }
    }

    fn enter(&self) -> bool {
        let enters = self.waiting.fetch_add(1, Ordering::Relaxed) < self.most;
        if !enters {
            self.leave(1);
            self.figures.add_dropped(1);
        }
        enters
    }

    fn leave(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// A processor behind a [`Gate`].
#[derive(Debug)]
pub(super) struct Gated<P> {
    gate: Gate,
    next: P,
}

impl<P: SpanProcessor> SpanProcessor for Gated<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.gate.enter() {
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// An exporter that tells how it went: in the figures each time, in the log when it changes.
#[derive(Debug)]
pub(super) struct Told<E> {
    next: E,
    gate: Gate,
    /// The last attempt went well, or there was none.
    well: AtomicBool,
}

impl<E> Told<E> {
    pub(super) fn new(next: E, gate: Gate) -> Self {
        Self {
            next,
            gate,
            well: AtomicBool::new(true),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.next.export(batch).await;
        self.gate.leave(spans);
        let was_well = self.well.swap(result.is_ok(), Ordering::Relaxed);
        match &result {
            Ok(()) => {
                if !was_well {
                    tracing::info!("the collector takes spans again");
                }
                self.gate.figures.add_sent(spans);
            }
            Err(error) => {
                if was_well {
                    tracing::warn!(cause = %error, "the collector takes no spans; they are lost");
                }
                self.gate.figures.add_dropped(spans);
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use std::time::SystemTime;

    use futures_util::FutureExt;
    use opentelemetry::{
        InstrumentationScope, SpanId,
        trace::{SpanContext, SpanKind, Status},
    };
    use opentelemetry_sdk::{
        error::{OTelSdkError, OTelSdkResult},
        trace::{SpanData, SpanEvents, SpanExporter, SpanLinks},
    };
    use traces::TraceFigures;

    use super::{Gate, Told};

    /// Takes spans, or does not.
    #[derive(Debug, Default)]
    struct Moody(AtomicBool);

    impl SpanExporter for Moody {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            if self.0.load(Ordering::Relaxed) {
                return Ok(());
            }
            Err(OTelSdkError::InternalFailure("gone".to_owned()))
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: "GET".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn what_is_not_taken_is_counted_and_makes_room() {
        let figures = TraceFigures::default();
        let gate = Gate::new(3, figures.clone());
        let told = Told::new(Moody::default(), gate.clone());
        assert_eq!(
            [(); 5].map(|()| gate.enter()),
            [true, true, true, false, false]
        );
        assert_eq!((figures.sent(), figures.dropped()), (0, 2));
        let spans = |count| (0..count).map(|_| span()).collect();
        assert!(told.export(spans(2)).now_or_never().unwrap().is_err());
        assert_eq!((figures.sent(), figures.dropped()), (0, 4));
        told.next.0.store(true, Ordering::Relaxed);
        assert!(told.export(spans(1)).now_or_never().unwrap().is_ok());
        assert_eq!((figures.sent(), figures.dropped()), (1, 4));
        assert_eq!([(); 4].map(|()| gate.enter()), [true, true, true, false]);
    }
}
