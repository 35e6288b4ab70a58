//! `myelin serve`, `myelin config …`, `myelin --version`.

use std::{error::Error, io::Write, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use config::Config;

use crate::serve;

/// A Matrix homeserver.
#[derive(Debug, Parser)]
#[command(name = "myelin", version, about)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    Serve(Options),
    /// Shows and checks the options.
    Config {
        /// What to do.
        action: Action,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Says whether the options can be used.
    Check,
    /// Prints the options in force, without secrets.
    Show,
    /// Prints every option with its description and default.
    Defaults,
}

#[derive(Args, Debug)]
struct Options {
    /// The file to read; otherwise config/myelin.toml, if it exists.
    #[arg(long, value_name = "FILE", env = "MYELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Sets one option, over the file and the environment: -O log.filter=debug
    #[arg(short = 'O', value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Options {
    fn load(&self) -> Result<Config, config::ConfigError> {
        // A variable that is no text is none of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        config::load(self.config.as_deref(), environment, &self.set)
    }
}

/// Does what the command line says; returns when it is done, for `serve` when the server has stopped.
///
/// # Errors
/// What the person at the terminal can do something about.
pub fn run(line: CommandLine) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    match line.command {
        Command::Serve(options) => serve::serve(options.load()?)?,
        Command::Config {
            action: Action::Defaults,
            ..
        } => out.write_all(config::DEFAULTS.as_bytes())?,
        Command::Config {
            action: Action::Check,
            options,
        } => {
            options.load()?;
            writeln!(out, "The options can be used.")?;
        }
        Command::Config {
            action: Action::Show,
            options,
        } => {
            out.write_all(toml::to_string(&options.load()?)?.as_bytes())?;
        }
    }
    Ok(())
}
