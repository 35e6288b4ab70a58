//! [Thumbnails](https://spec.matrix.org/v1.19/client-server-api/#thumbnails): made once, kept beside their file.
//!
//! Images are decoded by few workers at a time, within limits of pixels and memory. What cannot be decoded is
//! remembered too, so that a bomb is looked at once.

use std::sync::{Arc, atomic::Ordering};

use store::{
    StoreError,
    tables::{self, Raw},
};
use tracing::{Instrument, debug_span};

use crate::{
    Bytes, Content, Media, Stored, ThumbnailError, files,
    rows::{ImageRow, ThumbnailRow},
    upload::json,
};

mod decode;
mod plan;

pub use plan::{Method, ThumbnailSize};

pub(crate) use decode::{Bounds, probe};
use decode::{Made, make};
use plan::{Plan, Variant};

/// Requests that may wait for one worker: some seconds of work.
const WAITING_PER_WORKER: usize = 32;
/// The name under which it is remembered what an image is.
const SOURCE: &str = "source";

/// A thumbnail, ready to be streamed.
pub struct Thumbnail {
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub content_type: &'static str,
    /// Bytes.
    pub size: u64,
    /// Changes with the bytes.
    pub tag: String,
    /// The bytes.
    pub content: Content,
}

/// What a worker brings back.
type Worked = (ImageRow, Option<(Variant, Made)>);

impl Media {
    /// A thumbnail of `stored` that is at least as large as `size` asks for, or the image itself where that is smaller.
    ///
    /// # Errors
    /// [`ThumbnailError::Unsupported`], [`ThumbnailError::TooLarge`], [`ThumbnailError::Busy`].
    pub async fn thumbnail(
        &self,
        stored: &Stored,
        size: ThumbnailSize,
    ) -> Result<Thumbnail, ThumbnailError> {
        if let Some(found) = self.known_thumbnail(stored, size).await? {
            return Ok(found);
        }
        let _lock = self.0.images.lock(&stored.sha256).await;
        if let Some(found) = self.known_thumbnail(stored, size).await? {
            return Ok(found);
        }
        let (image, made) = self.work(stored, size).await?;
        let mut batch = store::Batch::new();
        let key = |name: &str| (stored.sha256.clone(), name.to_owned());
        batch.put::<tables::Thumbnails>(&key(SOURCE), &json(&image)?);
        if let Some((variant, made)) = made {
            let row = ThumbnailRow {
                format: made.format,
                size: made.bytes.len() as u64,
            };
            let name = variant.name();
            let path = files::thumbnail(&stored.sha256, &name);
            self.0.files.put(&path, made.bytes).await?;
            batch.put::<tables::Thumbnails>(&key(&name), &json(&row)?);
        }
        self.0.store.commit(batch).await?;
        let found = self.known_thumbnail(stored, size).await?;
        found.ok_or(ThumbnailError::Unsupported)
    }

    /// What can be answered without decoding.
    async fn known_thumbnail(
        &self,
        stored: &Stored,
        size: ThumbnailSize,
    ) -> Result<Option<Thumbnail>, ThumbnailError> {
        let Some(raw) = self.thumbnail_row(stored, SOURCE).await? else {
            return Ok(None);
        };
        let image = match parse(&raw)? {
            ImageRow::Image(image) => image,
            ImageRow::Unsupported => return Err(ThumbnailError::Unsupported),
            ImageRow::TooLarge => return Err(ThumbnailError::TooLarge),
        };
        let variant = match Plan::new(&image, size) {
            Plan::Original => {
                return Ok(Some(Thumbnail {
                    content_type: image.format.content_type(),
                    size: stored.size,
                    tag: stored.sha256.clone(),
                    content: self.read(stored, 0..stored.size).await?,
                }));
            }
            Plan::Make(variant) => variant.name(),
        };
        let Some(raw) = self.thumbnail_row(stored, &variant).await? else {
            return Ok(None);
        };
        let row: ThumbnailRow = parse(&raw)?;
        let path = files::thumbnail(&stored.sha256, &variant);
        Ok(Some(Thumbnail {
            content_type: row.format.content_type(),
            size: row.size,
            tag: format!("{}-{variant}", stored.sha256),
            content: self.0.files.serve(&path, 0..row.size).await?,
        }))
    }

    async fn thumbnail_row(&self, stored: &Stored, name: &str) -> Result<Option<Raw>, StoreError> {
        let key = (stored.sha256.clone(), name.to_owned());
        self.0.store.get::<tables::Thumbnails>(&key).await
    }

    /// Looks at the image and makes the thumbnail, in the pool.
    async fn work(&self, stored: &Stored, size: ThumbnailSize) -> Result<Worked, ThumbnailError> {
        let bounds = Bounds::new(&self.0.thumbnails);
        if stored.size > self.0.thumbnails.max_source_bytes {
            return Ok((ImageRow::TooLarge, None));
        }
        let span = debug_span!(target: traces::TARGET, "wait for a decoder");
        let permit = self.decoder().instrument(span).await?;
        let path = files::blob(&stored.sha256);
        let bytes = self.0.files.read_all(&path, stored.size).await?;
        let source_bytes = i64::try_from(stored.size).unwrap_or(i64::MAX);
        let working = tokio::task::spawn_blocking(move || {
            // Moved in: who hangs up does not free a worker that still works.
            let _permit = permit;
            decide(&bytes, size, &bounds)
        });
        let span = debug_span!(target: traces::TARGET, "make a thumbnail", source_bytes);
        // A decoder that panics has met an image that is none.
        Ok(working
            .instrument(span)
            .await
            .unwrap_or((ImageRow::Unsupported, None)))
    }

    async fn decoder(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ThumbnailError> {
        let _place = Place::enter(self)?;
        let permit = Arc::clone(&self.0.decoders).acquire_owned().await;
        permit.map_err(|_| ThumbnailError::Busy)
    }
}

/// A place in the queue for a decoder.
struct Place<'a>(&'a Media);

impl<'a> Place<'a> {
    fn enter(media: &'a Media) -> Result<Self, ThumbnailError> {
        let place = Self(media);
        if media.0.decoder_queue.fetch_add(1, Ordering::Relaxed) >= WAITING_PER_WORKER {
            return Err(ThumbnailError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.decoder_queue.fetch_sub(1, Ordering::Relaxed);
    }
}

fn decide(bytes: &Bytes, size: ThumbnailSize, bounds: &Bounds) -> Worked {
    let row = probe(bytes, bounds);
    let ImageRow::Image(image) = row else {
        return (row, None);
    };
    match Plan::new(&image, size) {
        Plan::Original => (row, None),
        Plan::Make(variant) => match make(bytes, &image, variant, bounds) {
            Ok(made) => (row, Some((variant, made))),
            Err(row) => (row, None),
        },
    }
}

fn parse<T: serde::de::DeserializeOwned>(raw: &Raw) -> Result<T, StoreError> {
    raw.parse().map_err(|source| StoreError::Corrupt {
        table: "Thumbnails",
        source,
    })
}
