//! The key-value seam, the tables and the commit log (DESIGN §3). Knows no Matrix rule.
//!
//! Reads are `async` so that a network engine fits below; commits go through one queue, one writer and one
//! `fsync` for everybody who waits. What holds:
//!
//! * the order of queueing is the order of positions, of rows on disk and of news; a crash keeps a beginning of it;
//! * what was acknowledged is kept (as [`Durability`] says), and what cannot be kept is not acknowledged: the
//!   process stops;
//! * no position is given out twice, whatever happens;
//! * a row may be read a moment before its position is [`Store::visible`], never after.
//!
//! The way in is `handle`; `queue` and `committer` are the commit log, `engine` is what lies below, `tables` and
//! `rows` are what everybody keeps.

use thiserror::Error;

mod batch;
pub mod codec;
mod committer;
mod engine;
mod extent;
mod facts;
mod guards;
mod handle;
mod ids;
mod interner;
mod queue;
pub mod rows;
mod scan;
mod stats;
pub mod sweep;
pub mod tables;

pub use batch::Batch;
pub use engine::memory::MemoryDisk;
pub use extent::Extent;
pub use handle::{Durability, OpenError, Store, StoreOptions};
pub use ids::{Nid, Pos, RoomNid, Rsn, StateKeyNid, UserNid};
pub use interner::Interner;
pub use queue::Queued;
pub use scan::Scan;
pub use stats::{CommitDistributions, EngineFigures, FamilyFigures, Stats, Unwritable};
pub use sweep::Sweep;
pub use tables::{Family, Raw, Table};

/// A row that does not decode, and why.
#[derive(Clone, Copy, Debug, Error)]
#[error("corrupt row: {0}")]
pub struct CorruptRow(pub &'static str);

/// What can go wrong below.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Too much waits to be written. Answer `M_LIMIT_EXCEEDED`.
    #[error("the commit queue is full")]
    Busy,
    /// A guard did not hold: somebody else has the name.
    #[error("a guard of the batch did not hold")]
    Guard,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// A row cannot be read.
    #[error("table {table}: {source}")]
    Corrupt {
        /// The table's name.
        table: &'static str,
        /// What is wrong.
        source: CorruptRow,
    },
    /// A file of the database is not what was written: bytes that changed on the disk, or are gone.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The engine failed to read.
    #[error("the storage engine failed: {0}")]
    Engine(String),
}

#[cfg(test)]
mod tests;
