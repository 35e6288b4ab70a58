//! Spans for a collector of OpenTelemetry: [OTLP](https://opentelemetry.io/docs/specs/otlp/) over HTTP, in protobuf.
//!
//! A thread of the library's sends what a bounded queue holds. A collector that is slow or gone costs spans, which are
//! counted, and never a request.

use std::{error::Error, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult,
        SdkTracerProvider, ShouldSample, SpanProcessor,
    },
};
use traces::{TARGET, TraceFigures};
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

mod collector;
mod counted;

use collector::Collector;
use counted::{Gate, Told};

/// How long the collector may take for a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server waits at its end until the last spans are sent: service managers kill after ten seconds or more, and
/// requests under way have had theirs.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);
/// Spans that wait, of about 1 KiB each: a second's of a busy server.
const QUEUE: usize = 8_192;
/// Spans sent at once, as the specification of OpenTelemetry's batching processor has it.
const BATCH: usize = 512;
/// The longest that a span waits for others, as there.
const PERIOD: Duration = Duration::from_secs(5);

/// The way of spans to a collector.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    figures: TraceFigures,
}

impl Traces {
    /// To the collector of the options, if they name one; nothing is sent yet.
    ///
    /// # Errors
    /// Options that cannot be used, in words for the person who started the server.
    pub(crate) fn start(
        options: &config::Tracing,
        server_name: &str,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let Some(endpoint) = &options.otlp_endpoint else {
            return Ok(None);
        };
        let headers = options
            .otlp_headers
            .as_ref()
            .map_or("", config::Secret::expose);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(headers, TIMEOUT)?)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| format!("`tracing.otlp_endpoint`: {error}"))?;
        let figures = TraceFigures::default();
        let gate = Gate::new(QUEUE, figures.clone());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PERIOD)
            .build();
        let sending = BatchSpanProcessor::builder(Told::new(exporter, gate.clone()))
            .with_batch_config(batches)
            .build();
        let provider = provider(options, server_name, gate.before(sending));
        Ok(Some(Self { provider, figures }))
    }

    /// What became of the spans.
    pub(crate) fn figures(&self) -> TraceFigures {
        self.figures.clone()
    }

    /// Makes spans of those of our target, with what was logged meanwhile at the levels warn and error.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let wanted = |metadata: &Metadata<'_>| {
            if metadata.is_span() {
                metadata.target() == TARGET
            } else {
                *metadata.level() <= Level::WARN
            }
        };
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("myelin"))
            // Where in the code is of no use to who reads traces, and costs in each.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(wanted).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what is left, for two seconds at most. Blocks: not for a thread that runs tasks.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_TIMEOUT) {
            tracing::warn!(cause = %error, "the last spans are lost");
        }
    }
}

fn provider(
    options: &config::Tracing,
    server_name: &str,
    processor: impl SpanProcessor + 'static,
) -> SdkTracerProvider {
    let resource = Resource::builder()
        .with_service_name(options.service_name.clone())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", server_name.to_owned()),
        ])
        .build();
    let ratio = Sampler::TraceIdRatioBased(options.sample_ratio);
    SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(OfSomething(Sampler::ParentBased(Box::new(ratio))))
        .with_resource(resource)
        .build()
}

/// Lets go what belongs to no request and is none: the commits of the server's own work.
#[derive(Clone, Debug)]
struct OfSomething(Sampler);

impl ShouldSample for OfSomething {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let whole = parent.is_none_or(|parent| !parent.has_active_span());
        let mut sampling = self
            .0
            .should_sample(parent, trace_id, name, kind, attributes, links);
        if whole && *kind == SpanKind::Internal {
            sampling.decision = SamplingDecision::Drop;
        }
        sampling
    }
}
