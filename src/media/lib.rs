//! [The content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository): files, their small
//! copies, and what is behind a link. Knows no HTTP of ours.
//!
//! Files are content-addressed by SHA-256 and streamed in and out; the store keeps only rows about them. What holds:
//!
//! * an upload is acknowledged when its file and its row are on disk, and leaves nothing behind when it breaks off;
//! * memory does not grow with the size of a file; images are decoded a few at a time and within limits;
//! * a file is never changed: an id that has content keeps it, until it is deleted;
//! * a file that no id stands for goes away, after a crash too (`sweep.rs`);
//! * a file in quarantine is kept and given to nobody, whatever id stands for it (`quarantine.rs`).

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use config::Config;
use host::{Host, Shutdown};
use outbound::Outbound;
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use store::{Store, UserNid};
use tokio::sync::{Semaphore, watch};

mod delete;
mod error;
mod files;
mod find;
mod list;
mod locks;
mod preview;
mod quarantine;
mod rows;
mod sweep;
mod thumbnail;
mod upload;

pub use error::{DeleteError, FindError, OpenError, PreviewError, ThumbnailError, UploadError};
pub use files::{Bytes, Content};
pub use find::Stored;
pub use list::{FileInfo, UserFiles};
pub use preview::Preview;
pub use quarantine::Quarantine;
pub use sweep::{SweepError, Swept};
pub use thumbnail::{Method, Thumbnail, ThumbnailSize};
pub use upload::{About, Announced};

use files::Files;
use locks::Locks;

/// The content repository; cheap to clone.
#[derive(Clone)]
pub struct Media(Arc<Inner>);

/// A look at what goes in and out. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaFigures {
    /// Bytes of files that clients have sent, those included that were refused in the end.
    pub received_bytes: u64,
    /// Bytes of files and thumbnails that clients were sent.
    pub sent_bytes: u64,
    /// Requests that wait until a thumbnail can be made for them.
    pub thumbnails_queued: u64,
}

struct Inner {
    server_name: OwnedServerName,
    store: Store,
    host: Host,
    shutdown: Shutdown,
    files: Files,
    outbound: Outbound,
    options: config::Media,
    thumbnails: config::Thumbnails,
    previews: config::Previews,
    /// One change of what a user has at a time.
    users: Locks,
    /// One thumbnail of a file at a time.
    images: Locks,
    /// By hash: whoever gives a file its name or takes it away. Of several locks, `images` comes first, then this, then
    /// `users`.
    blobs: Locks,
    /// One fetch of a URL at a time.
    pages: Locks,
    /// Who waits for the content of an announced upload, by media id.
    waiting: Mutex<HashMap<String, watch::Sender<()>>>,
    /// Images being decoded.
    decoders: Arc<Semaphore>,
    /// Requests that wait for a decoder.
    decoder_queue: AtomicUsize,
    /// Pages being fetched.
    fetches: Semaphore,
}

impl Media {
    /// The repository whose files lie in `directory`, or in the bucket that the options name.
    ///
    /// Clears away what uploads have left that were under way when the process ended.
    ///
    /// # Errors
    /// The directory or the bucket cannot be used.
    pub fn open(
        directory: &Path,
        config: &Config,
        store: Store,
        host: Host,
        outbound: Outbound,
        shutdown: Shutdown,
    ) -> Result<Self, OpenError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match config.thumbnails.workers {
            0 => (cores / 2).max(1),
            workers => workers,
        };
        Ok(Self(Arc::new(Inner {
            server_name: config.server_name.clone(),
            files: Files::open(directory, &config.media, &host)?,
            store,
            host,
            shutdown,
            outbound,
            options: config.media.clone(),
            thumbnails: config.thumbnails.clone(),
            previews: config.previews.clone(),
            users: Locks::default(),
            images: Locks::default(),
            blobs: Locks::default(),
            pages: Locks::default(),
            waiting: Mutex::default(),
            decoders: Arc::new(Semaphore::new(workers)),
            decoder_queue: AtomicUsize::new(0),
            fetches: Semaphore::new(config.previews.max_concurrent),
        })))
    }

    /// The largest file taken, in bytes.
    pub fn max_upload_bytes(&self) -> u64 {
        self.0.options.max_upload_bytes
    }

    /// Whether links are previewed.
    pub fn previews_enabled(&self) -> bool {
        self.0.previews.enabled
    }

    /// `mxc://server/id`
    pub fn uri(&self, media_id: &str) -> String {
        format!("mxc://{}/{media_id}", self.0.server_name)
    }

    /// Whether `server` is this one.
    pub fn is_local(&self, server: &ServerName) -> bool {
        *server == *self.0.server_name
    }

    /// Streams a file's bytes from `range.start` up to but without `range.end`.
    ///
    /// # Errors
    /// The file is not there or cannot be read.
    pub async fn read(&self, stored: &Stored, range: std::ops::Range<u64>) -> io::Result<Content> {
        let blob = files::blob(&stored.sha256);
        self.0.files.serve(&blob, range).await
    }

    /// For the metrics.
    pub fn figures(&self) -> MediaFigures {
        let (received_bytes, sent_bytes) = self.0.files.traffic();
        MediaFigures {
            received_bytes,
            sent_bytes,
            thumbnails_queued: self.0.decoder_queue.load(Ordering::Relaxed) as u64,
        }
    }
}

#[cfg(test)]
mod tests;
