//! One backup in an archive: whose it is, when it was made, and which file is which object.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{BackupError, at, files};

/// The form of what is written. A change that older code would misread raises it.
const FORMAT: u32 = 1;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    /// Its name: when it was made and some random letters.
    pub id: String,
    /// When, for people: RFC 3339, UTC.
    pub made: String,
    /// When, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// The version of the software that made it.
    pub myelin: String,
    /// Whose data it is.
    pub server_name: OwnedServerName,
    /// The database instance that it was made of.
    pub instance: u64,
    /// Everything up to this position in the commit log is in it.
    pub position: i64,
    /// Where the uploaded files are.
    pub media: MediaPlace,
    /// By path in the data directory.
    pub files: BTreeMap<String, Entry>,
}

/// Where uploaded files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum MediaPlace {
    /// In the backup.
    Here,
    /// In a bucket, which is not copied: it must still have these.
    Bucket {
        /// Its name.
        bucket: String,
        /// What must be there.
        expected: Vec<Expected>,
    },
}

/// A file that must be in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its name in the bucket.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// Of its content, in hexadecimal: which object it is.
    pub sha256: String,
    /// When the file that was copied was last written, in nanoseconds since the Unix epoch; 0 for one that was no file.
    pub modified_ns: i64,
}

/// What every format begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// What is on disk: the snapshot, and its hash.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    snapshot: &'a RawValue,
}

impl Snapshot {
    /// One without files.
    pub(crate) fn new(
        id: String,
        (made_ms, made): (u64, String),
        server_name: OwnedServerName,
    ) -> Self {
        Self {
            format: FORMAT,
            id,
            made,
            made_ms,
            myelin: env!("CARGO_PKG_VERSION").to_owned(),
            server_name,
            instance: 0,
            position: 0,
            media: MediaPlace::Here,
            files: BTreeMap::new(),
        }
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|entry| entry.size).sum()
    }

    /// Reads a snapshot's file.
    pub(crate) fn read(path: &Path) -> Result<Self, BackupError> {
        let damaged = |reason: String| BackupError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let bytes = fs::read(path).map_err(at(path))?;
        let sealed: Sealed<'_> =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let text = sealed.snapshot.get();
        if files::hex(&Sha256::digest(text.as_bytes())) != sealed.sha256 {
            return Err(damaged("its content has another hash".to_owned()));
        }
        let parse = |error: serde_json::Error| damaged(error.to_string());
        let Head { format } = serde_json::from_str(text).map_err(parse)?;
        if format != FORMAT {
            return Err(BackupError::Format {
                path: path.to_owned(),
                found: format,
                known: FORMAT,
            });
        }
        let snapshot: Self = serde_json::from_str(text).map_err(parse)?;
        // They become paths: none may lead out of a folder.
        let is_bad = |name: &str| {
            name.starts_with('/') || name.split('/').any(|part| matches!(part, "" | "." | ".."))
        };
        if let Some(name) = snapshot.files.keys().find(|name| is_bad(name)) {
            return Err(damaged(format!("`{name}` is not the name of a file")));
        }
        Ok(snapshot)
    }

    /// Writes the snapshot's file, whole or not at all.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<(), BackupError> {
        let path = folder.join(name);
        let invalid = |error: serde_json::Error| at(&path)(error.into());
        let text = serde_json::value::to_raw_value(self).map_err(invalid)?;
        let sealed = Sealed {
            sha256: files::hex(&Sha256::digest(text.get().as_bytes())),
            snapshot: &text,
        };
        let text = serde_json::to_vec(&sealed).map_err(invalid)?;
        let temporary = folder.join(format!(".{name}"));
        let mut file = files::new_file(&temporary)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(at(&temporary))?;
        if Self::read(&temporary)? != *self {
            return Err(BackupError::Damaged {
                path: temporary,
                reason: "it does not read as it was written".to_owned(),
            });
        }
        fs::rename(&temporary, &path).map_err(at(&path))?;
        files::sync_folder(folder)
    }
}
