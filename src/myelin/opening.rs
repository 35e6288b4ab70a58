//! From the options to the services: what `serve` and the commands that find no server have in common.

use std::error::Error;

use client_server_api::Services;
use config::{Config, Durability};
use host::{Host, Shutdown, ShutdownTrigger};
use store::{Store, StoreOptions};
use traces::TraceFigures;

use crate::{assemble, data_dir::DataDir, recall};

/// A data directory that is ours, and the services over it.
pub(crate) struct Opened {
    pub(crate) data: DataDir,
    pub(crate) store: Store,
    pub(crate) services: Services,
    /// Ends the tasks that the services have started.
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) shutdown: Shutdown,
}

impl Opened {
    /// Opens the data directory, which no other process may have open, and plugs the parts together.
    pub(crate) async fn new(
        config: Config,
        host: &Host,
        traces: TraceFigures,
    ) -> Result<Self, Box<dyn Error>> {
        let data = DataDir::open(&config.data_dir)?;
        // The database first: whoever holds its lock owns the directory.
        let options = store_options(&config, &data);
        let opening = host.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&options, opening)).await??;
        data.claim(&config.server_name)?;
        let signer = data.signer(&config.server_name, host)?;
        let (trigger, shutdown) = Shutdown::new();
        let services = assemble(
            config,
            host.clone(),
            store.clone(),
            signer,
            shutdown.clone(),
            traces,
        )?;
        recall(&services).await?;
        Ok(Self {
            data,
            store,
            services,
            trigger,
            shutdown,
        })
    }
}

pub(crate) fn store_options(config: &Config, data: &DataDir) -> StoreOptions {
    let storage = &config.storage;
    StoreOptions {
        path: data.database(),
        durability: match storage.durability {
            Durability::Fsync => store::Durability::Fsync,
            Durability::Interval => store::Durability::Interval,
            Durability::Os => store::Durability::Os,
        },
        cache_bytes: storage.cache_bytes,
        queue_bytes: storage.queue_bytes,
        interval_ms: storage.interval_ms,
    }
}
