//! The sockets that `myelin serve` listens on, and the certificate behind those with TLS.

use std::{error::Error, io, pin::Pin, sync::Arc, time::Duration};

use acme::{AcmeError, Directory, Keeper, Kept, Order};
use client_server_api::Services;
use config::Listen;
use host::Host;
use http_layer::Listener;
use tls::{Acceptor, Files};
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
    services: &Services,
    inherited: Inherited,
) -> Result<Vec<Listener>, Box<dyn Error>> {
    let config = &services.config;
    if config.tls.has_acme() && config.tls.listen.is_empty() && inherited.https.is_empty() {
        return Err("`tls.acme_domains` needs `tls.listen`, such as [::]:443".into());
    }
    // Without a certificate `systemctl reload` has nothing to do, and must not end the process; the end of its terminal
    // should.
    let has_certificate = config.tls.certificate_file.is_some() || config.tls.has_acme();
    let hangups = if has_certificate || std::env::var_os("NOTIFY_SOCKET").is_some() {
        hangups(&services.host)?
    } else {
        Arc::default()
    };
    let acceptor = acceptor(services, hangups).await?;
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
    let Some((acceptor, keeping)) = acceptor else {
        return if inherited.https.is_empty() {
            Ok(listeners)
        } else {
            let needs = "the service manager's socket `https` needs `tls.certificate_file` or `tls.acme_domains`";
            Err(needs.into())
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
    // Not before: an authority comes to look as soon as it is asked.
    services.host.spawn("certificate", keeping);
    Ok(listeners)
}

fn opened(listen: &Listen, listener: io::Result<Listener>) -> Result<Listener, String> {
    listener.map_err(|error| format!("cannot listen on {listen}: {error}"))
}

/// Keeps the certificate in force.
type Keeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What shows the certificate of the options, and what keeps it, for when somebody listens; none if there is to be none.
async fn acceptor(
    services: &Services,
    hangups: Arc<Notify>,
) -> Result<Option<(Acceptor, Keeping)>, Box<dyn Error>> {
    let tls = &services.config.tls;
    let keeping = if let (Some(certificate), Some(key)) = (&tls.certificate_file, &tls.key_file) {
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
        };
        from_files(services, files, hangups).await?
    } else if tls.has_acme() {
        by_acme(services, hangups)?
    } else {
        return Ok(None);
    };
    let timeout = Duration::from_millis(services.config.limits.handshake_timeout_ms);
    let certificates = Arc::clone(&services.certificates);
    Ok(Some((Acceptor::new(certificates, timeout)?, keeping)))
}

/// Shows the certificate of the files; what it gives goes on reading them.
async fn from_files(
    services: &Services,
    files: Files,
    hangups: Arc<Notify>,
) -> Result<Keeping, Box<dyn Error>> {
    let opened = files.open().await;
    let (certificate, watched) =
        opened.map_err(|error| format!("`tls.certificate_file` and `tls.key_file`: {error}"))?;
    if certificate.facts.not_after_ms < services.host.now_ms() {
        tracing::warn!("the certificate has expired; it is read again once it is renewed");
    }
    let certificates = Arc::clone(&services.certificates);
    certificates.replace(&certificate);
    let shutdown = services.shutdown.clone();
    let watching = watched.watch(certificates, CERTIFICATE_PERIOD, hangups, shutdown);
    Ok(Box::pin(watching))
}

/// Shows the certificate that an authority has issued; what it gives goes on asking for new ones.
fn by_acme(services: &Services, hangups: Arc<Notify>) -> Result<Keeping, AcmeError> {
    let (tls, host) = (&services.config.tls, services.host.clone());
    let kept = Kept::of(&services.config.data_dir);
    let roots = tls.acme_ca_file.as_deref();
    let authority = Directory::new(kept.clone(), &tls.acme_contact, roots, host.clone())?;
    let order = Order {
        directory: tls.acme_directory.clone(),
        domains: tls.acme_domains.clone(),
    };
    let certificates = Arc::clone(&services.certificates);
    let keeper = Keeper::open(order, authority, kept, certificates, host);
    Ok(Box::pin(keeper.run(hangups, services.shutdown.clone())))
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
