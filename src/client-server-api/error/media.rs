//! What the errors of `media` mean to a client.

use http::StatusCode;
use http_layer::{Errcode, StandardError};
use media::{DeleteError, FindError, PreviewError, ThumbnailError, UploadError};

use super::Error;

/// A thumbnail or a page takes about that long.
const RETRY_MS: u64 = 1_000;

impl From<UploadError> for Error {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge { .. } => StandardError::too_large(error.to_string()).into(),
            UploadError::Quota | UploadError::NotOwner => {
                StandardError::forbidden(error.to_string()).into()
            }
            UploadError::TooManyPending { retry_after_ms } => {
                StandardError::limit_exceeded(retry_after_ms).into()
            }
            UploadError::NotFound => StandardError::not_found("Unknown media ID.").into(),
            UploadError::Exists => {
                StandardError::new(Errcode::CannotOverwriteMedia, error.to_string()).into()
            }
            UploadError::FileName { .. } => StandardError::invalid_param(error.to_string()).into(),
            UploadError::Aborted => StandardError::unknown(error.to_string())
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            UploadError::Timeout => StandardError::unknown(error.to_string())
                .with_status(StatusCode::REQUEST_TIMEOUT)
                .into(),
            UploadError::Files(_) => Self::internal(error),
            UploadError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NotFound => StandardError::not_found("Unknown media").into(),
            DeleteError::Store(error) => error.into(),
        }
    }
}

impl From<FindError> for Error {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound => StandardError::not_found("Media not found.").into(),
            FindError::NotYetUploaded => StandardError::new(
                Errcode::NotYetUploaded,
                "The content has not been uploaded yet.",
            )
            .into(),
            FindError::Store(error) => error.into(),
        }
    }
}

impl From<ThumbnailError> for Error {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::Unsupported => {
                StandardError::unknown("Thumbnails of this content cannot be made.")
                    .with_status(StatusCode::BAD_REQUEST)
                    .into()
            }
            ThumbnailError::TooLarge => {
                StandardError::too_large("The content is too large for a thumbnail.").into()
            }
            ThumbnailError::Busy => StandardError::limit_exceeded(RETRY_MS).into(),
            ThumbnailError::Files(_) => Self::internal(error),
            ThumbnailError::Store(error) => error.into(),
        }
    }
}

impl From<PreviewError> for Error {
    fn from(error: PreviewError) -> Self {
        match error {
            // As servers answer that have no previews at all.
            PreviewError::Disabled => StandardError::unrecognized().into(),
            PreviewError::BadUrl => {
                StandardError::invalid_param("`url` must be an http or https URL.").into()
            }
            PreviewError::Unavailable => StandardError::unknown("The page cannot be fetched.")
                .with_status(StatusCode::BAD_GATEWAY)
                .into(),
            PreviewError::Busy => StandardError::limit_exceeded(RETRY_MS).into(),
            PreviewError::Files(_) => Self::internal(error),
            PreviewError::Store(error) => error.into(),
        }
    }
}
