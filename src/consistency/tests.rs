//! A store that the real services have filled: healthy as it is, and with each kind of damage, named and healed.

mod damages;
mod populated;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use host::{Host, ManualClock};
use store::{OpenError, Store, StoreOptions};

use crate::{CheckOptions, Finding, Progress, Remedy, Report, check, coverage::COVERED};
use damages::{DAMAGES, Damage, Damaged};
use populated::populated;

/// Whether a check leaves the store as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Look,
    Repair,
}

fn open(path: &Path) -> Store {
    try_open(path).unwrap()
}

fn try_open(path: &Path) -> Result<Store, OpenError> {
    let options = StoreOptions {
        cache_bytes: 4 << 20,
        ..StoreOptions::new(path)
    };
    Store::open(&options, Host::manual(&ManualClock::new(0), 9))
}

fn run(store: &Store, options: &CheckOptions, mode: Mode) -> Report {
    let options = CheckOptions {
        repair: mode == Mode::Repair,
        ..options.clone()
    };
    check(store, &options, &()).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The store and the files of a server, apart from it.
struct Copy {
    store: Store,
    options: CheckOptions,
}

impl Copy {
    fn of(from: &Copy, folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("db");
        runtime.block_on(from.store.checkpoint(&path)).unwrap();
        let media = folder.join("media");
        copy_folder(from.options.media.as_ref().unwrap(), &media);
        Self {
            store: open(&path),
            options: CheckOptions {
                media: Some(media),
                ..from.options.clone()
            },
        }
    }
}

/// What the services have made, as files in a folder.
async fn original(folder: PathBuf) -> Copy {
    let server = populated().await;
    let path = folder.join("db");
    let store = server.services.rooms.store();
    store.checkpoint(&path).await.unwrap();
    let config = &server.services.config;
    let media = folder.join("media");
    copy_folder(&config.data_dir.join("media"), &media);
    let signer = test_support::signer(&config.server_name);
    Copy {
        store: open(&path),
        options: CheckOptions {
            key: Some(signer.public_key()),
            media: Some(media),
            ..CheckOptions::new(config.server_name.clone())
        },
    }
}

/// Runs where it may block.
async fn with_original(test: impl FnOnce(&Copy, &Path) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let original = original(folder.path().join("original")).await;
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || test(&original, &path))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_the_services_write_is_healthy() {
    with_original(|original, _| {
        for mode in [Mode::Look, Mode::Repair] {
            let report = run(&original.store, &original.options, mode);
            assert!(report.is_healthy(), "{:#?}", report.findings);
            assert_eq!(report.repaired, 0);
            assert!(report.rooms >= 2 && report.events >= 30, "{report:?}");
            assert!(report.accounts >= 3 && report.files >= 1, "{report:?}");
            assert!(report.file_bytes > 0, "{report:?}");
        }
    })
    .await;
}

/// A check of a table that is empty finds nothing: this keeps the test above honest.
#[tokio::test]
async fn the_healthy_store_has_rows_in_most_tables() {
    with_original(|original, _| {
        let sweep = original.store.sweep();
        let mut empty = BTreeSet::new();
        for (name, family, prefix) in store::tables::ALL {
            let (mut rows, from) = (0, vec![*prefix]);
            let scan = store::Scan::bytes(from.clone(), store::sweep::after(&from)).limit(1);
            sweep
                .family(*family, &scan, &mut |_| {
                    rows += 1;
                    true
                })
                .unwrap();
            if rows == 0 {
                empty.insert(*name);
            }
        }
        assert!(empty.len() <= 16, "{empty:?}");
    })
    .await;
}

#[tokio::test]
async fn each_damage_is_named_and_what_is_derived_is_healed() {
    with_original(|original, folder| {
        assert!(DAMAGES.len() >= 20);
        let mut wrong = Vec::new();
        for (number, damage) in DAMAGES.iter().enumerate() {
            let copy = Copy::of(original, &folder.join(number.to_string()));
            if let Err(reason) = try_damage(damage, &copy) {
                wrong.push(format!("{}: {reason}", damage.what));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}

/// Damages a copy, looks, repairs and looks again.
fn try_damage(damage: &Damage, copy: &Copy) -> Result<(), String> {
    let Damaged { table, key } = (damage.inflict)(&copy.store, copy.options.media.as_deref());
    let look = |mode| run(&copy.store, &copy.options, mode);
    let before = look(Mode::Look);
    let findings = &before.findings;
    let named = findings
        .iter()
        .find(|finding| finding.table == table && finding.key.contains(&key))
        .ok_or_else(|| format!("nothing about {table} {key} in {findings:#?}"))?;
    if named.remedy.heals() != damage.heals {
        return Err(format!("another remedy: {findings:#?}"));
    }
    let again = look(Mode::Look);
    if again.findings != before.findings {
        return Err(format!(
            "looking changed it: {findings:#?}, {:#?}",
            again.findings
        ));
    }
    let repair = look(Mode::Repair);
    if repair.found != before.found {
        return Err(format!("the repair saw {:#?}", repair.findings));
    }
    let after = look(Mode::Look);
    let is_left = |finding: &&Finding| damage.heals || finding.remedy != Remedy::Restore;
    let left: Vec<_> = after.findings.iter().filter(is_left).collect();
    if !left.is_empty() {
        return Err(format!("{left:#?} is left of {findings:#?}"));
    }
    if look(Mode::Repair).repaired > 0 {
        return Err("the repair left something to the next".to_owned());
    }
    if damage.heals == after.is_healthy() {
        Ok(())
    } else {
        Err("what is lost was guessed".to_owned())
    }
}

#[test]
fn every_table_is_named_in_the_list() {
    let tables: Vec<_> = store::tables::ALL.iter().map(|(name, ..)| *name).collect();
    let covered: Vec<_> = COVERED.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = tables
        .iter()
        .filter(|name| !covered.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "check these tables, and name them in coverage.rs: {missing:?}"
    );
    let gone: Vec<_> = covered
        .iter()
        .filter(|name| !tables.contains(name))
        .collect();
    assert!(gone.is_empty(), "there are no such tables: {gone:?}");
    for (name, file) in COVERED {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
        let derived = std::fs::read_to_string(path.with_file_name("derived.rs"));
        let text = std::fs::read_to_string(&path).unwrap() + &derived.unwrap_or_default();
        let beside = *file == "room" || *file == "whole" || text.contains(name) || *name == "Meta";
        assert!(beside, "{name} is not in {file}.rs");
    }
}

#[tokio::test]
async fn findings_are_bounded_and_progress_is_told() {
    #[derive(Default)]
    struct Watch(parking_lot::Mutex<(Vec<&'static str>, u64, u64, u64)>);
    impl Progress for Watch {
        fn stage(&self, name: &'static str) {
            self.0.lock().0.push(name);
        }
        fn advance(&self, done: u64, total: u64) {
            assert!(done <= total);
            let mut state = self.0.lock();
            (state.1, state.2) = (state.1.max(done), total);
        }
        fn found(&self, _: &crate::Finding) {
            self.0.lock().3 += 1;
        }
    }
    with_original(|original, folder| {
        let copy = Copy::of(original, &folder.join("all"));
        // Before those of names, which the later ones look for.
        for damage in DAMAGES.iter().filter(|damage| damage.heals).take(20) {
            (damage.inflict)(&copy.store, copy.options.media.as_deref());
        }
        let options = CheckOptions {
            max_findings: 3,
            ..copy.options.clone()
        };
        let watch = Watch::default();
        let report = check(&copy.store, &options, &watch).unwrap();
        assert_eq!(report.findings.len(), 3);
        assert!(report.found > 10, "{report:?}");
        let (stages, done, total, told) = watch.0.into_inner();
        assert_eq!(told, 3);
        assert!(stages.len() >= 4 && done > 0 && done <= total);
    })
    .await;
}

/// Bytes that change on the disk, below everything that knows rows.
#[tokio::test]
async fn a_flipped_byte_in_a_file_of_the_database_is_found_and_nothing_is_guessed() {
    with_original(|original, folder| {
        let tables = |folder: &Path| {
            let mut tables: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|kind| kind == "sst"))
                .collect();
            tables.sort();
            tables
        };
        let source = folder.join("flushed");
        let whole = Copy::of(original, &source);
        drop(whole.store);
        let count = tables(&source.join("db")).len();
        assert!(count >= 6, "{count}");
        let mut opened = 0;
        for at in 0..count {
            let folder = folder.join(format!("flipped{at}"));
            copy_folder(&source, &folder);
            let path = tables(&folder.join("db")).swap_remove(at);
            let mut bytes = std::fs::read(&path).unwrap();
            // In the first block of rows.
            bytes[9] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let store = match try_open(&folder.join("db")) {
                Ok(store) => store,
                // The rows that every start reads are in it.
                Err(error) => {
                    assert!(error.to_string().contains(name), "{name}: {error}");
                    continue;
                }
            };
            opened += 1;
            let report = run(&store, &original.options, Mode::Repair);
            let named = |finding: &Finding| finding.table == "database" && finding.key == name;
            // What only a start reads is not a check's to find.
            let of_a_start = bytes.windows(8).any(|window| window == b"namemeta");
            assert!(
                of_a_start || report.findings.iter().any(named),
                "{name}: {report:#?}"
            );
            assert_eq!(report.repaired, 0, "{name}");
        }
        assert!(opened >= 5, "{opened} of {count}");
        for at in 0..count {
            let folder = folder.join(format!("missing{at}"));
            copy_folder(&source, &folder);
            let path = tables(&folder.join("db")).swap_remove(at);
            std::fs::remove_file(&path).unwrap();
            let refused = try_open(&folder.join("db"));
            let reason = refused.map(drop).unwrap_err().to_string();
            assert!(
                reason.contains(path.file_name().unwrap().to_str().unwrap()),
                "{reason}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_during_a_check_is_not_held_against_it() {
    with_original(|original, folder| {
        let copy = Copy::of(original, &folder.join("copy"));
        std::fs::remove_dir_all(copy.options.media.as_ref().unwrap()).unwrap();
        let mut report = run(&copy.store, &copy.options, Mode::Look);
        let found = report.found;
        assert!(found >= 2, "{report:#?}");
        report.forget_deleted(&original.store).unwrap();
        assert_eq!(report.found, found, "they are still wanted");
        let mut batch = store::Batch::new();
        batch.delete_prefix::<store::tables::MediaUses>(&());
        copy.store.queue(batch).unwrap().wait().unwrap();
        report.forget_deleted(&copy.store).unwrap();
        assert!(report.is_healthy(), "{report:#?}");
        assert_eq!(report.healable, 0);
    })
    .await;
}
