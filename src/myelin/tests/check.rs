//! `myelin check` on a data directory; what it finds is tested in `consistency`.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]

use std::{path::Path, process::Command};

use host::{Host, ManualClock};
use store::{Batch, RoomNid, Store, StoreOptions, tables::PublishedRooms};

/// Its exit code and what it prints.
fn check(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myelin"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MYELIN_") {
            command.env_remove(name);
        }
    }
    let data = format!("data_dir={}", data.display());
    let output = command
        .args(["check", "-O", &data])
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn open(data: &Path) -> Store {
    let options = StoreOptions::new(data.join("db"));
    Store::open(&options, Host::manual(&ManualClock::new(0), 1)).unwrap()
}

#[test]
fn the_code_says_whether_all_is_well() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let store = open(data);
    let (code, _, error) = check(data, &[]);
    assert!(
        code == 2 && error.contains("in use by another process"),
        "{error}"
    );

    drop(store);
    let (code, told, error) = check(data, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{told}");
    assert!(told.contains("everything agrees"), "{told}");

    let store = open(data);
    let mut batch = Batch::new();
    batch.put::<PublishedRooms>(&RoomNid(7), &());
    store.queue(batch).unwrap().wait().unwrap();
    drop(store);
    for _ in 0..2 {
        let (code, told, _) = check(data, &["--quick"]);
        assert_eq!(code, 1, "{told}");
        let row = "PublishedRooms   room number 7\n";
        assert!(told.contains(row) && told.contains("→ remove"), "{told}");
    }
    let (code, told, _) = check(data, &["--repair", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &report["repaired"]), (0, &1.into()), "{told}");
    assert_eq!(report["findings"][0]["problem"]["kind"], "stray");
    assert_eq!(check(data, &[]).0, 0);
}

#[test]
fn what_cannot_be_checked_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nothing");
    let (code, _, error) = check(&data, &[]);
    assert!(code == 2 && error.contains("holds no server"), "{error}");
    assert!(!data.exists());
    // A repair that does not look is none.
    assert_eq!(check(&data, &["--repair", "--quick"]).0, 2);
}
