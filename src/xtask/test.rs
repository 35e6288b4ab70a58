//! `cargo xtask test`: all three rings, real clients included.

use std::{
    env,
    fmt::{Display, Formatter},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::{
    authority, browser,
    cargo::{self, answer, cannot_start},
    rust_client, setup,
};

/// Runs every test of the workspace and ends with one line that counts them.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    for (program, of) in [
        ("node", "matrix-js-sdk"),
        ("npm", "matrix-js-sdk"),
        ("python3", "matrix-nio"),
    ] {
        if answer(program, &["--version"]).is_none() {
            return Err(format!(
                "The tests talk to the server through {of}, which needs `{program}`: install it."
            ));
        }
    }
    let mut settings = setup::settings()?;
    // Building the tests builds the binary that they start, once, with the same features.
    let code = cargo::wait(cargo::command(&settings).args([
        "test",
        "--workspace",
        "--locked",
        "--no-run",
    ]))?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let code = rust_client::build()?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    if env::var_os("MYELIN_BIN").is_none() {
        settings.push((
            "MYELIN_BIN",
            target().join("debug/myelin").display().to_string(),
        ));
    }
    authority::prepare();
    settings.extend(browser::program().map(|program| (browser::VARIABLE, program)));
    // What earlier runs noted of endpoints proves nothing of this one (`tests/endpoints.rs`).
    let _ = std::fs::remove_dir_all(target().join("debug/endpoints-asked"));
    let mut tests = cargo::command(&settings);
    tests
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .args(arguments);
    let (code, counted) = count(&mut tests)?;
    println!("{counted}");
    Ok(code)
}

fn target() -> PathBuf {
    let root = Path::new(cargo::root());
    // A relative one is meant from where cargo runs, which is the root.
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target))
}

#[derive(Debug, Default)]
struct Counted {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Display for Counted {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        // A test that says that it was skipped has passed as far as its harness knows.
        let passed = self.passed.saturating_sub(self.skipped);
        write!(f, "{passed} passed, {} failed", self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

impl Counted {
    /// Adds `test result: ok. 3 passed; 0 failed; …`, and `skipped: TEST: REASON` from the test itself.
    fn add(&mut self, line: &str) {
        if line.starts_with("skipped: ") {
            self.skipped += 1;
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |of: &str| {
            let before = result.split_once(of)?.0;
            before
                .rsplit([' ', '.'])
                .find_map(|word| word.parse::<u64>().ok())
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

/// Runs the tests, shows what they write and counts their results.
fn count(command: &mut Command) -> Result<(ExitCode, Counted), String> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(command, &error))?;
    let mut counted = Counted::default();
    let mut out = std::io::stdout();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|output| BufReader::new(output).split(b'\n'))
    {
        let line = line.map_err(|error| error.to_string())?;
        counted.add(&String::from_utf8_lossy(&line));
        // Whoever listens may have gone: the tests go on.
        let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let code = if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok((code, counted))
}

#[cfg(test)]
mod tests {
    use super::Counted;

    #[test]
    fn results_are_added_up() {
        let mut counted = Counted::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 41 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.03s",
            "skipped: a::b: no browser",
            "test a::passed ... ok",
        ] {
            counted.add(line);
        }
        assert_eq!(counted.to_string(), "43 passed, 2 failed, 1 skipped");
        assert_eq!(Counted::default().to_string(), "0 passed, 0 failed");
    }
}
