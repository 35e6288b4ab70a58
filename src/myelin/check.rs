//! `myelin check`: whether a data directory is whole, and what can be healed.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use config::{Config, MediaBackend};
use consistency::{CheckOptions, Finding, Report};
use host::Host;
use store::{Store, StoreOptions};

use crate::{
    checkpoint,
    data_dir::DataDir,
    giving_back::GivingBack,
    opening::store_options,
    progress::{Bar, Elsewhere},
};

/// Compares everything in a data directory with everything else.
///
/// Events are hashed and their signatures verified, every index, count and list is derived from them anew and compared,
/// and media files are hashed. Of a server that runs a copy of the database is checked, made by links in a moment; a repair
/// wants it stopped.
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = "\
Examples:
  myelin check                  look, and change nothing
  myelin check --repair         rebuild what follows from events; what is lost is reported and never guessed
  myelin check --quick          no signature is verified and no media file hashed
  myelin check --json | jq -r '.findings[].table' | sort | uniq -c

Exit codes: 0 healthy, or healed; 1 something is wrong; 2 it could not be checked.")]
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
    let config = load()?;
    let host = Host::system();
    let _giving_back = GivingBack::of(&config.data_dir);
    let data = DataDir::of(&config)?;
    let is_running = checkpoint::is_running(&config)?;
    if is_running && command.repair {
        return Err("the server runs; stop it first: a repair writes what it has open".into());
    }
    // Whoever holds the database's lock owns the directory.
    let (store, copied) = if is_running {
        let copied = checkpoint::copy(&config, &host)?;
        let options = StoreOptions {
            path: copied.path.clone(),
            ..store_options(&config, &data)
        };
        (Store::open_read_only(&options)?, Some(copied))
    } else {
        let store = Store::open(&store_options(&config, &data), host.clone())?;
        (store, None)
    };
    let options = CheckOptions {
        key: Some(data.signer(&config.server_name, &host)?.public_key()),
        media: (config.media.backend == MediaBackend::Files).then(|| config.data_dir.join("media")),
        quick: command.quick,
        repair: command.repair,
        ..CheckOptions::new(config.server_name.clone())
    };
    let bar = Bar::new(Elsewhere::Nothing);
    let report = consistency::check(&store, &options, &bar);
    bar.clear();
    let mut report = report?;
    if copied.is_some()
        && report
            .findings
            .iter()
            .any(|finding| finding.table == "media")
    {
        let later = checkpoint::copy(&config, &host)?;
        let store = Store::open_read_only(&StoreOptions::new(later.path.clone()))?;
        report.forget_deleted(&store)?;
    }
    drop((store, copied));
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
        out.write_all(write_finding(finding).as_bytes())?;
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

/// What is wrong, and what is done about it, in three lines.
pub(crate) fn write_finding(finding: &Finding) -> String {
    let Finding {
        table,
        key,
        problem,
        remedy,
    } = finding;
    let aside = "";
    format!("{table:<16} {key}\n{aside:<16}   {problem}\n{aside:<16}   → {remedy}\n")
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
