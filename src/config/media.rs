//! The options of media, and of what the server fetches from elsewhere.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Network, Secret};

/// Where uploaded files are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaBackend {
    /// In the data directory.
    #[default]
    Files,
    /// In a bucket that speaks S3.
    S3,
}

/// `media.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// The largest file, in bytes.
    pub max_upload_bytes: u64,
    /// What all files of one user may take together, in bytes; 0 is no limit.
    pub user_quota_bytes: u64,
    /// How many files one user may have; 0 is no limit.
    pub user_quota_files: u64,
    /// How many announced uploads of one user may wait for their content.
    pub max_pending_uploads: usize,
    /// How long an announced upload waits for its content, in milliseconds.
    pub pending_lifetime_ms: u64,
    /// The longest that a download waits for content that is still to be uploaded, in milliseconds.
    pub max_wait_ms: u64,
    /// How long an upload may pause, in milliseconds.
    pub upload_idle_timeout_ms: u64,
    /// Whether whoever knows its URL may download without logging in, by the paths that the spec has frozen. What is
    /// uploaded while this is on stays open.
    pub unauthenticated_downloads: bool,
    /// "files" (in the data directory) or "s3".
    pub backend: MediaBackend,
    /// The bucket of "s3", this server's alone. Let it delete multipart uploads that were never completed.
    pub s3_bucket: Option<String>,
    /// The region of "s3".
    pub s3_region: Option<String>,
    /// The URL of an S3 that is not Amazon's.
    pub s3_endpoint: Option<String>,
    /// The access key of "s3". Without one, the environment's credentials are used.
    pub s3_access_key_id: Option<String>,
    /// The secret of that key.
    pub s3_secret_access_key: Option<Secret>,
    /// A file that holds the secret.
    pub s3_secret_access_key_file: Option<PathBuf>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            max_upload_bytes: 50 << 20,
            user_quota_bytes: 0,
            user_quota_files: 0,
            // The spec recommends a limit and 24 hours; Synapse waits for 5.
            max_pending_uploads: 10,
            pending_lifetime_ms: 24 * 60 * 60_000,
            max_wait_ms: 60_000,
            upload_idle_timeout_ms: 30_000,
            unauthenticated_downloads: false,
            backend: MediaBackend::default(),
            s3_bucket: None,
            s3_region: None,
            s3_endpoint: None,
            s3_access_key_id: None,
            s3_secret_access_key: None,
            s3_secret_access_key_file: None,
        }
    }
}

/// `thumbnails.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thumbnails {
    /// Images made smaller at the same time; 0 is half the cores, at least one.
    pub workers: usize,
    /// The largest file that is made smaller, in bytes.
    pub max_source_bytes: u64,
    /// The largest image that is decoded, in pixels.
    pub max_pixels: u64,
    /// Memory of one image while it is decoded, in bytes.
    pub max_memory_bytes: u64,
    /// The most frames kept of an animation; a longer one is shown by its first.
    pub max_frames: usize,
}

impl Default for Thumbnails {
    fn default() -> Self {
        // 32 million pixels are Synapse's limit too; four bytes each, and as much again to turn and shrink them.
        Self {
            workers: 0,
            max_source_bytes: 50 << 20,
            max_pixels: 32_000_000,
            max_memory_bytes: 256 << 20,
            max_frames: 200,
        }
    }
}

/// `previews.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Previews {
    /// Whether the server fetches pages to show what is behind a link. Their owners see this server's address.
    pub enabled: bool,
    /// How much of a page is read, in bytes.
    pub max_page_bytes: usize,
    /// The largest image taken from a page, in bytes.
    pub max_image_bytes: usize,
    /// How long a page and its image may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a preview is remembered, in milliseconds.
    pub lifetime_ms: u64,
    /// Pages fetched at the same time.
    pub max_concurrent: usize,
}

impl Default for Previews {
    fn default() -> Self {
        Self {
            enabled: false,
            max_page_bytes: 1 << 20,
            max_image_bytes: 10 << 20,
            timeout_ms: 15_000,
            lifetime_ms: 60 * 60_000,
            max_concurrent: 8,
        }
    }
}

/// `outbound.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Private networks that URLs given by clients may lead to all the same, such as "10.1.0.0/16" for an intranet. Push
    /// gateways there may speak HTTP, where they are named by their address.
    pub allowed_networks: Vec<Network>,
    /// How long it may take to connect, in milliseconds.
    pub connect_timeout_ms: u64,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            allowed_networks: Vec::new(),
            connect_timeout_ms: 10_000,
        }
    }
}
