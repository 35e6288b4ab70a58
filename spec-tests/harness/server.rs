//! Starts, kills, restarts and stops a real server on a free port with a data directory of its own.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Client, PATIENCE_SECONDS};

/// A server of the test's own, ended when dropped; or the one that most tests share.
#[derive(Debug)]
pub struct Server {
    url: String,
    /// None for a server that runs elsewhere (`SPEC_TESTS_URL`).
    local: Option<Local>,
}

#[derive(Debug)]
struct Local {
    dir: TempDir,
    address: SocketAddr,
    child: Child,
}

impl Server {
    /// The server that all tests share which do not start, stop or configure one.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("SPEC_TESTS_URL") {
            Ok(url) => Server {
                url: url.trim_end_matches('/').to_owned(),
                local: None,
            },
            Err(_) => Server::spawn(&[], guarded),
        })
    }

    /// A server of this test's own.
    pub fn start() -> Server {
        Server::with(&[])
    }

    /// A server of this test's own with these keys of the configuration, each with its value in TOML.
    pub fn with(settings: &[(&str, &str)]) -> Server {
        Server::spawn(settings, direct)
    }

    fn spawn(settings: &[(&str, &str)], command: fn(&Path, &Path) -> Command) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = free_address();
        let config = config_text(dir.path(), address, settings);
        std::fs::write(dir.path().join("myelin.toml"), config).expect("the config is written");
        let child = start_child(command(&binary(), dir.path()), dir.path());
        let url = format!("http://{address}");
        let mut server = Server {
            url,
            local: Some(Local {
                dir,
                address,
                child,
            }),
        };
        server.wait_until_ready();
        server
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// A client of the private listener, which `metrics.listen` names; where it is is in the log before the server is ready.
    pub fn private_client(&self) -> Client {
        let log = self.log();
        let said = log.lines().find(|line| line.contains("figures and health"));
        let port = said.and_then(|line| line.split_once("http://127.0.0.1:"));
        let (_, port) = port.unwrap_or_else(|| panic!("a private listener: {log}"));
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        Client::new(&format!("http://127.0.0.1:{port}"))
    }

    pub fn address(&self) -> SocketAddr {
        self.url
            .trim_start_matches("http://")
            .parse()
            .expect("the server's URL is http://ADDRESS:PORT")
    }

    /// The server's process, if this machine runs it.
    pub fn pid(&self) -> Option<u32> {
        self.local.as_ref().map(|local| local.child.id())
    }

    /// The directory with the server's configuration, log and data.
    pub fn dir(&self) -> &Path {
        self.local().dir.path()
    }

    /// Everything the server has written to its standard streams.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("log.txt")).expect("the log is there")
    }

    /// `SIGKILL`: nothing is flushed, nothing said.
    pub fn kill(&mut self) {
        let local = self.local_mut();
        local.child.kill().expect("the server can be killed");
        local.child.wait().expect("the server ends");
    }

    /// Starts again on the same data, after [`Server::kill`] or [`Server::terminate`].
    pub fn start_again(&mut self) {
        let dir = self.dir().to_owned();
        self.local_mut().child = start_child(direct(&binary(), &dir), &dir);
        self.wait_until_ready();
    }

    /// `SIGTERM`; gives the exit status and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let child = &mut self.local_mut().child;
        let sent = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIGTERM cannot be sent"
        );
        let status = wait_at_most(child, Duration::from_secs(PATIENCE_SECONDS));
        (
            status.expect("the server ends after SIGTERM"),
            started.elapsed(),
        )
    }

    /// A second process with the same configuration; gives its exit status and what it wrote.
    pub fn run_second_process(&self) -> (Option<ExitStatus>, String) {
        let path = self.dir().join("second.txt");
        let file = File::create(&path).expect("a log file");
        let mut child = direct(&binary(), self.dir())
            .stdout(file.try_clone().expect("a file handle"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        let status = wait_at_most(&mut child, Duration::from_secs(PATIENCE_SECONDS));
        if status.is_none() {
            child.kill().expect("the second process can be killed");
            child.wait().expect("the second process ends");
        }
        (
            status,
            std::fs::read_to_string(path).expect("the log is there"),
        )
    }

    /// The binary under test, built if it has to be.
    pub fn binary() -> PathBuf {
        binary()
    }

    /// Runs `myelin` with these arguments and environment; gives success, standard output and standard error.
    pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String, String) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let output = Command::new(binary())
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn local(&self) -> &Local {
        self.local
            .as_ref()
            .expect("this test needs a server that it starts itself")
    }

    fn local_mut(&mut self) -> &mut Local {
        self.local
            .as_mut()
            .expect("this test needs a server that it starts itself")
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
        while Instant::now() < deadline {
            let address = self.local().address;
            if TcpStream::connect(address).is_ok()
                && let Ok(answer) =
                    self.client()
                        .try_send("GET", "/_matrix/client/versions", &[], None)
                && answer.status == 200
            {
                return;
            }
            if let Ok(Some(status)) = self.local_mut().child.try_wait() {
                panic!("the server ended with {status}: {}", self.log());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!(
            "the server is not ready after {PATIENCE_SECONDS} s: {}",
            self.log()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(local) = &mut self.local {
            // It may be dead already; then there is nothing to end.
            let _ = local.child.kill();
            let _ = local.child.wait();
        }
    }
}

fn config_text(dir: &Path, address: SocketAddr, settings: &[(&str, &str)]) -> String {
    let data = dir.join("data");
    let listen = format!("[\"{address}\"]");
    let data = format!("\"{}\"", data.display());
    let defaults = [
        ("server_name", "\"localhost\""),
        ("listen", &listen),
        ("data_dir", &data),
        ("registration.mode", "\"open\""),
        ("rate_limits.enabled", "false"),
    ];
    let mut text = String::new();
    let overridden = |key: &str| settings.iter().any(|(name, _)| *name == key);
    let kept = defaults.iter().filter(|(key, _)| !overridden(key));
    for (key, value) in kept.chain(settings) {
        writeln!(text, "{key} = {value}").expect("a string takes all text");
    }
    text
}

/// A server that this process ends itself.
fn direct(binary: &Path, dir: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["serve", "--config"])
        .arg(dir.join("myelin.toml"));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// A server that ends with this process, whatever way that ends: the shell waits for its standard input to close.
/// Nothing drops a static, and the shared server is one.
fn guarded(binary: &Path, dir: &Path) -> Command {
    let script = r#"
        "$1" serve --config "$2/myelin.toml" </dev/null &
        cat >/dev/null
        kill -KILL $!
        rm -rf "$2"
    "#;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh"])
        .arg(binary)
        .arg(dir)
        .current_dir(dir);
    command.stdin(Stdio::piped());
    command
}

fn start_child(mut command: Command, dir: &Path) -> Child {
    let path = dir.join("log.txt");
    let log = File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("a log file");
    command
        .stdout(log.try_clone().expect("a file handle"))
        .stderr(log)
        .spawn()
        .expect("the binary starts")
}

/// The binary under test: `MYELIN_BIN`, or the workspace's own, built when first asked for.
fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        if let Some(path) = std::env::var_os("MYELIN_BIN") {
            return PathBuf::from(path);
        }
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "myelin", "--bin", "myelin"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "`cargo build -p myelin` failed; MYELIN_BIN=/path/to/myelin names a binary to test"
        );
        // …/target/debug/deps/main-0123 → …/target/debug/myelin
        let own = std::env::current_exe().expect("this test's own path");
        let folder = own
            .parent()
            .and_then(Path::parent)
            .expect("a target directory");
        folder.join("myelin")
    };
    BINARY.get_or_init(find).clone()
}

/// Where nobody listened a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}

fn wait_at_most(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return Some(status);
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    None
}
