//! Files through `object_store`: in a directory or in a bucket, written whole or not at all.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::Path as FilePath,
    pin::pin,
    sync::Arc,
    time::Duration,
};

mod incoming;

pub use bytes::Bytes;
pub(crate) use incoming::Arrived;

use bytes::BytesMut;
use config::MediaBackend;
use figures::Counter;
use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use host::Host;
use incoming::Upload;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder,
    local::LocalFileSystem, path::Path,
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{OpenError, UploadError};

/// A file's bytes, a piece at a time.
pub type Content = BoxStream<'static, io::Result<Bytes>>;

/// Bytes of an upload held in memory before they are written to a directory.
const FILE_PART_BYTES: usize = 128 << 10;
/// The same for a bucket: S3 takes no smaller parts, and at most 10,000 of them.
const S3_PART_BYTES: usize = 8 << 20;
/// Uploads that hold a part for a bucket at the same time: 64 MB in all.
const S3_UPLOADS: usize = 8;
/// Bytes of a download held in memory.
const READ_BYTES: usize = 64 << 10;
/// Uploads under way lie here until their hash is known.
const INCOMING: &str = "incoming";

/// Where a file with this hash lies.
pub(crate) fn blob(sha256: &str) -> Path {
    Path::from(format!("files/{}/{sha256}", sha256.get(..2).unwrap_or("")))
}

/// Where a thumbnail of it lies.
pub(crate) fn thumbnail(sha256: &str, variant: &str) -> Path {
    thumbnails(sha256).join(variant)
}

fn thumbnails(sha256: &str) -> Path {
    let folder = sha256.get(..2).unwrap_or("");
    Path::from(format!("thumbnails/{folder}/{sha256}"))
}

/// SHA-256 in hexadecimal.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) struct Files {
    store: Arc<dyn ObjectStore>,
    host: Host,
    part_bytes: usize,
    uploads: Semaphore,
    idle_timeout: Duration,
    received_bytes: Counter,
    sent_bytes: Arc<Counter>,
}

impl Files {
    pub(crate) fn open(
        directory: &FilePath,
        options: &config::Media,
        host: &Host,
    ) -> Result<Self, OpenError> {
        let (store, part_bytes, uploads): (Arc<dyn ObjectStore>, _, _) = match options.backend {
            MediaBackend::Files => {
                let store = directory_store(directory).map_err(OpenError::Directory)?;
                (Arc::new(store), FILE_PART_BYTES, Semaphore::MAX_PERMITS)
            }
            MediaBackend::S3 => (bucket_store(options)?, S3_PART_BYTES, S3_UPLOADS),
        };
        Ok(Self {
            store,
            host: host.clone(),
            part_bytes,
            uploads: Semaphore::new(uploads),
            idle_timeout: Duration::from_millis(options.upload_idle_timeout_ms),
            received_bytes: Counter::default(),
            sent_bytes: Arc::default(),
        })
    }

    /// Takes in a file of at most `limit` bytes. It lies under a temporary name until [`Arrived::place`]; nothing is left of
    /// one that breaks off.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::Aborted`], [`UploadError::Timeout`], [`UploadError::Files`].
    pub(crate) async fn receive<E>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
        limit: u64,
    ) -> Result<Arrived<'_>, UploadError> {
        let permit = self.uploads.acquire().await.ok();
        let mut body = pin!(body);
        let mut upload = Upload::new(self);
        let mut received: u64 = 0;
        loop {
            let chunk = match timeout(self.idle_timeout, body.next()).await {
                Err(_) => Err(UploadError::Timeout),
                Ok(None) => break,
                Ok(Some(Err(_))) => Err(UploadError::Aborted),
                Ok(Some(Ok(chunk))) => {
                    received = received.saturating_add(chunk.len() as u64);
                    self.received_bytes.add(chunk.len() as u64);
                    if received > limit {
                        Err(UploadError::TooLarge { limit })
                    } else {
                        upload.write(chunk).await.map_err(UploadError::Files)
                    }
                }
            };
            if let Err(error) = chunk {
                upload.abort().await;
                return Err(error);
            }
        }
        Ok(upload.finish(permit).await?)
    }

    /// Writes a small file, whole or not at all.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> io::Result<()> {
        self.store.put(path, bytes.into()).await?;
        Ok(())
    }

    /// Streams the bytes in `range`, which must lie within the file.
    pub(crate) async fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Content> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        match self.store.get_opts(path, options).await?.payload {
            GetResultPayload::File(file, _) => Ok(read_file(file, range).boxed()),
            GetResultPayload::Stream(bytes) => Ok(bytes.map_err(io::Error::from).boxed()),
        }
    }

    /// As [`Files::read`], for a client: what goes out is counted.
    pub(crate) async fn serve(&self, path: &Path, range: Range<u64>) -> io::Result<Content> {
        let sent_bytes = Arc::clone(&self.sent_bytes);
        let content = self.read(path, range).await?;
        Ok(content
            .inspect_ok(move |chunk| sent_bytes.add(chunk.len() as u64))
            .boxed())
    }

    /// Bytes that clients have sent, refused files included, and bytes that they were sent.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.received_bytes.get(), self.sent_bytes.get())
    }

    /// The whole file, of `size` bytes.
    pub(crate) async fn read_all(&self, path: &Path, size: u64) -> io::Result<Bytes> {
        let mut content = self.read(path, 0..size).await?;
        let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(chunk) = content.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Deletes a file; one that is not there is no error.
    pub(crate) async fn delete(&self, path: &Path) -> io::Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes every thumbnail of a file.
    pub(crate) async fn delete_thumbnails(&self, sha256: &str) -> io::Result<()> {
        let folder = thumbnails(sha256);
        let mut found = self.store.list(Some(&folder));
        while let Some(file) = found.try_next().await? {
            self.delete(&file.location).await?;
        }
        Ok(())
    }

    /// Deletes files under a temporary name that were written before `before_ms` (milliseconds since the Unix epoch) and never
    /// got their own; gives how many.
    pub(crate) async fn clear_incoming(&self, before_ms: u64) -> io::Result<usize> {
        let folder = Path::from(INCOMING);
        let mut found = self.store.list(Some(&folder));
        let mut cleared = 0;
        while let Some(file) = found.try_next().await? {
            let written_ms = u64::try_from(file.last_modified.timestamp_millis()).unwrap_or(0);
            if written_ms < before_ms {
                self.delete(&file.location).await?;
                cleared += 1;
            }
        }
        Ok(cleared)
    }
}

fn directory_store(directory: &FilePath) -> io::Result<LocalFileSystem> {
    // Uploads that were under way when the process ended.
    let incoming = directory.join(INCOMING);
    match fs::remove_dir_all(&incoming) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(directory)?;
    Ok(LocalFileSystem::new_with_prefix(directory)?
        .with_fsync(true)
        // A folder that a deletion has emptied goes with it.
        .with_automatic_cleanup(true))
}

fn bucket_store(options: &config::Media) -> Result<Arc<dyn ObjectStore>, OpenError> {
    let mut builder = AmazonS3Builder::from_env();
    if let Some(bucket) = &options.s3_bucket {
        builder = builder.with_bucket_name(bucket);
    }
    if let Some(region) = &options.s3_region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.s3_endpoint {
        // In an intranet there may be no TLS.
        builder = builder
            .with_endpoint(endpoint)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(id) = &options.s3_access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &options.s3_secret_access_key {
        builder = builder.with_secret_access_key(secret.expose());
    }
    match builder.build() {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(OpenError::Bucket(error.to_string())),
    }
}

/// Reads on the blocking pool, a piece at a time: what nobody asks for is not read.
fn read_file(file: fs::File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let state = (Arc::new(file), range);
    stream::try_unfold(state, async |(file, range)| {
        if range.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(READ_BYTES);
        let (handle, start) = (Arc::clone(&file), range.start);
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length.min(READ_BYTES)];
            (&*handle).seek(SeekFrom::Start(start))?;
            (&*handle).read_exact(&mut bytes)?;
            io::Result::Ok(Bytes::from(bytes))
        });
        let bytes = reading.await.map_err(io::Error::other)??;
        let next = range.start + bytes.len() as u64;
        Ok(Some((bytes, (file, next..range.end))))
    })
}
