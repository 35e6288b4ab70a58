//! Both engines give the same answers.

use proptest::prelude::*;

use super::*;
use crate::{
    Batch, MemoryDisk, OpenError, Pos, RoomNid, Rsn, StateKeyNid, UserNid,
    batch::Cell,
    engine::{memory::Memory, rocks::Rocks},
    tables::{Accounts, Highlights, StateHistory, Table},
    tests::{raw, small},
};

/// What a test does to the tables; keys are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Put(u32, u32, i64, u32),
    Delete(u32, u32, i64),
    DeletePrefix(u32, Option<u32>),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (room, key, pos) = (0..3_u32, 0..3_u32, -3..4_i64);
    let step = prop_oneof![
        6 => (room.clone(), key.clone(), pos.clone(), any::<u32>()).prop_map(|(room, key, pos, rsn)| Step::Put(room, key, pos, rsn)),
        2 => (room.clone(), key.clone(), pos).prop_map(|(room, key, pos)| Step::Delete(room, key, pos)),
        1 => (room, proptest::option::of(key)).prop_map(|(room, key)| Step::DeletePrefix(room, key)),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..60)
}

fn apply(engine: &Engine, step: &Step) {
    let mut batch = Batch::new();
    match *step {
        Step::Put(room, key, pos, rsn) => {
            batch.put::<StateHistory>(&(RoomNid(room), StateKeyNid(key), Pos(pos)), &Rsn(rsn));
        }
        Step::Delete(room, key, pos) => {
            batch.delete::<StateHistory>(&(RoomNid(room), StateKeyNid(key), Pos(pos)));
        }
        Step::DeletePrefix(room, Some(key)) => {
            batch.delete_prefix::<StateHistory>(&(RoomNid(room), StateKeyNid(key)));
        }
        Step::DeletePrefix(room, None) => batch.delete_prefix::<StateHistory>(&(RoomNid(room),)),
        Step::Flush => return engine.flush().unwrap(),
    }
    engine.write(batch.operations.iter(), false).unwrap();
}

fn read(engine: &Engine, scan: &Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    engine
        .scan(StateHistory::FAMILY, scan, Tier::Disk, &mut visit)
        .unwrap();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn engines_agree(
        steps in steps(),
        ranges in proptest::collection::vec((0..4_u32, -4..5_i64, -4..5_i64, any::<bool>(), 0..12_usize), 8),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let rocks = Engine::Rocks(Rocks::open(&small(directory.path())).unwrap());
        let memory = Engine::Memory(Memory::open(&MemoryDisk::new()));
        for step in &steps {
            apply(&rocks, step);
            apply(&memory, step);
        }
        for (room, from, to, reverse, limit) in ranges {
            let key = StateKeyNid(room % 3);
            let range = Scan::range::<StateHistory>(
                &(RoomNid(room), key, Pos(from)),
                &(RoomNid(room), key, Pos(to)),
            );
            for scan in [range, Scan::prefix::<StateHistory>(&(RoomNid(room),)), Scan::prefix::<StateHistory>(&())] {
                let scan = if reverse { scan.reverse() } else { scan }.limit(limit);
                prop_assert_eq!(read(&rocks, &scan), read(&memory, &scan), "{:?}", scan);
            }
        }
        let keys: Vec<Vec<u8>> = (0..3)
            .flat_map(|room| (-3..4).map(move |pos| (RoomNid(room), StateKeyNid(1), Pos(pos))))
            .map(|key| Cell::key::<StateHistory>(&key).bytes)
            .collect();
        let get = |engine: &Engine| {
            engine.multi_get(StateHistory::FAMILY, &keys, Tier::Disk, <[u8]>::to_vec).unwrap()
        };
        prop_assert_eq!(get(&rocks), get(&memory));
        for key in &keys {
            let get = |engine: &Engine| engine.get(StateHistory::FAMILY, key, Tier::Disk, <[u8]>::to_vec).unwrap();
            prop_assert_eq!(get(&rocks), get(&memory));
        }
    }
}

#[test]
fn what_is_not_in_memory_is_read_from_the_disk_only_when_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Engine::Rocks(Rocks::open(&small(directory.path())).unwrap());
    let engine = open();
    let mut batch = Batch::new();
    batch.put::<Accounts>(&UserNid(1), &raw("kept"));
    batch.put::<Highlights>(&(UserNid(1), RoomNid(2), Pos(3)), &());
    engine.write(batch.operations.iter(), true).unwrap();
    engine.flush().unwrap();
    drop(engine);

    let engine = open();
    let key = Cell::key::<Accounts>(&UserNid(1)).bytes;
    let get = |tier| engine.get(Accounts::FAMILY, &key, tier, <[u8]>::to_vec);
    let keys = [key.clone()];
    let multi_get = |tier| engine.multi_get(Accounts::FAMILY, &keys, tier, <[u8]>::to_vec);
    let scan = |tier| {
        let mut rows = 0;
        let scan = Scan::prefix::<Highlights>(&(UserNid(1),));
        let mut visit = |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        engine
            .scan(Highlights::FAMILY, &scan, tier, &mut visit)
            .map(|()| rows)
    };
    assert!(matches!(get(Tier::Memory), Err(ReadError::NotInMemory)));
    assert!(matches!(
        multi_get(Tier::Memory),
        Err(ReadError::NotInMemory)
    ));
    assert!(matches!(scan(Tier::Memory), Err(ReadError::NotInMemory)));

    assert_eq!(get(Tier::Disk).unwrap().unwrap(), b"kept");
    assert_eq!(scan(Tier::Disk).unwrap(), 1);

    assert_eq!(get(Tier::Memory).unwrap().unwrap(), b"kept");
    assert_eq!(
        multi_get(Tier::Memory).unwrap()[0].as_deref(),
        Some(&b"kept"[..])
    );
    assert_eq!(scan(Tier::Memory).unwrap(), 1);
}

#[test]
fn an_empty_or_reversed_range_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let engines = [
        Engine::Rocks(Rocks::open(&small(directory.path())).unwrap()),
        Engine::Memory(Memory::open(&MemoryDisk::new())),
    ];
    for engine in engines {
        apply(&engine, &Step::Put(1, 1, 1, 1));
        let at = |pos| (RoomNid(1), StateKeyNid(1), Pos(pos));
        let check = |from, to, rows| {
            let scan = Scan::range::<StateHistory>(&at(from), &at(to));
            assert_eq!(read(&engine, &scan).len(), rows, "{from}..{to}");
            assert_eq!(read(&engine, &scan.reverse()).len(), rows, "{from}..{to}");
        };
        check(1, 2, 1);
        check(0, 1, 0);
        check(1, 1, 0);
        check(2, 0, 0);
    }
}

#[test]
fn a_path_that_cannot_be_a_directory_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Rocks::open(&small(file.path())).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Engine { .. }), "{error}");
}
