//! Archives that something has happened to.

use std::fs;

use super::fixture::{self, Server, host};
use crate::{Archive, BackupError, Source, create, objects::Objects, restore};

#[test]
fn each_damaged_file_is_named_and_none_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let path = folder.path().join("archive");
    let created = server.back_up(&Archive::open_to_write(&path).unwrap());
    let archive = Archive::open(&path).unwrap();
    let (scratch, objects) = (folder.path().join("scratch"), Objects::of(&path));
    assert!(created.snapshot.files.len() > 8, "{created:?}");
    for (name, entry) in &created.snapshot.files {
        let object = objects.path(&entry.sha256);
        let whole = fs::read(&object).unwrap();
        let mut flipped = whole.clone();
        let Some(byte) = flipped.get_mut(whole.len() / 2) else {
            continue;
        };
        *byte ^= 1;
        let cut = whole[..whole.len() - 1].to_vec();
        for damage in [Some(flipped), Some(cut), None] {
            match &damage {
                Some(bytes) => fs::write(&object, bytes).unwrap(),
                None => fs::remove_file(&object).unwrap(),
            }
            let verified = fixture::verified(&archive, &scratch);
            assert!(!verified.is_healthy());
            assert!(verified.rehearsal.is_none());
            let named: Vec<_> = verified.damaged.iter().map(|file| &file.name).collect();
            assert!(named.contains(&name), "{name}: {named:?}");
            let to = folder.path().join("restored");
            let refused = restore(&archive, created.snapshot.clone(), &to, &host(), &());
            assert!(refused.is_err(), "{name}");
            assert!(!to.join("db").exists());
        }
        fs::write(&object, &whole).unwrap();
    }
    assert!(fixture::verified(&archive, &scratch).is_healthy());
}

#[test]
fn a_full_backup_mends_what_the_server_still_has() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let path = folder.path().join("archive");
    let archive = Archive::open_to_write(&path).unwrap();
    let created = server.back_up(&archive);
    let objects = Objects::of(&path);
    let upload = objects.path(&fixture::sha256(b"one"));
    fs::write(&upload, "0ne").unwrap();
    // One that trusts sizes sees nothing, and says so nowhere.
    assert_eq!(server.back_up(&archive).mended, 0);
    let source = Source {
        full: true,
        ..server.source()
    };
    let mended = create(&archive, source, &host(), &()).unwrap();
    assert_eq!(mended.mended, 1);
    assert_eq!(fs::read(&upload).unwrap(), b"one");
    // The first has it back, too.
    let to = folder.path().join("restored");
    restore(&archive, created.snapshot, &to, &host(), &()).unwrap();
}

#[test]
fn an_upload_that_is_not_what_it_was_is_kept_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    fs::write(server.file("one"), "0ne").unwrap();
    let archive = Archive::open_to_write(&folder.path().join("archive")).unwrap();
    let created = server.back_up(&archive);
    assert_eq!(created.damaged.len(), 1);
    assert!(created.damaged[0].ends_with(&fixture::sha256(b"one")));
    // It is not taken for the right one later.
    assert_eq!(server.back_up(&archive).damaged.len(), 1);
}

#[test]
fn a_damaged_list_of_files_is_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&folder.path().join("server"));
    let path = folder.path().join("archive");
    let archive = Archive::open_to_write(&path).unwrap();
    let id = server.back_up(&archive).snapshot.id;
    let list = path.join("snapshots").join(format!("{id}.json"));
    let text = fs::read_to_string(&list).unwrap();
    for (from, to) in [
        ("example.org", "example.com"),
        ("\"format\":1", "\"format\":2"),
        ("}", ""),
        ("signing.key", "../ing.key"),
    ] {
        fs::write(&list, text.replacen(from, to, 1)).unwrap();
        let error = archive.snapshot(None).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    }
    // Nor does it keep the next backup from being made.
    server.back_up(&archive);
    assert_eq!(archive.ids().unwrap().len(), 2);
}
