//! RocksDB: the only file that names it.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DBCompressionType,
    DBWithThreadMode, ErrorKind, LogLevel, Options, Range, ReadOptions, ReadTier, SingleThreaded,
    WriteBatch, WriteBufferManager, WriteOptions, checkpoint::Checkpoint,
};

mod figures;

use super::{ReadError, Tier, Visit, WriteError};
use crate::{Extent, OpenError, Scan, StoreOptions, batch::Operation, tables::Family};

/// The families are fixed at open, so looking one up needs no lock.
type Database = DBWithThreadMode<SingleThreaded>;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Write buffers together, within the cache's budget: a quarter of it, in these bounds.
const WRITE_BUFFERS: (usize, usize) = (4 * MIB, 16 * MIB);

/// The log is cut at this size, which bounds what a start after a crash replays.
const LOG_BYTES: u64 = 32 << 20;

/// Read at a time by who reads everything: large enough that a disk streams, small beside the cache.
const SWEEP_BYTES: usize = MIB;

/// The first level below the newest files holds a tenth of this up to this; each further one ten times more. A quarter of a
/// gigabyte, RocksDB's own figure, is more than many servers have: all of it would be written again whenever four new files
/// are merged (measured: `docs/performance.md`).
const LEVEL_BYTES: u64 = 32 << 20;

/// How large files of that level may be; those of each level below twice as large, so that large databases do not have too
/// many. A merge leaves alone the files that it does not touch.
const FILE_BYTES: u64 = 8 << 20;
const FILE_GROWTH: i32 = 2;

/// How the lowest level of events is compressed. They resemble each other: a dictionary pays where single blocks are too short
/// to learn from. It is trained on a megabyte of a file's first four: without that bound a whole file waits in memory. The crate
/// has no call for it, so all of it is in RocksDB's own form.
const EVENTS_AT_REST: &str = "bottommost_compression=kZSTD;bottommost_compression_opts={enabled=true;level=3;\
    max_dict_bytes=16384;zstd_max_train_bytes=1048576;max_dict_buffer_bytes=4194304}";

/// Bits for each key in a filter: one look-up in a hundred for a missing key reads a block in vain.
const FILTER_BITS: f64 = 10.0;

/// An open RocksDB.
pub(crate) struct Rocks {
    database: Database,
    cache: Cache,
}

impl Rocks {
    /// Opens or makes the database.
    pub(crate) fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        std::fs::create_dir_all(path).map_err(|error| failed(path, error.to_string()))?;
        Self::open_with(options, |general, families| {
            Database::open_cf_descriptors(general, path, families)
        })
    }

    /// Opens a database without changing a byte of it, and without keeping anybody else from it.
    pub(crate) fn open_read_only(options: &StoreOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        // RocksDB would make a folder for its log.
        if !path.is_dir() {
            return Err(failed(path, "there is no database".into()));
        }
        Self::open_with(options, |general, families| {
            let mut general = general.clone();
            general.create_if_missing(false);
            general.create_missing_column_families(false);
            Database::open_cf_descriptors_read_only(&general, path, families, false)
        })
    }

    fn open_with(
        options: &StoreOptions,
        open: impl FnOnce(&Options, Vec<ColumnFamilyDescriptor>) -> Result<Database, rocksdb::Error>,
    ) -> Result<Self, OpenError> {
        let path = &options.path;
        let cache = Cache::new_hyper_clock_cache(options.cache_bytes, 0);
        let general = general_options(options.cache_bytes, &cache);
        let mut families = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            let of_family = family_options(family, &cache)
                .map_err(|error| failed(path, error.into_string()))?;
            families.push(ColumnFamilyDescriptor::new(family.name(), of_family));
        }
        let found = Database::list_cf(&general, path).unwrap_or_default();
        // A start that was cut off may have left the default family alone; ours come after it, meta first.
        let has = |wanted: &str| found.iter().any(|name| name == wanted);
        if !has(Family::Meta.name()) && found.iter().any(|name| name != "default") {
            return Err(failed(path, "the database is another program's".into()));
        }
        // RocksDB refuses to open without the families that a newer version has made. They are opened, so that
        // the schema check can say what is wrong.
        let unknown = found
            .into_iter()
            .filter(|name| Family::ALL.iter().all(|family| family.name() != name))
            .map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
        families.extend(unknown);
        let database = open(&general, families).map_err(|error| {
            let reason = error.into_string();
            if is_lock_error(&reason) {
                OpenError::Locked { path: path.clone() }
            } else {
                failed(path, reason)
            }
        })?;
        Ok(Self { database, cache })
    }

    /// Hard links to the files that are there, and a copy of the log's end.
    ///
    /// The write buffers are moved into files first, beside the writers and without holding them up, so that the
    /// checkpoint itself, for whose moment they wait, has almost nothing left to flush and little log to copy.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), WriteError> {
        self.flush()?;
        Ok(Checkpoint::new(&self.database)?.create_checkpoint(path)?)
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, String> {
        self.database
            .cf_handle(family.name())
            .ok_or_else(|| format!("column family {} is missing", family.name()))
    }

    pub(crate) fn get<R>(
        &self,
        family: Family,
        key: &[u8],
        tier: Tier,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, ReadError> {
        let family = self.family(family).map_err(ReadError::Failed)?;
        let row = self
            .database
            .get_pinned_cf_opt(family, key, &read_options(tier))?;
        Ok(row.map(|value| read(&value)))
    }

    pub(crate) fn multi_get<R>(
        &self,
        family: Family,
        keys: &[Vec<u8>],
        tier: Tier,
        read: impl Fn(&[u8]) -> R,
    ) -> Result<Vec<Option<R>>, ReadError> {
        if tier == Tier::Memory {
            // RocksDB's own multi-get answers "absent" here where a single get says "not in memory".
            let get = |key: &Vec<u8>| self.get(family, key, tier, &read);
            return keys.iter().map(get).collect();
        }
        let family = self.family(family).map_err(ReadError::Failed)?;
        let options = read_options(tier);
        let rows = self
            .database
            .batched_multi_get_cf_opt(family, keys, false, &options);
        rows.into_iter()
            .map(|row| Ok(row?.map(|value| read(&value))))
            .collect()
    }

    pub(crate) fn scan(
        &self,
        family: Family,
        scan: &Scan,
        tier: Tier,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let family = self.family(family).map_err(ReadError::Failed)?;
        let mut options = read_options(tier);
        options.set_iterate_lower_bound(scan.from.as_slice());
        options.set_iterate_upper_bound(scan.to.as_slice());
        let mut rows = self.database.raw_iterator_cf_opt(family, options);
        if scan.reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        for _ in 0..scan.limit {
            let Some((key, value)) = rows.item() else {
                break;
            };
            if !visit(key, value) {
                return Ok(());
            }
            if scan.reverse {
                rows.prev();
            } else {
                rows.next();
            }
        }
        Ok(rows.status()?)
    }

    pub(crate) fn write<'a>(
        &self,
        operations: impl Iterator<Item = &'a Operation>,
        sync: bool,
    ) -> Result<(), WriteError> {
        let mut batch = WriteBatch::default();
        for operation in operations {
            match operation {
                Operation::Put { family, key, value } => {
                    batch.put_cf(self.family(*family)?, &key.bytes, &value.bytes);
                }
                Operation::Delete { family, key } => {
                    batch.delete_cf(self.family(*family)?, &key.bytes);
                }
                Operation::DeleteRange { family, from, to } => {
                    batch.delete_range_cf(self.family(*family)?, from, to);
                }
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        Ok(self.database.write_opt(batch, &options)?)
    }

    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        Ok(self.database.flush_wal(true)?)
    }

    pub(crate) fn flush(&self) -> Result<(), WriteError> {
        for family in Family::ALL {
            self.database.flush_cf(self.family(family)?)?;
        }
        Ok(())
    }

    pub(crate) fn approximate_bytes(&self, extents: &[Extent]) -> Result<Vec<u64>, WriteError> {
        let mut sizes = Vec::with_capacity(extents.len());
        // One after the other: the answer to several has no place for an error.
        for extent in extents {
            let family = self.family(extent.family)?;
            let range = [Range::new(&extent.from, &extent.to)];
            let found = self.database.get_approximate_sizes_cf(family, &range);
            sizes.push(found.first().copied().unwrap_or(0));
        }
        Ok(sizes)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let readers = |family: Family| {
            let family = self.family(family).ok()?;
            self.database
                .property_int_value_cf(family, rocksdb::properties::ESTIMATE_TABLE_READERS_MEM)
                .ok()?
        };
        // Write buffers are charged to the cache.
        self.cache.get_usage() as u64 + Family::ALL.into_iter().filter_map(readers).sum::<u64>()
    }
}

impl From<rocksdb::Error> for ReadError {
    fn from(error: rocksdb::Error) -> Self {
        match error.kind() {
            ErrorKind::Incomplete => Self::NotInMemory,
            ErrorKind::Corruption => Self::Damaged(error.into_string()),
            _ => Self::Failed(error.into_string()),
        }
    }
}

impl From<rocksdb::Error> for WriteError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

impl From<String> for WriteError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

fn failed(path: &Path, reason: String) -> OpenError {
    OpenError::Engine {
        path: path.to_owned(),
        reason,
    }
}

/// Held by another process, or by another store of this one.
fn is_lock_error(reason: &str) -> bool {
    reason.contains("While lock file") || reason.contains("lock hold by current process")
}

fn read_options(tier: Tier) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(match tier {
        Tier::Memory => ReadTier::BlockCache,
        Tier::Disk | Tier::Sweep => ReadTier::All,
    });
    if tier == Tier::Sweep {
        options.fill_cache(false);
        options.set_readahead_size(SWEEP_BYTES);
    }
    options
}

fn general_options(cache_bytes: usize, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.increase_parallelism(2);
    // There is one writer: nothing to share a memtable with.
    options.set_allow_concurrent_memtable_write(false);
    options.set_max_open_files(512);
    options.set_max_total_wal_size(LOG_BYTES);
    let (least, most) = WRITE_BUFFERS;
    let write_buffers = (cache_bytes / 4).clamp(least, most);
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
        write_buffers,
        false,
        cache.clone(),
    ));
    // Writes go to the device steadily instead of in bursts that delay an fsync.
    options.set_bytes_per_sync(MIB as u64);
    options.set_wal_bytes_per_sync(MIB as u64);
    // Files that the last iterator lets go of are deleted in the background, not by a reader.
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(2 * MIB);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(family: Family, cache: &Cache) -> Result<Options, rocksdb::Error> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Ribbon filters are a third smaller, and to make one took 40 bytes of memory a key and a quarter of a merge's time.
    table.set_bloom_filter(FILTER_BITS, false);
    table.set_optimize_filters_for_memory(true);

    let mut options = Options::default();
    // Small first blocks: seven families share few megabytes of write buffers.
    options.set_arena_block_size(128 * KIB);
    options.set_write_buffer_size(4 * MIB);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_bytes_for_level_base(LEVEL_BYTES);
    options.set_target_file_size_base(FILE_BYTES);
    options.set_target_file_size_multiplier(FILE_GROWTH);
    match family {
        Family::Meta => {
            options.set_compression_type(DBCompressionType::None);
        }
        Family::Events => {
            options.set_write_buffer_size(8 * MIB);
            // What passes through the levels above is soon compressed again.
            options.set_compression_type(DBCompressionType::Lz4);
            options = options.get_options_from_string(EVENTS_AT_REST)?;
            table.set_block_size(16 * KIB);
        }
        Family::Index | Family::Timeline | Family::State | Family::Users | Family::Feeds => {
            options.set_compression_type(DBCompressionType::Lz4);
            table.set_block_size(8 * KIB);
        }
    }
    options.set_block_based_table_factory(&table);
    Ok(options)
}

#[cfg(test)]
mod tests;
