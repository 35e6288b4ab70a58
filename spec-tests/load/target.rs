//! A server to measure: one that runs already, or one started here.

mod launched;
mod myelin;
mod postgres;
mod python;
mod synapse;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::Result;
use crate::client::{Api, User, text};
use crate::process;
use crate::scenarios::Library;
use launched::{Launched, Server};

/// A server may take this long until it answers.
const START_SECONDS: u64 = 120;
/// How often it is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Accounts made at once: that is how many passwords a server hashes at a time on two cores.
const REGISTERING: usize = 2;

/// How to come by a server; may be done again, for a scenario that needs one to itself.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// One that runs already: `NAME=URL[,pid=PID][,data=DIR][,registration=open|shared-secret:SECRET]`
    Running(String),
    /// `NAME=/path/to/myelin[,key=value…]`: started in a temporary directory with these options.
    Myelin(String),
    /// Synapse from PyPI.
    Synapse(synapse::Choice),
}

pub use synapse::Choice as SynapseChoice;

/// How accounts are made.
#[derive(Clone, Debug)]
enum Registration {
    Open,
    SharedSecret(String),
}

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is asked to (`SIGTERM`).
    Asked,
    /// It is killed (`SIGKILL`).
    Killed,
}

/// A server to measure.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    /// What it is and how it is set up, in a line.
    pub about: String,
    pub api: Api,
    registration: Registration,
    /// Of a server that runs already.
    elsewhere: Option<(u32, Option<PathBuf>)>,
    here: Mutex<Option<Launched>>,
    pids: std::sync::Mutex<Vec<u32>>,
    names: AtomicU64,
    /// What scenarios made here and others may use, too.
    pub library: Library,
}

impl Recipe {
    /// Whether a second one can be had beside it.
    pub fn can_repeat(&self) -> bool {
        !matches!(self, Self::Running(_))
    }

    /// Starts the server, if it does not run, and waits until it answers.
    pub async fn make(&self) -> Result<Target> {
        let target = match self {
            Self::Running(description) => Target::running(description)?,
            Self::Myelin(description) => Target::launched(myelin::launch(description)?),
            Self::Synapse(choice) => Target::launched(synapse::launch(choice).await?),
        };
        match target.wait_until_ready().await {
            Ok(_) => Ok(target),
            Err(error) => {
                target.stop().await;
                Err(error)
            }
        }
    }
}

impl Target {
    /// # Errors
    /// Any other host than 127.0.0.1: nobody else's server is to be loaded by mistake.
    fn running(description: &str) -> Result<Self> {
        let mut parts = description.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, url) = first.split_once('=').ok_or("a target is NAME=URL")?;
        let address = url
            .strip_prefix("http://127.0.0.1:")
            .ok_or("only servers at http://127.0.0.1:PORT are measured")?;
        let port: u16 = address.trim_end_matches('/').parse()?;
        let (mut pid, mut data, mut registration) = (None, None, Registration::Open);
        for part in parts {
            match part.split_once('=') {
                Some(("pid", value)) => pid = Some(value.parse()?),
                Some(("data", value)) => data = Some(PathBuf::from(value)),
                Some(("registration", "open")) => registration = Registration::Open,
                Some(("registration", value)) => {
                    let secret = value.strip_prefix("shared-secret:");
                    let secret = secret.ok_or("registration is open or shared-secret:SECRET")?;
                    registration = Registration::SharedSecret(secret.to_owned());
                }
                _ => return Err(format!("{part}: unknown part of a target").into()),
            }
        }
        let pid = pid.map_or_else(|| process::listening_on(port), Ok)?;
        Ok(Self {
            name: name.to_owned(),
            about: format!("runs at {url}"),
            api: Api::new(url),
            registration,
            elsewhere: Some((pid, data)),
            here: Mutex::new(None),
            pids: std::sync::Mutex::new(vec![pid]),
            names: AtomicU64::default(),
            library: Library::default(),
        })
    }

    fn launched(Server { launched, secret }: Server) -> Self {
        Self {
            name: launched.name.clone(),
            about: launched.about.clone(),
            api: Api::new(&format!("http://{}", launched.address)),
            registration: Registration::SharedSecret(secret),
            elsewhere: None,
            pids: std::sync::Mutex::new(launched.pids()),
            here: Mutex::new(Some(launched)),
            names: AtomicU64::default(),
            library: Library::default(),
        }
    }

    /// The server's own process, and what it needs beside it (a database).
    pub fn pids(&self) -> Vec<u32> {
        self.pids
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Waits until it answers; gives how long that took.
    async fn wait_until_ready(&self) -> Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(START_SECONDS) {
            let path = "/_matrix/client/versions";
            let answer = self.api.call(Method::GET, path, None, &Value::Null).await;
            if answer.is_ok() {
                return Ok(started.elapsed());
            }
            if let Some(launched) = &mut *self.here.lock().await
                && launched.has_ended()
            {
                break;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        let log = self.here.lock().await.as_ref().map(Launched::log);
        Err(format!("{} does not answer: {}", self.name, log.unwrap_or_default()).into())
    }

    /// Ends the server and starts it again on the same data; gives how long it took to end, and then until it answered.
    ///
    /// # Errors
    /// A server that was not started here.
    pub async fn restart(&self, end: End) -> Result<(Duration, Duration)> {
        let ended = self.end(end).await?;
        Ok((ended, self.start_again().await?))
    }

    /// Ends a server that was started here, for a while; gives how long it took.
    pub async fn end(&self, end: End) -> Result<Duration> {
        let mut here = self.here.lock().await;
        let launched = here.as_mut().ok_or("only a server started here can end")?;
        let started = Instant::now();
        launched.end(end).await?;
        Ok(started.elapsed())
    }

    /// After [`Target::end`]; gives how long it took until it answered.
    pub async fn start_again(&self) -> Result<Duration> {
        let started = Instant::now();
        {
            let mut here = self.here.lock().await;
            let launched = here.as_mut().ok_or("only a server started here starts")?;
            launched.start()?;
            *self
                .pids
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = launched.pids();
        }
        self.api.forget_connections();
        self.wait_until_ready().await?;
        Ok(started.elapsed())
    }

    /// Bytes that what was said to this server takes on the disk, if it is known where that is. A database's log of what it is
    /// about to write anyway is not counted in.
    pub async fn disk_bytes(&self) -> Option<u64> {
        if let Some((_, data)) = &self.elsewhere {
            return data.as_deref().map(process::disk_bytes);
        }
        let here = self.here.lock().await;
        let data = here.as_ref()?.data.iter();
        Some(
            data.map(PathBuf::as_path)
                .map(Path::new)
                .map(process::disk_bytes)
                .sum(),
        )
    }

    /// Ends a server that was started here, for good, and removes its data.
    pub async fn stop(&self) {
        if let Some(launched) = self.here.lock().await.take() {
            launched.stop().await;
        }
    }

    /// A name that no other run has used on this server.
    pub fn fresh(&self, prefix: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{}-{number}", std::process::id())
    }

    /// This many new accounts, logged in.
    pub async fn users(&self, count: usize) -> Result<Vec<User>> {
        let mut users = Vec::with_capacity(count);
        while users.len() < count {
            let now = (count - users.len()).min(REGISTERING);
            users.extend(
                futures_util::future::try_join_all((0..now).map(|_| self.register())).await?,
            );
        }
        Ok(users)
    }

    async fn register(&self) -> Result<User> {
        let name = self.fresh("load");
        let password = "a password for measuring";
        let answer = match &self.registration {
            Registration::Open => self.register_openly(&name, password).await?,
            Registration::SharedSecret(secret) => {
                self.register_with(secret, &name, password).await?
            }
        };
        Ok(User {
            api: self.api.clone(),
            id: text(&answer, "user_id")?.to_owned(),
            device: text(&answer, "device_id")?.to_owned(),
            token: text(&answer, "access_token")?.to_owned(),
            password: password.to_owned(),
        })
    }

    async fn register_openly(&self, name: &str, password: &str) -> Result<Value> {
        let path = "/_matrix/client/v3/register";
        let mut body =
            json!({"username": name, "password": password, "auth": {"type": "m.login.dummy"}});
        let (status, answer) = self.api.call_any(Method::POST, path, None, &body).await?;
        if status == 401 {
            body["auth"]["session"] = answer.json()?["session"].clone();
            return self.api.call(Method::POST, path, None, &body).await?.json();
        }
        let json = answer.json()?;
        if status == 200 {
            Ok(json)
        } else {
            Err(format!("registering: {status}: {json}").into())
        }
    }

    async fn register_with(&self, secret: &str, name: &str, password: &str) -> Result<Value> {
        let path = "/_synapse/admin/v1/register";
        let answer = self
            .api
            .call(Method::GET, path, None, &Value::Null)
            .await?
            .json()?;
        let nonce = text(&answer, "nonce")?;
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes())?;
        mac.update([nonce, name, password, "notadmin"].join("\0").as_bytes());
        let mac = mac.finalize().into_bytes();
        let mac = mac
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let body = json!({"nonce": nonce, "username": name, "password": password, "admin": false, "mac": mac});
        self.api.call(Method::POST, path, None, &body).await?.json()
    }
}
