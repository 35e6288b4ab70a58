//! Real client libraries talk to the server: `matrix-js-sdk` on Node and `matrix-nio` on Python.
//!
//! Their packages are installed once per lock file into `${XDG_CACHE_HOME:-~/.cache}/myelin/clients`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use spec_tests::Server;

#[test]
fn real_clients_matrix_js_sdk_talks_both_ways() {
    let source = clients().join("js");
    let installed = installed(
        "js",
        &source,
        &["package-lock.json", "package.json"],
        |folder| {
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(source.join(file), folder.join(file)).unwrap();
            }
            let arguments = [
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ];
            run(
                Command::new("npm").args(arguments).current_dir(folder),
                "npm (it comes with Node)",
            );
        },
    );
    // The script stands beside its packages, for Node looks there.
    let script = installed.join("talk.mjs");
    std::fs::copy(source.join("talk.mjs"), &script).unwrap();
    let output = run(
        Command::new("node")
            .arg(&script)
            .arg(Server::shared().url()),
        "node (20 or later)",
    );
    assert!(output.ends_with("matrix-js-sdk: all well\n"), "{output}");
}

#[test]
fn real_clients_matrix_nio_talks_both_ways() {
    let source = clients().join("nio");
    let installed = installed("nio", &source, &["requirements.txt"], |folder| {
        let venv = folder.join("venv");
        run(
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
            "python3 with venv",
        );
        let arguments = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        let pip = venv.join("bin/python");
        run(
            Command::new(pip)
                .args(arguments)
                .arg(source.join("requirements.txt")),
            "pip",
        );
    });
    let python = installed.join("venv/bin/python");
    let script = source.join("talk.py");
    let output = run(
        Command::new(python).arg(script).arg(Server::shared().url()),
        "python3",
    );
    assert!(output.ends_with("matrix-nio: all well\n"), "{output}");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The folder with the packages of these lock files, filled by `install` if it is not there yet.
fn installed(name: &str, source: &Path, locks: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for lock in locks {
        std::fs::read(source.join(lock)).unwrap().hash(&mut hasher);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let folder = cache.join(format!("myelin/clients/{name}-{:016x}", hasher.finish()));
    let done = folder.join("installed");
    if !done.exists() {
        // What an interrupted installation left behind is worth nothing.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        install(&folder);
        std::fs::write(done, "").unwrap();
    }
    folder
}

/// Runs a command to its good end and gives what it wrote.
fn run(command: &mut Command, needed: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("this test needs {needed}; {command:?} cannot be started: {error}")
    });
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{out}\n{error}",
        output.status
    );
    out
}
