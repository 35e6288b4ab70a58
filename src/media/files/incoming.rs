//! A file on its way in: its bytes go to a temporary name while they are hashed, and get their own name at the end.

use std::{io, sync::Arc};

use host::Host;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use sha2::{Digest, Sha256};
use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use super::{Bytes, Files, INCOMING, blob, hex};

/// A file that has arrived and has not its own name yet. Dropped, it is deleted.
pub(crate) struct Arrived<'a> {
    /// Its hash, in hexadecimal.
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: u64,
    files: &'a Files,
    bytes: Written,
    /// What it holds of a bucket's memory.
    _permit: Option<SemaphorePermit<'a>>,
}

/// Where its bytes are.
enum Written {
    /// Small enough to be written at once.
    Memory(PutPayload),
    Incoming(Incoming),
}

impl Arrived<'_> {
    /// Gives the file its name; on disk when it returns. Of two uploads of the same bytes the second replaces the first: nobody
    /// can tell.
    pub(crate) async fn place(self) -> io::Result<()> {
        let to = blob(&self.sha256);
        match self.bytes {
            Written::Memory(payload) => {
                self.files.store.put(&to, payload).await?;
            }
            Written::Incoming(mut incoming) => {
                self.files.store.rename(&incoming.path, &to).await?;
                incoming.state = State::Gone;
            }
        }
        Ok(())
    }
}

/// A file being written: held in memory up to one part, then under a temporary name until its hash is known.
pub(super) struct Upload<'a> {
    files: &'a Files,
    hasher: Sha256,
    size: u64,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    incoming: Option<Incoming>,
}

struct Incoming {
    path: Path,
    state: State,
    store: Arc<dyn ObjectStore>,
    host: Host,
}

enum State {
    Uploading(Box<dyn MultipartUpload>),
    /// Whole, under its temporary name.
    Complete,
    /// It has its own name, or is being cleared away.
    Gone,
}

impl<'a> Upload<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self {
            files,
            hasher: Sha256::new(),
            size: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            incoming: None,
        }
    }

    pub(super) async fn write(&mut self, mut chunk: Bytes) -> io::Result<()> {
        self.hasher.update(&chunk);
        self.size += chunk.len() as u64;
        while !chunk.is_empty() {
            if self.pending_bytes == self.files.part_bytes {
                self.flush().await?;
            }
            let room = self.files.part_bytes - self.pending_bytes;
            let piece = chunk.split_to(chunk.len().min(room));
            self.pending_bytes += piece.len();
            self.pending.push(piece);
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let part = PutPayload::from_iter(std::mem::take(&mut self.pending));
        self.pending_bytes = 0;
        if self.incoming.is_none() {
            let (host, store) = (&self.files.host, &self.files.store);
            let path = Path::from(format!("{INCOMING}/{}", host.random_string(32)));
            let state = State::Uploading(store.put_multipart(&path).await?);
            self.incoming = Some(Incoming {
                path,
                state,
                store: Arc::clone(store),
                host: host.clone(),
            });
        }
        if let Some(incoming) = &mut self.incoming
            && let State::Uploading(upload) = &mut incoming.state
        {
            upload.put_part(part).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(
        mut self,
        permit: Option<SemaphorePermit<'a>>,
    ) -> io::Result<Arrived<'a>> {
        if self.incoming.is_some() {
            self.flush().await?;
        }
        let bytes = match self.incoming.take() {
            None => Written::Memory(PutPayload::from_iter(std::mem::take(&mut self.pending))),
            Some(mut incoming) => {
                if let State::Uploading(upload) = &mut incoming.state {
                    upload.complete().await?;
                    incoming.state = State::Complete;
                }
                Written::Incoming(incoming)
            }
        };
        Ok(Arrived {
            sha256: hex(&std::mem::take(&mut self.hasher).finalize()),
            size: self.size,
            files: self.files,
            bytes,
            _permit: permit,
        })
    }

    pub(super) async fn abort(&mut self) {
        if let Some(mut incoming) = self.incoming.take() {
            incoming.take_state().clear().await;
        }
    }
}

impl Incoming {
    fn take_state(&mut self) -> Leftover {
        Leftover {
            state: std::mem::replace(&mut self.state, State::Gone),
            store: Arc::clone(&self.store),
            path: self.path.clone(),
        }
    }
}

impl Drop for Incoming {
    /// The client has gone in the middle, or the file was refused at the end.
    fn drop(&mut self) {
        let leftover = self.take_state();
        if !matches!(leftover.state, State::Gone) && tokio::runtime::Handle::try_current().is_ok() {
            let clearing = leftover.clear().in_current_span();
            self.host.spawn("abort of an upload", clearing);
        }
    }
}

/// What an upload leaves that came to nothing.
struct Leftover {
    state: State,
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl Leftover {
    async fn clear(self) {
        let cleared = match self.state {
            State::Uploading(mut upload) => upload.abort().await,
            State::Complete => self.store.delete(&self.path).await,
            State::Gone => Ok(()),
        };
        if let Err(error) = cleared {
            tracing::warn!(%error, "an aborted upload cannot be cleared away");
        }
    }
}
