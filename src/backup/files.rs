//! Files and folders for our eyes only, and on the disk when a call returns.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};

use crate::{BackupError, at};

/// Bytes read and written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes after which what is written goes to the device: what lies in memory for longer comes out in a burst, and whoever
/// waits for the same disk, such as the server that is being copied, waits for all of it.
const BURST_BYTES: u64 = 4 << 20;

/// Makes a folder, and those above it, for our eyes only.
pub(crate) fn make_folder(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(at(path))
}

/// The names in a folder are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(at(path))
}

/// Removes a folder with everything in it; one that is not there is no error.
pub(crate) fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// A new file, for our eyes only.
pub(crate) fn new_file(path: &Path) -> Result<File, BackupError> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    opened.map_err(at(path))
}

/// What was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// Copies everything to `to`, hashing it; it is on the device afterwards, and no longer in memory.
pub(crate) fn copy(
    from: &mut impl Read,
    to: &mut File,
    copied: &mut dyn FnMut(u64),
) -> io::Result<Content> {
    let (mut hasher, mut size, mut unsynced) = (Sha256::new(), 0, 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..bytes]);
        to.write_all(&buffer[..bytes])?;
        size += bytes as u64;
        unsynced += bytes as u64;
        if unsynced >= BURST_BYTES {
            to.sync_data()?;
            unsynced = 0;
        }
        copied(bytes as u64);
    }
    to.sync_all()?;
    Ok(Content {
        sha256: hex(&hasher.finalize()),
        size,
    })
}

/// Reads a file from the device, not from memory where that can be had.
pub(crate) fn read_back(path: &Path, read: &mut dyn FnMut(u64)) -> io::Result<Content> {
    let mut file = File::open(path)?;
    // A file system that cannot forget is read from memory.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => {
                hasher.update(&buffer[..bytes]);
                size += bytes as u64;
                read(bytes as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Nor is memory taken from who needs it.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(Content {
        sha256: hex(&hasher.finalize()),
        size,
    })
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file below a folder.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name from the folder on, with `/` between the parts.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) modified_ns: i64,
}

/// Every file below a folder, in order; none if there is no such folder. What vanishes meanwhile is passed over, and so is
/// what `skip` names in the folder itself.
pub(crate) fn below(folder: &Path, skip: &[&str]) -> Result<Vec<Found>, BackupError> {
    let mut found = Vec::new();
    walk(folder, "", skip, &mut found)?;
    Ok(found)
}

fn walk(
    folder: &Path,
    prefix: &str,
    skip: &[&str],
    found: &mut Vec<Found>,
) -> Result<(), BackupError> {
    use std::os::unix::fs::MetadataExt as _;
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(at(folder))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(folder)(error)),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // Nothing of ours has a name that is no text.
        let Ok(own) = entry.file_name().into_string() else {
            continue;
        };
        if prefix.is_empty() && skip.contains(&own.as_str()) {
            continue;
        }
        let path = entry.path();
        let name = format!("{prefix}{own}");
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(at(path)(error)),
        };
        if metadata.is_dir() {
            walk(&path, &format!("{name}/"), &[], found)?;
        } else if metadata.is_file() {
            found.push(Found {
                path,
                name,
                size: metadata.len(),
                modified_ns: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(),
            });
        }
    }
    Ok(())
}
