//! The one directory that holds everything: the database, the signing key, the server's name.
//!
//! ```text
//! acme/        the certificate of our own and the key that the authority knows us by
//! db/          the database
//! media/       uploaded files, unless they are in a bucket
//! checkpoints/ copies of the database while `myelin backup create` and `myelin check` read them
//! restoring/   what `myelin backup restore` has brought back so far
//! server_name  whose data this is
//! admin.sock   where `myelin admin` finds the running server
//! signing.key  `ed25519 VERSION SEED`, Synapse's format: one line, the seed in unpadded base64
//! ```

use std::{
    error::Error,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use backup::RESTORING;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use config::Config;
use host::Host;
use room_versions::Signer;
use ruma::ServerName;
use thiserror::Error;

/// A data directory that cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// The file system does not let us.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory belongs to a server of another name.
    #[error("{} holds the data of `{found}`, but server_name is `{wanted}`; a server cannot be renamed", path.display())]
    OtherServer {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asks.
        wanted: String,
    },
    /// A restore into the directory has not ended.
    #[error("a restore into {} broke off: empty the directory and restore again", path.display())]
    Restoring {
        /// The directory.
        path: PathBuf,
    },
    /// The signing key is none.
    #[error("{} is not a signing key; expected one line `ed25519 VERSION BASE64`", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
    },
}

/// The directory, which exists.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Makes the directory if it is missing, for our eyes only.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| DataDirError::Io {
            path: path.to_owned(),
            source,
        })?;
        if path.join(RESTORING).exists() {
            let path = path.to_owned();
            return Err(DataDirError::Restoring { path });
        }
        Ok(Self(path.to_owned()))
    }

    /// The directory that the options name, which must hold a server.
    pub(crate) fn of(config: &Config) -> Result<Self, Box<dyn Error>> {
        let path = &config.data_dir;
        if !path.join("db").is_dir() {
            return Err(format!("{} holds no server", path.display()).into());
        }
        let data = Self::open(path)?;
        data.claim(&config.server_name)?;
        Ok(data)
    }

    /// What is in it beside the database and uploads: names and paths.
    pub(crate) fn small_files(&self) -> Vec<(&'static str, PathBuf)> {
        let files = ["server_name", "signing.key"].map(|name| (name, self.0.join(name)));
        let acme = acme::SMALL_FILES.map(|name| (name, self.0.join(name)));
        let acme = acme.into_iter().filter(|(_, path)| path.exists());
        files.into_iter().chain(acme).collect()
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("db")
    }

    /// Where `myelin admin` finds the running server.
    pub(crate) fn socket(&self) -> PathBuf {
        Self::socket_of(&self.0)
    }

    /// The same for a directory that need not exist.
    pub(crate) fn socket_of(path: &Path) -> PathBuf {
        path.join("admin.sock")
    }

    /// Claims the directory for `server_name`, once and for all. Call it only while the database is open: then no
    /// other process does.
    pub(crate) fn claim(&self, server_name: &ServerName) -> Result<(), DataDirError> {
        let path = self.0.join("server_name");
        let Some(found) = read(&path)? else {
            return self.write(&path, &format!("{server_name}\n"));
        };
        if found.trim() == server_name.as_str() {
            return Ok(());
        }
        Err(DataDirError::OtherServer {
            path: self.0.clone(),
            found: found.trim().to_owned(),
            wanted: server_name.to_string(),
        })
    }

    /// The signing key, made on the first start. Call it only while the database is open.
    pub(crate) fn signer(
        &self,
        server_name: &ServerName,
        host: &Host,
    ) -> Result<Signer, DataDirError> {
        let path = self.0.join("signing.key");
        let text = if let Some(text) = read(&path)? {
            text
        } else {
            let (version, seed) = (host.random_string(6), host.random_bytes::<32>());
            let text = format!("ed25519 a_{version} {}\n", STANDARD_NO_PAD.encode(seed));
            self.write(&path, &text)?;
            text
        };
        parse_key(&text)
            .and_then(|(version, seed)| {
                Signer::from_seed(server_name.to_owned(), &seed, version).ok()
            })
            .ok_or(DataDirError::BadKey { path })
    }

    /// Writes a file for our eyes only, whole or not at all, and on the disk before it returns.
    fn write(&self, path: &Path, text: &str) -> Result<(), DataDirError> {
        let written = || {
            let temporary = path.with_extension("new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|source| DataDirError::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// The text of a file that may be missing.
fn read(path: &Path) -> Result<Option<String>, DataDirError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The version and the seed of `ed25519 VERSION BASE64`.
fn parse_key(text: &str) -> Option<(String, [u8; 32])> {
    let mut words = text.split_whitespace();
    let (algorithm, version, seed) = (words.next()?, words.next()?, words.next()?);
    let seed = STANDARD_NO_PAD.decode(seed.trim_end_matches('=')).ok()?;
    (algorithm == "ed25519" && words.next().is_none())
        .then_some((version.to_owned(), seed.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use host::{Host, ManualClock};
    use ruma::server_name;

    use super::{DataDir, parse_key};

    fn host() -> Host {
        Host::manual(&ManualClock::new(0), 1)
    }

    #[test]
    fn the_key_is_made_once_and_for_our_eyes_only() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(&directory.path().join("a/b")).unwrap();
        data.signer(server_name!("localhost"), &host()).unwrap();
        let path = directory.path().join("a/b/signing.key");
        let first = fs::read_to_string(&path).unwrap();
        assert!(first.starts_with("ed25519 a_"), "{first}");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(path.parent().unwrap())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
        data.signer(server_name!("localhost"), &host()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn a_backup_has_the_certificate_where_there_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let names = || -> Vec<_> { data.small_files().into_iter().map(|it| it.0).collect() };
        assert_eq!(names(), ["server_name", "signing.key"]);
        fs::create_dir(directory.path().join("acme")).unwrap();
        for name in ["account.json", "certificate.pem", "state.json"] {
            fs::write(directory.path().join("acme").join(name), "").unwrap();
        }
        let kept = ["acme/account.json", "acme/certificate.pem"];
        assert_eq!(names()[2..], kept);
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        for text in [
            "",
            "ed25519",
            "ed25519 a_x short",
            "rsa a_x y",
            "ed25519 a_x AAAA extra",
        ] {
            let path = directory.path().join("signing.key");
            fs::write(&path, text).unwrap();
            let error = data
                .signer(server_name!("localhost"), &host())
                .unwrap_err()
                .to_string();
            assert!(error.contains("signing.key"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn synapses_keys_are_read() {
        let text = "ed25519 a_RXGa YmFzZTY0IG9mIHRoaXJ0eS10d28gYnl0ZXMgISEhISE\n";
        let (version, seed) = parse_key(text).unwrap();
        assert_eq!(
            (version.as_str(), &seed[..6]),
            ("a_RXGa", b"base64".as_slice())
        );
    }

    #[test]
    fn a_directory_serves_one_server() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        data.claim(server_name!("one.org")).unwrap();
        data.claim(server_name!("one.org")).unwrap();
        let error = data.claim(server_name!("two.org")).unwrap_err().to_string();
        assert!(
            error.contains("one.org") && error.contains("two.org"),
            "{error}"
        );
    }
}
