//! `cargo xtask load`: builds the server and what measures it, both as they are released, and starts the latter.

use std::process::ExitCode;

use crate::{cargo, setup};

/// Arguments go to `spec-tests/load`, which finds the server beside itself.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let settings = setup::settings()?;
    let release = ["--release", "--locked"];
    eprintln!("building the server and the load tool …");
    let code = cargo::wait(cargo::command(&settings).arg("build").args(release).args([
        "--package",
        "myelin",
        "--package",
        "load",
    ]))?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let mut load = cargo::command(&settings);
    load.arg("run")
        .args(release)
        // The same features as above, so that nothing is built again.
        .args(["--quiet", "--package", "myelin", "--package", "load"])
        .args(["--bin", "load", "--"])
        .args(arguments);
    cargo::wait(&mut load)
}
