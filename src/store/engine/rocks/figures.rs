//! What RocksDB says of itself.

use rocksdb::properties::{self, PropName};

use super::Rocks;
use crate::{EngineFigures, stats::FamilyFigures, tables::Family};

/// RocksDB's own number, which nothing here changes.
const LEVELS: usize = 7;

/// "Write Stall (count): …, total-delays: 0, total-stops: 0"; the crate has no name for it.
const STALLS: &str = "rocksdb.cf-write-stall-stats";

impl Rocks {
    pub(crate) fn figures(&self) -> EngineFigures {
        let mut figures = EngineFigures {
            cache_bytes: self.cache.get_usage() as u64,
            cache_pinned_bytes: self.cache.get_pinned_usage() as u64,
            cache_limit_bytes: self.number(Family::Meta, properties::BLOCK_CACHE_CAPACITY),
            writes_stopped: self.number(Family::Meta, properties::IS_WRITE_STOPPED) > 0,
            delayed_write_bytes_per_second: self
                .number(Family::Meta, properties::ACTUAL_DELAYED_WRITE_RATE),
            running_compactions: self.number(Family::Meta, properties::NUM_RUNNING_COMPACTIONS),
            running_flushes: self.number(Family::Meta, properties::NUM_RUNNING_FLUSHES),
            ..EngineFigures::default()
        };
        for family in Family::ALL {
            figures.table_reader_bytes +=
                self.number(family, properties::ESTIMATE_TABLE_READERS_MEM);
            figures.background_errors += self.number(family, properties::BACKGROUND_ERRORS);
            let stalls = self.text(family, STALLS);
            figures.write_delays += after(&stalls, "total-delays: ");
            figures.write_stops += after(&stalls, "total-stops: ");
            figures.families.push(self.family_figures(family));
        }
        figures
    }

    fn family_figures(&self, family: Family) -> FamilyFigures {
        let files = |level| {
            let files = self.text(family, properties::num_files_at_level(level));
            files.parse().unwrap_or(0)
        };
        FamilyFigures {
            name: family.name(),
            level_files: (0..LEVELS).map(files).collect(),
            sst_bytes: self.number(family, properties::TOTAL_SST_FILES_SIZE),
            memtable_bytes: self.number(family, properties::CUR_SIZE_ALL_MEM_TABLES),
            pending_compaction_bytes: self
                .number(family, properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            estimated_keys: self.number(family, properties::ESTIMATE_NUM_KEYS),
        }
    }

    /// 0 where RocksDB does not say.
    fn number(&self, family: Family, name: &PropName) -> u64 {
        let Ok(family) = self.family(family) else {
            return 0;
        };
        let value = self.database.property_int_value_cf(family, name);
        value.ok().flatten().unwrap_or(0)
    }

    fn text(&self, family: Family, name: impl rocksdb::CStrLike) -> String {
        let Ok(family) = self.family(family) else {
            return String::new();
        };
        let value = self.database.property_value_cf(family, name);
        value.ok().flatten().unwrap_or_default()
    }
}

/// The number after `label` in `text`; 0 if there is none.
fn after(text: &str, label: &str) -> u64 {
    let Some((_, rest)) = text.split_once(label) else {
        return 0;
    };
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::{
        Batch, UserNid,
        engine::rocks::Rocks,
        tables::{Accounts, Family},
        tests::{raw, small},
    };

    use super::{STALLS, after};

    #[test]
    fn rocksdb_tells_what_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let rocks = Rocks::open(&small(directory.path())).unwrap();
        let empty = rocks.figures();
        assert!(empty.cache_limit_bytes > 0);
        assert_eq!(empty.families.len(), Family::ALL.len());
        assert_eq!(empty.families[0].level_files, [0; 7]);

        let mut batch = Batch::new();
        batch.put::<Accounts>(&UserNid(1), &raw("kept"));
        rocks.write(batch.operations.iter(), true).unwrap();
        let users = |rocks: &Rocks| {
            let mut families = rocks.figures().families.into_iter();
            families
                .rfind(|family| family.name == Family::Users.name())
                .unwrap()
        };
        assert_eq!(users(&rocks).estimated_keys, 1);
        assert!(users(&rocks).memtable_bytes > 0);
        rocks.flush().unwrap();
        assert_eq!(users(&rocks).level_files.iter().sum::<u64>(), 1);
        assert!(users(&rocks).sst_bytes > 0);
    }

    #[test]
    fn stalls_are_read_out_of_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let rocks = Rocks::open(&small(directory.path())).unwrap();
        let text = rocks.text(Family::Events, STALLS);
        for label in ["total-delays: ", "total-stops: "] {
            assert!(text.contains(label), "{text}");
        }
        let text = "Write Stall (count): total-delays: 12, total-stops: 3\n";
        assert_eq!(after(text, "total-delays: "), 12);
        assert_eq!(after(text, "total-stops: "), 3);
        assert_eq!(after(text, "something else: "), 0);
    }
}
