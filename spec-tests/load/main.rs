//! Measures homeservers beside each other over raw HTTP: CPU per operation of the server process, latency, memory, disk.
//!
//! `load --help` teaches by example.

mod client;
mod measure;
mod options;
mod process;
mod report;
mod scenarios;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::measure::Measured;
use crate::options::Options;
use crate::report::Report;
use crate::scenarios::Scenario;
use crate::target::Target;

/// Whatever went wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let mut targets = Vec::new();
    for description in &options.targets {
        targets.push(Target::running(description).await?);
    }
    for description in &options.spawn {
        targets.push(Target::spawn(description).await?);
    }
    if targets.is_empty() {
        return Err("name at least one --target or --spawn; --help shows how".into());
    }
    let mut report = Report::default();
    for text in &options.scenarios {
        let scenario = Scenario::parse(text, options.size)?;
        let patience = Duration::from_secs(options.scenario_seconds);
        let measuring = measure_all(&scenario, &targets, options.rounds, &mut report);
        tokio::time::timeout(patience, measuring)
            .await
            .map_err(|_| format!("{scenario} took more than {} s", options.scenario_seconds))??;
    }
    report.print_ratios();
    for target in &mut targets {
        target.stop().await;
    }
    Ok(())
}

/// One scenario on all targets: prepared once on each, then measured in rounds that alternate between them.
async fn measure_all(
    scenario: &Scenario,
    targets: &[Target],
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let mut prepared = Vec::new();
    for target in targets {
        eprintln!("{scenario}: preparing {}", target.name);
        prepared.push(scenario.prepare(target).await?);
    }
    let mut measured: Vec<Vec<Measured>> = targets.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..targets.len() {
            // Whoever was first is last in the next round.
            let index = (turn + round) % targets.len();
            let target = &targets[index];
            let outcome = measure::measure(target, scenario, &mut prepared[index]).await?;
            eprintln!(
                "{scenario}: round {}: {}: {}",
                round + 1,
                target.name,
                outcome.line()
            );
            measured[index].push(outcome);
        }
    }
    for (target, rounds) in targets.iter().zip(measured) {
        report.add(scenario, &target.name, &Measured::median(&rounds));
    }
    report.print_last(scenario);
    Ok(())
}
