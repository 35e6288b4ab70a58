//! Scenario after scenario, round after round, target after target.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::Result;
use crate::measure::{Figure, Measured, number, watch};
use crate::options::{Options, Size};
use crate::pace;
use crate::report::Report;
use crate::scenarios::{Scenario, Stage, Work};
use crate::target::{Recipe, Target};

/// Operations are put on a schedule at this part of what the slowest target could do: all have the same load, and none too much.
const LOAD: f64 = 0.5;
/// One of so many operations goes before the first round, unmeasured.
const WARM_UP_OF: usize = 10;
/// The fewest operations on schedule, and the most.
const ON_SCHEDULE: (usize, usize) = (5, 20_000);

/// Does what the options say, prints tables as it goes and the comparison at the end.
///
/// # Errors
/// A server that fails; a message that was lost or came twice, once everything has been measured.
pub async fn run(options: &Options) -> Result<()> {
    let recipes = options.recipes()?;
    let scenarios = options.scenarios()?;
    let mut report = Report::default();
    let targets = make(&recipes).await?;
    let measured = measure_all(options, &recipes, &targets, &scenarios, &mut report).await;
    stop(&targets).await;
    report.print_comparison();
    if let Some(path) = &options.json {
        report.write_json(path)?;
    }
    measured?;
    report.check()
}

/// Starts them; if one fails, the others are stopped.
async fn make(recipes: &[Recipe]) -> Result<Vec<Arc<Target>>> {
    let mut targets = Vec::new();
    for recipe in recipes {
        match recipe.make().await {
            Ok(target) => targets.push(Arc::new(target)),
            Err(error) => {
                stop(&targets).await;
                return Err(error);
            }
        }
    }
    Ok(targets)
}

async fn stop(targets: &[Arc<Target>]) {
    for target in targets {
        target.stop().await;
    }
}

async fn measure_all(
    options: &Options,
    recipes: &[Recipe],
    targets: &[Arc<Target>],
    scenarios: &[Scenario],
    report: &mut Report,
) -> Result<()> {
    for target in targets {
        println!("{}: {}", target.name, target.about);
    }
    let mut failed = Vec::new();
    for scenario in scenarios {
        if let Err(error) = measure_one(options, recipes, targets, scenario, report).await {
            eprintln!("{scenario}: {error}");
            failed.push(format!("{scenario}: {error}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n").into())
    }
}

/// A scenario on the targets, or on some of its own if it needs that.
async fn measure_one(
    options: &Options,
    recipes: &[Recipe],
    targets: &[Arc<Target>],
    scenario: &Scenario,
    report: &mut Report,
) -> Result<()> {
    let own = if scenario.kind.alone {
        let can = recipes.iter().filter(|recipe| recipe.can_repeat());
        let can: Vec<_> = can.cloned().collect();
        if can.is_empty() {
            eprintln!("{scenario}: left out, for it needs a server that it may end");
            return Ok(());
        }
        Some(make(&can).await?)
    } else {
        None
    };
    let on = own.as_deref().unwrap_or(targets);
    let patience = Duration::from_secs(options.scenario_seconds);
    let measured = tokio::time::timeout(patience, measure(scenario, on, options, report)).await;
    if let Some(own) = &own {
        stop(own).await;
    }
    measured.map_err(|_| format!("more than {} s", patience.as_secs()))?
}

/// One scenario on all targets: prepared once on each, then measured in rounds that alternate between them.
async fn measure(
    scenario: &Scenario,
    targets: &[Arc<Target>],
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let mut stages = Vec::new();
    for target in targets {
        eprintln!("{scenario}: preparing {}", target.name);
        stages.push(scenario.prepare(target).await?);
    }
    let pairs: Vec<_> = targets.iter().zip(&stages).collect();
    for (_, stage) in &pairs {
        warm_up(stage).await?;
    }
    let mut rounds = Vec::new();
    for round in 0..options.rounds() {
        // Whoever was first is last in the next round.
        let mut order: Vec<_> = (0..pairs.len()).collect();
        order.rotate_left(round % pairs.len());
        let mut measured = vec![Measured::default(); pairs.len()];
        for &index in &order {
            let (target, stage) = pairs[index];
            measured[index] = as_fast_as_it_goes(target, stage).await?;
        }
        let slowest = measured.iter().filter_map(|one| one.get(Figure::PerSecond));
        let per_second = slowest.fold(f64::INFINITY, f64::min) * LOAD;
        for &index in &order {
            let (target, stage) = pairs[index];
            if let Work::Each { .. } = stage.work {
                let kept = on_schedule(stage, per_second, options.size).await?;
                measured[index].join(kept);
            }
            let line = measured[index].line();
            eprintln!("{scenario}: round {}: {}: {line}", round + 1, target.name);
            measured[index]
                .check()
                .map_err(|error| format!("{scenario}: {}: {error}", target.name))?;
        }
        rounds.push(measured);
    }
    let names = targets.iter().map(|target| target.name.clone()).collect();
    report.add(scenario, names, rounds);
    report.print_last();
    Ok(())
}

/// A part of the operations unmeasured: what a server does once is not what an operation costs.
async fn warm_up(stage: &Stage) -> Result<()> {
    if let Some(before) = &stage.before {
        before().await?;
    }
    if let Work::Each {
        workers,
        count,
        operation,
        done,
    } = &stage.work
    {
        let count = count.div_ceil(WARM_UP_OF);
        let first = done.fetch_add(count, Ordering::Relaxed);
        pace::closed(operation, *workers, first, count).await?;
    }
    Ok(())
}

/// What an operation costs, and how many there are in a second; or whatever the scenario measures itself.
async fn as_fast_as_it_goes(target: &Target, stage: &Stage) -> Result<Measured> {
    if let Some(before) = &stage.before {
        before().await?;
    }
    let (workers, count, operation, done) = match &stage.work {
        Work::Whole(round) => return round().await,
        Work::Each {
            workers,
            count,
            operation,
            done,
        } => (*workers, *count, operation, done),
    };
    let first = done.fetch_add(count, Ordering::Relaxed);
    let working = pace::closed(operation, workers, first, count);
    let (mut measured, took) = watch(target, count, working).await?;
    measured.set(Figure::PerSecond, number(count) / took.as_secs_f64());
    Ok(measured)
}

/// The latencies of operations, so many of them each second.
async fn on_schedule(stage: &Stage, per_second: f64, size: Size) -> Result<Measured> {
    let mut measured = Measured::default();
    let Work::Each {
        operation,
        done,
        count,
        ..
    } = &stage.work
    else {
        return Ok(measured);
    };
    // At most as many as before: a scenario may have only so many keys or files.
    let most = (*count).clamp(ON_SCHEDULE.0, ON_SCHEDULE.1);
    let seconds = size.seconds_on_schedule();
    let count = (ON_SCHEDULE.0..most)
        .find(|count| number(*count) >= per_second * seconds)
        .unwrap_or(most);
    let first = done.fetch_add(count, Ordering::Relaxed);
    let mut kept = pace::open(operation, per_second, first, count).await?;
    if kept.given_up {
        return Err(format!("{per_second:.0} operations per second were not kept").into());
    }
    measured.set_latencies(&mut kept.latencies);
    measured.set(Figure::Schedule, per_second);
    Ok(measured)
}
