//! Order, durability and failure of commits.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use parking_lot::Mutex;
use proptest::prelude::*;

use crate::{
    Batch, Durability, MemoryDisk, Pos, Queued, Raw, RoomNid, Scan, Store, StoreError,
    StoreOptions, Unwritable, UserNid, facts,
    tables::{AccountDataLog, Accounts, Filters, Log},
    tests::{account, both_engines, host, numbers, open_disk, open_disk_with, raw, read_account},
};

/// Notes, in order, what is published.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<i64>>>);

impl Notes {
    fn taker(&self) -> impl FnOnce(Pos) + Send + 'static {
        let notes = Arc::clone(&self.0);
        move |pos| notes.lock().push(pos.0)
    }

    fn taken(&self) -> Vec<i64> {
        self.0.lock().clone()
    }
}

fn guarded(number: u32, text: &str) -> Batch {
    let mut batch = account(number, text);
    batch.guard_absent::<Accounts>(&UserNid(number));
    batch
}

fn relaxed(number: u32, text: &str) -> Batch {
    let mut batch = account(number, text);
    batch.relax();
    batch
}

#[tokio::test]
async fn positions_count_up_from_one_without_gaps() {
    for setup in both_engines() {
        let mut several = Batch::new();
        several.set_positions(3);
        let first = setup.store.queue(account(1, "a")).unwrap();
        let second = setup.store.queue(several).unwrap();
        let third = setup.store.queue(account(2, "b")).unwrap();
        let spans = [&first, &second, &third].map(|queued| (queued.first().0, queued.last().0));
        assert_eq!(spans, [(1, 1), (2, 4), (5, 5)], "{}", setup.engine);
        assert_eq!(third.await.unwrap(), Pos(5));
        assert_eq!(second.await.unwrap(), Pos(2));
        assert_eq!(setup.store.visible(), Pos(5));
    }
}

#[tokio::test]
async fn positions_are_stamped_in_keys_and_values() {
    for setup in both_engines() {
        setup.store.commit(account(1, "before")).await.unwrap();
        let mut batch = Batch::new();
        batch.set_positions(2);
        for index in [0, 1] {
            let pos = Pos::unassigned(index);
            batch.put::<AccountDataLog>(&(UserNid(1), pos), &(RoomNid(1), String::new()));
            batch.put::<crate::tables::Activity>(&RoomNid(u32::from(index)), &pos);
        }
        batch.put::<AccountDataLog>(&(UserNid(1), Pos(-1)), &(RoomNid(1), String::new()));
        let first = setup.store.commit(batch).await.unwrap();
        assert_eq!(first, Pos(2));

        let scan = Scan::prefix::<AccountDataLog>(&(UserNid(1),));
        let rows = setup.store.scan::<AccountDataLog>(scan).await.unwrap();
        let positions: Vec<Pos> = rows.iter().map(|((_, pos), _)| *pos).collect();
        assert_eq!(numbers(&positions), [-1, 2, 3], "{}", setup.engine);
        let keys = [RoomNid(0), RoomNid(1)];
        let values = setup
            .store
            .multi_get::<crate::tables::Activity>(&keys)
            .await;
        assert_eq!(values.unwrap(), [Some(Pos(2)), Some(Pos(3))]);

        let mut batch = Batch::new();
        batch.delete::<AccountDataLog>(&(UserNid(1), Pos(2)));
        setup.store.commit(batch).await.unwrap();
        let gone = setup
            .store
            .get::<AccountDataLog>(&(UserNid(1), Pos(2)))
            .await;
        assert_eq!(gone.unwrap(), None);
    }
}

#[tokio::test]
async fn a_stamp_beyond_the_positions_asked_for_takes_its_position() {
    let store = Store::open_memory(host());
    let mut batch = Batch::default();
    let key = Pos::unassigned(4);
    batch.put::<Log>(&key, &(RoomNid(1), crate::Rsn(1)));
    let queued = store.queue(batch).unwrap();
    assert_eq!((queued.first(), queued.last()), (Pos(1), Pos(5)));
    assert_eq!(store.commit(account(1, "a")).await.unwrap(), Pos(6));
}

#[tokio::test]
async fn guards_hold_or_refuse_the_whole_batch() {
    for setup in both_engines() {
        let store = &setup.store;
        store.commit(guarded(1, "first")).await.unwrap();
        let notes = Notes::default();
        let mut second = guarded(1, "second");
        second.put::<Accounts>(&UserNid(2), &raw("with it"));
        second.after(notes.taker());
        let refused = store.commit(second).await;
        assert!(matches!(refused, Err(StoreError::Guard)), "{refused:?}");
        assert_eq!(read_account(store, 1).await.unwrap(), "first");
        assert_eq!(read_account(store, 2).await, None);
        assert_eq!(notes.taken(), [0_i64; 0]);
        assert_eq!(store.visible(), Pos(2), "a refused batch's position passes");

        let mut swap = account(1, "swapped");
        swap.guard_equals::<Accounts>(&UserNid(1), &raw("first"));
        store.commit(swap).await.unwrap();
        let mut swap = account(1, "again");
        swap.guard_equals::<Accounts>(&UserNid(1), &raw("first"));
        assert!(matches!(store.commit(swap).await, Err(StoreError::Guard)));
        let mut missing = account(1, "missing");
        missing.guard_equals::<Accounts>(&UserNid(7), &raw("first"));
        assert!(matches!(
            store.commit(missing).await,
            Err(StoreError::Guard)
        ));
        assert_eq!(read_account(store, 1).await.unwrap(), "swapped");
        assert_eq!(store.stats().refused, 3);
    }
}

#[tokio::test]
async fn guards_see_earlier_batches_of_their_group() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    store.commit(account(5, "stored")).await.unwrap();
    disk.pause();
    let queue = |batch| store.queue(batch).unwrap();
    let filter = |number: u32| (UserNid(9), number);
    let claimed = queue(guarded(1, "claimed"));
    let too_late = queue(guarded(1, "too late"));
    let depends_on_refused = {
        let mut batch = account(2, "b");
        batch.guard_equals::<Accounts>(&UserNid(1), &raw("too late"));
        queue(batch)
    };
    let swapped = {
        let mut batch = account(1, "swapped");
        batch.guard_equals::<Accounts>(&UserNid(1), &raw("claimed"));
        queue(batch)
    };
    let deleted = {
        let mut batch = Batch::new();
        batch.delete::<Accounts>(&UserNid(5));
        batch.put::<Filters>(&filter(1), &raw("old"));
        queue(batch)
    };
    let after_delete = queue(guarded(5, "new"));
    let range_deleted = {
        let mut batch = Batch::new();
        batch.guard_equals::<Filters>(&filter(1), &raw("old"));
        batch.delete_prefix::<Filters>(&(UserNid(9),));
        batch.put::<Filters>(&filter(2), &raw("newer than the deletion"));
        queue(batch)
    };
    let after_range = {
        let mut batch = Batch::new();
        batch.guard_absent::<Filters>(&filter(1));
        batch.guard_equals::<Filters>(&filter(2), &raw("newer than the deletion"));
        batch.put::<Filters>(&filter(3), &raw("kept"));
        queue(batch)
    };
    disk.resume();

    for (name, kept) in [
        ("claimed", claimed),
        ("swapped", swapped),
        ("deleted", deleted),
        ("after_delete", after_delete),
        ("range_deleted", range_deleted),
        ("after_range", after_range),
    ] {
        let answer = kept.await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
    for refused in [too_late, depends_on_refused] {
        assert!(matches!(refused.await, Err(StoreError::Guard)));
    }
    assert_eq!(read_account(&store, 1).await.unwrap(), "swapped");
    assert_eq!(read_account(&store, 2).await, None);
    assert_eq!(read_account(&store, 5).await.unwrap(), "new");
    let rows = store
        .scan::<Filters>(Scan::prefix::<Filters>(&(UserNid(9),)))
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(store.stats().largest_group, 8);
}

#[tokio::test]
async fn news_is_published_in_the_order_of_queueing() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    let notes = Notes::default();
    disk.pause();
    let mut queued = Vec::new();
    let mut expected = Vec::new();
    for number in 0..20_u32 {
        if number % 3 == 0 {
            expected.push(store.tick(notes.taker()).0);
        } else {
            let mut batch = account(number, "a");
            if number % 2 == 0 {
                batch.relax();
            }
            batch.after(notes.taker());
            batch.after(notes.taker());
            let waiting = store.queue(batch).unwrap();
            expected.extend([waiting.first().0; 2]);
            queued.push(waiting);
        }
    }
    assert_eq!(store.visible(), Pos::ZERO);
    assert_eq!(notes.taken(), [0_i64; 0]);
    disk.resume();
    for waiting in queued {
        waiting.await.unwrap();
    }
    store.reached(Pos(20)).await;
    assert_eq!(notes.taken(), expected);
}

#[tokio::test]
async fn news_is_published_before_its_position_is_visible_and_its_row_before_that() {
    for setup in both_engines() {
        let store = setup.store.clone();
        let seen = Arc::new(Mutex::new(None));
        let mut batch = account(1, "row");
        batch.after({
            let (store, seen) = (store.clone(), Arc::clone(&seen));
            move |pos| *seen.lock() = Some((pos, store.visible()))
        });
        store.commit(batch).await.unwrap();
        assert_eq!(*seen.lock(), Some((Pos(1), Pos::ZERO)));
        assert_eq!(store.visible(), Pos(1));
        assert_eq!(read_account(&store, 1).await.unwrap(), "row");
    }
}

#[tokio::test]
async fn a_tick_waits_for_no_disk() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    let before = store.stats();
    let pos = store.tick(|_| {});
    store.reached(pos).await;
    store.commit(Batch::new()).await.unwrap();
    let after = store.stats();
    assert_eq!(
        (after.syncs, after.batches),
        (before.syncs, before.batches + 2)
    );
    assert_eq!(disk.unsynced_writes(), 0);
}

#[tokio::test]
async fn a_relaxed_batch_is_synced_with_the_next_awaited_one() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    store.commit(relaxed(1, "a")).await.unwrap();
    store.commit(relaxed(2, "b")).await.unwrap();
    assert_eq!(disk.unsynced_writes(), 2);
    assert_eq!(store.stats().syncs, 0);
    store.commit(account(3, "c")).await.unwrap();
    assert_eq!(disk.unsynced_writes(), 0);
    assert_eq!(store.stats().syncs, 1);
}

#[tokio::test]
async fn a_group_is_synced_once() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let queued: Vec<Queued> = (0..50)
        .map(|number| store.queue(account(number, "a")).unwrap())
        .collect();
    disk.resume();
    for waiting in queued {
        waiting.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.groups, stats.syncs, stats.last_group), (1, 1, 50));
    assert_eq!((stats.queue_depth, stats.queue_bytes), (0, 0));
}

#[tokio::test]
async fn without_fsync_nothing_waits_for_the_disk() {
    let disk = MemoryDisk::new();
    let store = open_disk_with(&disk, Durability::Os);
    store.commit(account(1, "a")).await.unwrap();
    assert_eq!(disk.unsynced_writes(), 1);
    store.close().await;
    assert_eq!(disk.unsynced_writes(), 0);
}

#[tokio::test]
async fn without_fsync_a_power_cut_loses_what_was_acknowledged() {
    let disk = MemoryDisk::new();
    let store = open_disk_with(&disk, Durability::Os);
    store.commit(account(1, "a")).await.unwrap();
    disk.crash();
    assert_eq!(read_account(&open_disk(&disk), 1).await, None);
}

#[tokio::test]
async fn at_intervals_the_background_syncs() {
    let disk = MemoryDisk::new();
    let store = open_disk_with(&disk, Durability::Interval);
    store.commit(account(1, "a")).await.unwrap();
    while disk.unsynced_writes() > 0 {
        tokio::task::yield_now().await;
    }
    disk.crash();
    assert_eq!(read_account(&open_disk(&disk), 1).await.unwrap(), "a");
}

#[tokio::test]
async fn a_full_queue_refuses_what_is_not_relaxed() {
    let disk = MemoryDisk::new();
    let options = StoreOptions {
        queue_bytes: 100,
        ..StoreOptions::default()
    };
    let store = Store::open_memory_disk(&disk, &options, host()).unwrap();
    disk.pause();
    let large = store.queue(account(1, &"x".repeat(500))).unwrap();
    let refused = store.queue(account(2, "a"));
    assert!(matches!(refused, Err(StoreError::Busy)));
    let waits = store.queue(relaxed(3, "b")).unwrap();
    assert_eq!(store.stats().queue_depth, 2);
    assert_eq!(waits.first(), Pos(2), "a refused batch takes no position");
    disk.resume();
    large.await.unwrap();
    waits.await.unwrap();
    store.commit(account(2, "a")).await.unwrap();
}

#[tokio::test]
async fn dropping_the_wait_does_not_take_the_commit_back() {
    let store = Store::open_memory(host());
    drop(store.queue(account(1, "kept")).unwrap());
    store.commit(Batch::new()).await.unwrap();
    assert_eq!(read_account(&store, 1).await.unwrap(), "kept");
}

#[tokio::test]
async fn a_panic_in_what_follows_does_not_stop_the_log() {
    let store = Store::open_memory(host());
    let notes = Notes::default();
    let mut batch = account(1, "kept");
    batch.after(|_| panic!("somebody's mistake"));
    batch.after(notes.taker());
    store.commit(batch).await.unwrap();
    store.commit(account(2, "also")).await.unwrap();
    assert_eq!(notes.taken(), [1]);
}

#[tokio::test]
async fn what_follows_may_queue_more() {
    let store = Store::open_memory(host());
    let mut batch = account(1, "first");
    let (sender, receiver) = mpsc::channel();
    let again = store.clone();
    batch.after(move |_| {
        let queued = again.queue(account(2, "second")).unwrap();
        sender.send(queued).unwrap();
    });
    store.commit(batch).await.unwrap();
    assert_eq!(receiver.recv().unwrap().await.unwrap(), Pos(2));
}

#[tokio::test]
async fn a_failed_write_acknowledges_nothing_more() {
    for fail in [MemoryDisk::fail_write_after, MemoryDisk::fail_sync_after] {
        let disk = MemoryDisk::new();
        let store = open_disk(&disk);
        store.commit(account(1, "kept")).await.unwrap();
        fail(&disk, 1);
        store.commit(account(2, "kept as well")).await.unwrap();
        let notes = Notes::default();
        let mut batch = account(3, "lost");
        batch.after(notes.taker());
        let failed = store.commit(batch).await;
        assert!(matches!(failed, Err(StoreError::Engine(_))), "{failed:?}");
        let later = store.commit(account(4, "later")).await;
        assert!(matches!(later, Err(StoreError::Engine(_))), "{later:?}");
        let read = store.get::<Accounts>(&UserNid(1)).await;
        assert!(matches!(read, Err(StoreError::Engine(_))), "{read:?}");
        assert_eq!(store.tick(notes.taker()), store.visible());
        store.reached(Pos(99)).await;
        store.close().await;
        assert_eq!(notes.taken(), [0_i64; 0]);
        drop(store);

        disk.crash();
        let store = open_disk(&disk);
        assert_eq!(read_account(&store, 2).await.unwrap(), "kept as well");
        assert_eq!(read_account(&store, 3).await, None);
    }
}

#[tokio::test]
async fn what_waits_behind_a_failed_write_is_told() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let first = store.queue(account(1, "a")).unwrap();
    let second = store.queue(account(2, "b")).unwrap();
    disk.crash();
    for waiting in [first, second] {
        assert!(matches!(waiting.await, Err(StoreError::Engine(_))));
    }
}

#[tokio::test]
async fn no_position_is_given_out_twice_over_a_crash() {
    let disk = MemoryDisk::new();
    let mut last = Pos::ZERO;
    for round in 0..3 {
        let store = open_disk(&disk);
        assert!(store.visible() >= last, "round {round}");
        // Ticks alone: nothing but the mark itself is ever written.
        for _ in 0..facts::RESERVED + 10 {
            let pos = store.tick(|_| {});
            assert!(pos > last, "round {round}: {pos} after {last}");
            last = pos;
        }
        store.reached(last).await;
        disk.crash();
    }
}

#[tokio::test]
async fn a_crash_before_the_first_mark_publishes_nothing_above_it() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    let notes = Notes::default();
    disk.pause();
    for _ in 0..=facts::RESERVED {
        store.tick(notes.taker());
    }
    disk.fail_write_after(0);
    disk.resume();
    store.reached(Pos::MAX).await;
    assert_eq!(
        notes.taken(),
        [0_i64; 0],
        "published without a mark on disk"
    );
}

#[tokio::test]
async fn a_clean_restart_goes_on_where_it_stopped() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    let last = store.commit(account(1, "a")).await.unwrap();
    store.close().await;
    assert_eq!(
        open_disk(&disk).commit(account(2, "b")).await.unwrap(),
        last.next()
    );
}

/// One step of a life before a crash.
#[derive(Clone, Debug)]
enum Step {
    Awaited,
    Unawaited,
    Relaxed,
    Tick,
    Name,
}

fn lives() -> impl Strategy<Value = (Vec<Step>, Option<u32>, Option<u32>, usize)> {
    let step = prop_oneof![
        2 => Just(Step::Awaited),
        3 => Just(Step::Unawaited),
        3 => Just(Step::Relaxed),
        1 => Just(Step::Tick),
        2 => Just(Step::Name),
    ];
    (
        proptest::collection::vec(step, 0..40),
        proptest::option::of(0..20_u32),
        proptest::option::of(0..20_u32),
        0..10_usize,
    )
}

/// Lives until the crash; gives the rows queued in order, whether each was acknowledged, and the last position.
async fn live(store: &Store, disk: &MemoryDisk, steps: &[Step], kept: usize) -> (Vec<bool>, Pos) {
    let mut waiting: Vec<(bool, Option<Queued>)> = Vec::new();
    let mut acknowledged = Vec::new();
    let mut last = store.visible();
    for step in steps {
        let number = u32::try_from(waiting.len()).unwrap();
        let batch = match step {
            Step::Tick => {
                last = last.max(store.tick(|_| {}));
                continue;
            }
            Step::Name => {
                let name = format!("!{number}");
                let _ = store.interner().number::<RoomNid>(&name).await;
                continue;
            }
            Step::Awaited | Step::Unawaited => account(number, "x"),
            Step::Relaxed => relaxed(number, "x"),
        };
        let Ok(queued) = store.queue(batch) else {
            break;
        };
        last = last.max(queued.last());
        let relaxed = matches!(step, Step::Relaxed);
        if matches!(step, Step::Awaited) {
            acknowledged.push((waiting.len(), queued.await.is_ok()));
            waiting.push((relaxed, None));
        } else {
            waiting.push((relaxed, Some(queued)));
        }
    }
    disk.crash_keeping(kept);
    let mut kept = vec![false; waiting.len()];
    for (index, answered) in acknowledged {
        kept[index] = answered;
    }
    for (index, (relaxed, queued)) in waiting.into_iter().enumerate() {
        if let Some(queued) = queued {
            kept[index] = queued.await.is_ok() && !relaxed;
        }
    }
    (kept, last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_crash_loses_only_what_was_not_acknowledged((steps, fail_write, fail_sync, kept) in lives()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let disk = MemoryDisk::new();
            let store = open_disk(&disk);
            let instance = store.instance();
            if let Some(count) = fail_write {
                disk.fail_write_after(count);
            }
            if let Some(count) = fail_sync {
                disk.fail_sync_after(count);
            }
            let (acknowledged, last) = live(&store, &disk, &steps, kept).await;
            drop(store);

            let store = open_disk(&disk);
            assert_eq!(store.instance(), instance);
            let rows = store.scan::<Accounts>(Scan::prefix::<Accounts>(&())).await.unwrap();
            let found: Vec<u32> = rows.iter().map(|(UserNid(number), _): &(UserNid, Raw)| *number).collect();
            let prefix: Vec<u32> = (0..u32::try_from(found.len()).unwrap()).collect();
            assert_eq!(found, prefix, "what survives is an unbroken beginning");
            for (number, acknowledged) in acknowledged.iter().enumerate() {
                assert!(!acknowledged || number < found.len(), "batch {number} was acknowledged and is lost");
            }
            let next = store.commit(account(99, "next")).await.unwrap();
            assert!(next > last, "{next} was given out before: {last}");
        });
    }
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_noticed() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    assert_eq!(store.writable_within(Duration::ZERO), Ok(()));
    disk.pause();
    let waits = store.queue(account(1, "a")).unwrap();
    while store.writable_within(Duration::ZERO).is_ok() {
        tokio::task::yield_now().await;
    }
    let stuck = store.writable_within(Duration::ZERO);
    assert!(matches!(stuck, Err(Unwritable::Stuck(_))), "{stuck:?}");
    assert_eq!(store.writable(), Ok(()), "it is patient");
    disk.resume();
    waits.await.unwrap();
    while store.writable_within(Duration::ZERO).is_err() {
        tokio::task::yield_now().await;
    }
    store.close().await;
    assert_eq!(store.writable(), Err(Unwritable::Closed));
}

#[tokio::test]
async fn a_store_that_cannot_write_says_so() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.fail_write_after(0);
    store.commit(account(1, "a")).await.unwrap_err();
    let failed = store.writable();
    assert!(matches!(failed, Err(Unwritable::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn groups_are_counted_by_size_and_syncs_by_duration() {
    let disk = MemoryDisk::new();
    let store = open_disk(&disk);
    disk.pause();
    let queued: Vec<Queued> = (0..5)
        .map(|number| store.queue(account(number, "a")).unwrap())
        .collect();
    disk.resume();
    for waiting in queued {
        waiting.await.unwrap();
    }
    let read = store.distributions();
    let (count, sum) = (read.group_batches.count, read.group_batches.sum);
    assert_eq!((count, sum), (1, 5.0));
    assert_eq!(read.sync_seconds.count, store.stats().syncs);
    assert!(store.stats().written_bytes > 0);
}

#[tokio::test]
async fn what_follows_a_commit_is_logged_as_its_requests() {
    // For the whole process, because the committer is another thread. No other test listens.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let store = open_disk(&MemoryDisk::new());
    let (sender, receiver) = mpsc::channel();
    let mut batch = account(1, "a");
    batch.after(move |_| {
        let span = tracing::Span::current();
        let name = span.metadata().map(tracing::Metadata::name);
        sender.send(name).unwrap();
    });
    let span = tracing::error_span!("request");
    let queued = span.in_scope(|| store.queue(batch)).unwrap();
    queued.await.unwrap();
    assert_eq!(receiver.recv().unwrap(), Some("request"));
}
