//! Backups of a small store and a few files: whole, broken off at every point, damaged, brought back.

mod damage;
mod fixture;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use store::{
    Pos, Store, StoreOptions, UserNid,
    tables::{AuditLog, PushQueue},
};

use crate::{
    Archive, BackupError, MediaPlace, MediaSource, Progress, RESTORING, create, restore, verify,
};
use fixture::{Server, check_options, host, sha256};

#[test]
fn a_backup_comes_back_as_another_instance() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    server.fill(5);
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    let created = server.back_up(&archive);
    assert!(created.damaged.is_empty() && created.reused == (0, 0));
    assert_eq!(created.snapshot.media, MediaPlace::Here);

    let to = folder.path().join("restored");
    let snapshot = archive.snapshot(None).unwrap();
    assert_eq!(snapshot, created.snapshot);
    restore(&archive, snapshot, &to, &host(), &()).unwrap();
    for name in ["signing.key", "server_name"] {
        assert_eq!(
            fs::read(to.join(name)).unwrap(),
            fs::read(server.data.join(name)).unwrap()
        );
    }
    assert_eq!(
        fs::read_to_string(to.join("config.toml")).unwrap(),
        "a = 1\n"
    );
    for text in ["one", "two"] {
        let name = sha256(text.as_bytes());
        let path = to.join("media/files").join(&name[..2]).join(name);
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    }
    assert!(!to.join("media/incoming").exists());
    assert!(!to.join(RESTORING).exists());

    let restored = Store::open(&StoreOptions::new(to.join("db")), host()).unwrap();
    assert_ne!(restored.instance(), server.store.instance());
    assert!(restored.visible() > server.store.visible());
    let sweep = restored.sweep();
    let mut deeds = 0;
    let all = store::Scan::prefix::<AuditLog>(&());
    sweep
        .rows::<AuditLog>(&all, &mut |_| {
            deeds += 1;
            true
        })
        .unwrap();
    assert_eq!(deeds, 5);
    let waits = (UserNid(1), "app".to_owned(), "phone".to_owned(), Pos(1));
    assert!(sweep.get::<PushQueue>(&waits).unwrap().is_none());
}

#[test]
fn a_second_backup_writes_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    server.fill(3_000);
    let first = server.back_up(&archive);
    server.upload("three");
    let second = server.back_up(&archive);
    assert!(second.reused.1 > 100_000, "{second:?}");
    assert!(
        second.written.1 < first.written.1 / 4,
        "{first:?} {second:?}"
    );
    assert_ne!(first.snapshot.id, second.snapshot.id);
    let ids = archive.ids().unwrap();
    assert_eq!(ids.len(), 2);
    // Each restores by itself.
    for (id, files) in ids.iter().zip([2, 3]) {
        let to = folder.path().join(id);
        let snapshot = archive.snapshot(Some(id)).unwrap();
        restore(&archive, snapshot, &to, &host(), &()).unwrap();
        let found = crate::files::below(&to.join("media"), &[]).unwrap();
        assert_eq!(found.len(), files);
    }
}

/// Ends the process, as far as the backup knows, at the `n`-th step.
struct BreakOff(AtomicU64);

impl BreakOff {
    fn step(&self) {
        let left = self.0.fetch_sub(1, Ordering::Relaxed);
        assert_ne!(left, 0, "broken off");
    }
}

impl Progress for BreakOff {
    fn stage(&self, _: &'static str) {
        self.step();
    }

    fn advance(&self, _: u64, _: u64) {
        self.step();
    }
}

#[test]
fn one_that_broke_off_is_none_and_the_next_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let path = folder.path().join("archive");
    let mut broken = 0;
    for step in 0.. {
        server.upload(&format!("number {}", step.min(3)));
        let archive = Archive::open_to_write(&path).unwrap();
        let breaks = BreakOff(AtomicU64::new(step));
        let made = catch_unwind(AssertUnwindSafe(|| {
            create(&archive, server.source(), &host(), &breaks).unwrap()
        }));
        let ids = archive.ids().unwrap();
        if made.is_ok() {
            assert_eq!(ids.len(), 1);
            break;
        }
        assert!(ids.is_empty(), "{step}: {ids:?}");
        broken += 1;
    }
    assert!(broken > 15, "{broken}");
    let archive = Archive::open(&path).unwrap();
    let verified = fixture::verified(&archive, &folder.path().join("scratch"));
    assert!(verified.is_healthy(), "{verified:?}");
}

#[test]
fn a_restore_that_broke_off_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    let created = server.back_up(&archive);
    let to = folder.path().join("restored");
    let mut broken = 0;
    for step in 0.. {
        let breaks = BreakOff(AtomicU64::new(step));
        let made = catch_unwind(AssertUnwindSafe(|| {
            restore(&archive, created.snapshot.clone(), &to, &host(), &breaks).unwrap()
        }));
        if made.is_ok() {
            break;
        }
        broken += 1;
        assert!(to.join(RESTORING).is_dir());
        assert!(!to.join("db").exists());
    }
    assert!(broken > 5, "{broken}");
    assert!(to.join("db").is_dir() && !to.join(RESTORING).exists());
    let again = restore(&archive, created.snapshot, &to, &host(), &());
    assert!(matches!(again, Err(BackupError::NotEmpty { .. })));
}

#[test]
fn uploads_that_come_and_go_meanwhile_are_there_or_were_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    let mut source = server.source();
    let checkpoint = source.checkpoint;
    source.checkpoint = Box::new(|| {
        server.upload("late");
        fs::remove_file(server.file("one")).unwrap();
        checkpoint()
    });
    let created = create(&archive, source, &host(), &()).unwrap();
    let has = |text: &str| {
        let hash = sha256(text.as_bytes());
        created
            .snapshot
            .files
            .values()
            .any(|file| file.sha256 == hash)
    };
    // `one` was there when the backup began.
    assert!(has("one") && has("two") && has("late"));
    fs::remove_file(server.file("two")).unwrap();
    let later = server.back_up(&archive);
    assert_eq!(later.snapshot.files.len(), created.snapshot.files.len() - 2);
}

#[test]
fn a_bucket_is_listed_and_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    server.row_of_upload("one");
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    let source = crate::Source {
        media: MediaSource::Bucket("files-of-ours".to_owned()),
        ..server.source()
    };
    let created = create(&archive, source, &host(), &()).unwrap();
    let MediaPlace::Bucket { bucket, expected } = &created.snapshot.media else {
        panic!("{:?}", created.snapshot.media);
    };
    assert_eq!(bucket, "files-of-ours");
    let hash = sha256(b"one");
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0].path, format!("files/{}/{hash}", &hash[..2]));
    assert!(
        created
            .snapshot
            .files
            .keys()
            .all(|name| !name.starts_with("media/"))
    );
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let place = folder.path().join("place");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("thesis.txt"), "mine").unwrap();
    let foreign = Archive::open_to_write(&place).unwrap_err();
    assert!(matches!(foreign, BackupError::Foreign(_)), "{foreign}");
    let none = Archive::open(&place).unwrap_err();
    assert!(matches!(none, BackupError::NoArchive(_)), "{none}");

    let path = folder.path().join("archive");
    let archive = Archive::open_to_write(&path).unwrap();
    let busy = Archive::open_to_write(&path).unwrap_err();
    assert!(matches!(busy, BackupError::InUse(_)), "{busy}");
    let empty = archive.snapshot(None).unwrap_err().to_string();
    assert!(empty.contains("there are: none"), "{empty}");
    let created = server.back_up(&archive);
    let wrong = archive.snapshot(Some("yesterday")).unwrap_err().to_string();
    assert!(wrong.contains(&created.snapshot.id), "{wrong}");
    let over = restore(&archive, created.snapshot, &place, &host(), &()).unwrap_err();
    assert!(over.to_string().contains("thesis.txt"), "{over}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    // Whoever only reads does not write.
    let reader = Archive::open(&path).unwrap();
    assert!(create(&reader, server.source(), &host(), &()).is_err());
}

#[test]
fn files_are_for_our_eyes_only() {
    use std::os::unix::fs::PermissionsExt as _;
    fn look(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{}", path.display());
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                look(&entry.unwrap().path());
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let path = folder.path().join("archive");
    let archive = Archive::open_to_write(&path).unwrap();
    let created = server.back_up(&archive);
    assert_eq!(
        archive.text(&created.snapshot, "config.toml").unwrap(),
        "a = 1\n"
    );
    let to = folder.path().join("restored");
    restore(&archive, created.snapshot, &to, &host(), &()).unwrap();
    look(&path.join("objects"));
    look(&path.join("snapshots"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    look(&to.join("signing.key"));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn a_rehearsal_checks_what_it_gives_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    server.back_up(&archive);
    let scratch = folder.path().join("scratch");
    let (renewed, report) = fixture::verified(&archive, &scratch).rehearsal.unwrap();
    assert!(report.is_healthy(), "{report:?}");
    assert_eq!(renewed.one_time_keys_dropped, 0);
    assert!(!scratch.exists());

    // A row that belongs to nothing, and an upload that the rows speak of and nobody has.
    server.publish(7);
    server.row_of_upload("lost");
    server.back_up(&archive);
    let (_, report) = fixture::verified(&archive, &scratch).rehearsal.unwrap();
    let named: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.table)
        .collect();
    assert!(
        named.contains(&"PublishedRooms") && named.contains(&"media"),
        "{report:?}"
    );
    // The check of a snapshot says nothing about the next.
    let first = archive.snapshot(archive.ids().unwrap().first().map(String::as_str));
    let verified = verify(
        &archive,
        first.unwrap(),
        &scratch,
        check_options,
        (&host(), &()),
    );
    assert!(verified.unwrap().is_healthy());
}
