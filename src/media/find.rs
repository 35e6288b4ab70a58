//! Media by id, waiting a little for content that is announced.

use std::time::Duration;

use ruma::ServerName;
use store::{StoreError, tables};
use tokio::{sync::watch, time::timeout};

use crate::{FindError, Media, rows::MediaRow};

/// A file that can be served.
#[derive(Clone, Debug)]
pub struct Stored {
    /// SHA-256 in hexadecimal: the same for the same bytes.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// As the uploader named it, if it is well-formed.
    pub content_type: Option<String>,
    /// As the uploader named it.
    pub file_name: Option<String>,
    /// Whether it may be downloaded without logging in.
    pub open: bool,
}

impl Media {
    /// The file that `mxc://server/media_id` stands for. For one that is announced, waits up to `wait` for its content. Every
    /// way to a file begins here: one in quarantine is not found.
    ///
    /// # Errors
    /// [`FindError::NotFound`], [`FindError::NotYetUploaded`].
    pub async fn find(
        &self,
        server: &ServerName,
        media_id: &str,
        wait: Duration,
    ) -> Result<Stored, FindError> {
        if !self.is_local(server) || !is_media_id(media_id) {
            return Err(FindError::NotFound);
        }
        let wait = wait.min(Duration::from_millis(self.0.options.max_wait_ms));
        if let Some(stored) = self.stored(media_id).await? {
            return Ok(stored);
        }
        let mut waiting = Waiting::new(self, media_id);
        // Once more: the content may have come before anybody listened.
        if let Some(stored) = self.stored(media_id).await? {
            return Ok(stored);
        }
        tokio::select! {
            _ = timeout(wait, waiting.receiver.changed()) => {}
            () = self.0.shutdown.wait() => {}
        }
        let stored = self.stored(media_id).await?;
        stored.ok_or(FindError::NotYetUploaded)
    }

    /// `None` for content that is yet to come.
    async fn stored(&self, media_id: &str) -> Result<Option<Stored>, FindError> {
        let row = self.row(media_id).await?.ok_or(FindError::NotFound)?;
        let Some(content) = row.content else {
            return if is_expired(row.expires_ms, self.0.host.now_ms()) {
                Err(FindError::NotFound)
            } else {
                Ok(None)
            };
        };
        let quarantine = self.quarantine_of(&content.sha256, row.protected_ms);
        if quarantine.await?.is_some() {
            return Err(FindError::NotFound);
        }
        Ok(Some(Stored {
            sha256: content.sha256,
            size: content.size,
            content_type: content.content_type,
            file_name: content.file_name,
            open: row.open || self.0.options.unauthenticated_downloads,
        }))
    }

    pub(crate) async fn row(&self, media_id: &str) -> Result<Option<MediaRow>, StoreError> {
        let key = self.key(media_id);
        let raw = self.0.store.get::<tables::Media>(&key).await?;
        raw.map(|raw| raw.parse())
            .transpose()
            .map_err(|source| StoreError::Corrupt {
                table: "Media",
                source,
            })
    }

    pub(crate) fn key(&self, media_id: &str) -> (String, String) {
        (self.0.server_name.to_string(), media_id.to_owned())
    }

    /// Tells who waits that the content is there.
    pub(crate) fn announce(&self, media_id: &str) {
        if let Some(sender) = self.0.waiting.lock().get(media_id) {
            sender.send_replace(());
        }
    }
}

/// [The spec](https://spec.matrix.org/v1.19/client-server-api/#content-repo-security-considerations): nothing that
/// could be a path.
fn is_media_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_allowed)
}

pub(crate) fn is_expired(expires_ms: Option<u64>, now_ms: u64) -> bool {
    expires_ms.is_some_and(|at| at <= now_ms)
}

/// A place among those who wait; given up when dropped.
struct Waiting<'a> {
    media: &'a Media,
    media_id: &'a str,
    receiver: watch::Receiver<()>,
}

impl<'a> Waiting<'a> {
    fn new(media: &'a Media, media_id: &'a str) -> Self {
        let mut waiting = media.0.waiting.lock();
        let sender = waiting
            .entry(media_id.to_owned())
            .or_insert_with(|| watch::channel(()).0);
        let receiver = sender.subscribe();
        Self {
            media,
            media_id,
            receiver,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.media.0.waiting.lock();
        // Its own receiver still counts.
        if waiting
            .get(self.media_id)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiting.remove(self.media_id);
        }
    }
}
