//! What the store keeps about itself: schema version, instance id, and the mark below which positions are spent.

use std::path::Path;

use bytes::Bytes;
use host::Host;

use crate::{
    OpenError, Pos,
    batch::{Cell, Operation},
    engine::{Engine, ReadError, Tier, WriteError},
    tables::{Family, Meta, Raw},
};

/// The version of keys and values on disk. A change that older code would misread raises it.
pub(crate) const SCHEMA: u32 = 1;

/// Positions are given out from a range reserved on disk ahead of use, so that none is given twice whatever
/// happens. A crash skips at most this many; one reservation costs one row.
pub(crate) const RESERVED: i64 = 1 << 16;

/// How far the positions of a database that was brought back jump ahead: further than any server comes between two
/// backups (a year at 2,000 commits a second), and a thousand such jumps leave half of what a double holds exactly.
const AHEAD: i64 = 1 << 36;

/// What is known once the store is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) instance: u64,
    /// No position up to here will be given out (again).
    pub(crate) spent: Pos,
    /// Positions up to here may be given out.
    pub(crate) reserved: Pos,
}

impl Facts {
    /// Reads and checks them, and writes nothing: there are no positions to give out.
    pub(crate) fn read(engine: &Engine, path: &Path) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Engine {
            path: path.to_path_buf(),
            reason,
        };
        let read = |name| {
            number(engine, name)
                .map_err(|error| failed(error.to_string()))?
                .ok_or_else(|| failed(format!("the {name} row is missing")))
        };
        let found = read("schema")?;
        if found != u64::from(SCHEMA) {
            return Err(OpenError::Schema {
                found: u32::try_from(found).unwrap_or(u32::MAX),
                known: SCHEMA,
            });
        }
        let spent = Pos(read("clock")?.cast_signed());
        Ok(Self {
            instance: read("instance")?,
            spent,
            reserved: spent,
        })
    }

    /// Reads and checks them, or writes them for the first time; reserves the first positions.
    pub(crate) fn open(engine: &Engine, path: &Path, host: &Host) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Engine {
            path: path.to_path_buf(),
            reason,
        };
        let read = |name| number(engine, name).map_err(|error| failed(error.to_string()));
        let mut rows = Vec::new();
        let (instance, spent) = match read("schema")? {
            None => {
                let instance = u64::from_be_bytes(host.random_bytes());
                rows.push(row("schema", u64::from(SCHEMA)));
                rows.push(row("instance", instance));
                (instance, Pos::ZERO)
            }
            Some(found) if found == u64::from(SCHEMA) => {
                let instance = read("instance")?
                    .ok_or_else(|| failed("the instance row is missing".into()))?;
                let spent =
                    read("clock")?.ok_or_else(|| failed("the clock row is missing".into()))?;
                (instance, Pos(spent.cast_signed()))
            }
            Some(found) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(OpenError::Schema {
                    found,
                    known: SCHEMA,
                });
            }
        };
        let reserved = Pos(spent.0 + RESERVED);
        rows.push(clock(reserved));
        engine
            .write(rows.iter(), true)
            .map_err(|WriteError(reason)| failed(reason))?;
        Ok(Self {
            instance,
            spent,
            reserved,
        })
    }
}

/// Another instance id, and a clock ahead of every position that the database has ever given out, in this copy or
/// another.
pub(crate) fn renew(engine: &Engine, path: &Path, host: &Host) -> Result<(), OpenError> {
    let known = Facts::read(engine, path)?;
    let instance = u64::from_be_bytes(host.random_bytes());
    let rows = [
        row("instance", instance),
        clock(Pos(known.spent.0.saturating_add(AHEAD))),
    ];
    engine
        .write(rows.iter(), true)
        .map_err(|WriteError(reason)| OpenError::Engine {
            path: path.to_path_buf(),
            reason,
        })
}

/// The row that says which positions are spent.
pub(crate) fn clock(mark: Pos) -> Operation {
    row("clock", mark.0.cast_unsigned())
}

fn row(name: &str, value: u64) -> Operation {
    let value = Raw(Bytes::copy_from_slice(&value.to_be_bytes()));
    Operation::Put {
        family: Family::Meta,
        key: Cell::key::<Meta>(&name),
        value: Cell::value(&value),
    }
}

fn number(engine: &Engine, name: &str) -> Result<Option<u64>, ReadError> {
    let key = Cell::key::<Meta>(&name).bytes;
    let read = |bytes: &[u8]| {
        bytes
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| ReadError::Failed(format!("the {name} row is damaged")))
    };
    engine
        .get(Family::Meta, &key, Tier::Disk, read)?
        .transpose()
}

/// Puts a schema row, and nothing else, on a fresh disk.
#[cfg(test)]
pub(crate) fn write_schema(disk: &crate::MemoryDisk, version: u32) {
    let engine = Engine::Memory(crate::engine::memory::Memory::open(disk));
    let row = row("schema", u64::from(version));
    engine.write(std::iter::once(&row), true).unwrap();
}
