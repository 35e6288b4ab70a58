//! Programs from PyPI in private environments, below the folder that `cargo xtask` keeps its things in.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A virtual environment with these packages, each with its version: made once, and whole or not at all.
pub fn environment(name: &str, packages: &[String]) -> Result<PathBuf> {
    let folder = cache()?.join("load").join(name);
    let done = folder.join("installed");
    if done.exists() {
        return Ok(folder);
    }
    eprintln!("installing {} from PyPI, once …", packages.join(" "));
    // What an interrupted installation left behind is worth nothing.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ];
    run(Command::new(folder.join("bin/python"))
        .args(pip)
        .args(packages))?;
    std::fs::write(done, "")?;
    Ok(folder)
}

/// `${XDG_CACHE_HOME:-~/.cache}/myelin`
fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(base
        .ok_or("neither XDG_CACHE_HOME nor HOME is set")?
        .join("myelin"))
}

/// Runs a command to its good end and gives what it wrote.
pub fn run(command: &mut Command) -> Result<String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} ended with {}: {error}", output.status).into())
}
