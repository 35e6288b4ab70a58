//! `cargo xtask run` and `cargo xtask test`: the two commands of the README, from a clean clone on a plain machine.
//!
//! Depends on nothing, so that it is compiled in seconds; sets up what the real build needs, then calls cargo.

mod apt;
mod authority;
mod browser;
mod cargo;
mod libclang;
mod load;
mod rocksdb;
mod rust_client;
mod setup;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask run [ARGUMENTS]   builds the server and runs `myelin serve ARGUMENTS`
cargo xtask test [ARGUMENTS]  runs every test; ARGUMENTS go to `cargo test --workspace`
cargo xtask load [ARGUMENTS]  measures the server; --help shows how, --against synapse beside another
cargo xtask bench [NAME]      measures single steps, or those whose name contains NAME
cargo xtask env               prints the variables that make plain cargo work: eval \"$(cargo xtask env)\"
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "run" => run(&rest),
        "test" => test::run(&rest),
        "load" => load::run(&rest),
        "bench" => bench(&rest),
        "env" => environment(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Builds for real and serves. Arguments go to `myelin serve`, or after `--` to `myelin` itself.
fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let settings = setup::settings()?;
    let mut cargo = cargo::command(&settings);
    cargo.args([
        "run",
        "--release",
        "--locked",
        "--quiet",
        "--package",
        "myelin",
        "--",
    ]);
    match arguments {
        [first, rest @ ..] if first == "--" => cargo.args(rest),
        _ => cargo.arg("serve").args(arguments),
    };
    eprintln!("building the server …");
    cargo::wait(&mut cargo)
}

/// Runs the benchmarks of `benches/`. Arguments go to criterion.
fn bench(arguments: &[String]) -> Result<ExitCode, String> {
    let settings = setup::settings()?;
    let mut cargo = cargo::command(&settings);
    cargo.args(["bench", "--locked", "--quiet", "--bench", "*"]);
    cargo.args(["--package", "room-versions", "--package", "test-support"]);
    cargo::wait(cargo.arg("--").args(arguments))
}

fn environment() -> Result<ExitCode, String> {
    for (name, value) in setup::settings()? {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
    Ok(ExitCode::SUCCESS)
}
