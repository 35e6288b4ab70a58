//! Clears away what uploads and deletions have left: after a crash, a failing disk, or a client that never came back.

use std::{io, time::Duration};

use host::Shutdown;
use store::{Batch, Scan, StoreError, UserNid, tables};
use thiserror::Error;

use crate::Media;

/// How often it is swept. What is left takes space and nothing else, so there is no hurry.
const INTERVAL: Duration = Duration::from_mins(10);
/// How long an announced id is kept after it has expired, in milliseconds: an upload that began before may still run.
const EXPIRED_MS: u64 = 60 * 60_000;
/// How old a file under a temporary name is before nobody can be writing it any more, in milliseconds.
const INCOMING_MS: u64 = 24 * 60 * 60_000;
/// Files of one sweep: the rest waits for the next.
const FILES: usize = 10_000;

/// It could not be swept to the end.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A file cannot be listed or deleted.
    #[error("a file cannot be cleared away: {0}")]
    Files(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a sweep has cleared away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files that no id stands for.
    pub files: usize,
    /// Files under a temporary name.
    pub incoming: usize,
    /// Announced ids that have expired.
    pub announced: usize,
}

impl Media {
    /// Sweeps now and then until the server stops.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_started() {
            match self.sweep().await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(swept) => tracing::info!(
                    files = swept.files,
                    incoming = swept.incoming,
                    announced = swept.announced,
                    "media that nobody needs is cleared away"
                ),
                Err(error) => tracing::warn!(%error, "media cannot be swept"),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.wait() => return,
            }
        }
    }

    /// Clears away files that no id stands for, uploads that came to nothing, and announced ids that have expired.
    ///
    /// # Errors
    /// A file or a row cannot be read or deleted; the next sweep tries again.
    pub async fn sweep(&self) -> Result<Swept, SweepError> {
        let now_ms = self.0.host.now_ms();
        Ok(Swept {
            announced: self.sweep_announced(now_ms).await?,
            files: self.sweep_files().await?,
            incoming: self
                .0
                .files
                .clear_incoming(now_ms.saturating_sub(INCOMING_MS))
                .await?,
        })
    }

    async fn sweep_announced(&self, now_ms: u64) -> Result<usize, StoreError> {
        // Few clients announce their uploads, and each user may only have some.
        let all = Scan::prefix::<tables::PendingMedia>(&());
        let all = self.0.store.scan::<tables::PendingMedia>(all).await?;
        let mut swept = 0;
        for ((user, media_id), expires_ms) in all {
            if expires_ms.saturating_add(EXPIRED_MS) <= now_ms {
                self.forget_announced(user, media_id).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    async fn forget_announced(&self, user: UserNid, media_id: String) -> Result<(), StoreError> {
        let _lock = self.0.users.lock(user).await;
        let mut batch = Batch::new();
        // Unless its content has come in the last moment.
        if let Some(row) = self.row(&media_id).await?
            && row.content.is_none()
        {
            batch.delete::<tables::Media>(&self.key(&media_id));
        }
        batch.delete::<tables::PendingMedia>(&(user, media_id));
        self.0.store.commit(batch).await?;
        Ok(())
    }

    async fn sweep_files(&self) -> Result<usize, SweepError> {
        let unsettled = Scan::prefix::<tables::UnsettledFiles>(&()).limit(FILES);
        let unsettled = self
            .0
            .store
            .scan::<tables::UnsettledFiles>(unsettled)
            .await?;
        let mut swept = 0;
        for (sha256, _) in unsettled {
            if self.discard(&sha256).await? {
                swept += 1;
            }
        }
        Ok(swept)
    }
}
