//! A server to measure: one that runs already, or one started here.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Result;
use crate::client::{Api, User, text};
use crate::process;

/// How accounts are made.
#[derive(Clone, Debug)]
enum Registration {
    Open,
    SharedSecret(String),
}

/// A server to measure.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub api: Api,
    pub pid: u32,
    /// Where it keeps its data, if known.
    pub data: Option<PathBuf>,
    registration: Registration,
    started: Option<(Child, TempDir)>,
    names: AtomicU64,
}

impl Target {
    /// `NAME=URL[,pid=PID][,data=DIR][,registration=open|shared-secret:SECRET]`
    ///
    /// # Errors
    /// Any other host than 127.0.0.1: nobody else's server is to be loaded by mistake.
    pub async fn running(description: &str) -> Result<Self> {
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
        let target = Self {
            name: name.to_owned(),
            api: Api::new(url),
            pid,
            data,
            registration,
            started: None,
            names: AtomicU64::default(),
        };
        target.wait_until_ready().await?;
        Ok(target)
    }

    /// `NAME=/path/to/myelin[,key=value…]`: started in a temporary directory with these options.
    pub async fn spawn(description: &str) -> Result<Self> {
        let mut parts = description.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, path) = first
            .split_once('=')
            .ok_or("a server to start is NAME=/path/to/myelin")?;
        let dir = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = dir.path().join("data");
        let log = std::fs::File::create(dir.path().join("log.txt"))?;
        let mut command = Command::new(path);
        command.arg("serve");
        for option in [
            format!("data_dir={}", data.display()),
            format!("listen=[\"{address}\"]"),
            "registration.mode=open".to_owned(),
            "rate_limits.enabled=false".to_owned(),
        ] {
            command.args(["-O", &option]);
        }
        for part in parts {
            command.args(["-O", part.trim_start_matches("-O").trim()]);
        }
        let child = command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{path}: {error}"))?;
        let target = Self {
            name: name.to_owned(),
            api: Api::new(&format!("http://{address}")),
            pid: child.id().ok_or("the server ended at once")?,
            data: Some(data),
            registration: Registration::Open,
            started: Some((child, dir)),
            names: AtomicU64::default(),
        };
        target.wait_until_ready().await?;
        Ok(target)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        for _ in 0..500 {
            let answer = self
                .api
                .call(Method::GET, "/_matrix/client/versions", None, &Value::Null)
                .await;
            if answer.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = self
            .started
            .as_ref()
            .map(|(_, dir)| std::fs::read_to_string(dir.path().join("log.txt")));
        let log = log.and_then(std::result::Result::ok).unwrap_or_default();
        Err(format!("{} does not answer: {log}", self.name).into())
    }

    /// Ends a server that was started here.
    pub async fn stop(&mut self) {
        if let Some((mut child, _)) = self.started.take() {
            // It may have ended by itself; then there is nothing to end.
            let _ = child.kill().await;
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
            // Two at once: that is how many passwords the server hashes at a time on two cores.
            if users.len() + 1 < count {
                let (one, other) = tokio::try_join!(self.register(), self.register())?;
                users.extend([one, other]);
            } else {
                users.push(self.register().await?);
            }
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
