//! Quarantine: files that nobody is given any more, though they are kept.
//!
//! It is a file that is in quarantine, not an id: whoever has uploaded the same bytes, or uploads them later, has an id that
//! leads nowhere, as in Synapse. Where the last id is deleted the quarantine stays, so that the file does not come back.
//! An id that was protected before stays as it is: a picture that many use is not taken away with the one who misused it.

use serde::{Deserialize, Serialize};
use store::{Batch, StoreError, tables};

use crate::{DeleteError, FileInfo, Media, rows::MediaRow, upload::json};

/// Why a file is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Which administrator put it there.
    pub by: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Media {
    /// Puts the file that `media_id` stands for into quarantine; gives whether it was served before. A protected id's is
    /// left alone.
    ///
    /// # Errors
    /// [`DeleteError::NotFound`] for an id that is unknown, or has no content yet.
    pub async fn quarantine(&self, media_id: &str, by: &str) -> Result<bool, DeleteError> {
        let file = self.info(media_id).await?.ok_or(DeleteError::NotFound)?;
        if file.protected || file.quarantine.is_some() {
            return Ok(false);
        }
        let row = Quarantine {
            by: by.to_owned(),
            at_ms: self.0.host.now_ms(),
        };
        let mut batch = Batch::new();
        batch.put::<tables::QuarantinedFiles>(&file.sha256, &json(&row)?);
        self.0.store.commit(batch).await?;
        Ok(true)
    }

    /// Takes the file that `media_id` stands for out of quarantine.
    ///
    /// # Errors
    /// [`DeleteError::NotFound`] for an id that is unknown, or has no content yet.
    pub async fn release(&self, media_id: &str) -> Result<(), DeleteError> {
        let file = self.info(media_id).await?.ok_or(DeleteError::NotFound)?;
        let mut batch = Batch::new();
        batch.delete::<tables::QuarantinedFiles>(&file.sha256);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Protects an id from what is put into quarantine, and from being cleared away as old, or takes that back. One whose
    /// file is there already stays there.
    ///
    /// # Errors
    /// [`DeleteError::NotFound`] for an id that is unknown, or has no content yet.
    pub async fn protect(&self, media_id: &str, protected: bool) -> Result<(), DeleteError> {
        loop {
            let key = self.key(media_id);
            let raw = self.0.store.get::<tables::Media>(&key).await?;
            let raw = raw.ok_or(DeleteError::NotFound)?;
            let mut row: MediaRow = raw.parse().map_err(|source| StoreError::Corrupt {
                table: "Media",
                source,
            })?;
            if row.content.is_none() {
                return Err(DeleteError::NotFound);
            }
            if row.protected_ms.is_some() == protected {
                return Ok(());
            }
            let file = self.describe(media_id.to_owned(), row.clone()).await?;
            // After the quarantine, if only by a moment.
            let after_ms = file
                .and_then(|file| file.quarantine)
                .map_or(0, |quarantine| quarantine.at_ms.saturating_add(1));
            row.protected_ms = protected.then(|| self.0.host.now_ms().max(after_ms));
            let mut batch = Batch::new();
            batch.guard_equals::<tables::Media>(&key, &raw);
            batch.put::<tables::Media>(&key, &json(&row)?);
            match self.0.store.commit(batch).await {
                Ok(_) => return Ok(()),
                // Deleted, or changed by another administrator, a moment ago.
                Err(StoreError::Guard) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// An upload of this server; `None` for an id that is unknown, or has no content yet.
    ///
    /// # Errors
    /// The store failed.
    pub async fn info(&self, media_id: &str) -> Result<Option<FileInfo>, StoreError> {
        match self.row(media_id).await? {
            Some(row) => self.describe(media_id.to_owned(), row).await,
            None => Ok(None),
        }
    }

    /// What keeps an id's file from being served, if something does.
    pub(crate) async fn quarantine_of(
        &self,
        sha256: &str,
        protected_ms: Option<u64>,
    ) -> Result<Option<Quarantine>, StoreError> {
        let key = sha256.to_owned();
        let raw = self.0.store.get::<tables::QuarantinedFiles>(&key).await?;
        let row = raw.map(|raw| raw.parse::<Quarantine>()).transpose();
        let row = row.map_err(|source| StoreError::Corrupt {
            table: "QuarantinedFiles",
            source,
        })?;
        Ok(row.filter(|row| protected_ms.is_none_or(|at_ms| at_ms > row.at_ms)))
    }
}
