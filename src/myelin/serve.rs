//! `myelin serve`: from the options to the last answered request.

use std::{error::Error, io::Write, process, sync::Arc, time::Instant};

use administration::LogFilter;
use config::Config;
use host::{Host, Shutdown, ShutdownTrigger};
use http_layer::{Listener, Server};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::disable_transparent_huge_pages,
};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use traces::TraceFigures;

use crate::{
    inherited::Inherited, listening::listeners, log, opening::Opened, otlp::Traces,
    private::Private, router, welcome,
};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the server from starting, in words for the person who started it.
pub(crate) fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let traces = Traces::start(&config.tracing, config.server_name.as_str())?;
    let log = log::start(&config.log, traces.as_ref())
        .map_err(|error| format!("`log.filter`: {error}"))?;
    raise_file_limit();
    stay_small();
    // Changes the environment, so before there are threads.
    let inherited = Inherited::take()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.worker_threads > 0 {
        runtime.worker_threads(config.worker_threads);
    }
    let runtime = runtime.enable_all().thread_name("myelin").build()?;
    let figures = traces.as_ref().map(Traces::figures);
    let seeing = (log, figures.unwrap_or_default());
    let ended = runtime.block_on(run(config, inherited, seeing));
    // Nothing that makes spans runs any more.
    if let Some(traces) = &traces {
        traces.stop();
    }
    ended
}

async fn run(
    config: Config,
    inherited: Inherited,
    (log, traces): (Arc<dyn LogFilter>, TraceFigures),
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let host = Host::system();
    let Opened {
        data,
        store,
        services,
        trigger,
        shutdown,
    } = Opened::new(config, &host, traces).await?;
    services.administration.change_log_by(log);
    let config = Arc::clone(&services.config);
    let mut listeners = listeners(&services, inherited).await?;
    let token = services.users.bootstrap_token().await?;
    let addresses: Vec<String> = listeners.iter().map(Listener::address).collect();
    match Listener::bind_owner(data.socket()).await {
        Ok(listener) => listeners.push(listener),
        // A path of more than 107 bytes, mostly: the server is as good without, `myelin admin --url` still works.
        Err(error) => tracing::warn!(cause = %error, "no socket for `myelin admin`"),
    }
    let private = Private::bind(&services, &host).await?;
    stop_on_signals(&host, trigger)?;
    let server = Server::new(router(services), &config.limits, host);
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("myelin");
    let welcome = welcome::text(&config, &addresses, token.as_deref(), program);
    // Nobody has to read it.
    let _ = std::io::stdout().write_all(welcome.as_bytes());
    tracing::info!(duration_ms = started.elapsed().as_millis(), "started");
    notify(NotifyState::Ready);
    let (ended, end) = Shutdown::new();
    let serving = async {
        server.serve(listeners, shutdown).await;
        store.close().await;
        ended.start();
    };
    tokio::join!(serving, private.serve(end));
    tracing::info!("stopped");
    Ok(())
}

/// Drains on the first SIGTERM or SIGINT, and ends the process at the second: whatever was acknowledged is on the disk.
fn stop_on_signals(host: &Host, trigger: ShutdownTrigger) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    host.spawn("signals", async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "stopping; once more stops at once");
        notify(NotifyState::Stopping);
        trigger.start();
        next().await;
        process::exit(130);
    });
    Ok(())
}

/// Tells systemd, if it asked.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(cause = %error, "the service manager cannot be told");
    }
}

/// A socket for each client, and the soft limit is often 1,024.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        tracing::warn!(cause = %error, limit = current, "the limit of open files stays");
    }
}

/// Keeps the kernel from rounding the heap up to pages of 2 MiB, a third of a small server's memory
/// (`docs/decisions/allocator.md`). Whoever forbids the call gets a server that is larger and otherwise the same.
fn stay_small() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(cause = %error, "huge pages stay");
    }
}
