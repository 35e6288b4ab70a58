//! Brings a backup back into an empty data directory.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use host::Host;

use crate::{
    Archive, BackupError, Progress, Renewed, Snapshot, archive, at,
    files::{self, Content},
    objects::Objects,
    renew::renew,
};

/// While there is such a folder in a data directory, a restore has not ended: no server may start.
pub const RESTORING: &str = "restoring";

/// What was brought back.
#[derive(Debug)]
pub struct Restored {
    /// The backup.
    pub snapshot: Snapshot,
    /// What was changed in it.
    pub renewed: Renewed,
}

/// Brings a snapshot back into `data_dir`, which must be empty or not exist, as a new database instance.
/// Blocks until everything is on the disk.
///
/// Until everything is there it lies below [`RESTORING`]; a restore that broke off is begun anew.
///
/// # Errors
/// [`BackupError::NotEmpty`]; [`BackupError::Damaged`] for an object that is not what it was.
pub fn restore(
    archive: &Archive,
    snapshot: Snapshot,
    data_dir: &Path,
    host: &Host,
    progress: &dyn Progress,
) -> Result<Restored, BackupError> {
    files::make_folder(data_dir)?;
    let staging = data_dir.join(RESTORING);
    files::remove_folder(&staging)?;
    if let Some(found) = archive::first_name(data_dir)? {
        return Err(BackupError::NotEmpty {
            path: data_dir.to_owned(),
            found,
        });
    }
    files::make_folder(&staging)?;
    files::sync_folder(data_dir)?;
    progress.stage("files");
    bring(archive, &snapshot, &staging, progress)?;
    progress.stage("database");
    let renewed = renew(&staging.join("db"), host)?;
    give_to_owner(data_dir, &staging)?;
    // The database last: without it the rest is no server.
    let mut names: Vec<_> = fs::read_dir(&staging)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(at(&staging))?
        .into_iter()
        .map(|entry| entry.file_name())
        .collect();
    names.sort_by_key(|name| name == "db");
    for name in names {
        let to = data_dir.join(&name);
        fs::rename(staging.join(&name), &to).map_err(at(&to))?;
    }
    files::sync_folder(data_dir)?;
    fs::remove_dir(&staging).map_err(at(&staging))?;
    files::sync_folder(data_dir)?;
    Ok(Restored { snapshot, renewed })
}

/// Copies every file of a snapshot, and compares what was read with what was written then.
pub(crate) fn bring(
    archive: &Archive,
    snapshot: &Snapshot,
    to: &Path,
    progress: &dyn Progress,
) -> Result<(), BackupError> {
    let objects = Objects::of(archive.path());
    let (mut done, total) = (0, snapshot.bytes());
    let mut folders = Vec::new();
    for (name, entry) in &snapshot.files {
        let (from, path) = (objects.path(&entry.sha256), to.join(name));
        let folder = path.parent().unwrap_or(to);
        if folders.last().is_none_or(|last| last != folder) {
            files::make_folder(folder)?;
            folders.push(folder.to_owned());
        }
        let mut object = File::open(&from).map_err(at(&from))?;
        let mut file = files::new_file(&path)?;
        let copied = &mut |bytes| {
            done += bytes;
            progress.advance(done, total);
        };
        let content = files::copy(&mut object, &mut file, copied).map_err(at(&path))?;
        let Content { sha256, size } = content;
        if (&sha256, size) != (&entry.sha256, entry.size) {
            return Err(BackupError::Damaged {
                path: from,
                reason: format!("{name} is not what it was when it was written"),
            });
        }
    }
    folders.sort();
    folders.dedup();
    for folder in folders {
        files::sync_folder(&folder)?;
    }
    Ok(())
}

/// Where root restores for somebody else, whom the data directory belongs to, the files are theirs.
fn give_to_owner(data_dir: &Path, staging: &Path) -> Result<(), BackupError> {
    let owner = fs::metadata(data_dir).map_err(at(data_dir))?;
    let ours = fs::metadata(staging).map_err(at(staging))?;
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    give(staging, (owner.uid(), owner.gid()))
}

fn give(path: &Path, owner: (u32, u32)) -> Result<(), BackupError> {
    chown(path, Some(owner.0), Some(owner.1)).map_err(at(path))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            give(&entry.map_err(at(path))?.path(), owner)?;
        }
    }
    Ok(())
}
