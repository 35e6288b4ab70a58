//! Tables for people: the figures of each scenario, and each target beside the first.

use crate::measure::Measured;
use crate::scenarios::Scenario;

const HEADER: &str =
    "   ops     ops/s  CPU µs/op  p50 ms   p95 ms   p99 ms peak MiB  PSS MiB  disk B/op";

/// What was measured, in order.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(String, String, Measured)>,
}

impl Report {
    pub fn add(&mut self, scenario: &Scenario, target: &str, measured: &Measured) {
        self.rows
            .push((scenario.to_string(), target.to_owned(), measured.clone()));
    }

    /// The table of the scenario that was measured last.
    pub fn print_last(&self, scenario: &Scenario) {
        let name = scenario.to_string();
        println!("\n{name}\n{:<16}{HEADER}", "");
        for (_, target, measured) in self.rows.iter().filter(|(row, _, _)| *row == name) {
            println!("{target:<16}{}", measured.line());
        }
    }

    /// CPU and median latency of each target in multiples of the first one's.
    pub fn print_ratios(&self) {
        let Some((_, first, _)) = self.rows.first() else {
            return;
        };
        if self.rows.iter().all(|(_, target, _)| target == first) {
            return;
        }
        println!(
            "\n{:<24}{:<16}{:>12}{:>12}{:>12}",
            format!("in multiples of {first}"),
            "",
            "CPU/op",
            "p50",
            "ops/s"
        );
        for (scenario, target, measured) in &self.rows {
            let base = self
                .rows
                .iter()
                .find(|(row, name, _)| row == scenario && name == first);
            let Some((_, _, base)) = base.filter(|_| target != first) else {
                continue;
            };
            println!(
                "{scenario:<24}{target:<16}{:>12.2}{:>12.2}{:>12.2}",
                measured.cpu_us / base.cpu_us,
                measured.p50_ms / base.p50_ms,
                measured.per_second / base.per_second,
            );
        }
    }
}
