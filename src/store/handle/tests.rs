//! Opening, reading, closing.

use std::path::Path;

use crate::{
    Batch, MemoryDisk, OpenError, Pos, RoomNid, Scan, Store, StoreError, StoreOptions, UserNid,
    codec::Tail,
    facts,
    tables::{AccountDataLog, Aliases, EventIds, Filters},
    tests::{account, both_engines, host, open_disk, raw, read_account, small},
};

mod checkpoint;

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(&small(path), host())
}

#[tokio::test]
async fn scans_go_both_ways_within_bounds_and_limit() {
    for setup in both_engines() {
        let store = &setup.store;
        let mut batch = Batch::new();
        for room in [1, 2, 3] {
            for pos in [-2, -1, 1, 2, 3] {
                batch.put::<AccountDataLog>(
                    &(UserNid(room), Pos(pos)),
                    &(RoomNid(room), String::new()),
                );
            }
        }
        store.commit(batch).await.unwrap();
        let check = async |scan: Scan, expected: &[i64]| {
            let rows = store.scan::<AccountDataLog>(scan).await.unwrap();
            let found: Vec<i64> = rows.iter().map(|((_, pos), _)| pos.0).collect();
            assert_eq!(found, expected, "{}", setup.engine);
            assert!(
                rows.iter()
                    .all(|((room, _), row)| *room == UserNid(2) && row.0 == RoomNid(2))
            );
        };
        let room = || Scan::prefix::<AccountDataLog>(&(UserNid(2),));
        check(room(), &[-2, -1, 1, 2, 3]).await;
        check(room().reverse(), &[3, 2, 1, -1, -2]).await;
        check(room().limit(2), &[-2, -1]).await;
        check(room().reverse().limit(2), &[3, 2]).await;
        check(room().limit(0), &[]).await;
        let range =
            |from, to| Scan::range::<AccountDataLog>(&(UserNid(2), from), &(UserNid(2), to));
        check(range(Pos(-1), Pos(2)), &[-1, 1]).await;
        check(range(Pos::ZERO, Pos::MAX).reverse(), &[3, 2, 1]).await;
        check(range(Pos::MIN, Pos::ZERO).reverse(), &[-1, -2]).await;
        check(range(Pos(2), Pos(2)), &[]).await;
        check(range(Pos(3), Pos(1)), &[]).await;
    }
}

#[tokio::test]
async fn tables_of_one_family_do_not_see_each_other() {
    for setup in both_engines() {
        let mut batch = Batch::new();
        batch.put::<EventIds>(&Tail(b"\xFF\xFF".to_vec()), &(RoomNid(1), crate::Rsn(1)));
        batch.put::<Aliases>(&"#a:x".to_owned(), &(RoomNid(1), UserNid(1)));
        setup.store.commit(batch).await.unwrap();
        let rows = setup
            .store
            .scan::<EventIds>(Scan::prefix::<EventIds>(&()))
            .await
            .unwrap();
        assert_eq!(rows.len(), 1, "{}", setup.engine);
        let mut batch = Batch::new();
        batch.delete_prefix::<EventIds>(&());
        setup.store.commit(batch).await.unwrap();
        let alias = setup
            .store
            .get::<Aliases>(&"#a:x".to_owned())
            .await
            .unwrap();
        assert_eq!(alias, Some((RoomNid(1), UserNid(1))));
    }
}

#[tokio::test]
async fn several_rows_are_read_in_the_order_asked_for() {
    for setup in both_engines() {
        setup.store.commit(account(1, "one")).await.unwrap();
        setup.store.commit(account(2, "two")).await.unwrap();
        let keys = [UserNid(2), UserNid(7), UserNid(1), UserNid(2)];
        let rows = setup
            .store
            .multi_get::<crate::tables::Accounts>(&keys)
            .await
            .unwrap();
        assert_eq!(
            rows,
            [Some(raw("two")), None, Some(raw("one")), Some(raw("two"))]
        );
        assert_eq!(
            setup
                .store
                .multi_get::<crate::tables::Accounts>(&[])
                .await
                .unwrap(),
            []
        );
    }
}

#[tokio::test]
async fn a_row_that_does_not_decode_names_its_table() {
    /// The same rows as [`EventIds`], read as something longer.
    enum Longer {}
    impl crate::Table for Longer {
        const NAME: &'static str = "Longer";
        const FAMILY: crate::Family = EventIds::FAMILY;
        const PREFIX: u8 = EventIds::PREFIX;
        type Key = Tail;
        type Value = (u64, u64);
    }
    for setup in both_engines() {
        let key = Tail(b"id".to_vec());
        let mut batch = Batch::new();
        batch.put::<EventIds>(&key, &(RoomNid(1), crate::Rsn(1)));
        setup.store.commit(batch).await.unwrap();
        let get = setup.store.get::<Longer>(&key).await.unwrap_err();
        let multi_get = setup.store.multi_get::<Longer>(&[key]).await.unwrap_err();
        let scan = setup
            .store
            .scan::<Longer>(Scan::prefix::<Longer>(&()))
            .await
            .unwrap_err();
        for error in [get, multi_get, scan] {
            assert!(
                matches!(
                    error,
                    StoreError::Corrupt {
                        table: "Longer",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_second_open_says_which_directory_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let error = open(directory.path()).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Locked { path } if path == directory.path()),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(directory.path().to_str().unwrap())
    );
    drop(store);
    assert!(open(directory.path()).is_ok());
}

#[tokio::test]
async fn another_schema_does_not_open() {
    let disk = MemoryDisk::new();
    for found in [0, facts::SCHEMA + 1, u32::MAX] {
        facts::write_schema(&disk, found);
        let opened = Store::open_memory_disk(&disk, &StoreOptions::default(), host());
        let error = opened.map(|_| ()).unwrap_err();
        assert!(
            matches!(error, OpenError::Schema { found: it, known: facts::SCHEMA } if it == found),
            "{error}"
        );
    }
    facts::write_schema(&disk, facts::SCHEMA);
    let opened = Store::open_memory_disk(&disk, &StoreOptions::default(), host());
    let error = opened.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("instance"), "{error}");
}

#[tokio::test]
async fn a_database_keeps_its_instance_and_another_has_another() {
    let host = host();
    let disk = MemoryDisk::new();
    let options = StoreOptions::default();
    let open = |disk: &MemoryDisk| Store::open_memory_disk(disk, &options, host.clone()).unwrap();
    let instance = open(&disk).instance();
    assert_eq!(open(&disk).instance(), instance);
    assert_ne!(open(&MemoryDisk::new()).instance(), instance);
}

#[tokio::test]
async fn a_closed_store_refuses_commits_and_reopens_complete() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let queued = store.queue(account(1, "queued")).unwrap();
    store.close().await;
    queued.await.unwrap();
    assert!(matches!(
        store.commit(account(2, "late")).await,
        Err(StoreError::Closed)
    ));
    assert_eq!(store.tick(|_| unreachable!()), store.visible());
    store.reached(Pos::MAX).await;
    assert_eq!(read_account(&store, 1).await.unwrap(), "queued");
    store.close().await;
    drop(store);

    let store = open(directory.path()).unwrap();
    assert_eq!(read_account(&store, 1).await.unwrap(), "queued");
    assert_eq!(read_account(&store, 2).await, None);
    assert_eq!(store.visible(), Pos(1));
}

#[tokio::test]
async fn the_last_handle_takes_nothing_queued_with_it() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let queued = store.queue(account(1, "queued")).unwrap();
    drop(store);
    queued.await.unwrap();
    disk.crash();
    assert_eq!(read_account(&open_disk(&disk), 1).await.unwrap(), "queued");
}

#[tokio::test]
async fn the_last_handle_may_go_on_the_committers_thread() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let mut batch = account(1, "a");
    let held = store.clone();
    batch.after(move |_| drop(held));
    let queued = store.queue(batch).unwrap();
    disk.resume();
    drop(store);
    queued.await.unwrap();
}

/// What a killed process leaves is what the directory holds at that moment.
#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    let (living, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(living.path()).unwrap();
    for number in 0..50 {
        store.commit(account(number, "kept")).await.unwrap();
    }
    let last = store.visible();
    for entry in std::fs::read_dir(living.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), killed.path().join(entry.file_name())).unwrap();
    }

    let survivor = open(killed.path()).unwrap();
    for number in 0..50 {
        assert_eq!(read_account(&survivor, number).await.unwrap(), "kept");
    }
    assert_eq!(survivor.instance(), store.instance());
    assert!(survivor.commit(account(50, "new")).await.unwrap() > last);
}

#[tokio::test]
async fn a_cold_read_is_answered_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let mut batch = Batch::new();
    for number in 0..2_000 {
        batch.put::<Filters>(&(UserNid(1), number), &raw(&format!("{{\"n\":{number}}}")));
    }
    store.commit(batch).await.unwrap();
    store.close().await;
    drop(store);

    let store = open(directory.path()).unwrap();
    // The second scan finds some blocks in memory and others not.
    let row = store.get::<Filters>(&(UserNid(1), 1_000)).await.unwrap();
    assert_eq!(row, Some(raw("{\"n\":1000}")));
    let middle = Scan::range::<Filters>(&(UserNid(1), 999_u32), &(UserNid(1), 1_001_u32)).reverse();
    assert_eq!(store.scan::<Filters>(middle).await.unwrap().len(), 2);
    let rows = store
        .scan::<Filters>(Scan::prefix::<Filters>(&(UserNid(1),)))
        .await
        .unwrap();
    assert_eq!(rows.len(), 2_000);
    let keys = [(UserNid(1), 3), (UserNid(1), 5_000)];
    let found = store.multi_get::<Filters>(&keys).await.unwrap();
    assert_eq!(found, [Some(raw("{\"n\":3}")), None]);
}
