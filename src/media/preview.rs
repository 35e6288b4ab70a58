//! [What is behind a URL](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url): fetched
//! within limits, remembered for a while.

use std::time::Duration;

use outbound::{Limits, Longer, Url};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use store::{Batch, StoreError, codec::Tail, tables};

use crate::{
    Bytes, Media, PreviewError, UploadError,
    rows::{ImageRow, PreviewRow},
    thumbnail::{Bounds, probe},
    upload::json,
};

mod page;

/// OpenGraph properties by name; `og:image` is an `mxc://` URI.
pub type Preview = Map<String, Value>;

/// How long a page that could not be had is not asked for again, in milliseconds.
const FAILURE_MS: u64 = 60_000;
/// The longest URL, in bytes.
const URL_BYTES: usize = 4_096;

impl Media {
    /// What is behind `url`.
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn preview(&self, url: &str) -> Result<Preview, PreviewError> {
        if !self.previews_enabled() {
            return Err(PreviewError::Disabled);
        }
        let url = parse(url)?;
        let key = Tail(Sha256::digest(url.as_str()).to_vec());
        if let Some(known) = self.known_preview(&key).await? {
            return known.ok_or(PreviewError::Unavailable);
        }
        let _lock = self.0.pages.lock(&key).await;
        if let Some(known) = self.known_preview(&key).await? {
            return known.ok_or(PreviewError::Unavailable);
        }
        let time = Duration::from_millis(self.0.previews.timeout_ms);
        let Ok(permit) = tokio::time::timeout(time, self.0.fetches.acquire()).await else {
            return Err(PreviewError::Busy);
        };
        let fetched = tokio::time::timeout(time, self.fetch(&url)).await;
        drop(permit);
        let preview = fetched.unwrap_or(Ok(None))?;
        let lifetime_ms = match preview {
            Some(_) => self.0.previews.lifetime_ms,
            None => FAILURE_MS.min(self.0.previews.lifetime_ms),
        };
        let row = PreviewRow {
            expires_ms: self.0.host.now_ms().saturating_add(lifetime_ms),
            preview: preview.clone(),
        };
        let mut batch = Batch::new();
        batch.put::<tables::UrlPreviews>(&key, &json(&row)?);
        self.0.store.commit(batch).await?;
        preview.ok_or(PreviewError::Unavailable)
    }

    /// What is remembered: a preview, or that there was none.
    async fn known_preview(&self, key: &Tail) -> Result<Option<Option<Preview>>, StoreError> {
        let Some(raw) = self.0.store.get::<tables::UrlPreviews>(key).await? else {
            return Ok(None);
        };
        let row: PreviewRow = raw.parse().map_err(|source| StoreError::Corrupt {
            table: "UrlPreviews",
            source,
        })?;
        let is_fresh = row.expires_ms > self.0.host.now_ms();
        Ok(is_fresh.then_some(row.preview))
    }

    /// `None` if the page cannot be had.
    async fn fetch(&self, url: &Url) -> Result<Option<Preview>, PreviewError> {
        let limits = self.limits(self.0.previews.max_page_bytes, Longer::Cut);
        let accept = "text/html,application/xhtml+xml,image/*;q=0.9";
        let answer = match self.0.outbound.get(url, accept, &limits).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => {
                tracing::debug!(http.status = answer.status.as_u16(), "no preview");
                return Ok(None);
            }
            Err(error) => {
                tracing::debug!(%error, "no preview");
                return Ok(None);
            }
        };
        let media_type = answer.media_type();
        if media_type.starts_with("image/") {
            return self.image_preview(url).await.map(Some);
        }
        if !matches!(media_type.as_str(), "text/html" | "application/xhtml+xml") {
            return Ok(Some(Preview::new()));
        }
        let parsing = tokio::task::spawn_blocking(move || page::read(&answer.body, &answer.url));
        let Ok(page) = parsing.await else {
            return Ok(None);
        };
        let mut preview: Preview = page
            .properties
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        if let Some(image) = page.image {
            self.add_image(&mut preview, &image).await?;
        }
        Ok(Some(preview))
    }

    /// Of a URL that leads to an image.
    async fn image_preview(&self, url: &Url) -> Result<Preview, PreviewError> {
        let mut preview = Preview::new();
        let name = url.path_segments().and_then(|mut parts| parts.next_back());
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            preview.insert("og:title".to_owned(), name.into());
        }
        self.add_image(&mut preview, url).await?;
        Ok(preview)
    }

    /// Keeps the image at `url` as media. A page without its image is better than nothing.
    async fn add_image(&self, preview: &mut Preview, url: &Url) -> Result<(), PreviewError> {
        let limits = self.limits(self.0.previews.max_image_bytes, Longer::Refuse);
        let Ok(answer) = self.0.outbound.get(url, "image/*", &limits).await else {
            return Ok(());
        };
        let bounds = Bounds::new(&self.0.thumbnails);
        let bytes: Bytes = answer.body;
        let probing = bytes.clone();
        let probing = tokio::task::spawn_blocking(move || probe(&probing, &bounds)).await;
        let Ok(ImageRow::Image(image)) = probing else {
            return Ok(());
        };
        if !answer.status.is_success() {
            return Ok(());
        }
        let content_type = image.format.content_type();
        let size = bytes.len();
        let media_id = match self.keep_own(content_type, bytes).await {
            Ok(media_id) => media_id,
            Err(UploadError::Store(error)) => return Err(error.into()),
            Err(UploadError::Files(error)) => return Err(error.into()),
            // The others are for users.
            Err(_) => return Ok(()),
        };
        for (name, value) in [
            ("og:image", Value::from(self.uri(&media_id))),
            ("og:image:type", content_type.into()),
            ("og:image:width", image.width.into()),
            ("og:image:height", image.height.into()),
            ("matrix:image:size", size.into()),
        ] {
            preview.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn limits(&self, bytes: usize, longer: Longer) -> Limits {
        Limits {
            time: Duration::from_millis(self.0.previews.timeout_ms),
            bytes,
            longer,
        }
    }
}

fn parse(url: &str) -> Result<Url, PreviewError> {
    if url.len() > URL_BYTES {
        return Err(PreviewError::BadUrl);
    }
    let mut url = Url::parse(url).map_err(|_| PreviewError::BadUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(PreviewError::BadUrl);
    }
    // The same page.
    url.set_fragment(None);
    Ok(url)
}
