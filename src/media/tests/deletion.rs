//! Deletion, and what the sweep clears away.

use std::time::SystemTime;

use store::{Batch, tables};

use super::*;
use crate::{DeleteError, FileInfo, Swept};

const HOUR_MS: u64 = 3_600_000;
/// More than one part of an upload.
static SEVENS: [u8; 300_000] = [7; 300_000];

/// The hash under which `bytes` are kept.
async fn hash(fixture: &Fixture, media_id: &str) -> String {
    fixture.find(media_id).await.unwrap().sha256
}

/// As a crash leaves it that came between the two commits of an upload.
async fn file_without_row(fixture: &Fixture, bytes: &[u8]) -> String {
    let media_id = fixture.upload(bytes).await;
    let sha256 = hash(fixture, &media_id).await;
    let key = fixture.media.key(&media_id);
    let mut batch = Batch::new();
    batch.delete::<tables::Media>(&key);
    batch.delete::<tables::MediaUses>(&(sha256.clone(), key.0, key.1));
    batch.put::<tables::UnsettledFiles>(&sha256, &NOW_MS);
    fixture.store.commit(batch).await.unwrap();
    sha256
}

async fn unsettled(fixture: &Fixture) -> usize {
    let all = store::Scan::prefix::<tables::UnsettledFiles>(&());
    let all = fixture.store.scan::<tables::UnsettledFiles>(all).await;
    all.unwrap().len()
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_its_thumbnails_and_frees_the_quota() {
    let fixture = fixture(|config| {
        config.media.user_quota_bytes = 500_000;
        config.media.user_quota_files = 1;
    });
    let media_id = fixture.upload(&png(400, 200)).await;
    for size in [scale(96, 96), scale(300, 300)] {
        thumbnail(&fixture, &media_id, size).await.unwrap();
    }
    assert_eq!(fixture.files().len(), 3);
    fixture.media.delete(&media_id).await.unwrap();
    assert_eq!(fixture.files(), BTreeSet::new());
    let found = fixture.find(&media_id).await;
    assert!(matches!(found, Err(FindError::NotFound)));
    let again = fixture.media.delete(&media_id).await;
    assert!(matches!(again, Err(DeleteError::NotFound)));
    assert_eq!(unsettled(&fixture).await, 0);
    // The same image again: nothing is remembered of its thumbnails.
    let media_id = fixture.upload(&png(400, 200)).await;
    thumbnail(&fixture, &media_id, scale(96, 96)).await.unwrap();
    assert_eq!(fixture.files().len(), 2);
}

#[tokio::test]
async fn bytes_stay_while_another_id_stands_for_them() {
    let fixture = fixture(|_| {});
    let first = fixture.upload(&SEVENS).await;
    let second = fixture
        .media
        .upload(BOB, About::default(), body(&[&SEVENS]))
        .await
        .unwrap();
    fixture.media.delete(&first).await.unwrap();
    let stored = fixture.find(&second).await.unwrap();
    assert_eq!(fixture.bytes(&stored).await, SEVENS);
    fixture.media.delete(&second).await.unwrap();
    assert_eq!(fixture.files(), BTreeSet::new());
}

#[tokio::test]
async fn an_upload_and_a_deletion_of_the_same_bytes_do_not_lose_them() {
    let fixture = fixture(|_| {});
    for round in 0..20_u8 {
        let bytes = vec![round; 200_000];
        let first = fixture.upload(&bytes).await;
        let (deleted, second) = tokio::join!(fixture.media.delete(&first), fixture.upload(&bytes));
        deleted.unwrap();
        let stored = fixture.find(&second).await.unwrap();
        assert_eq!(fixture.bytes(&stored).await, bytes);
    }
    assert_eq!(fixture.media.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn an_announced_id_is_deleted_too() {
    let fixture = fixture(|config| config.media.max_pending_uploads = 1);
    let announced = fixture.media.create(ALICE).await.unwrap();
    let id = announced.media_id.as_str();
    let (found, deleted) = tokio::join!(
        fixture.find_within(id, Duration::from_secs(20)),
        fixture.media.delete(id)
    );
    deleted.unwrap();
    assert!(matches!(found, Err(FindError::NotFound)));
    fixture.media.create(ALICE).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_at_the_end_leaves_nothing() {
    let fixture = fixture(|config| config.media.user_quota_bytes = 250_000);
    for size in [100_000, 200_000] {
        // Together they are too much, and neither is alone.
        let (first, second) = (vec![1; size], vec![2; size]);
        let upload = |bytes| fixture.media.upload(BOB, About::default(), body(&[bytes]));
        let (first, second) = tokio::join!(upload(&first), upload(&second));
        for media_id in [first, second].into_iter().flatten() {
            fixture.media.delete(&media_id).await.unwrap();
        }
        assert_eq!(fixture.files(), BTreeSet::new());
        assert_eq!(unsettled(&fixture).await, 0);
    }
}

#[tokio::test]
async fn a_file_whose_row_never_came_is_swept() {
    let fixture = fixture(|_| {});
    let kept = fixture.upload(b"kept").await;
    file_without_row(&fixture, b"lost").await;
    // Somebody uploads the same after the crash: then it is no orphan.
    let found_again = file_without_row(&fixture, b"found again").await;
    let again = fixture.upload(b"found again").await;
    assert_eq!(hash(&fixture, &again).await, found_again);
    assert_eq!(fixture.files().len(), 3);
    let swept = fixture.media.sweep().await.unwrap();
    assert_eq!((swept.files, fixture.files().len()), (1, 2));
    for media_id in [kept, again] {
        let stored = fixture.find(&media_id).await.unwrap();
        assert!(!fixture.bytes(&stored).await.is_empty());
    }
    assert_eq!(fixture.media.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_deletion_that_a_crash_broke_off_is_finished() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(&png(400, 200)).await;
    thumbnail(&fixture, &media_id, scale(96, 96)).await.unwrap();
    let sha256 = fixture.media.delete_rows(&media_id).await.unwrap();
    assert!(sha256.is_some() && fixture.files().len() == 2);
    assert_eq!(fixture.media.sweep().await.unwrap().files, 1);
    assert_eq!(fixture.files(), BTreeSet::new());
    assert_eq!(unsettled(&fixture).await, 0);
}

#[tokio::test]
async fn ids_that_nobody_gave_content_are_swept() {
    let fixture = fixture(|config| config.media.pending_lifetime_ms = 2 * HOUR_MS);
    let unused = fixture.media.create(ALICE).await.unwrap();
    let used = fixture.media.create(ALICE).await.unwrap();
    let upload = fixture
        .media
        .upload_to(ALICE, &used.media_id, About::default(), body(&[b"x"]));
    upload.await.unwrap();
    fixture.clock.advance(HOUR_MS);
    let later = fixture.media.create(BOB).await.unwrap();
    // Expired, but an upload may be on its way.
    fixture.clock.advance(2 * HOUR_MS - 1);
    assert_eq!(fixture.media.sweep().await.unwrap(), Swept::default());
    fixture.clock.advance(1);
    assert_eq!(fixture.media.sweep().await.unwrap().announced, 1);
    let row = async |media_id: &str| fixture.media.row(media_id).await.unwrap();
    assert!(row(&unused.media_id).await.is_none());
    assert!(row(&used.media_id).await.is_some());
    assert!(row(&later.media_id).await.is_some());
}

#[tokio::test]
async fn old_files_under_a_temporary_name_are_swept() {
    let fixture = fixture(|_| {});
    let incoming = fixture.directory.path().join("incoming");
    fs::create_dir_all(&incoming).unwrap();
    for (name, written_ms) in [("old", NOW_MS), ("new", NOW_MS + HOUR_MS)] {
        let path = incoming.join(name);
        fs::write(&path, "whole, but not renamed").unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_millis(written_ms);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
    }
    fixture.clock.advance(24 * HOUR_MS + 1);
    assert_eq!(fixture.media.sweep().await.unwrap().incoming, 1);
    let left = fixture.files();
    assert!(left.len() == 1 && left.iter().all(|path| path.ends_with("/new")));
}

#[tokio::test(start_paused = true)]
async fn it_is_swept_again_and_again_until_the_server_stops() {
    let fixture = fixture(|_| {});
    let (trigger, shutdown) = Shutdown::new();
    let running = fixture.media.clone().run(shutdown);
    let crashes = async {
        for bytes in [b"one", b"two"] {
            file_without_row(&fixture, bytes).await;
            // The disk takes real time, and the paused clock runs on meanwhile.
            for _ in 0..100_000 {
                if fixture.files().is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_mins(10)).await;
            }
            assert_eq!(fixture.files(), BTreeSet::new());
        }
        trigger.start();
    };
    tokio::join!(running, crashes);
}

#[tokio::test]
async fn a_users_files_are_listed_latest_first() {
    let fixture = fixture(|_| {});
    let mut expected = Vec::new();
    for size in [10, 20, 30] {
        let about = About {
            content_type: Some("text/plain".to_owned()),
            file_name: Some(format!("{size}.txt")),
            length: None,
        };
        let bytes = vec![0; size];
        let media_id = fixture
            .media
            .upload(ALICE, about, body(&[&bytes]))
            .await
            .unwrap();
        expected.push(FileInfo {
            sha256: hash(&fixture, &media_id).await,
            media_id,
            owner: Some(ALICE),
            created_ms: fixture.host.now_ms(),
            size: size as u64,
            content_type: Some("text/plain".to_owned()),
            file_name: Some(format!("{size}.txt")),
            open: false,
            protected: false,
            quarantine: None,
        });
        fixture.clock.advance(1);
    }
    expected.reverse();
    fixture.media.create(ALICE).await.unwrap();
    let all = fixture.media.of_user(ALICE, 0, 100).await.unwrap();
    assert_eq!((all.total, all.total_bytes), (3, 60));
    assert_eq!(all.files, expected);
    let page = fixture.media.of_user(ALICE, 1, 1).await.unwrap();
    assert_eq!((page.total, &page.files[..]), (3, &expected[1..2]));
    let none = fixture.media.of_user(BOB, 0, 100).await.unwrap();
    assert_eq!((none.total, none.total_bytes), (0, 0));
    fixture.media.delete(&expected[0].media_id).await.unwrap();
    let left = fixture.media.of_user(ALICE, 0, 100).await.unwrap();
    assert_eq!((left.total, left.total_bytes), (2, 30));
    assert_eq!(left.files, expected[1..]);
}
