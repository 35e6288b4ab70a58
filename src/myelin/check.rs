//! `myelin check`: whether a data directory is whole, and what can be healed.

use std::{
    error::Error,
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use clap::Args;
use config::{Config, MediaBackend};
use consistency::{CheckOptions, Finding, Progress, Report};
use host::Host;
use parking_lot::Mutex;
use store::Store;

use crate::{data_dir::DataDir, opening::store_options};

/// Compares everything in a data directory with everything else.
///
/// Events are hashed and their signatures verified, every index, count and list is derived from them anew and compared,
/// and media files are hashed. The server must not run; of one that runs, check a backup instead.
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = "\
Examples:
  myelin check                  look, and change nothing
  myelin check --repair         rebuild what follows from events; what is lost is reported and never guessed
  myelin check --quick          no signature is verified and no media file hashed
  myelin check --json | jq -r '.findings[].table' | sort | uniq -c

Exit codes: 0 healthy, or healed; 1 something is wrong; 2 it could not be checked.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub(crate) struct Check {
    /// Rebuilds what is derived. Can be stopped and run again.
    #[arg(long)]
    repair: bool,
    /// Verifies no signatures and hashes no media files; their sizes are compared.
    #[arg(long, conflicts_with = "repair")]
    quick: bool,
    /// The report as JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Says how a running server is checked.
    #[arg(long)]
    online: bool,
}

/// It could not be checked.
const NOT_CHECKED: u8 = 2;

/// Does what the command says.
pub(crate) fn check(
    command: &Check,
    load: impl FnOnce() -> Result<Config, config::ConfigError>,
) -> ExitCode {
    let report = match looked(command, load) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("myelin: {error}");
            return ExitCode::from(NOT_CHECKED);
        }
    };
    if let Err(error) = tell(command, &report) {
        // Whoever reads has gone, as `head` does; the code still says it.
        eprintln!("myelin: {error}");
    }
    let stays = if command.repair {
        report.found - report.healable
    } else {
        report.found
    };
    ExitCode::from(u8::from(stays > 0))
}

fn looked(
    command: &Check,
    load: impl FnOnce() -> Result<Config, config::ConfigError>,
) -> Result<Report, Box<dyn Error>> {
    if command.online {
        return Err("a running server is checked on a copy: `myelin backup create --to DIR`, then `myelin backup verify DIR`".into());
    }
    let config = load()?;
    if !config.data_dir.join("db").is_dir() {
        let message = format!("{} holds no server", config.data_dir.display());
        return Err(message.into());
    }
    let host = Host::system();
    let data = DataDir::open(&config.data_dir)?;
    // Whoever holds the database's lock owns the directory.
    let store = Store::open(&store_options(&config, &data), host.clone())?;
    data.claim(&config.server_name)?;
    let options = CheckOptions {
        key: Some(data.signer(&config.server_name, &host)?.public_key()),
        media: (config.media.backend == MediaBackend::Files).then(|| config.data_dir.join("media")),
        quick: command.quick,
        repair: command.repair,
        ..CheckOptions::new(config.server_name.clone())
    };
    let bar = Bar::new();
    let report = consistency::check(&store, &options, &bar)?;
    bar.clear();
    Ok(report)
}

fn tell(command: &Check, report: &Report) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    if command.json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
        return out.flush();
    }
    for finding in &report.findings {
        write_finding(&mut out, finding)?;
    }
    let left_out = report.found - report.findings.len() as u64;
    if left_out > 0 {
        writeln!(out, "… and {left_out} more")?;
    }
    writeln!(
        out,
        "{} rooms, {} events, {} accounts, {} files: {}",
        report.rooms,
        report.events,
        report.accounts,
        report.files,
        conclusion(command, report)
    )?;
    out.flush()
}

fn write_finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let Finding {
        table,
        key,
        problem,
        remedy,
    } = finding;
    writeln!(out, "{table:<16} {key}")?;
    writeln!(out, "{:<16}   {problem}", "")?;
    writeln!(out, "{:<16}   → {remedy}", "")
}

fn conclusion(command: &Check, report: &Report) -> String {
    let lost = report.found - report.healable;
    match (report.found, command.repair) {
        (0, _) => "everything agrees".to_owned(),
        (found, false) => format!(
            "{found} findings, {} of which `myelin check --repair` heals",
            report.healable
        ),
        (_, true) => format!(
            "{} findings healed ({} rows), {lost} things are lost",
            report.healable, report.repaired
        ),
    }
}

/// A bar on the terminal, if there is one; findings come after it.
struct Bar {
    is_shown: bool,
    stage: Mutex<&'static str>,
    /// What was last drawn, in thousandths.
    drawn: AtomicU64,
}

/// Characters of the bar.
const WIDTH: usize = 40;

impl Bar {
    fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            stage: Mutex::new(""),
            drawn: AtomicU64::new(u64::MAX),
        }
    }

    fn draw(&self, done: u64, total: u64) {
        let share = (done * WIDTH as u64).checked_div(total).unwrap_or(0);
        let full = usize::try_from(share).unwrap_or_default();
        let percent = done * 100 / total.max(1);
        let stage = *self.stage.lock();
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(
            io::stderr(),
            "\r[{}{}] {percent:>3} %  {stage:<20}",
            "#".repeat(full),
            " ".repeat(WIDTH.saturating_sub(full))
        );
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Progress for Bar {
    fn stage(&self, name: &'static str) {
        *self.stage.lock() = name;
        self.drawn.store(u64::MAX, Ordering::Relaxed);
    }

    fn advance(&self, done: u64, total: u64) {
        let now = (done * 1_000).checked_div(total).unwrap_or(0);
        if self.is_shown && self.drawn.swap(now, Ordering::Relaxed) != now {
            self.draw(done, total);
        }
    }
}
