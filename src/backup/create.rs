//! Makes a backup: uploads first, then the database as it is at one moment, then the uploads that came meanwhile.
//!
//! Uploads are on the disk before the database knows of them, so that whatever the checkpoint speaks of is found by the
//! first look or the second; one that is deleted while it is copied was deleted.

use std::{
    collections::BTreeMap,
    io::Cursor,
    path::{Path, PathBuf},
};

use host::Host;
use ruma::OwnedServerName;
use serde::Deserialize;
use store::{Raw, Scan, Store, StoreOptions, tables::Media};
use time::{OffsetDateTime, macros::format_description};

use crate::{
    Archive, BackupError, Entry, Expected, MediaPlace, Progress, Snapshot,
    files::{self, Content, Found},
    objects::Objects,
};

/// What is to be kept.
pub struct Source<'a> {
    /// Whose it is.
    pub server_name: OwnedServerName,
    /// Single files: their name in a data directory, and where they are.
    pub files: Vec<(&'static str, PathBuf)>,
    /// Texts that are no files: name and content.
    pub texts: Vec<(&'static str, String)>,
    /// The uploaded files.
    pub media: MediaSource,
    /// Makes the checkpoint, when its time has come.
    pub checkpoint: Box<dyn FnOnce() -> Result<Checkpoint, String> + 'a>,
    /// Reads what earlier backups have written, too, and mends what is damaged.
    pub full: bool,
}

/// Where uploaded files are.
#[derive(Clone, Debug)]
pub enum MediaSource {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket of this name; they are not copied.
    Bucket(String),
}

/// A copy of the database that nobody writes to.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Everything up to here is in it.
    pub position: i64,
}

/// What was made.
#[derive(Debug)]
pub struct Created {
    /// The backup.
    pub snapshot: Snapshot,
    /// Files that were written, and their bytes.
    pub written: (u64, u64),
    /// Files that an earlier backup had already, and their bytes.
    pub reused: (u64, u64),
    /// Objects of earlier backups that were damaged and are whole again; with [`Source::full`] only.
    pub mended: u64,
    /// Uploads whose content is not what their name says. They are kept as they are.
    pub damaged: Vec<String>,
}

/// Below it are uploads that have not all come.
const INCOMING: &str = "incoming";

/// A backup that is being made.
struct Making<'a> {
    objects: Objects,
    before: BTreeMap<String, Entry>,
    full: bool,
    created: Created,
    progress: &'a dyn Progress,
    done: u64,
    total: u64,
}

/// Makes a backup in an archive that was opened to be written. Blocks until everything is on the disk and was read back.
///
/// # Errors
/// Nothing is left of a backup that fails but objects, which the next one uses.
pub fn create(
    archive: &Archive,
    source: Source<'_>,
    host: &Host,
    progress: &dyn Progress,
) -> Result<Created, BackupError> {
    if !archive.is_locked() {
        return Err(BackupError::InUse(archive.path().to_owned()));
    }
    let made_ms = host.now_ms();
    let (id, made) = names(made_ms, &host.random_string(4));
    // Only to know what need not be written: a damaged one is none.
    let before = archive.snapshot(None).map(|snapshot| snapshot.files);
    let mut making = Making {
        objects: Objects::of(archive.path()),
        before: before.unwrap_or_default(),
        full: source.full,
        created: Created {
            snapshot: Snapshot::new(id, (made_ms, made), source.server_name.clone()),
            written: (0, 0),
            reused: (0, 0),
            mended: 0,
            damaged: Vec::new(),
        },
        progress,
        done: 0,
        total: 0,
    };
    making.objects.begin()?;
    if let MediaSource::Folder(folder) = &source.media {
        progress.stage("uploads");
        making.folder("media", folder, &[INCOMING])?;
    }
    progress.stage("checkpoint");
    let checkpoint = (source.checkpoint)().map_err(BackupError::Checkpoint)?;
    match &source.media {
        MediaSource::Folder(folder) => {
            progress.stage("later uploads");
            making.folder("media", folder, &[INCOMING])?;
        }
        MediaSource::Bucket(bucket) => {
            making.created.snapshot.media = MediaPlace::Bucket {
                bucket: bucket.clone(),
                expected: expected(&checkpoint.path)?,
            };
        }
    }
    progress.stage("database");
    // RocksDB's own log says nothing about the data.
    making.folder("db", &checkpoint.path, &["LOG", "LOCK"])?;
    for (name, path) in source.files {
        if making.file(name, &path)?.is_none() {
            let missing = std::io::ErrorKind::NotFound;
            return Err(crate::at(path)(missing.into()));
        }
    }
    for (name, text) in source.texts {
        making.text(name, &text)?;
    }
    progress.stage("finishing");
    making.objects.finish()?;
    let mut created = making.created;
    created.snapshot.position = checkpoint.position;
    created.snapshot.instance = instance(&checkpoint.path)?;
    let name = format!("{}.json", created.snapshot.id);
    created.snapshot.write(&archive.snapshots(), &name)?;
    Ok(created)
}

/// A snapshot's name and its time for people.
fn names(made_ms: u64, random: &str) -> (String, String) {
    let name = format_description!("[year]-[month]-[day]T[hour][minute][second]Z");
    let text = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let seconds = i64::try_from(made_ms / 1_000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Both formats have no part that can fail.
    let format = |format| time.format(format).unwrap_or_default();
    (
        format!("{}-{:03}-{random}", format(name), made_ms % 1_000),
        format(text),
    )
}

impl Making<'_> {
    /// The files of a folder that are not there yet.
    fn folder(&mut self, name: &str, folder: &Path, skip: &[&str]) -> Result<(), BackupError> {
        let mut found = files::below(folder, skip)?;
        let known = &self.created.snapshot.files;
        found.retain(|file| !known.contains_key(&format!("{name}/{}", file.name)));
        self.total += found.iter().map(|file| file.size).sum::<u64>();
        self.advance(0);
        for file in found {
            self.found(format!("{name}/{}", file.name), &file)?;
        }
        Ok(())
    }

    /// A single file; `None` where it is not.
    fn file(&mut self, name: &str, path: &Path) -> Result<Option<()>, BackupError> {
        let folder = path.parent().unwrap_or(path);
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let found = files::below(folder, &[])?;
        let Some(found) = found.iter().find(|file| *file.name == *own) else {
            return Ok(None);
        };
        self.found(name.to_owned(), found).map(Some)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), BackupError> {
        let mut bytes = Cursor::new(text.as_bytes());
        let content = self
            .objects
            .take((Path::new(name), &mut bytes), &mut |_| ())?;
        self.written(&content);
        self.entry(name.to_owned(), content, 0);
        Ok(())
    }

    fn found(&mut self, name: String, file: &Found) -> Result<(), BackupError> {
        // An upload's name is its hash.
        let hash = name
            .strip_prefix("media/files/")
            .and_then(|rest| rest.get(3..));
        let known = match hash {
            Some(hash) => Some(hash.to_owned()),
            None => self
                .before
                .get(&name)
                .filter(|entry| entry.size == file.size && entry.modified_ns == file.modified_ns)
                .map(|entry| entry.sha256.clone()),
        };
        let known = known.filter(|sha256| self.objects.has(sha256, file.size));
        if let Some(sha256) = known {
            let content = Content {
                sha256,
                size: file.size,
            };
            if !self.full || self.objects.is_whole(&content, &mut |_| ()) {
                self.created.reused.0 += 1;
                self.created.reused.1 += file.size;
                self.advance(file.size);
                self.entry(name, content, file.modified_ns);
                return Ok(());
            }
            self.created.mended += 1;
        }
        let (progress, mut done, total) = (self.progress, self.done, self.total);
        let copied = &mut |bytes| {
            done += bytes;
            progress.advance(done.min(total), total);
        };
        let Some(content) = self.objects.take_file(&file.path, copied)? else {
            return Ok(());
        };
        self.advance(content.size);
        if hash.is_some_and(|hash| hash != content.sha256) {
            self.created.damaged.push(name.clone());
        }
        self.written(&content);
        self.entry(name, content, file.modified_ns);
        Ok(())
    }

    fn written(&mut self, content: &Content) {
        self.created.written.0 += 1;
        self.created.written.1 += content.size;
    }

    fn entry(&mut self, name: String, content: Content, modified_ns: i64) {
        let Content { sha256, size } = content;
        let entry = Entry {
            size,
            sha256,
            modified_ns,
        };
        self.created.snapshot.files.insert(name, entry);
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        self.total = self.total.max(self.done);
        self.progress.advance(self.done, self.total);
    }
}

fn instance(checkpoint: &Path) -> Result<u64, BackupError> {
    Ok(Store::open_read_only(&StoreOptions::new(checkpoint))?.instance())
}

/// What a bucket must have, as the checkpoint's rows say.
fn expected(checkpoint: &Path) -> Result<Vec<Expected>, BackupError> {
    #[derive(Deserialize)]
    struct Row {
        content: Option<Content>,
    }
    #[derive(Deserialize)]
    struct Content {
        sha256: String,
        size: u64,
    }
    let store = Store::open_read_only(&StoreOptions::new(checkpoint))?;
    let mut sizes = BTreeMap::new();
    let sweep = store.sweep();
    sweep.rows::<Media>(&Scan::prefix::<Media>(&()), &mut |row| {
        // What cannot be read is the check's to tell.
        if let Ok(Raw(row)) = row.value::<Media>()
            && let Ok(Row {
                content: Some(content),
            }) = serde_json::from_slice(&row)
        {
            sizes.insert(content.sha256, content.size);
        }
        true
    })?;
    let path = |sha256: &str| format!("files/{}/{sha256}", sha256.get(..2).unwrap_or_default());
    Ok(sizes
        .into_iter()
        .map(|(sha256, size)| Expected {
            path: path(&sha256),
            size,
        })
        .collect())
}
