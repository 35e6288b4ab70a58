//! What is kept in the data directory, for our eyes only: the account, the certificate with its key, and how the last
//! attempt went.
//!
//! ```text
//! acme/account.json     the key that the authority knows us by
//! acme/certificate.pem  the certificate's key, the certificate, those between it and the root
//! acme/state.json       who issued it, and the attempt that failed last
//! ```
//!
//! Each file is written whole or not at all, and is on the disk when a call returns. Key and certificate share one, so
//! that they fit. Calls block for as long as the disk takes: a few times in two months.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tls::Certificate;

use crate::AcmeError;

const FOLDER: &str = "acme";
const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";
const STATE: &str = "state.json";

/// What a backup has of it, by name in the data directory: not how attempts went, which is this machine's.
pub const SMALL_FILES: [&str; 2] = ["acme/account.json", "acme/certificate.pem"];

/// The longest file read, in bytes: a hundred certificates.
const FILE_BYTES: u64 = 256 << 10;

/// How attempts went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The directory of the authority that issued the certificate.
    pub issued_by: Option<String>,
    /// The last attempt, if there is no certificate of it.
    pub attempt: Option<Attempt>,
}

/// An attempt that has failed, or that nobody saw the end of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whose certificate was wanted.
    pub directory: String,
    /// For whom.
    pub domains: Vec<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// How many have failed in a row, this one included.
    pub failures: u32,
    /// The next one is not before, in milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// Whether it is the authority that says so.
    pub is_their_word: bool,
    /// Why it failed.
    pub failure: String,
}

/// The folder with all of it.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// In this data directory, whether there is something or not.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(FOLDER))
    }

    /// The certificate, if there is one that can be read; why not, otherwise.
    ///
    /// # Errors
    /// In words.
    pub fn certificate(&self) -> Result<Option<Certificate>, String> {
        let Some(text) = self.read(CERTIFICATE).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let path = self.0.join(CERTIFICATE);
        let certificate = Certificate::from_pem(&text, &text);
        let certificate = certificate.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(certificate))
    }

    /// Keeps a certificate: chain and key in PEM.
    pub(crate) fn keep_certificate(&self, chain: &str, key: &str) -> Result<(), AcmeError> {
        self.write(
            CERTIFICATE,
            format!("{}\n{chain}", key.trim_end()).as_bytes(),
        )
    }

    /// How attempts went; as if there had been none if nobody can say.
    pub fn state(&self) -> State {
        self.read_json(STATE).unwrap_or_default()
    }

    /// Keeps how attempts went.
    pub(crate) fn keep_state(&self, state: &State) -> Result<(), AcmeError> {
        self.write_json(STATE, state)
    }

    /// The account, if there is one that can be read.
    pub(crate) fn account<T: DeserializeOwned>(&self) -> Option<T> {
        self.read_json(ACCOUNT)
    }

    /// Keeps the account.
    pub(crate) fn keep_account(&self, account: &impl Serialize) -> Result<(), AcmeError> {
        self.write_json(ACCOUNT, account)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = self.read(name).map_err(|error| error.to_string());
        let value = text.and_then(|text| {
            let value = text.map(|text| serde_json::from_slice(&text)).transpose();
            value.map_err(|error| error.to_string())
        });
        value.unwrap_or_else(|error| {
            let file = self.0.join(name);
            tracing::warn!(file = %file.display(), cause = error, "this is passed over");
            None
        })
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        let path = self.0.join(name);
        let read = || {
            let mut bytes = Vec::new();
            let mut file = File::open(&path)?.take(FILE_BYTES + 1);
            file.read_to_end(&mut bytes)?;
            if bytes.len() as u64 > FILE_BYTES {
                return Err(io::Error::other("too long"));
            }
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AcmeError::Io { path, source }),
        }
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), AcmeError> {
        let text = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        let text = text.map_err(|source| AcmeError::Io {
            path: self.0.join(name),
            source,
        })?;
        self.write(name, &text)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), AcmeError> {
        let path = self.0.join(name);
        let written = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)?;
            let temporary = path.with_extension("new");
            // A file that was left there has a mode of its own.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|source| AcmeError::Io {
            path: path.clone(),
            source,
        })
    }
}
