//! The sockets that `myelin serve` listens on, and the certificate behind those with TLS.

use std::{error::Error, io, sync::Arc, time::Duration};

use config::{Config, Listen};
use host::{Host, Shutdown};
use http_layer::Listener;
use tls::{Acceptor, Certificates, Files};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::inherited::{Inherited, Socket};

/// How often the certificate's files are looked at. Whoever renews certificates does so weeks ahead.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(30);

/// Opens every socket that the options name; those that the service manager has opened take their place.
///
/// # Errors
/// An address that cannot be listened on, or a certificate that cannot be shown, in words for the person who started us.
pub(crate) async fn listeners(
    config: &Config,
    inherited: Inherited,
    host: &Host,
    shutdown: &Shutdown,
) -> Result<Vec<Listener>, Box<dyn Error>> {
    let acceptor = acceptor(config, host, shutdown).await?;
    let mut listeners = Vec::new();
    if inherited.http.is_empty() {
        for listen in &config.listen {
            listeners.push(opened(listen, Listener::bind(listen).await)?);
        }
    }
    for socket in inherited.http {
        listeners.push(match socket {
            Socket::Tcp(socket) => Listener::from_tcp(socket, None)?,
            Socket::Unix(socket) => Listener::from_unix(socket)?,
        });
    }
    let Some(acceptor) = acceptor else {
        return if inherited.https.is_empty() {
            Ok(listeners)
        } else {
            Err("the service manager's socket `https` needs `tls.certificate_file`".into())
        };
    };
    if inherited.https.is_empty() {
        for listen in &config.tls.listen {
            let listener = Listener::bind_tls(&listen.to_string(), acceptor.clone()).await;
            listeners.push(opened(listen, listener)?);
        }
    }
    for socket in inherited.https {
        listeners.push(Listener::from_tcp(socket, Some(acceptor.clone()))?);
    }
    Ok(listeners)
}

fn opened(listen: &Listen, listener: io::Result<Listener>) -> Result<Listener, String> {
    listener.map_err(|error| format!("cannot listen on {listen}: {error}"))
}

/// What shows the certificate of the options, and goes on reading it; none if there is none.
async fn acceptor(
    config: &Config,
    host: &Host,
    shutdown: &Shutdown,
) -> Result<Option<Acceptor>, Box<dyn Error>> {
    let (Some(certificate), Some(key)) = (&config.tls.certificate_file, &config.tls.key_file)
    else {
        // `systemctl reload` has nothing to do then, and must not end the process; the end of its terminal should.
        if std::env::var_os("NOTIFY_SOCKET").is_some() {
            hangups(host)?;
        }
        return Ok(None);
    };
    let files = Files {
        certificate: certificate.clone(),
        key: key.clone(),
    };
    let opened = files.open().await;
    let (certificate, watched) =
        opened.map_err(|error| format!("`tls.certificate_file` and `tls.key_file`: {error}"))?;
    if certificate.facts.not_after_ms < host.now_ms() {
        tracing::warn!("the certificate has expired; it is read again once it is renewed");
    }
    let certificates = Certificates::new(&certificate);
    let watching = watched.watch(
        Arc::clone(&certificates),
        CERTIFICATE_PERIOD,
        hangups(host)?,
        shutdown.clone(),
    );
    host.spawn("certificate", watching);
    let timeout = Duration::from_millis(config.limits.handshake_timeout_ms);
    Ok(Some(Acceptor::new(certificates, timeout)?))
}

/// Tells of each SIGHUP, which from now on does not end the process.
fn hangups(host: &Host) -> io::Result<Arc<Notify>> {
    let asked = Arc::new(Notify::new());
    let (mut hangups, telling) = (signal(SignalKind::hangup())?, Arc::clone(&asked));
    host.spawn("hangups", async move {
        while hangups.recv().await.is_some() {
            telling.notify_one();
        }
    });
    Ok(asked)
}
