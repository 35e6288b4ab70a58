//! A PostgreSQL of our own, from the programs that Debian installs: default settings, a socket in a temporary directory, no port.

use std::fs::File;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User, geteuid};
use tempfile::TempDir;
use tokio::process::Child;

use super::launched::finish;
use super::python::run;
use crate::Result;

/// The name of its only role.
pub const ROLE: &str = "load";
const START_SECONDS: u64 = 60;

/// The process and its directory.
#[derive(Debug)]
pub struct Postgres {
    /// What PostgreSQL says of itself.
    pub version: String,
    child: Child,
    dir: TempDir,
}

impl Postgres {
    /// Starts one, if the programs are there: `/usr/lib/postgresql/VERSION/bin`, or on the path.
    pub async fn start() -> Result<Option<Self>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let version = run(Command::new(programs.join("postgres")).arg("--version"))?;
        let owner = owner()?;
        let dir = tempfile::tempdir()?;
        if let Some(owner) = &owner {
            chown(
                dir.path(),
                Some(owner.uid.as_raw()),
                Some(owner.gid.as_raw()),
            )?;
        }
        let as_owner = |program: &str| {
            let mut command = Command::new(programs.join(program));
            if let Some(owner) = &owner {
                use std::os::unix::process::CommandExt as _;
                command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
            }
            command.current_dir(dir.path()).stdin(Stdio::null());
            command
        };
        let data = dir.path().join("data");
        run(as_owner("initdb")
            .args(["--encoding=UTF8", "--locale=C", "--auth=trust"])
            .arg(format!("--username={ROLE}"))
            .arg("--pgdata")
            .arg(&data))?;
        let log = File::create(dir.path().join("log.txt"))?;
        let mut server = as_owner("postgres");
        server
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses="]);
        server
            .arg("-c")
            .arg(format!("unix_socket_directories={}", dir.path().display()));
        server.stdout(log.try_clone()?).stderr(log);
        let child = tokio::process::Command::from(server)
            .kill_on_drop(true)
            .spawn()?;
        let postgres = Self {
            version: version.trim().to_owned(),
            child,
            dir,
        };
        postgres.create_database(&programs).await?;
        Ok(Some(postgres))
    }

    /// Waits until it takes connections, and makes the database: in the C locale, as Synapse wants it.
    async fn create_database(&self, programs: &Path) -> Result<()> {
        let started = Instant::now();
        loop {
            let made = run(Command::new(programs.join("createdb"))
                .arg("--host")
                .arg(self.socket())
                .args(["--username", ROLE, "--template=template0", ROLE]));
            match made {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > Duration::from_secs(START_SECONDS) => {
                    let log = std::fs::read_to_string(self.dir.path().join("log.txt"));
                    return Err(format!("{error}\n{}", log.unwrap_or_default()).into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// Where its tables are; its log (`pg_wal`), which is as long as it is configured to be, lies beside them.
    pub fn tables(&self) -> PathBuf {
        self.dir.path().join("data/base")
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it at once; its processes end with it.
    pub async fn stop(mut self) {
        // What does not end now does when its `Child` is dropped.
        let _ = finish(&mut self.child, Signal::SIGQUIT).await;
    }
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let debian = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .into_iter()
        .chain(std::env::split_paths(&path))
        .find(|folder| {
            ["postgres", "initdb", "createdb"]
                .iter()
                .all(|program| folder.join(program).exists())
        })
}

/// Who runs it: PostgreSQL refuses to run as root. None for ourselves.
fn owner() -> Result<Option<User>> {
    if geteuid() != Uid::from_raw(0) {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    Err(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`"
            .into(),
    )
}
