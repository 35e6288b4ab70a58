//! Files by the hash of their content, written once.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    BackupError, at,
    files::{self, Content},
};

/// Files being written lie here.
const INCOMING: &str = "incoming";

/// The objects of an archive.
#[derive(Debug)]
pub(crate) struct Objects {
    folder: PathBuf,
    /// Files that were begun.
    begun: u64,
    /// Folders whose names are not on the disk yet.
    unsynced: BTreeSet<PathBuf>,
}

impl Objects {
    pub(crate) fn of(archive: &Path) -> Self {
        Self {
            folder: archive.join("objects"),
            begun: 0,
            unsynced: BTreeSet::new(),
        }
    }

    /// Where the object of this hash is, or would be. A hash that is none is a name that is not there.
    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        self.folder
            .join(sha256.get(..2).unwrap_or_default())
            .join(sha256)
    }

    /// Whether there is an object of this hash and size.
    pub(crate) fn has(&self, sha256: &str, size: u64) -> bool {
        fs::metadata(self.path(sha256))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// Whether the object of this hash is as it was written; reads it all.
    pub(crate) fn is_whole(&self, content: &Content, read: &mut dyn FnMut(u64)) -> bool {
        files::read_back(&self.path(&content.sha256), read).is_ok_and(|found| found == *content)
    }

    /// Makes room for what comes, and clears away what a backup that broke off has left.
    pub(crate) fn begin(&self) -> Result<(), BackupError> {
        let incoming = self.folder.join(INCOMING);
        files::remove_folder(&incoming)?;
        files::make_folder(&incoming)
    }

    /// Takes in a file; what was written is read back before it gets its name. An object of the same content is replaced.
    ///
    /// `Ok(None)` where the file is not there any more.
    pub(crate) fn take_file(
        &mut self,
        path: &Path,
        copied: &mut dyn FnMut(u64),
    ) -> Result<Option<Content>, BackupError> {
        match File::open(path) {
            Ok(mut file) => Ok(Some(self.take((path, &mut file), copied)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(path)(error)),
        }
    }

    /// Takes in what is read from somewhere.
    pub(crate) fn take(
        &mut self,
        (path, from): (&Path, &mut impl Read),
        copied: &mut dyn FnMut(u64),
    ) -> Result<Content, BackupError> {
        self.begun += 1;
        let temporary = self.folder.join(INCOMING).join(self.begun.to_string());
        let mut file = files::new_file(&temporary)?;
        let content = files::copy(from, &mut file, copied).map_err(at(path))?;
        drop(file);
        let found = files::read_back(&temporary, &mut |_| ()).map_err(at(&temporary))?;
        if found != content {
            return Err(BackupError::Damaged {
                path: temporary,
                reason: format!("what was written of {} reads otherwise", path.display()),
            });
        }
        let path = self.path(&content.sha256);
        let folder = path.parent().unwrap_or(&self.folder);
        if !folder.is_dir() {
            files::make_folder(folder)?;
            self.unsynced.insert(self.folder.clone());
        }
        fs::rename(&temporary, &path).map_err(at(&path))?;
        self.unsynced.insert(folder.to_owned());
        Ok(content)
    }

    /// Every name is on the disk.
    pub(crate) fn finish(&mut self) -> Result<(), BackupError> {
        for folder in std::mem::take(&mut self.unsynced) {
            files::sync_folder(&folder)?;
        }
        files::remove_folder(&self.folder.join(INCOMING))?;
        files::sync_folder(&self.folder)
    }
}
