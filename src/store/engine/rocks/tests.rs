//! What is particular to RocksDB.

use super::*;
use crate::{
    Batch, UserNid,
    tables::Accounts,
    tests::{raw, small},
};

/// Bytes in the write-ahead log.
fn log_bytes(directory: &std::path::Path) -> u64 {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|name| name == "log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

#[test]
fn a_flush_leaves_nothing_to_replay() {
    let directory = tempfile::tempdir().unwrap();
    let rocks = Rocks::open(&small(directory.path())).unwrap();
    let mut batch = Batch::new();
    batch.put::<Accounts>(&UserNid(1), &raw("kept"));
    rocks.write(batch.operations.iter(), true).unwrap();
    assert!(log_bytes(directory.path()) > 0);
    rocks.flush().unwrap();
    drop(rocks);
    assert_eq!(log_bytes(directory.path()), 0);
}

#[test]
fn dictionaries_are_trained_on_little() {
    let directory = tempfile::tempdir().unwrap();
    let _rocks = Rocks::open(&small(directory.path())).unwrap();
    // RocksDB writes down what it understood.
    let written = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("OPTIONS-"))
        .unwrap();
    let written = std::fs::read_to_string(written).unwrap();
    let events = written
        .split("[CFOptions")
        .find(|section| section.starts_with(" \"events\""))
        .unwrap();
    let at_rest = events
        .lines()
        .find(|line| line.contains("bottommost_compression_opts="))
        .unwrap();
    for option in [
        "enabled=true",
        "level=3",
        "max_dict_bytes=16384",
        "max_dict_buffer_bytes=4194304",
    ] {
        assert!(at_rest.contains(option), "{option}: {at_rest}");
    }
    assert!(events.contains("bottommost_compression=kZSTD"));
}

#[test]
fn another_programs_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(Database::open_cf(&options, directory.path(), ["pdus"]).unwrap());

    let error = Rocks::open(&small(directory.path()))
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    let families = Database::list_cf(&options, directory.path()).unwrap();
    assert_eq!(families, ["default", "pdus"]);
}

#[test]
fn a_start_cut_off_before_the_families_were_made_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    drop(Database::open(&options, directory.path()).unwrap());
    assert!(Rocks::open(&small(directory.path())).is_ok());
}

#[test]
fn families_of_a_newer_version_do_not_hide_what_the_schema_says() {
    let directory = tempfile::tempdir().unwrap();
    drop(Rocks::open(&small(directory.path())).unwrap());
    let mut options = Options::default();
    options.create_missing_column_families(true);
    let names = Family::ALL.map(Family::name).into_iter().chain(["newer"]);
    drop(Database::open_cf(&options, directory.path(), names).unwrap());
    assert!(Rocks::open(&small(directory.path())).is_ok());
}

#[test]
fn memory_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let rocks = Rocks::open(&small(directory.path())).unwrap();
    let before = rocks.memory_bytes();
    let mut batch = Batch::new();
    for number in 0..2_000 {
        batch.put::<Accounts>(&UserNid(number), &raw(&"x".repeat(1_000)));
    }
    rocks.write(batch.operations.iter(), false).unwrap();
    assert!(rocks.memory_bytes() >= before + 1_500_000);
}
