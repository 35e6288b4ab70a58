//! What root makes in somebody else's data directory is given to them.
//!
//! Commands for a stopped server open its database, and the engine writes new files at each start. Made by root, whose umask
//! may keep others from them, they would keep the server, which runs as a user of its own, from starting.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
};

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
        if !rustix::process::geteuid().is_root() {
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
    let owner = match fs::metadata(path) {
        Ok(owner) if owner.uid() != 0 => owner,
        // It is root's own, or there is none.
        _ => return Ok(()),
    };
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            // Of the entry itself: whoever owns the directory can put links there, to files that are not theirs.
            let known = fs::symlink_metadata(&path)?;
            if known.is_dir() {
                folders.push(path.clone());
            }
            let ours = known.is_dir() || (known.is_file() && known.nlink() == 1);
            if known.uid() == 0 && ours {
                lchown(&path, Some(owner.uid()), Some(owner.gid()))?;
            }
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
