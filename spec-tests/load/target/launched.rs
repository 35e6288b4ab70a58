//! A server's process that was started here, and ends here.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::End;
use super::postgres::Postgres;
use crate::Result;

/// A server may take this long to end when asked.
const END_SECONDS: u64 = 60;

/// How accounts are made on a server that was just launched.
pub struct Server {
    pub launched: Launched,
    /// Of its `/_synapse/admin/v1/register`.
    pub secret: String,
}

/// The program of a server, with its arguments.
#[derive(Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

/// A server's process, its directory, and its database's process.
#[derive(Debug)]
pub struct Launched {
    pub name: String,
    pub about: String,
    pub address: SocketAddr,
    /// What it keeps is below these.
    pub data: Vec<PathBuf>,
    program: Program,
    child: Child,
    database: Option<Postgres>,
    dir: TempDir,
}

impl Launched {
    /// Starts it in `dir`, where its output goes, too.
    pub fn new(
        (name, about): (&str, String),
        address: SocketAddr,
        program: Program,
        dir: TempDir,
        data: Vec<PathBuf>,
        database: Option<Postgres>,
    ) -> Result<Self> {
        let child = program.spawn(dir.path())?;
        Ok(Self {
            name: name.to_owned(),
            about,
            address,
            data,
            program,
            child,
            database,
            dir,
        })
    }

    pub fn pids(&self) -> Vec<u32> {
        let database = self.database.as_ref().and_then(Postgres::pid);
        self.child.id().into_iter().chain(database).collect()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything that it wrote to its standard streams.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(LOG)).unwrap_or_default()
    }

    /// Ends the server, not its database.
    pub async fn end(&mut self, end: End) -> Result<()> {
        let signal = match end {
            End::Asked => Signal::SIGTERM,
            End::Killed => Signal::SIGKILL,
        };
        finish(&mut self.child, signal).await
    }

    /// Starts it again.
    pub fn start(&mut self) -> Result<()> {
        self.child = self.program.spawn(self.dir.path())?;
        Ok(())
    }

    /// Ends it and its database; their data go with `self`.
    pub async fn stop(mut self) {
        // What does not end now does when its `Child` is dropped.
        let _ = finish(&mut self.child, Signal::SIGKILL).await;
        if let Some(database) = self.database.take() {
            database.stop().await;
        }
    }
}

const LOG: &str = "log.txt";

impl Program {
    fn spawn(&self, dir: &Path) -> Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join(LOG))?;
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        Ok(child.map_err(|error| format!("{}: {error}", self.path.display()))?)
    }
}

/// Sends a signal, waits for the end, and kills after a minute.
pub async fn finish(child: &mut Child, signal: Signal) -> Result<()> {
    let Some(pid) = child.id() else {
        return Ok(());
    };
    kill(Pid::from_raw(pid.try_into()?), signal)?;
    let patience = Duration::from_secs(END_SECONDS);
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        child.kill().await?;
        return Err(format!("process {pid} did not end within {END_SECONDS} s").into());
    }
    Ok(())
}

/// A port on 127.0.0.1 that nobody listens on now.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
