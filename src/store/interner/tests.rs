//! One name, one number, whatever happens.

use std::collections::HashSet;

use crate::{
    MemoryDisk, Nid, RoomNid, StateKeyNid, Store, StoreError, UserNid,
    tests::{account, both_engines, host, open_disk, small},
};

#[tokio::test]
async fn finding_never_gives_out_a_number() {
    for setup in both_engines() {
        let names = setup.store.interner();
        assert_eq!(names.find::<UserNid>("@a:x").await.unwrap(), None);
        let number = names.number::<UserNid>("@a:x").await.unwrap();
        assert_eq!(number, UserNid(1));
        assert_eq!(names.find::<UserNid>("@a:x").await.unwrap(), Some(number));
        assert_eq!(names.number::<UserNid>("@a:x").await.unwrap(), number);
        assert_eq!(&*names.name(number).await.unwrap(), "@a:x");
    }
}

#[tokio::test]
async fn kinds_of_names_are_counted_apart() {
    let store = Store::open_memory(host());
    let names = store.interner();
    assert_eq!(names.number::<RoomNid>("same").await.unwrap(), RoomNid(1));
    assert_eq!(names.number::<UserNid>("same").await.unwrap(), UserNid(1));
    let key = "m.room.member\0@a:x";
    assert_eq!(
        names.number::<StateKeyNid>(key).await.unwrap(),
        StateKeyNid(1)
    );
    assert_eq!(names.number::<RoomNid>("other").await.unwrap(), RoomNid(2));
    assert_eq!(&*names.name(StateKeyNid(1)).await.unwrap(), key);
    assert_eq!(names.find::<RoomNid>(key).await.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_number_is_corrupt() {
    let store = Store::open_memory(host());
    let unknown = store.interner().name(RoomNid(1)).await;
    assert!(
        matches!(
            unknown,
            Err(StoreError::Corrupt {
                table: "NameOfNumber",
                ..
            })
        ),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_number_is_usable_before_it_is_written() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let number = store.interner().number::<RoomNid>("!a").await.unwrap();
    assert_eq!(
        store.interner().find::<RoomNid>("!a").await.unwrap(),
        Some(number)
    );
    assert_eq!(&*store.interner().name(number).await.unwrap(), "!a");
    assert_eq!(store.stats().queue_depth, 1);
    disk.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_new_name_asked_for_at_once_gets_one_number() {
    let store = Store::open_memory(host());
    for round in 0..20 {
        let mut asks = tokio::task::JoinSet::new();
        for ask in 0..16 {
            let store = store.clone();
            let name = format!("!{round}-{}", ask % 4);
            asks.spawn(async move {
                (
                    ask % 4,
                    store.interner().number::<RoomNid>(&name).await.unwrap(),
                )
            });
        }
        let given: HashSet<(i32, RoomNid)> = asks.join_all().await.into_iter().collect();
        assert_eq!(given.len(), 4, "round {round}");
    }
    let next = store.interner().number::<RoomNid>("!next").await.unwrap();
    assert_eq!(next, RoomNid(81), "no number is wasted");
}

#[tokio::test]
async fn names_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(&small(directory.path()), host()).unwrap();
    let store = open();
    for number in 1..=300 {
        let name = format!("@{number}:x");
        assert_eq!(
            store.interner().number::<UserNid>(&name).await.unwrap(),
            UserNid(number)
        );
    }
    let room = store.interner().number::<RoomNid>("!a").await.unwrap();
    store.close().await;
    drop(store);

    let store = open();
    let names = store.interner();
    assert_eq!(
        names.find::<UserNid>("@256:x").await.unwrap(),
        Some(UserNid(256))
    );
    assert_eq!(&*names.name(UserNid(300)).await.unwrap(), "@300:x");
    assert_eq!(
        names.number::<UserNid>("@new:x").await.unwrap(),
        UserNid(301)
    );
    assert_eq!(names.number::<RoomNid>("!a").await.unwrap(), room);
    assert_eq!(names.number::<RoomNid>("!b").await.unwrap(), RoomNid(2));
}

#[tokio::test]
async fn a_name_is_kept_with_the_first_commit_that_follows_it() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    let kept = store.interner().number::<RoomNid>("!kept").await.unwrap();
    store.commit(account(1, "uses it")).await.unwrap();
    let lost = store.interner().number::<RoomNid>("!lost").await.unwrap();
    store.reached(crate::Pos(3)).await;
    disk.crash();

    let store = open_disk(&disk);
    let names = store.interner();
    assert_eq!(names.find::<RoomNid>("!kept").await.unwrap(), Some(kept));
    assert_eq!(names.find::<RoomNid>("!lost").await.unwrap(), None);
    let reused = names.number::<RoomNid>("!other").await.unwrap();
    assert_eq!(
        reused.as_u32(),
        lost.as_u32(),
        "nothing on disk knows the lost number"
    );
}

#[tokio::test]
async fn a_closed_store_names_nothing_new() {
    let store = Store::open_memory(host());
    let known = store.interner().number::<RoomNid>("!a").await.unwrap();
    store.close().await;
    assert_eq!(
        store.interner().number::<RoomNid>("!a").await.unwrap(),
        known
    );
    let refused = store.interner().number::<RoomNid>("!b").await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert_eq!(store.interner().find::<RoomNid>("!b").await.unwrap(), None);
}
