//! Uploads, at once or announced first, within what a user may have.

use futures_util::Stream;
use store::{
    Batch, Scan, StoreError,
    tables::{self, Raw},
};

use crate::{
    Bytes, Media, UploadError, UserNid,
    files::Arrived,
    find::is_expired,
    rows::{ContentRow, MediaRow, UsageRow},
};

/// About 143 bits: nobody guesses one.
const MEDIA_ID_LENGTH: usize = 24;
/// Longer content types are forgotten, in bytes.
const CONTENT_TYPE_BYTES: usize = 255;
/// The longest file name, in bytes: no file system knows longer ones than a quarter of it.
const FILE_NAME_BYTES: usize = 1_024;

/// What the uploader says about a file.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// `Content-Type`; forgotten if it is not well-formed.
    pub content_type: Option<String>,
    /// The file's name.
    pub file_name: Option<String>,
    /// `Content-Length`, where it is known: what is too large is refused before it comes.
    pub length: Option<u64>,
}

/// An id whose content is still to come.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The id.
    pub media_id: String,
    /// Until when the content must have come, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// Whether the id of an upload was announced before.
#[derive(Clone, Copy)]
enum Announcement {
    Made,
    None,
}

/// A file under its own name.
struct File {
    /// Its hash, in hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
}

impl Media {
    /// Takes in a file of `user`; gives its media id. On disk when it returns.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload<E>(
        &self,
        user: UserNid,
        about: About,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<String, UploadError> {
        let arrived = self.receive(user, &about, body).await?;
        let media_id = self.0.host.random_string(MEDIA_ID_LENGTH);
        self.keep(user, &media_id, Announcement::None, about, arrived)
            .await?;
        Ok(media_id)
    }

    /// Makes an id whose content comes later.
    ///
    /// # Errors
    /// [`UploadError::TooManyPending`], [`UploadError::Quota`].
    pub async fn create(&self, user: UserNid) -> Result<Announced, UploadError> {
        let _lock = self.0.users.lock(user).await;
        self.room(user).await?;
        let now_ms = self.0.host.now_ms();
        let mut batch = Batch::new();
        let waiting = Scan::prefix::<tables::PendingMedia>(&(user,));
        let waiting = self.0.store.scan::<tables::PendingMedia>(waiting).await?;
        let mut alive = Vec::new();
        for ((_, media_id), expires_ms) in waiting {
            if is_expired(Some(expires_ms), now_ms) {
                batch.delete::<tables::Media>(&self.key(&media_id));
                batch.delete::<tables::PendingMedia>(&(user, media_id));
            } else {
                alive.push(expires_ms);
            }
        }
        if alive.len() >= self.0.options.max_pending_uploads {
            let first_ms = alive.into_iter().min().unwrap_or(now_ms);
            return Err(UploadError::TooManyPending {
                retry_after_ms: first_ms.saturating_sub(now_ms),
            });
        }
        let media_id = self.0.host.random_string(MEDIA_ID_LENGTH);
        let expires_ms = now_ms.saturating_add(self.0.options.pending_lifetime_ms);
        let row = MediaRow {
            owner: Some(user.0),
            created_ms: now_ms,
            open: self.0.options.unauthenticated_downloads,
            expires_ms: Some(expires_ms),
            protected_ms: None,
            content: None,
        };
        batch.put::<tables::Media>(&self.key(&media_id), &json(&row)?);
        batch.put::<tables::PendingMedia>(&(user, media_id.clone()), &expires_ms);
        self.0.store.commit(batch).await?;
        Ok(Announced {
            media_id,
            expires_ms,
        })
    }

    /// Gives its content to an id that `user` has announced. On disk when it returns.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload_to<E>(
        &self,
        user: UserNid,
        media_id: &str,
        about: About,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), UploadError> {
        let row = self.row(media_id).await?.ok_or(UploadError::NotFound)?;
        if row.content.is_none() && is_expired(row.expires_ms, self.0.host.now_ms()) {
            return Err(UploadError::NotFound);
        }
        if row.owner != Some(user.0) {
            return Err(UploadError::NotOwner);
        }
        if row.content.is_some() {
            return Err(UploadError::Exists);
        }
        let arrived = self.receive(user, &about, body).await?;
        self.keep(user, media_id, Announcement::Made, about, arrived)
            .await?;
        self.announce(media_id);
        Ok(())
    }

    /// Refuses what is too large before it comes, and takes in the rest.
    async fn receive<E>(
        &self,
        user: UserNid,
        about: &About,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Arrived<'_>, UploadError> {
        let name = about.file_name.as_deref().unwrap_or_default();
        if name.len() > FILE_NAME_BYTES {
            return Err(UploadError::FileName {
                limit: FILE_NAME_BYTES,
            });
        }
        let limit = self.0.options.max_upload_bytes;
        let room = self.room(user).await?;
        let length = about.length.unwrap_or(0);
        if length > limit {
            return Err(UploadError::TooLarge { limit });
        }
        if length > room {
            return Err(UploadError::Quota);
        }
        match self.0.files.receive(body, limit.min(room)).await {
            Err(UploadError::TooLarge { .. }) if room < limit => Err(UploadError::Quota),
            result => result,
        }
    }

    /// How many bytes `user` may still upload.
    async fn room(&self, user: UserNid) -> Result<u64, UploadError> {
        let (bytes, files) = (
            self.0.options.user_quota_bytes,
            self.0.options.user_quota_files,
        );
        if bytes == 0 && files == 0 {
            return Ok(u64::MAX);
        }
        let usage = self.usage(user).await?;
        if (files > 0 && usage.files >= files) || (bytes > 0 && usage.bytes >= bytes) {
            return Err(UploadError::Quota);
        }
        Ok(if bytes == 0 {
            u64::MAX
        } else {
            bytes - usage.bytes
        })
    }

    pub(crate) async fn usage(&self, user: UserNid) -> Result<UsageRow, StoreError> {
        let raw = self.0.store.get::<tables::MediaUsage>(&user).await?;
        raw.map_or(Ok(UsageRow::default()), |raw| {
            raw.parse().map_err(|source| StoreError::Corrupt {
                table: "MediaUsage",
                source,
            })
        })
    }

    /// Gives a file that has arrived its name and its rows.
    async fn keep(
        &self,
        user: UserNid,
        media_id: &str,
        announcement: Announcement,
        about: About,
        arrived: Arrived<'_>,
    ) -> Result<(), UploadError> {
        let held = self.0.blobs.lock(&arrived.sha256).await;
        let file = self.place(arrived).await?;
        let kept = self
            .keep_rows(user, media_id, announcement, about, &file)
            .await;
        drop(held);
        if kept.is_err() {
            self.discard_or_log(&file.sha256).await;
        }
        kept
    }

    /// Gives a file its name. Until a row says what it is for, `UnsettledFiles` says that it may be for nothing.
    async fn place(&self, arrived: Arrived<'_>) -> Result<File, UploadError> {
        let file = File {
            sha256: arrived.sha256.clone(),
            size: arrived.size,
        };
        let mut batch = Batch::new();
        batch.put::<tables::UnsettledFiles>(&file.sha256, &self.0.host.now_ms());
        self.0.store.commit(batch).await?;
        arrived.place().await?;
        Ok(file)
    }

    async fn keep_rows(
        &self,
        user: UserNid,
        media_id: &str,
        announcement: Announcement,
        about: About,
        file: &File,
    ) -> Result<(), UploadError> {
        let _lock = self.0.users.lock(user).await;
        // Again, because others may have come in between.
        if file.size > self.room(user).await? {
            return Err(UploadError::Quota);
        }
        match (announcement, self.row(media_id).await?) {
            (Announcement::Made, None) => return Err(UploadError::NotFound),
            (_, Some(row)) if row.content.is_some() => return Err(UploadError::Exists),
            _ => {}
        }
        let mut usage = self.usage(user).await?;
        usage.bytes = usage.bytes.saturating_add(file.size);
        usage.files = usage.files.saturating_add(1);
        let mut batch = Batch::new();
        self.put(&mut batch, Some(user), media_id, about, file)?;
        batch.put::<tables::MediaUsage>(&user, &json(&usage)?);
        batch.delete::<tables::PendingMedia>(&(user, media_id.to_owned()));
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Keeps a file of the server's own, such as the image of a preview; gives its media id.
    pub(crate) async fn keep_own(
        &self,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<String, UploadError> {
        let limit = bytes.len() as u64;
        let body = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        let arrived = self.0.files.receive(body, limit).await?;
        let _held = self.0.blobs.lock(&arrived.sha256).await;
        let file = self.place(arrived).await?;
        let media_id = self.0.host.random_string(MEDIA_ID_LENGTH);
        let about = About {
            content_type: Some(content_type.to_owned()),
            ..About::default()
        };
        let mut batch = Batch::new();
        self.put(&mut batch, None, &media_id, about, &file)?;
        self.0.store.commit(batch).await?;
        Ok(media_id)
    }

    fn put(
        &self,
        batch: &mut Batch,
        owner: Option<UserNid>,
        media_id: &str,
        about: About,
        file: &File,
    ) -> Result<(), StoreError> {
        let key = self.key(media_id);
        let use_key = (file.sha256.clone(), key.0.clone(), key.1.clone());
        let row = MediaRow {
            owner: owner.map(|user| user.0),
            created_ms: self.0.host.now_ms(),
            open: self.0.options.unauthenticated_downloads,
            expires_ms: None,
            protected_ms: None,
            content: Some(ContentRow {
                sha256: file.sha256.clone(),
                size: file.size,
                content_type: about.content_type.filter(|text| is_content_type(text)),
                file_name: about.file_name.filter(|name| !name.is_empty()),
            }),
        };
        batch.put::<tables::Media>(&key, &json(&row)?);
        batch.put::<tables::MediaUses>(&use_key, &());
        batch.delete::<tables::UnsettledFiles>(&file.sha256);
        if let Some(user) = owner {
            batch.put::<tables::UserMedia>(&(user, media_id.to_owned()), &row.created_ms);
        }
        Ok(())
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<Raw, StoreError> {
    Raw::json(value).map_err(|source| StoreError::Corrupt {
        table: "Media",
        source,
    })
}

/// Whether `text` is `type/subtype`, perhaps with parameters, in visible ASCII.
fn is_content_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let special = "!#$&^_.+-";
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || special.contains(c))
    };
    let media_type = text.split(';').next().unwrap_or_default().trim();
    let names = media_type.split_once('/');
    text.len() <= CONTENT_TYPE_BYTES
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && names.is_some_and(|(kind, sub)| is_name(kind) && is_name(sub))
}
