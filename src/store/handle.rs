//! The handle that everybody holds: reads, commits, the clock.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use host::Host;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{
    Batch, CommitDistributions, CorruptRow, EngineFigures, Interner, MemoryDisk, Pos, Queued, Scan,
    Stats, StoreError, Sweep, Unwritable,
    batch::Cell,
    codec::{Decode, Decoder},
    committer::Committer,
    engine::{Engine, ReadError, Tier, WriteError, memory::Memory, rocks::Rocks},
    facts::{self, Facts},
    tables::Table,
};

/// When a commit counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged = on disk: one `fsync` for each group of commits.
    #[default]
    Fsync,
    /// Synced in the background every `interval_ms`: a power cut may lose that much, a killed process nothing.
    Interval,
    /// Left to the operating system: a power cut may lose half a minute, a killed process nothing.
    Os,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database directory, made if it is missing.
    pub path: PathBuf,
    /// When a commit counts as kept.
    pub durability: Durability,
    /// One budget for blocks, indexes, filters and write buffers, in bytes.
    pub cache_bytes: usize,
    /// How much may wait to be written before [`StoreError::Busy`], in bytes.
    pub queue_bytes: usize,
    /// Time between syncs with [`Durability::Interval`], in milliseconds.
    pub interval_ms: u64,
}

impl StoreOptions {
    /// The defaults, in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            durability: Durability::Fsync,
            cache_bytes: 64 << 20,
            queue_bytes: 16 << 20,
            interval_ms: 100,
        }
    }
}

/// Why a store does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by another process; each data directory serves one server")]
    Locked {
        /// The database directory.
        path: PathBuf,
    },
    /// Written by another version of the software.
    #[error("the database has schema {found}, this version knows {known}")]
    Schema {
        /// The version on disk.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// Not a database, damaged, not allowed, no space.
    #[error("{path} does not open: {reason}")]
    Engine {
        /// The database directory.
        path: PathBuf,
        /// What the engine says.
        reason: String,
    },
}

/// A handle on the store; cheap to clone.
///
/// When the last handle goes, what is queued is still written, and that is waited for; [`Store::close`] does it
/// without blocking and leaves nothing to replay.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    committer: Committer,
    interner: Interner,
    reader: Reader,
    instance: u64,
}

/// The way to the engine for reads: inline while the answer is in memory, else in a small pool.
#[derive(Clone)]
pub(crate) struct Reader {
    engine: Arc<Engine>,
    pool: Arc<Semaphore>,
}

/// How long a write may take before the disk counts as dead: seconds are a device that collects garbage, and the kernel
/// itself gives up on a command after 30.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads that wait for the disk at once; more only queue in the device.
const DISK_READS: usize = 16;

impl Store {
    /// Opens or makes the database at `options.path`. Blocks.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a host is a cheap handle that callers clone and give away"
    )]
    pub fn open(options: &StoreOptions, host: Host) -> Result<Self, OpenError> {
        let rocks = Rocks::open(options)?;
        let engine = Arc::new(Engine::Rocks(rocks));
        let facts = Facts::open(&engine, &options.path, &host)?;
        Self::start(engine, options, &facts)
    }

    /// Opens a database, such as a checkpoint, to look at: nothing of it changes and nobody is kept from it, and every
    /// commit is refused. Blocks.
    pub fn open_read_only(options: &StoreOptions) -> Result<Self, OpenError> {
        let rocks = Rocks::open_read_only(options)?;
        let engine = Arc::new(Engine::Rocks(rocks));
        let facts = Facts::read(&engine, &options.path)?;
        let store = Self::start(engine, options, &facts)?;
        store.0.committer.queue().fail("it was opened to be read");
        Ok(store)
    }

    /// Makes the database at `options.path`, a copy that was brought back, one of its own: with another instance id, so that
    /// tokens of the one that it was copied from start over, and with positions ahead of all that it may have given out
    /// since. Blocks; nobody else may have the database open.
    pub fn renew(options: &StoreOptions, host: &Host) -> Result<(), OpenError> {
        let engine = Engine::Rocks(Rocks::open(options)?);
        facts::renew(&engine, &options.path, host)
    }

    /// A fresh store in memory, for tests.
    ///
    /// # Panics
    /// If the system gives no thread.
    pub fn open_memory(host: Host) -> Self {
        match Self::open_memory_disk(&MemoryDisk::new(), &StoreOptions::default(), host) {
            Ok(store) => store,
            Err(error) => panic!("a store in memory does not open: {error}"),
        }
    }

    /// Opens what `disk` keeps, for tests of crashes and failures. `options.path` and `cache_bytes` mean nothing here.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a host is a cheap handle that callers clone and give away"
    )]
    pub fn open_memory_disk(
        disk: &MemoryDisk,
        options: &StoreOptions,
        host: Host,
    ) -> Result<Self, OpenError> {
        let engine = Arc::new(Engine::Memory(Memory::open(disk)));
        let facts = Facts::open(&engine, &options.path, &host)?;
        Self::start(engine, options, &facts)
    }

    fn start(
        engine: Arc<Engine>,
        options: &StoreOptions,
        facts: &Facts,
    ) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Engine {
            path: options.path.clone(),
            reason,
        };
        let committer =
            Committer::start(&engine, options, facts).map_err(|error| failed(error.to_string()))?;
        let reader = Reader {
            engine,
            pool: Arc::new(Semaphore::new(DISK_READS)),
        };
        let interner = Interner::open(reader.clone(), committer.queue())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            committer,
            interner,
            reader,
            instance: facts.instance,
        })))
    }

    /// Reads one row.
    pub async fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, StoreError> {
        self.0.reader.get::<T>(key).await
    }

    /// Reads several rows; the answer is in the order of `keys`.
    pub async fn multi_get<T: Table>(
        &self,
        keys: &[T::Key],
    ) -> Result<Vec<Option<T::Value>>, StoreError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| Cell::key::<T>(key).bytes).collect();
        let read = move |engine: &Engine, tier| {
            engine.multi_get(T::FAMILY, &keys, tier, decode::<T::Value>)
        };
        let rows = self.0.reader.read(read).await?;
        rows.into_iter()
            .map(|row| row.transpose().map_err(|source| corrupt::<T>(source)))
            .collect()
    }

    /// Reads a range. Without a limit the answer is as large as the range: set one wherever the range may grow.
    pub async fn scan<T: Table>(&self, scan: Scan) -> Result<Vec<(T::Key, T::Value)>, StoreError> {
        self.0.reader.scan::<T>(scan).await
    }

    /// Gives the batch its positions and its place in the order of commits, without waiting for anything.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when `queue_bytes` wait already (never for a relaxed batch), [`StoreError::Closed`],
    /// and [`StoreError::Engine`] once a write has failed.
    pub fn queue(&self, batch: Batch) -> Result<Queued, StoreError> {
        self.0.committer.queue().push(batch)
    }

    /// Queues the batch and waits until it is kept and published; gives its first position.
    pub async fn commit(&self, batch: Batch) -> Result<Pos, StoreError> {
        self.queue(batch)?.await
    }

    /// Takes a position for news that is never stored (typing, presence). `after` runs in its turn, on the
    /// committer's thread, with that position; on a closed store it never runs.
    pub fn tick(&self, after: impl FnOnce(Pos) + Send + 'static) -> Pos {
        self.0.committer.queue().tick(Box::new(after))
    }

    /// Copies the database as it is to `path`, which must not exist and whose parent must: a database of its own that
    /// [`Store::open`] and [`Store::open_read_only`] open. Returns the position up to which everything is in it; of what
    /// is committed meanwhile it has a beginning, and of no commit a part.
    ///
    /// On one file system files are linked, not copied: it takes the time of a flush, and space only as the two
    /// diverge. Commits go on: the write buffers are flushed beside them first, so that little is left for the moment
    /// of the checkpoint. What is acknowledged before the call is in it with every [`Durability`].
    pub async fn checkpoint(&self, path: &Path) -> Result<Pos, StoreError> {
        let upto = self.visible();
        let (engine, path) = (Arc::clone(&self.0.reader.engine), path.to_owned());
        let task = tokio::task::spawn_blocking(move || engine.checkpoint(&path));
        match task.await {
            Ok(Ok(())) => Ok(upto),
            Ok(Err(WriteError(reason))) => Err(StoreError::Engine(reason)),
            Err(error) => Err(StoreError::Engine(error.to_string())),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.reader.engine
    }

    /// The rows as they are, for who reads them all.
    pub fn sweep(&self) -> Sweep {
        Sweep::new(Arc::clone(&self.0.reader.engine))
    }

    /// Gives out no position up to `upto` any more, once what is returned says that it is kept: for a database that was
    /// brought back from somewhere else, or whose mark was lost.
    pub fn skip_to(&self, upto: Pos) -> Result<Queued, StoreError> {
        self.0.committer.queue().skip_to(upto);
        self.queue(Batch::new())
    }

    /// Everything up to here is kept and published.
    pub fn visible(&self) -> Pos {
        self.0.committer.queue().visible()
    }

    /// Waits until [`Store::visible`] is at least `pos`, or the store has closed.
    pub async fn reached(&self, pos: Pos) {
        self.0.committer.queue().reached(pos).await;
    }

    /// Names this database: random, made with it, part of every token.
    pub fn instance(&self) -> u64 {
        self.0.instance
    }

    /// Names ↔ numbers.
    pub fn interner(&self) -> &Interner {
        &self.0.interner
    }

    /// Figures for the metrics.
    pub fn stats(&self) -> Stats {
        Stats {
            engine_memory_bytes: self.0.reader.engine.memory_bytes(),
            ..self.0.committer.queue().stats()
        }
    }

    /// How the sizes and durations of commits are distributed, for the metrics.
    pub fn distributions(&self) -> CommitDistributions {
        self.0.committer.queue().counters.distributions()
    }

    /// A look into the engine, for the metrics. Takes the engine's own lock a hundred times, for a moment each: not for
    /// a thread that must not wait.
    pub fn engine_figures(&self) -> EngineFigures {
        self.0.reader.engine.figures()
    }

    /// Whether what is committed now would be kept. Asks nothing of the disk: it looks at how long the commit under way
    /// has been waiting for it.
    ///
    /// # Errors
    /// [`Unwritable`]
    pub fn writable(&self) -> Result<(), Unwritable> {
        self.writable_within(PATIENCE)
    }

    pub(crate) fn writable_within(&self, patience: Duration) -> Result<(), Unwritable> {
        self.0.committer.queue().writable(patience)
    }

    /// Takes no more commits, writes and publishes what is queued, and leaves nothing to replay at the next
    /// open. The directory stays locked until the last handle is dropped.
    pub async fn close(&self) {
        self.0.committer.close().await;
    }
}

impl Reader {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs `read` here if memory holds the answer, else where it may block.
    pub(crate) async fn read<R, F>(&self, read: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: Fn(&Engine, Tier) -> Result<R, ReadError> + Send + 'static,
    {
        match read(&self.engine, Tier::Memory) {
            Err(ReadError::NotInMemory) => {}
            done => return done.map_err(StoreError::from),
        }
        let permit = Arc::clone(&self.pool)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let engine = Arc::clone(&self.engine);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&engine, Tier::Disk)
        });
        match task.await {
            Ok(done) => done.map_err(StoreError::from),
            Err(error) => Err(StoreError::Engine(error.to_string())),
        }
    }

    pub(crate) async fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, StoreError> {
        let key = Cell::key::<T>(key).bytes;
        let row = self
            .read(move |engine, tier| engine.get(T::FAMILY, &key, tier, decode::<T::Value>))
            .await?;
        row.transpose().map_err(|source| corrupt::<T>(source))
    }

    pub(crate) async fn scan<T: Table>(
        &self,
        scan: Scan,
    ) -> Result<Vec<(T::Key, T::Value)>, StoreError> {
        let read = move |engine: &Engine, tier| {
            let mut rows = Ok(Vec::new());
            engine.scan(T::FAMILY, &scan, tier, &mut |key, value| {
                push_row::<T>(&mut rows, key, value)
            })?;
            Ok(rows)
        };
        self.read(read)
            .await?
            .map_err(|source| corrupt::<T>(source))
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(reason) => Self::Damaged(reason),
            ReadError::NotInMemory | ReadError::Failed(_) => Self::Engine(error.to_string()),
        }
    }
}

fn decode<V: Decode>(bytes: &[u8]) -> Result<V, CorruptRow> {
    V::decode(&mut Decoder::new(bytes))
}

fn corrupt<T: Table>(source: CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: T::NAME,
        source,
    }
}

/// A scan's rows so far, or why one of them does not decode.
type Rows<T> = Result<Vec<(<T as Table>::Key, <T as Table>::Value)>, CorruptRow>;

/// `false` ends the scan.
fn push_row<T: Table>(rows: &mut Rows<T>, key: &[u8], value: &[u8]) -> bool {
    let Ok(found) = rows else { return false };
    // The first byte is the table's prefix.
    match (decode(key.get(1..).unwrap_or_default()), decode(value)) {
        (Ok(key), Ok(value)) => {
            found.push((key, value));
            true
        }
        (Err(source), _) | (_, Err(source)) => {
            *rows = Err(source);
            false
        }
    }
}

#[cfg(test)]
mod tests;
