//! Real client libraries talk to the server: `matrix-js-sdk` on Node, `matrix-sdk` in Rust, `matrix-nio` on Python; Hydrogen in a
//! browser; `synadm` looks after it.
//!
//! Their packages are installed once per lock file into `${XDG_CACHE_HOME:-~/.cache}/myelin/clients`, and the client in Rust is
//! compiled there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use spec_tests::Server;

mod administration;
mod browser;

#[test]
fn real_clients_matrix_js_sdk_talks_both_ways() {
    let script = node_script("js", &["talk.mjs", "device.mjs"]);
    let output = run(
        Command::new("node")
            .arg(&script)
            .arg(Server::shared().url()),
        "node (20 or later)",
    );
    assert!(output.ends_with("matrix-js-sdk: all well\n"), "{output}");
}

#[test]
fn real_clients_matrix_js_sdk_talks_encrypted_over_kill_9() {
    let mut node = Command::new("node");
    node.arg(node_script("js", &["encrypted.mjs", "device.mjs"]));
    over_kill_9(node, "matrix-js-sdk, encrypted: all well");
}

#[test]
fn real_clients_matrix_sdk_talks_both_ways() {
    let output = run(
        Command::new(rust_client()).args(["talk", Server::shared().url()]),
        "the client in Rust",
    );
    assert!(output.ends_with("matrix-sdk: all well\n"), "{output}");
}

#[test]
fn real_clients_matrix_sdk_talks_encrypted_over_kill_9() {
    let mut client = Command::new(rust_client());
    client.arg("encrypted");
    over_kill_9(client, "matrix-sdk, encrypted: all well");
}

#[test]
fn real_clients_matrix_nio_talks_both_ways() {
    let output = run(nio("talk.py").arg(Server::shared().url()), "python3");
    assert!(output.ends_with("matrix-nio: all well\n"), "{output}");
}

/// Runs `client URL pause`, and kills and restarts the server when it writes `pause`. Its last line is `end`.
fn over_kill_9(mut client: Command, end: &str) {
    let mut server = Server::start();
    client.args([server.url(), "pause"]);
    let mut client = Paused::start(client);
    client.comes_to("pause");
    server.kill();
    server.start_again();
    client.go_on();
    client.ends_with(end);
}

/// A client that says how far it is, a line each time, and waits for one to go on.
pub(crate) struct Paused {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Paused {
    pub(crate) fn start(mut client: Command) -> Self {
        let mut child = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{client:?} cannot be started: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for the client's next line.
    #[track_caller]
    pub(crate) fn comes_to(&mut self, word: &str) {
        let line = self.lines.next();
        let line = line.unwrap_or_else(|| panic!("the client does not get to {word}"));
        assert_eq!(line.unwrap(), word);
    }

    pub(crate) fn go_on(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"go on\n").unwrap();
    }

    #[track_caller]
    pub(crate) fn ends_with(mut self, end: &str) {
        self.comes_to(end);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It has ended if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script of `clients/nio`, to be run with `matrix-nio`.
pub(crate) fn nio(script: &str) -> Command {
    python("nio", script)
}

/// A script of `clients/NAME`, to be run with the packages of its `requirements.txt`.
fn python(name: &str, script: &str) -> Command {
    let source = clients().join(name);
    let installed = installed(name, &source, &["requirements.txt"], |folder| {
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
    let mut command = Command::new(installed.join("venv/bin/python"));
    // The checkout stays as it is.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(source.join(script));
    command
}

/// The first of these files of `clients/NAME`, all of them beside the packages of its lock file, for Node looks there.
pub(crate) fn node_script(name: &str, files: &[&str]) -> PathBuf {
    let source = clients().join(name);
    let locks = ["package-lock.json", "package.json"];
    let installed = installed(name, &source, &locks, |folder| {
        for file in locks {
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
    });
    for file in files {
        let (from, to) = (source.join(file), installed.join(file));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
    installed.join(files[0])
}

/// The program of `clients/rust`, compiled if it is not yet.
fn rust_client() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = cache().join("rust");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(
            Command::new(cargo)
                .args(["build", "--quiet", "--locked"])
                .current_dir(clients().join("rust"))
                .env("CARGO_TARGET_DIR", &folder),
            "cargo",
        );
        folder.join("debug/rust-client")
    };
    PROGRAM.get_or_init(build).clone()
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// What is fetched and compiled once, for every checkout.
fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    base.join("myelin/clients")
}

/// The folder with the packages of these lock files, filled by `install` if it is not there yet. One at a time.
fn installed(name: &str, source: &Path, locks: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock();
    let mut hasher = DefaultHasher::new();
    for lock in locks {
        std::fs::read(source.join(lock)).unwrap().hash(&mut hasher);
    }
    let folder = cache().join(format!("{name}-{:016x}", hasher.finish()));
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
