//! Checkpoints: whole, consistent, and databases of their own.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Batch, Durability, OpenError, Pos, RoomNid, Rsn, Scan, Store, StoreError, StoreOptions,
    UserNid,
    tables::{Accounts, Log, PublishedRooms},
    tests::{account, both_engines, host, raw, read_account, small},
};

/// One row in each of three families, at one position.
fn triple(number: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put::<Accounts>(&UserNid(number), &raw(&"x".repeat(200)));
    batch.put::<PublishedRooms>(&RoomNid(number), &());
    batch.put::<Log>(&Pos::unassigned(0), &(RoomNid(number), Rsn(1)));
    batch
}

/// The numbers in each of the three families.
async fn triples(store: &Store) -> [Vec<u32>; 3] {
    let accounts = store.scan::<Accounts>(Scan::prefix::<Accounts>(&()));
    let rooms = store.scan::<PublishedRooms>(Scan::prefix::<PublishedRooms>(&()));
    let log = store.scan::<Log>(Scan::prefix::<Log>(&()));
    let accounts = accounts.await.unwrap().into_iter().map(|(user, _)| user.0);
    let rooms = rooms.await.unwrap().into_iter().map(|(room, ())| room.0);
    let log = log.await.unwrap().into_iter().map(|(_, (room, _))| room.0);
    [accounts.collect(), rooms.collect(), log.collect()]
}

#[tokio::test]
async fn a_checkpoint_is_a_database_of_its_own() {
    for setup in both_engines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        setup.store.commit(account(1, "before")).await.unwrap();
        let upto = setup.store.checkpoint(&path).await.unwrap();
        assert!(upto >= Pos(1), "{}", setup.engine);
        setup.store.commit(account(2, "after")).await.unwrap();

        let copy = Store::open(&small(&path), host()).unwrap();
        assert_eq!(copy.instance(), setup.store.instance());
        assert_eq!(read_account(&copy, 1).await.unwrap(), "before");
        assert_eq!(read_account(&copy, 2).await, None, "{}", setup.engine);
        // It goes on by itself, with positions of its own that the first never gave out before.
        assert!(copy.commit(account(3, "own")).await.unwrap() > upto);
        assert_eq!(read_account(&setup.store, 3).await, None);
    }
}

#[tokio::test]
async fn what_is_there_is_not_overwritten() {
    for setup in both_engines() {
        let folder = tempfile::tempdir().unwrap();
        let error = setup.store.checkpoint(folder.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Engine(_)), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        setup.store.commit(account(1, "goes on")).await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_is_in_it_with_every_durability() {
    for durability in [Durability::Fsync, Durability::Interval, Durability::Os] {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability,
            interval_ms: 60_000,
            ..small(&folder.path().join("db"))
        };
        let store = Store::open(&options, host()).unwrap();
        let mut relaxed = account(1, "relaxed");
        relaxed.relax();
        store.commit(relaxed).await.unwrap();
        store.commit(account(2, "awaited")).await.unwrap();
        let path = folder.path().join("copy");
        store.checkpoint(&path).await.unwrap();
        let copy = Store::open_read_only(&small(&path)).unwrap();
        assert_eq!(read_account(&copy, 1).await.unwrap(), "relaxed");
        assert_eq!(read_account(&copy, 2).await.unwrap(), "awaited");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_writers_each_commit_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&small(&folder.path().join("db")), host()).unwrap();
    let stop = AtomicBool::new(false);
    let copies = 6;
    let writer = async {
        let (mut number, mut slowest) = (0, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            store.commit(triple(number)).await.unwrap();
            slowest = slowest.max(began.elapsed());
            number += 1;
        }
        (number, slowest)
    };
    let copier = async {
        let mut written = Vec::new();
        for copy in 0..copies {
            let acknowledged = store.visible();
            let path = folder.path().join(format!("copy{copy}"));
            let upto = store.checkpoint(&path).await.unwrap();
            assert!(upto >= acknowledged);
            let copy = Store::open_read_only(&small(&path)).unwrap();
            let [accounts, rooms, log] = triples(&copy).await;
            assert_eq!(accounts, rooms);
            assert_eq!(accounts, log);
            // A beginning of what was written, without a gap, as far as was promised at least.
            assert!(
                accounts
                    .iter()
                    .copied()
                    .eq(0..u32::try_from(accounts.len()).unwrap())
            );
            assert!(
                i64::try_from(accounts.len()).unwrap() >= upto.0,
                "{} {upto}",
                accounts.len()
            );
            written.push(accounts.len());
        }
        stop.store(true, Ordering::Relaxed);
        written
    };
    let ((number, slowest), written) = tokio::join!(writer, copier);
    assert!(written.is_sorted() && number > 0, "{written:?}");
    println!("{number} commits beside {copies} checkpoints; the slowest took {slowest:?}");
}

#[tokio::test]
async fn what_is_opened_to_be_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = Store::open(&small(&path), host()).unwrap();
    store.commit(account(1, "kept")).await.unwrap();
    let copy = folder.path().join("copy");
    store.checkpoint(&copy).await.unwrap();
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(&copy)
            .unwrap()
            .map(|entry| entry.unwrap())
            // RocksDB notes in `LOG` who opened it.
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with("LOG"))
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let first = Store::open_read_only(&small(&copy)).unwrap();
    // Nobody is kept out.
    let second = Store::open_read_only(&small(&copy)).unwrap();
    let error = first.commit(account(2, "refused")).await.unwrap_err();
    assert!(error.to_string().contains("to be read"), "{error}");
    assert!(first.interner().number::<UserNid>("@new").await.is_err());
    assert_eq!(read_account(&second, 1).await.unwrap(), "kept");
    first.close().await;
    drop((first, second));
    assert_eq!(files(), before);

    let error = Store::open_read_only(&small(&folder.path().join("nothing")));
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Engine { .. }), "{error}");
    assert!(!folder.path().join("nothing").exists());
}

#[tokio::test]
async fn positions_are_skipped_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let options = small(folder.path());
    let store = Store::open(&options, host()).unwrap();
    store.skip_to(Pos(1_000_000)).unwrap().await.unwrap();
    assert!(store.visible() > Pos(1_000_000));
    // Going back is no skip.
    store.skip_to(Pos(5)).unwrap().await.unwrap();
    let pos = store.commit(account(1, "later")).await.unwrap();
    assert!(pos > Pos(1_000_000), "{pos}");
    store.close().await;
    drop(store);
    let store = Store::open(&options, host()).unwrap();
    assert!(store.commit(account(2, "later still")).await.unwrap() > pos);
}

#[tokio::test]
async fn a_copy_becomes_a_database_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&small(&folder.path().join("db")), host()).unwrap();
    store.commit(account(1, "kept")).await.unwrap();
    let copy = small(&folder.path().join("copy"));
    store.checkpoint(&copy.path).await.unwrap();
    // What the copy does not have.
    store.skip_to(Pos(1 << 30)).unwrap().await.unwrap();

    let other = host::Host::system();
    Store::renew(&copy, &other).unwrap();
    let copied = Store::open(&copy, other.clone()).unwrap();
    assert_ne!(copied.instance(), store.instance());
    assert!(copied.visible() > store.visible());
    assert_eq!(read_account(&copied, 1).await.unwrap(), "kept");
    let busy = Store::renew(&copy, &other).unwrap_err();
    assert!(matches!(busy, OpenError::Locked { .. }), "{busy}");
}
