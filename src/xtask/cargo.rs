//! Calls cargo and other programs.

use std::{
    process::{Command, ExitCode},
    sync::OnceLock,
};

/// Variables for the build: name and value.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// The cargo that runs us, in the root of the workspace, with `settings`.
pub(crate) fn command(settings: &Settings) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, value) in settings {
        command.env(name, value);
    }
    command
}

/// The root of the workspace.
pub(crate) fn root() -> &'static str {
    static ROOT: OnceLock<String> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here = env!("CARGO_MANIFEST_DIR");
        here.strip_suffix("/src/xtask").unwrap_or(here).to_owned()
    })
}

/// Runs a command to its end and passes its exit code on.
pub(crate) fn wait(command: &mut Command) -> Result<ExitCode, String> {
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs a command that must succeed, what it writes going to standard error.
pub(crate) fn must(command: &mut Command, or_else: &str) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{}\n{or_else}", cannot_start(command, &error)))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Err(format!(
        "{out}{error}`{}` failed. {or_else}",
        words(command)
    ))
}

/// What a command writes, trimmed; `None` if it cannot be started or fails.
pub(crate) fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` cannot be started: {error}", words(command))
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
