//! A data directory as a server leaves it, without the server.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use consistency::CheckOptions;
use host::Host;
use ruma::server_name;
use sha2::{Digest, Sha256};
use store::{
    Batch, Pos, Raw, RoomNid, Store, StoreOptions, UserNid,
    tables::{AuditLog, Media, MediaUses, PublishedRooms, PushQueue},
};

use crate::{
    Archive, BackupError, Checkpoint, Created, MediaSource, Source, Verified, create, files, verify,
};

pub(super) fn host() -> Host {
    Host::system()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    files::hex(&Sha256::digest(bytes))
}

pub(super) struct Server {
    pub(super) data: PathBuf,
    pub(super) store: Store,
    checkpoints: AtomicU64,
}

fn row(value: &serde_json::Value) -> Raw {
    Raw(value.to_string().into())
}

impl Server {
    /// With two uploads, a notification that waits, and a trace of an administrator.
    pub(super) fn new(data: &Path) -> Self {
        fs::create_dir_all(data.join("media/incoming")).unwrap();
        fs::write(data.join("media/incoming/half"), "ha").unwrap();
        fs::write(data.join("signing.key"), "ed25519 a_x secret\n").unwrap();
        fs::write(data.join("server_name"), "example.org\n").unwrap();
        let store = Store::open(&StoreOptions::new(data.join("db")), host()).unwrap();
        let server = Self {
            data: data.to_owned(),
            store,
            checkpoints: AtomicU64::new(0),
        };
        server.upload("one");
        server.upload("two");
        server.waiting();
        server
    }

    fn write(&self, write: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new();
        write(&mut batch);
        self.store.queue(batch).unwrap().wait().unwrap();
    }

    /// Rows that fill some files of the database.
    pub(super) fn fill(&self, rows: u32) {
        for at in 0..rows {
            let deed = serde_json::json!({ "by": host().random_string(100), "action": "a",
                "target": host().random_string(100), "at_ms": at });
            let mut batch = Batch::new();
            batch.put::<AuditLog>(&Pos::unassigned(0), &row(&deed));
            let queued = self.store.queue(batch).unwrap();
            if at + 1 == rows {
                queued.wait().unwrap();
            }
        }
    }

    pub(super) fn file(&self, text: &str) -> PathBuf {
        let name = sha256(text.as_bytes());
        self.data.join("media/files").join(&name[..2]).join(name)
    }

    pub(super) fn upload(&self, text: &str) {
        let path = self.file(text);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What the database knows of an upload, whether or not it is there.
    pub(super) fn row_of_upload(&self, text: &str) {
        let (hash, server) = (sha256(text.as_bytes()), "example.org".to_owned());
        let media = serde_json::json!({ "owner": null, "created_ms": 1,
            "content": { "sha256": hash, "size": text.len() } });
        self.write(|batch| {
            batch.put::<Media>(&(server.clone(), text.to_owned()), &row(&media));
            batch.put::<MediaUses>(&(hash, server, text.to_owned()), &());
        });
    }

    /// A room in the directory, whether or not there is one.
    pub(super) fn publish(&self, number: u32) {
        self.write(|batch| batch.put::<PublishedRooms>(&RoomNid(number), &()));
    }

    /// Something that waits to be pushed, to nobody.
    fn waiting(&self) {
        let waits = (UserNid(1), "app".to_owned(), "phone".to_owned(), Pos(1));
        let raw = row(&serde_json::json!({}));
        self.write(|batch| batch.put::<PushQueue>(&waits, &raw));
    }

    pub(super) fn source(&self) -> Source<'_> {
        let number = self.checkpoints.fetch_add(1, Ordering::Relaxed);
        let path = self.data.join(format!("checkpoint{number}"));
        let runtime = tokio::runtime::Builder::new_current_thread();
        Source {
            server_name: server_name!("example.org").to_owned(),
            files: ["signing.key", "server_name"]
                .map(|name| (name, self.data.join(name)))
                .into(),
            texts: vec![("config.toml", "a = 1\n".to_owned())],
            media: MediaSource::Folder(self.data.join("media")),
            checkpoint: Box::new(move || {
                let mut runtime = runtime;
                let runtime = runtime.build().unwrap();
                let position = runtime.block_on(self.store.checkpoint(&path)).unwrap();
                Ok(Checkpoint {
                    path,
                    position: position.0,
                })
            }),
            full: false,
        }
    }

    pub(super) fn back_up(&self, archive: &Archive) -> Created {
        create(archive, self.source(), &host(), &()).unwrap()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is given to `verify`")]
pub(super) fn check_options(folder: &Path) -> Result<CheckOptions, BackupError> {
    Ok(CheckOptions {
        media: Some(folder.join("media")),
        ..CheckOptions::new(server_name!("example.org").to_owned())
    })
}

/// A rehearsal of the latest.
pub(super) fn verified(archive: &Archive, scratch: &Path) -> Verified {
    let snapshot = archive.snapshot(None).unwrap();
    verify(archive, snapshot, scratch, check_options, (&host(), &())).unwrap()
}
