//! What root makes in somebody else's data directory is given to them.
//!
//! Commands for a stopped server open its database, and the engine writes new files at each start. Made by root, whose umask
//! may keep others from them, they would keep the server, which runs as a user of its own, from starting.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, open, openat},
    process::geteuid,
};

/// To read a folder.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

/// To look at something whatever it is, a link itself included.
const ENTRY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Gives back when it is dropped: to be made before the database is opened, so that it outlives it.
pub(crate) struct GivingBack(PathBuf);

impl GivingBack {
    /// For the data directory `path`, which may not exist.
    pub(crate) fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Drop for GivingBack {
    fn drop(&mut self) {
        if !geteuid().is_root() {
            return;
        }
        if let Err(error) = give_back(&self.0) {
            let path = self.0.display();
            tracing::warn!(cause = %error, %path, "files of root's stay there; the server may be unable to read them");
        }
    }
}

/// Gives what is root's below `path` to the owner of `path` itself.
fn give_back(path: &Path) -> io::Result<()> {
    let Ok(top) = open(path, FOLDER, Mode::empty()) else {
        // There is none.
        return Ok(());
    };
    let owner = fstat(&top)?;
    if owner.st_uid == 0 {
        return Ok(());
    }
    give_below(&top, &owner)
}

/// By descriptors, not by paths: whoever owns the directory can swap what is in it for links to files that are not theirs
/// at any moment, and what was looked at has to be what is given.
fn give_below(folder: &OwnedFd, owner: &Stat) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = openat(folder, name, ENTRY, Mode::empty())?;
        let known = fstat(&found)?;
        let kind = FileType::from_raw_mode(known.st_mode);
        if kind == FileType::Directory {
            give_below(&openat(&found, c".", FOLDER, Mode::empty())?, owner)?;
        }
        let ours =
            kind == FileType::Directory || (kind == FileType::RegularFile && known.st_nlink == 1);
        if known.st_uid == 0 && ours {
            let (user, group) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
            chownat(&found, c"", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, lchown, symlink},
    };

    use super::GivingBack;

    #[test]
    fn what_is_roots_becomes_the_owners_and_links_stay() {
        let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (top, other) = (directory.path(), elsewhere.path().join("other"));
        fs::create_dir_all(top.join("db/deep")).unwrap();
        for path in [top.join("key"), top.join("db/deep/CURRENT"), other.clone()] {
            fs::write(path, "x").unwrap();
        }
        fs::hard_link(&other, top.join("hard")).unwrap();
        symlink(&other, top.join("soft")).unwrap();
        let owner = |path| fs::symlink_metadata(path).unwrap().uid();
        let me = owner(top.join("key"));
        // Only root can give files away; for anybody else nothing may change.
        let them = if me == 0 { 12_345 } else { me };
        lchown(top, Some(them), None).unwrap();
        drop(GivingBack::of(top));
        for given in ["key", "db", "db/deep", "db/deep/CURRENT"] {
            assert_eq!(owner(top.join(given)), them, "{given}");
        }
        for kept in [top.join("soft"), top.join("hard"), other] {
            assert_eq!(owner(kept), me);
        }
        drop(GivingBack::of(&top.join("not there")));
    }
}
