//! The rows about files, as JSON: cold, and grown by a field now and then.

use serde::{Deserialize, Serialize};

/// A media id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MediaRow {
    /// Who uploaded or announced it; none for the images of previews.
    pub(crate) owner: Option<u32>,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) created_ms: u64,
    /// Downloads need no login.
    #[serde(default)]
    pub(crate) open: bool,
    /// Until when the content may come, in milliseconds since the Unix epoch; none once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<u64>,
    /// Since when quarantines leave it alone, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) protected_ms: Option<u64>,
    /// The content; none until it has been uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<ContentRow>,
}

/// What a media id stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContentRow {
    /// Names the file, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file_name: Option<String>,
}

/// What a user has uploaded.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct UsageRow {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// What is known of a file as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ImageRow {
    /// It can be made smaller.
    Image(Image),
    /// It is no image that is understood here.
    Unsupported,
    /// It is too large to be decoded.
    TooLarge,
}

/// An image, as people see it: turned by its EXIF orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) animated: bool,
}

/// The formats that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    Gif,
    Jpeg,
    Png,
    WebP,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Gif => "image/gif",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// A thumbnail that lies beside its file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ThumbnailRow {
    pub(crate) format: Format,
    pub(crate) size: u64,
}

/// What is behind a URL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreviewRow {
    /// Until when it is believed, in milliseconds since the Unix epoch.
    pub(crate) expires_ms: u64,
    /// The answer; none if the page could not be had.
    pub(crate) preview: Option<serde_json::Map<String, serde_json::Value>>,
}
