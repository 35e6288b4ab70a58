//! Figures that cost an atomic addition: counters, gauges and histograms. What they are called and how they are written
//! down is `monitoring`'s.
//!
//! Everything is relaxed: a figure that is read while others change it may be a moment old, and figures read one after
//! the other need not be of one moment.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more, as long as what is returned is kept.
    #[must_use = "it counts as long as it is kept"]
    pub fn hold(&self) -> Held<'_> {
        self.enter();
        Held(self)
    }

    /// One more, until [`Gauge::leave`].
    pub fn enter(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a [`Gauge`] counts.
#[derive(Debug)]
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The most bounds that a histogram has.
const MOST_BOUNDS: usize = 20;

/// How often which size was seen, in buckets with fixed upper bounds.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, each inclusive, ascending; in the figure's own unit.
    bounds: &'static [u64],
    /// How many units are one of the unit that is shown.
    scale: f64,
    /// By bound what is at most that much and more than the one before; after the last what is more.
    buckets: [AtomicU64; MOST_BOUNDS + 1],
    sum: AtomicU64,
}

impl Histogram {
    /// Durations of requests, long polls included: 1 ms to 120 s, what the longest `/sync` takes and a little more.
    pub const fn of_requests() -> Self {
        Self::of_microseconds(&[
            1_000,
            2_500,
            5_000,
            10_000,
            25_000,
            50_000,
            100_000,
            250_000,
            500_000,
            1_000_000,
            2_500_000,
            5_000_000,
            10_000_000,
            30_000_000,
            60_000_000,
            120_000_000,
        ])
    }

    /// Durations of writes to a disk: 100 µs, which a good one takes, to 10 s, when a bad one has given up.
    pub const fn of_writes() -> Self {
        Self::of_microseconds(&[
            100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
            1_000_000, 2_500_000, 10_000_000,
        ])
    }

    /// Numbers of things that go together: powers of two up to 1,024.
    pub const fn of_counts() -> Self {
        Self::new(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024], 1.0)
    }

    const fn of_microseconds(bounds: &'static [u64]) -> Self {
        Self::new(bounds, 1e6)
    }

    const fn new(bounds: &'static [u64], scale: f64) -> Self {
        assert!(bounds.len() <= MOST_BOUNDS, "known when it is compiled");
        Self {
            bounds,
            scale,
            buckets: [const { AtomicU64::new(0) }; MOST_BOUNDS + 1],
            sum: AtomicU64::new(0),
        }
    }

    /// This long; for a histogram of durations.
    pub fn took(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// This much, in the figure's own unit.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was seen so far.
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is shown is a floating-point number: exact up to 2^53 units, 285 years of microseconds"
    )]
    pub fn read(&self) -> Distribution {
        let upper = self.bounds.iter().map(|bound| *bound as f64 / self.scale);
        let buckets: Vec<(f64, u64)> = upper
            .chain([f64::INFINITY])
            .zip(&self.buckets)
            .map(|(upper, bucket)| (upper, bucket.load(Ordering::Relaxed)))
            .collect();
        Distribution {
            sum: self.sum.load(Ordering::Relaxed) as f64 / self.scale,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

/// What a histogram has seen; durations are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Of all values.
    pub sum: f64,
    /// How many values.
    pub count: u64,
    /// Upper bound, and how many lie at most there and above the bound before. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counter, Gauge, Histogram};

    #[test]
    fn a_value_lies_in_the_first_bucket_that_reaches_it() {
        let histogram = Histogram::of_counts();
        for value in [0, 1, 2, 3, 4, 1_024, 1_025, 9_999] {
            histogram.observe(value);
        }
        let read = histogram.read();
        let filled: Vec<(f64, u64)> = read
            .buckets
            .iter()
            .copied()
            .filter(|(_, count)| *count > 0)
            .collect();
        let expected = [
            (1.0, 2),
            (2.0, 1),
            (4.0, 2),
            (1_024.0, 1),
            (f64::INFINITY, 2),
        ];
        assert_eq!(filled, expected);
        assert_eq!((read.count, read.sum), (8, 12_058.0));
        assert_eq!(read.buckets.len(), 12);
    }

    #[test]
    fn durations_are_read_in_seconds() {
        let histogram = Histogram::of_writes();
        histogram.took(Duration::from_millis(1));
        histogram.took(Duration::from_micros(1_001));
        histogram.took(Duration::from_hours(1));
        let read = histogram.read();
        let filled = read.buckets.iter().filter(|(_, count)| *count > 0);
        let filled: Vec<f64> = filled.map(|(upper, _)| *upper).collect();
        assert_eq!(filled, [0.001, 0.002_5, f64::INFINITY]);
        assert!((read.sum - 3_600.002_001).abs() < 1e-9, "{}", read.sum);
    }

    #[test]
    fn every_ready_made_histogram_ascends() {
        for histogram in [
            Histogram::of_requests(),
            Histogram::of_writes(),
            Histogram::of_counts(),
        ] {
            assert!(histogram.bounds.is_sorted_by(|one, next| one < next));
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let (counter, gauge, histogram) =
            (Counter::default(), Gauge::default(), Histogram::of_counts());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for value in 0..10_000 {
                        let _held = gauge.hold();
                        counter.increment();
                        histogram.observe(value % 7);
                    }
                });
            }
        });
        assert_eq!((counter.get(), gauge.get()), (40_000, 0));
        assert_eq!(histogram.read().count, 40_000);
    }
}
