//! A whole server inside a test: store in memory, a clock that the test turns, seeded dice, no sockets.
//!
//! ```no_run
//! # async fn example() {
//! use serde_json::json;
//! let server = test_support::TestServer::new().await;
//! let alice = server.register("alice").await;
//! let room = alice.post("/_matrix/client/v3/createRoom", json!({})).await.ok();
//! server.anyone().get("/_matrix/client/v3/account/whoami").await.is(401, "M_MISSING_TOKEN");
//! # }
//! ```

mod asked;
mod client;
pub mod open_metrics;
mod reply;

use axum::Router;
use client_server_api::Services;
use config::{Config, RegistrationMode};
use host::{Host, ManualClock, Shutdown, ShutdownTrigger};
use room_versions::Signer;
use ruma::ServerName;
use store::{MemoryDisk, Store, StoreOptions};
use tempfile::TempDir;
use traces::TraceFigures;

pub use client::Client;
pub use reply::Reply;

/// The instant at which the clock of every test stands at first: a Friday in 2026, in ms.
pub const START_MS: u64 = 1_770_000_000_000;

/// What every server of a test signs with.
///
/// # Panics
/// Never: the seed is a key.
pub fn signer(server_name: &ServerName) -> Signer {
    Signer::from_seed(server_name.to_owned(), &[7; 32], "test".to_owned())
        .expect("the seed is a key")
}

/// A server without sockets.
pub struct TestServer {
    /// Every service, for looking behind the API.
    pub services: Services,
    /// The clock that the server sees. Timers follow tokio's own, see `tokio::time::pause`.
    pub clock: ManualClock,
    /// Tells long polls to finish.
    pub shutdown: ShutdownTrigger,
    config: Config,
    disk: MemoryDisk,
    /// Uploaded files; gone with the server.
    files: TempDir,
    seed: u64,
    router: Router,
}

impl TestServer {
    /// A server where everybody may register and nobody is limited.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other options.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.registration.mode = RegistrationMode::Open;
        config.rate_limits.enabled = false;
        // The cheapest that argon2 takes: a test is not about the cost of a guess.
        config.passwords.memory_kib = 8;
        config.passwords.iterations = 1;
        let files = TempDir::new().expect("a temporary directory");
        files.path().clone_into(&mut config.data_dir);
        change(&mut config);
        Self::start(
            config,
            (MemoryDisk::new(), files),
            ManualClock::new(START_MS),
            1,
        )
        .await
    }

    /// Stops the server and starts it again over what its disk has kept.
    #[must_use]
    pub async fn restart(self) -> Self {
        self.shutdown.start();
        self.services.rooms.store().close().await;
        let kept = (self.disk, self.files);
        Self::start(self.config, kept, self.clock, self.seed + 1).await
    }

    async fn start(
        config: Config,
        (disk, files): (MemoryDisk, TempDir),
        clock: ManualClock,
        seed: u64,
    ) -> Self {
        let host = Host::manual(&clock, seed);
        let store = Store::open_memory_disk(&disk, &StoreOptions::default(), host.clone())
            .expect("a store in memory opens");
        let signer = signer(&config.server_name);
        let (shutdown, waiting) = Shutdown::new();
        let services = myelin::assemble(
            config.clone(),
            host,
            store,
            signer,
            waiting,
            TraceFigures::default(),
        )
        .expect("the options of the test can be used");
        myelin::recall(&services)
            .await
            .expect("a store in memory is read");
        let router = myelin::router(services.clone());
        Self {
            services,
            clock,
            shutdown,
            config,
            disk,
            files,
            seed,
            router,
        }
    }

    /// Somebody who is not logged in.
    pub fn anyone(&self) -> Client {
        Client::new(self.router.clone(), None)
    }

    /// A new account `@localpart:localhost` with the password `password-of-LOCALPART`, logged in.
    pub async fn register(&self, localpart: &str) -> Client {
        self.anyone().register(localpart).await
    }

    /// Another device of an account that [`Self::register`] has made.
    pub async fn login(&self, localpart: &str) -> Client {
        self.anyone().login(localpart).await
    }
}
