//! The folder of backups: opened, locked, listed.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::{BackupError, Snapshot, at, files, objects::Objects};

const README: &str = "\
Backups of a Matrix homeserver, made by `myelin backup create`.

  myelin backup list DIR      which there are
  myelin backup verify DIR    rehearses a restore and checks everything
  myelin backup restore DIR   into the data_dir of the configuration, which must be empty
  myelin backup config DIR    prints the configuration that was in force

snapshots/ has a file for each backup; objects/ has the files that they are made of, each named by the SHA-256 of its
content. Whoever reads them reads everything: the signing key, secrets of the configuration, people's messages.
";
const NAME: &str = "README.txt";
const SNAPSHOTS: &str = "snapshots";

/// A folder of backups.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// Held while something is written.
    lock: Option<File>,
}

impl Archive {
    /// Opens the folder at `path` to read it.
    ///
    /// # Errors
    /// [`BackupError::NoArchive`]
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        if !path.join(SNAPSHOTS).is_dir() {
            return Err(BackupError::NoArchive(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            lock: None,
        })
    }

    /// Opens the folder at `path` to write to it, or makes it, for our eyes only.
    ///
    /// # Errors
    /// [`BackupError::Foreign`], [`BackupError::InUse`]
    pub fn open_to_write(path: &Path) -> Result<Self, BackupError> {
        files::make_folder(path)?;
        let is_ours = path.join(SNAPSHOTS).is_dir();
        let mut names = fs::read_dir(path).map_err(at(path))?;
        // What is left of one that was not even begun.
        let is_known = |name: &str| matches!(name, NAME | "lock" | "objects" | "lost+found");
        if !is_ours
            && names.any(|entry| {
                entry.is_ok_and(|entry| !entry.file_name().to_str().is_some_and(is_known))
            })
        {
            return Err(BackupError::Foreign(path.to_owned()));
        }
        let lock = path.join("lock");
        let lock = File::create(&lock).map_err(at(&lock))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(BackupError::InUse(path.to_owned()));
            }
            Err(error) => return Err(at(path)(error.into())),
        }
        if !is_ours {
            let readme = path.join(NAME);
            let written = File::create(&readme).and_then(|mut file| {
                file.write_all(README.as_bytes())?;
                file.sync_all()
            });
            written.map_err(at(&readme))?;
            files::make_folder(&path.join("objects"))?;
            files::make_folder(&path.join(SNAPSHOTS))?;
            files::sync_folder(path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            lock: Some(lock),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// The names of the snapshots, oldest first.
    pub fn ids(&self) -> Result<Vec<String>, BackupError> {
        let folder = self.snapshots();
        let mut ids = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            // One that is being written begins with a dot.
            if let Ok(name) = entry.file_name().into_string()
                && let Some(id) = name.strip_suffix(".json").filter(|id| !id.starts_with('.'))
            {
                ids.push(id.to_owned());
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// The snapshot of that name, or the latest.
    ///
    /// # Errors
    /// [`BackupError::NoSnapshot`], [`BackupError::Damaged`], [`BackupError::Format`]
    pub fn snapshot(&self, id: Option<&str>) -> Result<Snapshot, BackupError> {
        let mut there = self.ids()?;
        let found = match id {
            None => there.last().cloned(),
            Some(id) => there.iter().find(|name| *name == id).cloned(),
        };
        let Some(id) = found else {
            there.sort();
            return Err(BackupError::NoSnapshot {
                path: self.path.clone(),
                wanted: id.unwrap_or("latest").to_owned(),
                there,
            });
        };
        Snapshot::read(&self.snapshots().join(format!("{id}.json")))
    }

    /// A small file of a snapshot, as text.
    ///
    /// # Errors
    /// [`BackupError::Damaged`]
    pub fn text(&self, snapshot: &Snapshot, name: &str) -> Result<String, BackupError> {
        let objects = Objects::of(&self.path);
        let entry = snapshot.files.get(name);
        let path = entry.map_or_else(|| self.path.join(name), |entry| objects.path(&entry.sha256));
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let hash = files::hex(&Sha256::digest(text.as_bytes()));
        if entry.is_some_and(|entry| entry.sha256 == hash) {
            return Ok(text);
        }
        Err(BackupError::Damaged {
            path,
            reason: "its content has another hash".to_owned(),
        })
    }
}

/// Whether a folder is there and has something in it.
pub(crate) fn first_name(path: &Path) -> Result<Option<String>, BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(None),
            Some(entry) => {
                let name = entry.map_err(at(path))?.file_name();
                Ok(Some(name.to_string_lossy().into_owned()))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}
