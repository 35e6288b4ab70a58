//! Clears away, now and then, what nobody asks for any more.

use std::time::Duration;

use host::Shutdown;
use rooms::Rooms;
use users::Users;

/// How often. What is left takes space and nothing else, so there is no hurry.
const INTERVAL: Duration = Duration::from_hours(1);

/// Sweeps until the server stops.
pub async fn run(users: Users, rooms: Rooms, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.wait() => return,
        }
        match users.forget_expired().await {
            Ok(tokens) => tracing::debug!(tokens, "expired tokens are forgotten"),
            Err(error) => tracing::warn!(%error, "expired tokens cannot be forgotten"),
        }
        match rooms.forget_transactions().await {
            Ok(transactions) => tracing::debug!(transactions, "old transaction ids are forgotten"),
            Err(error) => tracing::warn!(%error, "old transaction ids cannot be forgotten"),
        }
    }
}
