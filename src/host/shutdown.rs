//! The word that the server is stopping, for whoever waits long.

use tokio::sync::watch;

/// Tells everybody to finish.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl ShutdownTrigger {
    /// Tells everybody to finish, now and for good.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

/// Hears that the server is stopping; cheap to clone. Without a trigger left, it never stops.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A trigger and its first listener.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// One that never stops, for tests.
    pub fn never() -> Self {
        Self::new().1
    }

    /// Whether the server is stopping.
    pub fn is_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the server is stopping. Long polls race their news against it and answer with what they have.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
