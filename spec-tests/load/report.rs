//! Tables for people, in Markdown: the figures of each scenario, and each target beside the first. And JSON for programs.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::measure::{FIGURES, Figure, Measured, median};
use crate::scenarios::Scenario;

/// What was measured, in order.
#[derive(Debug, Default)]
pub struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    scenario: String,
    targets: Vec<String>,
    /// Of each round, of each target.
    rounds: Vec<Vec<Measured>>,
}

impl Row {
    fn medians(&self) -> Vec<(&str, Measured)> {
        let targets = self.targets.iter().enumerate();
        targets
            .map(|(index, target)| {
                let rounds = self.rounds.iter().map(|round| round[index].clone());
                let rounds: Vec<_> = rounds.collect();
                (target.as_str(), Measured::median(&rounds))
            })
            .collect()
    }

    /// `12.3 (11.0 to 14.1)`: how many times the first target's.
    fn times(&self, other: usize, figure: Figure) -> Option<String> {
        let mut ratios: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| Some(round[other].get(figure)? / round[0].get(figure)?))
            .filter(|ratio| ratio.is_finite())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (lowest, highest) = (ratios.first()?, ratios.last()?);
        let middle = median(ratios.iter().copied())?;
        Some(format!("{middle:.1} ({lowest:.1} to {highest:.1})"))
    }
}

impl Report {
    pub fn add(&mut self, scenario: &Scenario, targets: Vec<String>, rounds: Vec<Vec<Measured>>) {
        self.0.push(Row {
            scenario: scenario.to_string(),
            targets,
            rounds,
        });
    }

    /// The table of the scenario that was measured last.
    pub fn print_last(&self) {
        let Some(row) = self.0.last() else {
            return;
        };
        let medians = row.medians();
        let headings: Vec<_> = FIGURES
            .into_iter()
            .filter(|(figure, _, _)| medians.iter().any(|(_, one)| one.get(*figure).is_some()))
            .collect();
        let notes: Vec<_> = medians
            .iter()
            .flat_map(|(_, one)| one.notes.iter().map(|(name, _)| name.as_str()))
            .fold(Vec::new(), |mut names, name| {
                if !names.contains(&name) {
                    names.push(name);
                }
                names
            });
        let names = headings.iter().map(|(_, heading, _)| *heading);
        print_row(
            [row.scenario.as_str()]
                .into_iter()
                .chain(names)
                .chain(notes.clone()),
        );
        let right = std::iter::repeat_n("--:", headings.len() + notes.len());
        print_row(["---"].into_iter().chain(right));
        for (target, one) in &medians {
            let figures = headings
                .iter()
                .map(|(figure, _, decimals)| cell(one.get(*figure), *decimals));
            let noted = notes.iter().map(|name| {
                let note = one.notes.iter().find(|(noted, _)| noted == name);
                cell(note.map(|(_, value)| *value), 0)
            });
            print_row(
                [(*target).to_owned()]
                    .into_iter()
                    .chain(figures)
                    .chain(noted),
            );
        }
        println!();
    }

    /// How many times less the first one needs than the others: the median of the rounds' ratios, the lowest and the highest.
    pub fn print_comparison(&self) {
        let mut lines = Vec::new();
        for row in &self.0 {
            for other in 1..row.targets.len() {
                let cells = [Figure::Cpu, Figure::P50, Figure::P99, Figure::Written]
                    .map(|figure| row.times(other, figure).unwrap_or_else(|| "-".to_owned()));
                let (name, target) = (&row.scenario, &row.targets[other]);
                lines.push(format!("| {name} | {target} | {} |", cells.join(" | ")));
            }
        }
        if lines.is_empty() {
            return;
        }
        println!("Times the first one's:\n");
        println!("| scenario | target | CPU/op | p50 | p99 | written/op |");
        println!("| --- | --- | --: | --: | --: | --: |");
        for line in lines {
            println!("{line}");
        }
        println!();
    }

    /// Every round of every target.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let mut all = Vec::new();
        for row in &self.0 {
            for (number, round) in row.rounds.iter().enumerate() {
                for (target, measured) in row.targets.iter().zip(round) {
                    let mut figures = Map::new();
                    for (figure, heading, _) in FIGURES {
                        if let Some(value) = measured.get(figure) {
                            figures.insert(heading.to_owned(), value.into());
                        }
                    }
                    let notes: Map<String, Value> = measured
                        .notes
                        .iter()
                        .map(|(name, value)| (name.clone(), (*value).into()))
                        .collect();
                    all.push(json!({
                        "scenario": row.scenario,
                        "target": target,
                        "round": number + 1,
                        "figures": figures,
                        "notes": notes,
                    }));
                }
            }
        }
        fs::write(path, serde_json::to_vec_pretty(&all)?)
            .map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// # Errors
    /// A message that was lost or came twice, in any round.
    pub fn check(&self) -> Result<()> {
        for row in &self.0 {
            for (target, measured) in row
                .rounds
                .iter()
                .flat_map(|round| row.targets.iter().zip(round))
            {
                let wrong = |(name, count): &&(String, f64)| {
                    (name.starts_with("lost") || name.starts_with("doubled")) && *count > 0.0
                };
                if let Some((name, count)) = measured.notes.iter().find(wrong) {
                    return Err(format!("{}: {target}: {count} {name}", row.scenario).into());
                }
            }
        }
        Ok(())
    }
}

/// One decimal at least where there would be fewer than three figures, unless it is a whole number.
fn cell(value: Option<f64>, decimals: usize) -> String {
    let decimals = match value {
        Some(value) if value < 100.0 && value.fract() != 0.0 => decimals.max(1),
        _ => decimals,
    };
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn print_row(cells: impl Iterator<Item = impl AsRef<str>>) {
    let cells: Vec<_> = cells.map(|cell| cell.as_ref().to_owned()).collect();
    println!("| {} |", cells.join(" | "));
}
