//! Deletion, for the administrator.
//!
//! First the rows, in one commit that also says that the file may be for nothing now; then the file and its thumbnails. After
//! a crash in between the sweep goes on where this stopped.

use std::io;

use store::{Batch, Scan, StoreError, UserNid, tables};

use crate::{DeleteError, Media, SweepError, files, upload::json};

impl Media {
    /// Deletes an upload, or the announcement of one. Its bytes go with it unless another id stands for the same.
    ///
    /// # Errors
    /// [`DeleteError::NotFound`].
    pub async fn delete(&self, media_id: &str) -> Result<(), DeleteError> {
        let row = self.row(media_id).await?.ok_or(DeleteError::NotFound)?;
        let sha256 = match row.owner.map(UserNid) {
            Some(owner) => {
                let _lock = self.0.users.lock(owner).await;
                self.delete_rows(media_id).await?
            }
            None => self.delete_rows(media_id).await?,
        };
        if let Some(sha256) = sha256 {
            self.discard_or_log(&sha256).await;
        }
        // Whoever waits for its content need not wait longer.
        self.announce(media_id);
        Ok(())
    }

    /// Gives the hash of the file that may be for nothing now.
    pub(crate) async fn delete_rows(&self, media_id: &str) -> Result<Option<String>, DeleteError> {
        // Again, because others may have come in between.
        let row = self.row(media_id).await?.ok_or(DeleteError::NotFound)?;
        let key = self.key(media_id);
        let mut batch = Batch::new();
        batch.delete::<tables::Media>(&key);
        if let Some(owner) = row.owner.map(UserNid) {
            batch.delete::<tables::PendingMedia>(&(owner, media_id.to_owned()));
            if let Some(content) = &row.content {
                let mut usage = self.usage(owner).await?;
                usage.bytes = usage.bytes.saturating_sub(content.size);
                usage.files = usage.files.saturating_sub(1);
                batch.put::<tables::MediaUsage>(&owner, &json(&usage)?);
                batch.delete::<tables::UserMedia>(&(owner, media_id.to_owned()));
            }
        }
        let sha256 = row.content.map(|content| content.sha256);
        if let Some(sha256) = &sha256 {
            batch.delete::<tables::MediaUses>(&(sha256.clone(), key.0, key.1));
            batch.put::<tables::UnsettledFiles>(sha256, &self.0.host.now_ms());
        }
        self.0.store.commit(batch).await?;
        Ok(sha256)
    }

    /// Deletes a file that no id stands for, and its thumbnails; gives whether it was so.
    pub(crate) async fn discard(&self, sha256: &str) -> Result<bool, SweepError> {
        let _image = self.0.images.lock(sha256).await;
        let _blob = self.0.blobs.lock(sha256).await;
        let settled = sha256.to_owned();
        if let Some(used) = self.one_use(sha256).await? {
            let mut batch = Batch::new();
            // Unless that id is deleted at this moment, by somebody who comes for the file next.
            batch.guard_equals::<tables::MediaUses>(&used, &());
            batch.delete::<tables::UnsettledFiles>(&settled);
            return match self.0.store.commit(batch).await {
                Ok(_) | Err(StoreError::Guard) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        // The file last: while it is there, somebody comes back for the rest.
        let mut batch = Batch::new();
        batch.delete_prefix::<tables::Thumbnails>(&(settled.clone(),));
        self.0.store.commit(batch).await?;
        self.delete_files(sha256).await?;
        let mut batch = Batch::new();
        batch.delete::<tables::UnsettledFiles>(&settled);
        self.0.store.commit(batch).await?;
        Ok(true)
    }

    async fn delete_files(&self, sha256: &str) -> io::Result<()> {
        self.0.files.delete_thumbnails(sha256).await?;
        self.0.files.delete(&files::blob(sha256)).await
    }

    /// Discards a file now, or leaves it to the sweep.
    pub(crate) async fn discard_or_log(&self, sha256: &str) {
        if let Err(error) = self.discard(sha256).await {
            tracing::warn!(%error, "a file that nobody needs waits for the next sweep");
        }
    }

    /// An id that stands for a file, as in `MediaUses`.
    async fn one_use(&self, sha256: &str) -> Result<Option<(String, String, String)>, StoreError> {
        let uses = Scan::prefix::<tables::MediaUses>(&(sha256.to_owned(),)).limit(1);
        let uses = self.0.store.scan::<tables::MediaUses>(uses).await?;
        Ok(uses.into_iter().next().map(|(key, ())| key))
    }
}
