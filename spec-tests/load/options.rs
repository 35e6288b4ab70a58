//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Result;
use crate::scenarios::{KINDS, Scenario};
use crate::target::{Recipe, SynapseChoice};

const EXAMPLES: &str = "\
Examples (`cargo xtask load` builds both programs and starts this one; without --spawn and --target it measures the `myelin` beside it):
  Everything, small, in a minute or two:
    cargo xtask load --size small

  Beside Synapse, installed from PyPI into the cache folder, with PostgreSQL where Debian's is installed, and SQLite elsewhere:
    cargo xtask load --against synapse

  What fsync costs: the same binary twice, sends by 32 writers in one room, medians of 5 rounds:
    cargo xtask load --spawn fsync=target/release/myelin --spawn os=target/release/myelin,storage.durability=os \\
         --scenario send-parallel --rounds 5

  Beside another homeserver that runs already (its process is found by its port):
    cargo xtask load --spawn myelin=target/release/myelin \\
         --target other=http://127.0.0.1:8008,data=/var/lib/other,registration=shared-secret:SECRET

  Flatness of the incremental sync, and a fan-out of 100 messages to 200 waiting clients:
    cargo xtask load --scenario incremental=100,incremental=1000,incremental=5000,fan-out=200x100

The CPU is that of all the server's processes and their children, a database's included, in user and system mode; RSS is of the
server's first process, PSS of all. Operations run as fast as they are answered for CPU and ops/s; then on schedule, at half of what
the slowest target could do, for the latencies, which count from when an operation was due. Only servers on 127.0.0.1 are measured.";

/// Measures homeservers beside each other: CPU per operation, latency, memory, disk.
#[derive(Debug, Parser)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", list()), version)]
pub struct Options {
    /// A running server: NAME=URL[,pid=PID][,data=DIR][,registration=open|shared-secret:SECRET]
    #[arg(long = "target", value_name = "NAME=URL[,…]")]
    targets: Vec<String>,

    /// A server to start in a temporary directory (TMPDIR): NAME=/path/to/myelin[,key=value…]
    #[arg(long, value_name = "NAME=PATH[,key=value…]")]
    spawn: Vec<String>,

    /// Another server to install, start and stop beside it
    #[arg(long, value_enum)]
    against: Option<Other>,

    /// Which release of Synapse, as PyPI numbers them
    #[arg(long, default_value = "1.163.2", value_name = "VERSION")]
    synapse_version: String,

    /// SQLite for Synapse, even where PostgreSQL is installed
    #[arg(long)]
    sqlite: bool,

    /// What to measure, in this order; without a size in the sizes that it has by default
    #[arg(long = "scenario", value_delimiter = ',', value_name = "NAME[=SIZE]")]
    scenarios: Vec<String>,

    /// Rounds of each scenario [default: 1 for small, else 3]; the table has their medians
    #[arg(long = "rounds")]
    rounds_given: Option<usize>,

    /// How large scenarios are that come without a size
    #[arg(long, value_enum, default_value_t = Size::Medium)]
    pub size: Size,

    /// The longest a scenario may take altogether, in seconds
    #[arg(long, default_value_t = 3600)]
    pub scenario_seconds: u64,

    /// All figures of all rounds, for programs
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How much work a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// A smoke test: a minute or two in all.
    Small,
    /// Figures that hold, in half an hour beside Synapse.
    Medium,
    /// Everything, up to 100,000 rooms and a million events: hours beside Synapse.
    Full,
}

/// A server that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Other {
    Synapse,
}

impl Size {
    /// How long operations are put on a schedule.
    pub fn seconds_on_schedule(self) -> f64 {
        match self {
            Self::Small => 0.5,
            Self::Medium => 5.0,
            Self::Full => 20.0,
        }
    }
}

impl Options {
    /// Whom to measure; those after the first are compared with it.
    pub fn recipes(&self) -> Result<Vec<Recipe>> {
        let spawned = self.spawn.iter().cloned().map(Recipe::Myelin);
        let running = self.targets.iter().cloned().map(Recipe::Running);
        let mut recipes: Vec<_> = spawned.chain(running).collect();
        if recipes.is_empty() {
            let own = std::env::current_exe()?.with_file_name("myelin");
            if !own.exists() {
                return Err("name at least one --spawn or --target; --help shows how".into());
            }
            recipes.push(Recipe::Myelin(format!("myelin={}", own.display())));
        }
        if let Some(Other::Synapse) = self.against {
            recipes.push(Recipe::Synapse(SynapseChoice {
                version: self.synapse_version.clone(),
                sqlite: self.sqlite,
            }));
        }
        Ok(recipes)
    }

    pub fn scenarios(&self) -> Result<Vec<Scenario>> {
        if self.scenarios.is_empty() {
            return Scenario::all(self.size);
        }
        let mut all = Vec::new();
        for text in &self.scenarios {
            all.extend(Scenario::parse(text, self.size)?);
        }
        Ok(all)
    }

    pub fn rounds(&self) -> usize {
        let default = if self.size == Size::Small { 1 } else { 3 };
        self.rounds_given.unwrap_or(default).max(1)
    }
}

/// The scenarios with their sizes, for `--help`.
fn list() -> String {
    let lines = KINDS.iter().map(|kind| {
        let name = format!("{}={}", kind.name, kind.numbers);
        let sizes = kind.sizes.map(|sizes| sizes.join(" ")).join("; ");
        format!("  {name:<20} {} ({sizes})", kind.about)
    });
    let heading = "Scenarios (the small sizes; the medium; the full):".to_owned();
    let lines: Vec<_> = std::iter::once(heading).chain(lines).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_size_can_be_read() {
        for size in [Size::Small, Size::Medium, Size::Full] {
            let all = Scenario::all(size).unwrap();
            assert!(all.len() >= 18);
        }
        for wrong in [
            "nothing",
            "send=1x2",
            "send=many",
            "media=1",
            "send=99999999",
        ] {
            assert!(Scenario::parse(wrong, Size::Small).is_err(), "{wrong}");
        }
    }
}
