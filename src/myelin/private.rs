//! The listener for those who look after the server: figures and health, until the last change is on the disk.

use client_server_api::Services;
use host::{Host, Shutdown};
use http_layer::{Listener, Server};

/// Bound and not yet served.
pub(crate) struct Private {
    server: Server,
    listeners: Vec<Listener>,
}

impl Private {
    /// Listens on `metrics.listen`, which may be empty, and says where before anybody is served.
    ///
    /// # Errors
    /// In words for the person who started the server.
    pub(crate) async fn bind(services: &Services, host: &Host) -> Result<Self, String> {
        let config = &services.config;
        let mut listeners = Vec::new();
        for listen in &config.metrics.listen {
            let listener = Listener::bind(listen).await;
            let wrong = |error| format!("`metrics.listen`: cannot listen on {listen}: {error}");
            listeners.push(listener.map_err(wrong)?);
        }
        if !listeners.is_empty() {
            let addresses: Vec<String> = listeners.iter().map(Listener::address).collect();
            tracing::info!(addresses = addresses.join(", "), "figures and health");
        }
        let router = monitoring::private(services.clone());
        Ok(Self {
            server: Server::new(router, &config.limits, host.clone()),
            listeners,
        })
    }

    /// Serves until `end`, which is later than the end of the other listeners: that the server stops can be seen here.
    pub(crate) async fn serve(self, end: Shutdown) {
        if self.listeners.is_empty() {
            return;
        }
        self.server.serve(self.listeners, end).await;
    }
}
