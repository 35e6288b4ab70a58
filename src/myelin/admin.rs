//! `myelin admin …`: finds the server that runs here, or one elsewhere, or opens the data directory itself.

use std::{error::Error, process::ExitCode};

use axum::{Router, body::Body};
use bytes::Bytes;
use command_line::{Admin, Ask, AskError, Asked, Socket, Url};
use config::Config;
use host::Host;
use http::{Method, Request};
use http_body_util::BodyExt;
use http_layer::Peer;
use tower::ServiceExt;
use traces::TraceFigures;

use crate::{data_dir::DataDir, giving_back::GivingBack, opening::Opened, router};

/// Where an administrator's access token is, for a server elsewhere.
const TOKEN: &str = "MYELIN_ADMIN_TOKEN";

/// Does what the command says.
pub(crate) fn admin(
    command: Admin,
    load: impl FnOnce() -> Result<Config, config::ConfigError>,
) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("myelin")
        .build()?;
    let done = runtime.block_on(async {
        if let Some(url) = command.url() {
            let token = std::env::var(TOKEN)
                .map_err(|_| format!("--url needs an administrator's access token in {TOKEN}"))?;
            let url = Url::new(url, token)?;
            return Ok::<_, Box<dyn Error>>(command.run(&url, Host::system()).await);
        }
        here(command, load()?).await
    })?;
    Ok(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("myelin: {error}");
            ExitCode::from(error.exit_code())
        }
    })
}

async fn here(command: Admin, config: Config) -> Result<Result<(), AskError>, Box<dyn Error>> {
    let socket = Socket(DataDir::socket_of(&config.data_dir));
    match socket.is_served().await {
        Ok(true) => return Ok(command.run(&socket, Host::system()).await),
        Ok(false) => {}
        Err(error) => return Ok(Err(error)),
    }
    if !config.data_dir.join("db").exists() {
        let message = format!(
            "no server runs here, and {} holds none: name another with --config or -O data_dir=…",
            config.data_dir.display()
        );
        return Ok(Err(AskError::Unreachable(message)));
    }
    let host = Host::system();
    let _giving_back = GivingBack::of(&config.data_dir);
    let opened = Opened::new(config, &host, TraceFigures::default()).await?;
    let local = Local(router(opened.services));
    let done = command.run(&local, host).await;
    opened.trigger.start();
    opened.store.close().await;
    Ok(done)
}

/// Straight into the services, as the owner.
struct Local(Router);

impl Ask for Local {
    fn ask(&self, method: Method, path: String, body: Bytes) -> Asked<'_> {
        Box::pin(async move {
            let request = Request::builder().method(method).uri(path);
            let mut request = request
                .body(Body::from(body))
                .map_err(|error| AskError::Local(error.to_string()))?;
            let uid = rustix::process::geteuid().as_raw();
            request.extensions_mut().insert(Peer::Owner { uid });
            let Ok(response) = self.0.clone().oneshot(request).await;
            let status = response.status();
            let body = response.into_body().collect().await;
            let body = body.map_err(|error| AskError::Local(error.to_string()))?;
            Ok((status, body.to_bytes()))
        })
    }
}
