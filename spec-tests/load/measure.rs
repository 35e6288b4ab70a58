//! One round of a scenario, with the server's process watched.

use std::time::{Duration, Instant};

use crate::Result;
use crate::process;
use crate::scenarios::{Prepared, Scenario};
use crate::target::Target;

/// The figures of a round, or the medians of several.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub operations: usize,
    pub per_second: f64,
    pub cpu_us: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    /// Peak resident memory of the server during the round, in MiB.
    pub peak_mib: f64,
    /// Proportional memory of the server after the round, in MiB.
    pub pss_mib: f64,
    /// Growth of the data directory per operation; None where it says nothing.
    pub disk_bytes: Option<f64>,
}

/// Runs one round and watches the server.
pub async fn measure(
    target: &Target,
    scenario: &Scenario,
    prepared: &mut Prepared,
) -> Result<Measured> {
    scenario.before_round(target, prepared).await?;
    process::forget_peak(target.pid);
    let disk = target.data.as_deref().map(process::disk_bytes);
    let cpu = process::cpu(target.pid)?;
    let started = Instant::now();
    let mut latencies = scenario.round(target, prepared).await?;
    let took = started.elapsed();
    let cpu = process::cpu(target.pid)?.saturating_sub(cpu);
    let grown = disk
        .zip(target.data.as_deref())
        .map(|(before, dir)| process::disk_bytes(dir).saturating_sub(before));
    latencies.sort_unstable();
    let operations = latencies.len().max(1);
    let count = number(operations);
    Ok(Measured {
        operations,
        per_second: count / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
        p50_ms: percentile(&latencies, 50),
        p95_ms: percentile(&latencies, 95),
        p99_ms: percentile(&latencies, 99),
        peak_mib: mib(process::peak_kib(target.pid)),
        pss_mib: mib(process::proportional_kib(target.pid)),
        disk_bytes: grown.filter(|_| scenario.writes_events()).map(|bytes| {
            // Sizes below 2^52 are exact.
            u32::try_from(bytes).map_or(f64::INFINITY, f64::from) / count
        }),
    })
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn mib(kib: Result<u64>) -> f64 {
    kib.ok()
        .and_then(|kib| u32::try_from(kib).ok())
        .map_or(f64::NAN, |kib| f64::from(kib) / 1024.0)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(index)
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

impl Measured {
    /// The median of each figure on its own.
    pub fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<_> = rounds.iter().map(figure).collect();
            figures.sort_unstable_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            operations: rounds.first().map_or(0, |round| round.operations),
            per_second: of(|round| round.per_second),
            cpu_us: of(|round| round.cpu_us),
            p50_ms: of(|round| round.p50_ms),
            p95_ms: of(|round| round.p95_ms),
            p99_ms: of(|round| round.p99_ms),
            peak_mib: of(|round| round.peak_mib),
            pss_mib: of(|round| round.pss_mib),
            disk_bytes: rounds
                .iter()
                .all(|round| round.disk_bytes.is_some())
                .then(|| of(|round| round.disk_bytes.unwrap_or_default())),
        }
    }

    /// The figures in a row, as in the table.
    pub fn line(&self) -> String {
        let disk = self
            .disk_bytes
            .map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.0}"));
        format!(
            "{:>6} {:>9.1} {:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>8.1} {:>8.1} {:>8}",
            self.operations,
            self.per_second,
            self.cpu_us,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.peak_mib,
            self.pss_mib,
            disk,
        )
    }
}
