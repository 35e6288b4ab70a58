//! What can go wrong, without HTTP.

use std::io;

use store::StoreError;
use thiserror::Error;

/// The repository cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot be made or read.
    #[error("the media directory cannot be used: {0}")]
    Directory(io::Error),
    /// The options name no bucket that can be used.
    #[error("the media bucket cannot be used: {0}")]
    Bucket(String),
}

/// An upload, or its announcement, is refused.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The file is larger than `limit` bytes.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The user has uploaded as much as they may.
    #[error("the quota for uploaded files is used up")]
    Quota,
    /// Too many announced uploads wait for their content; the first of them expires in `retry_after_ms`.
    #[error("too many uploads wait for their content")]
    TooManyPending {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// No such id was announced here, or it has expired.
    #[error("unknown media ID")]
    NotFound,
    /// Somebody else has announced it.
    #[error("this media ID was created by somebody else")]
    NotOwner,
    /// It has content.
    #[error("this media ID has content already")]
    Exists,
    /// The name is too long.
    #[error("the file name is longer than {limit} bytes")]
    FileName {
        /// The limit.
        limit: usize,
    },
    /// The body broke off.
    #[error("the upload broke off")]
    Aborted,
    /// Nothing came for too long.
    #[error("the upload paused for too long")]
    Timeout,
    /// The file cannot be written.
    #[error("a file cannot be written: {0}")]
    Files(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// There is no such file to serve.
#[derive(Debug, Error)]
pub enum FindError {
    /// Unknown, expired, or another server's.
    #[error("unknown media")]
    NotFound,
    /// Announced, but the content has not come in time.
    #[error("the content has not been uploaded yet")]
    NotYetUploaded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Nothing is deleted, put into quarantine or protected.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// Unknown, or deleted already.
    #[error("unknown media")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// There is no thumbnail.
#[derive(Debug, Error)]
pub enum ThumbnailError {
    /// It is no image that is understood here.
    #[error("thumbnails of this content cannot be made")]
    Unsupported,
    /// The file or the image is too large to be decoded.
    #[error("the content is too large for a thumbnail")]
    TooLarge,
    /// Too many wait for one.
    #[error("too many thumbnails are being made")]
    Busy,
    /// The file cannot be read or written.
    #[error("a file cannot be used: {0}")]
    Files(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// There is no preview.
#[derive(Debug, Error)]
pub enum PreviewError {
    /// The server's options forbid it.
    #[error("previews are switched off")]
    Disabled,
    /// No URL that can be fetched.
    #[error("not an http or https URL")]
    BadUrl,
    /// The page cannot be had. Clients are not told why: it would show them the inside of a network.
    #[error("the page cannot be fetched")]
    Unavailable,
    /// Too many pages are being fetched.
    #[error("too many pages are being fetched")]
    Busy,
    /// The file of its image cannot be written.
    #[error("a file cannot be written: {0}")]
    Files(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
