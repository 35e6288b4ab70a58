//! Writes figures in the text format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/).

use std::fmt;

use figures::Distribution;
use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::catalogue::{Kind, Metric};

/// The values of a metric's labels, in the order of their names.
pub(super) type Values<'a> = &'a [&'a str];

/// Where the figures are written.
pub(super) struct Exposition<'a>(pub(super) DescriptorEncoder<'a>);

impl Exposition<'_> {
    /// What only grows.
    pub(super) fn counter(&mut self, metric: &Metric, value: u64) -> fmt::Result {
        self.counters(metric, [([], value)])
    }

    /// The same for each set of labels.
    pub(super) fn counters<'v, V: AsRef<[&'v str]>>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (V, u64)>,
    ) -> fmt::Result {
        self.each(metric, samples, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// What only grows, and not in whole numbers.
    pub(super) fn fractional_counter(
        &mut self,
        metric: &Metric,
        value: Option<f64>,
    ) -> fmt::Result {
        let samples = value.map(|value| ([], value));
        self.each(metric, samples, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// What goes up and down.
    pub(super) fn gauge(&mut self, metric: &Metric, value: impl Into<Option<u64>>) -> fmt::Result {
        self.gauges(metric, value.into().map(|value| ([], value)))
    }

    /// The same for each set of labels.
    pub(super) fn gauges<'v, V: AsRef<[&'v str]>>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (V, u64)>,
    ) -> fmt::Result {
        self.each(metric, samples, |encoder, value| {
            encoder.encode_gauge(&value)
        })
    }

    /// What goes up and down, and not in whole numbers.
    pub(super) fn fractional_gauge(&mut self, metric: &Metric, value: Option<f64>) -> fmt::Result {
        let samples = value.map(|value| ([], value));
        self.each(metric, samples, |encoder, value| {
            encoder.encode_gauge(&value)
        })
    }

    /// How values are distributed.
    pub(super) fn histograms<'v, V: AsRef<[&'v str]>>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (V, Distribution)>,
    ) -> fmt::Result {
        self.each(metric, samples, |encoder, distribution| {
            let (sum, count) = (distribution.sum, distribution.count);
            encoder.encode_histogram::<NoLabelSet>(sum, count, &distribution.buckets, None)
        })
    }

    fn each<'v, V: AsRef<[&'v str]>, T>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (V, T)>,
        mut write: impl FnMut(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let (name, kind) = match metric.kind {
            // The encoder writes it again.
            Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
            Kind::Gauge => (metric.name, MetricType::Gauge),
            Kind::Histogram => (metric.name, MetricType::Histogram),
        };
        let mut encoder = self.0.encode_descriptor(name, metric.help, None, kind)?;
        for (values, value) in samples {
            let labels = labels(metric, values.as_ref());
            if labels.is_empty() {
                write(&mut encoder, value)?;
            } else {
                write(&mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}

fn labels<'a>(metric: &Metric, values: Values<'a>) -> Vec<(&'static str, &'a str)> {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    metric
        .labels
        .iter()
        .copied()
        .zip(values.iter().copied())
        .collect()
}
