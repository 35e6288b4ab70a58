//! The figures of a round, and the medians of several.

use std::time::Duration;

use crate::Result;
use crate::process::{self, Usage};
use crate::target::Target;

/// A figure that every scenario may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Operations of the part that was run as fast as it went.
    Operations,
    /// CPU of all the server's processes per operation, in µs.
    Cpu,
    /// Operations per second, as fast as it went.
    PerSecond,
    /// Operations per second at which the latencies were measured.
    Schedule,
    /// Latencies on schedule, in ms.
    P50,
    P95,
    P99,
    Slowest,
    /// Peak resident memory of the server's first process, in MiB.
    Peak,
    /// Proportional memory of all its processes afterwards, in MiB.
    Proportional,
    /// Bytes written to the disk per operation, logs and compaction included.
    Written,
}

/// In the order of the table, each with its heading and its decimals.
pub const FIGURES: [(Figure, &str, usize); 11] = [
    (Figure::Operations, "ops", 0),
    (Figure::Cpu, "CPU µs/op", 0),
    (Figure::PerSecond, "ops/s", 0),
    (Figure::Schedule, "at ops/s", 0),
    (Figure::P50, "p50 ms", 2),
    (Figure::P95, "p95 ms", 2),
    (Figure::P99, "p99 ms", 2),
    (Figure::Slowest, "max ms", 1),
    (Figure::Peak, "RSS MiB", 0),
    (Figure::Proportional, "PSS MiB", 0),
    (Figure::Written, "written B/op", 0),
];

/// The figures of a round, or the medians of several.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    figures: [Option<f64>; FIGURES.len()],
    /// What only this scenario has: what it is, with its unit, and how much.
    pub notes: Vec<(String, f64)>,
}

impl Measured {
    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.figures[figure as usize]
    }

    pub fn set(&mut self, figure: Figure, value: f64) {
        self.figures[figure as usize] = Some(value);
    }

    /// Takes a figure out that says nothing of this scenario.
    pub fn unset(&mut self, figure: Figure) {
        self.figures[figure as usize] = None;
    }

    /// From the times that operations took or were late.
    pub fn set_latencies(&mut self, latencies: &mut [Duration]) {
        latencies.sort_unstable();
        for (figure, per_mille) in [
            (Figure::P50, 500),
            (Figure::P95, 950),
            (Figure::P99, 990),
            (Figure::Slowest, 1_000),
        ] {
            if let Some(latency) = percentile(latencies, per_mille) {
                self.set(figure, latency);
            }
        }
    }

    /// What so many operations have used of the server.
    pub fn set_usage(&mut self, operations: usize, before: &Usage, after: &Usage) {
        let count = number(operations.max(1));
        self.set(Figure::Operations, number(operations));
        let cpu = after.cpu.saturating_sub(before.cpu);
        self.set(Figure::Cpu, cpu.as_secs_f64() * 1e6 / count);
        let written = after.written.saturating_sub(before.written);
        self.set(Figure::Written, number_u64(written) / count);
        self.set(Figure::Peak, mib(after.peak_kib));
        self.set(Figure::Proportional, mib(after.proportional_kib));
    }

    /// Divides what one operation used among so many.
    pub fn share(&mut self, operations: usize) {
        let count = number(operations.max(1));
        self.set(Figure::Operations, count);
        for figure in [Figure::Cpu, Figure::Written] {
            if let Some(value) = self.get(figure) {
                self.set(figure, value / count);
            }
        }
    }

    /// The figures of this round and of another part of it.
    pub fn join(&mut self, other: Self) {
        for (own, other) in self.figures.iter_mut().zip(other.figures) {
            *own = own.or(other);
        }
        self.notes.extend(other.notes);
    }

    /// The median of each figure on its own.
    pub fn median(rounds: &[Self]) -> Self {
        let mut all = Self::default();
        for (index, figure) in all.figures.iter_mut().enumerate() {
            *figure = median(rounds.iter().filter_map(|round| round.figures[index]));
        }
        let Some(first) = rounds.first() else {
            return all;
        };
        for (name, _) in &first.notes {
            let same = |round: &Self| {
                let note = round.notes.iter().find(|(other, _)| other == name);
                note.map(|(_, value)| *value)
            };
            if let Some(value) = median(rounds.iter().filter_map(same)) {
                all.notes.push((name.clone(), value));
            }
        }
        all
    }

    /// Whether every figure is a number, and there is at least what the scenario is about.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<()> {
        let values = self.figures.iter().flatten().copied();
        let notes = self.notes.iter().map(|(_, value)| *value);
        if let Some(wrong) = values
            .chain(notes)
            .find(|value| !value.is_finite() || *value < 0.0)
        {
            return Err(format!("a figure is {wrong}: {self:?}").into());
        }
        let has_cpu = self.get(Figure::Cpu).is_some_and(|cpu| cpu > 0.0);
        let has_latency = self.get(Figure::P50).is_some_and(|p50| p50 > 0.0);
        if (has_cpu && has_latency) || !self.notes.is_empty() {
            Ok(())
        } else {
            Err(format!("neither CPU and latency nor anything else: {self:?}").into())
        }
    }

    /// The figures in a row, for those who watch.
    pub fn line(&self) -> String {
        let mut words = Vec::new();
        for (figure, heading, decimals) in FIGURES {
            if let Some(value) = self.get(figure) {
                words.push(format!("{heading} {value:.decimals$}"));
            }
        }
        let notes = self.notes.iter();
        words.extend(notes.map(|(name, value)| format!("{name} {value:.1}")));
        words.join(" · ")
    }
}

/// What the target's processes have used so far.
pub fn usage(target: &Target) -> Result<Usage> {
    process::usage(&target.pids())
}

/// Runs so many operations and watches what they use of the server.
pub async fn watch<T>(
    target: &Target,
    operations: usize,
    work: impl Future<Output = Result<T>>,
) -> Result<(Measured, T)> {
    process::forget_peak(&target.pids());
    let before = usage(target)?;
    let done = work.await?;
    let after = usage(target)?;
    let mut measured = Measured::default();
    measured.set_usage(operations, &before, &after);
    Ok((measured, done))
}

/// Counts below 2^52 are exact.
pub fn number(count: usize) -> f64 {
    number_u64(count.try_into().unwrap_or(u64::MAX))
}

pub fn number_u64(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

pub fn mib(kib: u64) -> f64 {
    number_u64(kib) / 1024.0
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The latency, in ms, that so many of a thousand did not exceed.
pub fn percentile(sorted: &[Duration], per_mille: usize) -> Option<f64> {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().map(millis)
}

/// The middle one; of an even number the upper of the two.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        for (per_mille, expected) in [(500, 50.0), (950, 95.0), (990, 99.0), (1_000, 100.0)] {
            assert_eq!(percentile(&sorted, per_mille), Some(expected));
        }
        assert_eq!(percentile(&sorted[..1], 990), Some(1.0));
        assert_eq!(percentile(&[], 500), None);
    }

    #[test]
    fn a_median_is_of_each_figure_on_its_own() {
        let round = |cpu: f64, note: f64| {
            let mut round = Measured::default();
            round.set(Figure::Cpu, cpu);
            round.notes.push(("a note".to_owned(), note));
            round
        };
        let median = Measured::median(&[round(1.0, 30.0), round(3.0, 10.0), round(2.0, 20.0)]);
        assert_eq!(median.get(Figure::Cpu), Some(2.0));
        assert_eq!(median.notes, [("a note".to_owned(), 20.0)]);
        assert_eq!(median.get(Figure::P50), None);
    }

    #[test]
    fn a_round_without_figures_is_an_error() {
        let mut round = Measured::default();
        assert!(round.check().is_err());
        round.set(Figure::Cpu, 3.0);
        assert!(round.check().is_err());
        round.set_latencies(&mut [Duration::from_millis(1)]);
        round.check().unwrap();
        round.set(Figure::Written, f64::NAN);
        assert!(round.check().is_err());
    }
}
