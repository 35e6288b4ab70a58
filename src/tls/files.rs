//! A certificate and its key in two files, as certbot and other programs keep them.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use host::Shutdown;
use tokio::{fs::File, io::AsyncReadExt, sync::Notify, time::sleep};

use crate::{Certificate, Certificates, TlsError};

/// The longest file read, in bytes: a hundred certificates.
const FILE_BYTES: u64 = 256 << 10;

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and those between it and the root, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// What stood in the files.
#[derive(PartialEq, Eq)]
struct Read {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// The certificate in the files, and someone who looks after them.
    ///
    /// # Errors
    /// [`TlsError`] for files that cannot be read and for what is no certificate with its key.
    pub async fn open(self) -> Result<(Certificate, Watched), TlsError> {
        let read = self.read().await?;
        let certificate = Certificate::from_pem(&read.chain, &read.key)?;
        let watched = Watched {
            files: self,
            tried: Some(read),
            refused: None,
        };
        Ok((certificate, watched))
    }

    async fn read(&self) -> Result<Read, TlsError> {
        Ok(Read {
            chain: read(&self.certificate).await?,
            key: read(&self.key).await?,
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).await.map_err(unreadable)?;
    let mut file = file.take(FILE_BYTES + 1);
    file.read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(TlsError::TooLong {
            path: path.to_owned(),
            limit: FILE_BYTES,
        });
    }
    Ok(bytes)
}

/// Files whose certificate is shown, and what was last found in them.
pub struct Watched {
    files: Files,
    /// What was tried last, whether it could be used or not.
    tried: Option<Read>,
    /// Why what is there now cannot be used, as it was logged.
    pub(crate) refused: Option<String>,
}

impl Watched {
    /// Reads the files every `period`, and when `asked`, and shows what is new in them. What cannot be used is logged
    /// once, and the certificate before it stays.
    ///
    /// Compares what stands in the files, not their times: links, copies and clocks cannot deceive it.
    pub async fn watch(
        mut self,
        certificates: Arc<Certificates>,
        period: Duration,
        asked: Arc<Notify>,
        shutdown: Shutdown,
    ) {
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                () = sleep(period) => {}
                () = asked.notified() => {
                    tracing::info!("the certificate is read again");
                    self.refused = None;
                    self.tried = None;
                }
            }
            self.look(&certificates).await;
        }
    }

    pub(crate) async fn look(&mut self, certificates: &Certificates) {
        let found = match self.files.read().await {
            Ok(read) if self.tried.as_ref() == Some(&read) => return,
            Ok(read) => {
                let certificate = Certificate::from_pem(&read.chain, &read.key);
                self.tried = Some(read);
                certificate
            }
            Err(error) => {
                self.tried = None;
                Err(error)
            }
        };
        match found {
            Ok(certificate) => {
                certificates.replace(&certificate);
                self.refused = None;
                tracing::info!(
                    names = certificate.facts.names.join(" "),
                    file = %self.files.certificate.display(),
                    "a new certificate is in force"
                );
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    tracing::warn!(
                        cause = error,
                        file = %self.files.certificate.display(),
                        "the new certificate cannot be used; the one before stays in force"
                    );
                }
                self.refused = Some(error);
            }
        }
    }
}
