//! `myelin serve`, `myelin config …`, `myelin admin …`, `myelin check`, `myelin backup …`, `myelin --version`.

use std::{error::Error, io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use command_line::Admin;
use config::{Config, ConfigError};

use crate::{
    admin,
    backup::{self, Backup},
    check::{self, Check},
    doctor::{self, Doctor},
    serve,
};

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
    Admin {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        admin: Admin,
    },
    Check {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        check: Check,
    },
    Backup {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        backup: Backup,
    },
    Doctor {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        doctor: Doctor,
    },
    /// Prints a script that completes commands in a shell: source <(myelin completions bash)
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Writes the manual pages, one per command, into a directory.
    Man {
        /// The directory, such as /usr/local/share/man/man1.
        directory: PathBuf,
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
    #[arg(long, global = true, value_name = "FILE", env = "MYELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Sets one option, over the file and the environment: -O log.filter=debug
    #[arg(short = 'O', global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Options {
    fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.config.as_deref(), environment(), &self.set)
    }
}

impl backup::Load for Options {
    fn config(&self) -> Result<Config, ConfigError> {
        self.load()
    }

    fn portable(&self) -> Result<String, ConfigError> {
        config::portable(self.config.as_deref(), environment(), &self.set)
    }
}

/// A variable that is no text is none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Does what the command line says; returns when it is done, for `serve` when the server has stopped.
///
/// # Errors
/// What the person at the terminal can do something about.
pub fn run(line: CommandLine) -> Result<ExitCode, Box<dyn Error>> {
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
        Command::Admin { options, admin } => return admin::admin(admin, || options.load()),
        Command::Check { options, check } => return Ok(check::check(&check, || options.load())),
        Command::Backup { options, backup } => return Ok(backup::backup(&backup, &options)),
        Command::Doctor { options, doctor } => {
            return Ok(doctor::doctor(doctor, || options.load()));
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut CommandLine::command(), "myelin", &mut out);
        }
        Command::Man { directory } => clap_mangen::generate_to(CommandLine::command(), directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_fit_together() {
        super::CommandLine::command().debug_assert();
    }
}
