//! What one commit writes, atomically.

use crate::{
    Pos,
    codec::{Encode, Encoder, encode_pos},
    tables::{Family, Table},
};

/// Writes, the conditions they hang on, and what to do once they are kept.
///
/// A batch is built in memory by its owner and handed to [`Store::queue`](crate::Store::queue). Positions made
/// with [`Pos::unassigned`] in its keys and values become real ones at that moment.
#[derive(Default)]
pub struct Batch {
    pub(crate) operations: Vec<Operation>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) positions: u16,
    pub(crate) relaxed: bool,
    pub(crate) after: Vec<Box<dyn FnOnce(Pos) + Send>>,
}

/// A key or a value, with the places where a position goes.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamps: Vec<(u32, u16)>,
}

impl Cell {
    pub(crate) fn key<T: Table>(key: &(impl Encode + ?Sized)) -> Self {
        let mut encoder = Encoder::default();
        encoder.u8(T::PREFIX);
        key.encode(&mut encoder);
        encoder.into()
    }

    pub(crate) fn value(value: &(impl Encode + ?Sized)) -> Self {
        let mut encoder = Encoder::default();
        value.encode(&mut encoder);
        encoder.into()
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            stamps: Vec::new(),
        }
    }

    fn stamp(&mut self, first: Pos) {
        for (offset, index) in self.stamps.drain(..) {
            let pos = Pos(first.0 + i64::from(index));
            let place = self.bytes.get_mut(offset as usize..offset as usize + 8);
            if let Some(place) = place {
                place.copy_from_slice(&encode_pos(pos));
            }
        }
    }
}

impl From<Encoder> for Cell {
    fn from(encoder: Encoder) -> Self {
        Self {
            bytes: encoder.bytes,
            stamps: encoder.stamps,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Operation {
    Put {
        family: Family,
        key: Cell,
        value: Cell,
    },
    Delete {
        family: Family,
        key: Cell,
    },
    /// From `from` up to but without `to`.
    DeleteRange {
        family: Family,
        from: Vec<u8>,
        to: Vec<u8>,
    },
}

impl Operation {
    /// A row as it is.
    pub(crate) fn put_bytes(family: Family, key: &[u8], value: &[u8]) -> Self {
        Self::Put {
            family,
            key: Cell::of_bytes(key),
            value: Cell::of_bytes(value),
        }
    }

    /// Without a row, as its key is.
    pub(crate) fn delete_bytes(family: Family, key: &[u8]) -> Self {
        Self::Delete {
            family,
            key: Cell::of_bytes(key),
        }
    }

    /// Writes the real positions, counted from `first`, in the places left for them.
    pub(crate) fn stamp(&mut self, first: Pos) {
        match self {
            Self::Put { key, value, .. } => {
                key.stamp(first);
                value.stamp(first);
            }
            Self::Delete { key, .. } => key.stamp(first),
            Self::DeleteRange { .. } => {}
        }
    }
}

#[derive(Debug)]
pub(crate) enum Guard {
    Absent {
        family: Family,
        key: Vec<u8>,
    },
    Equals {
        family: Family,
        key: Vec<u8>,
        value: Vec<u8>,
    },
}

impl Batch {
    /// An empty one, with one position.
    pub fn new() -> Self {
        Self {
            positions: 1,
            ..Self::default()
        }
    }

    /// Sets how many positions the batch takes; [`Pos::unassigned`] counts from 0 up to this.
    pub fn set_positions(&mut self, count: u16) {
        self.positions = count.max(1);
    }

    /// Writes a row.
    pub fn put<T: Table>(&mut self, key: &T::Key, value: &T::Value) {
        let operation = Operation::Put {
            family: T::FAMILY,
            key: Cell::key::<T>(key),
            value: Cell::value(value),
        };
        self.operations.push(operation);
    }

    /// Removes a row, if it is there.
    pub fn delete<T: Table>(&mut self, key: &T::Key) {
        self.operations.push(Operation::Delete {
            family: T::FAMILY,
            key: Cell::key::<T>(key),
        });
    }

    /// Removes every row whose key begins with `prefix`, a leading part of the table's key. Positions in it are
    /// not stamped.
    pub fn delete_prefix<T: Table>(&mut self, prefix: &impl Encode) {
        let from = Cell::key::<T>(prefix).bytes;
        let to = crate::scan::after_prefix(&from);
        self.operations.push(Operation::DeleteRange {
            family: T::FAMILY,
            from,
            to,
        });
    }

    /// Removes every row from `from` up to but without `to`, leading parts of the table's key. Positions in them are not
    /// stamped.
    pub fn delete_range<T: Table>(&mut self, from: &impl Encode, to: &impl Encode) {
        self.operations.push(Operation::DeleteRange {
            family: T::FAMILY,
            from: Cell::key::<T>(from).bytes,
            to: Cell::key::<T>(to).bytes,
        });
    }

    /// Writes a row as its bytes are; [`crate::sweep`] makes them.
    pub fn put_bytes(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.operations
            .push(Operation::put_bytes(family, key, value));
    }

    /// Removes a row by the bytes of its key, which need not decode.
    pub fn delete_bytes(&mut self, family: Family, key: &[u8]) {
        self.operations.push(Operation::delete_bytes(family, key));
    }

    /// The batch is refused ([`StoreError::Guard`](crate::StoreError::Guard)) if the row exists. Guards see all
    /// batches queued before, and positions in them are not stamped. A refused batch writes and publishes nothing.
    pub fn guard_absent<T: Table>(&mut self, key: &T::Key) {
        self.guards.push(Guard::Absent {
            family: T::FAMILY,
            key: Cell::key::<T>(key).bytes,
        });
    }

    /// The batch is refused unless the row holds exactly `value`.
    pub fn guard_equals<T: Table>(&mut self, key: &T::Key, value: &T::Value) {
        let (key, value) = (Cell::key::<T>(key).bytes, Cell::value(value).bytes);
        self.guards.push(Guard::Equals {
            family: T::FAMILY,
            key,
            value,
        });
    }

    /// Nobody waits for the disk: receipts, last-seen, cursors. Kept with the next commit that somebody waits for,
    /// and published without waiting for that. Never refused for a full queue: keep it small.
    pub fn relax(&mut self) {
        self.relaxed = true;
    }

    /// Calls `after` with the batch's first position once it is kept and everything before it is published, and
    /// just before it is [`visible`](crate::Store::visible) itself. A refused batch never calls it.
    /// Runs on the committer's thread in commit order: it must be short and must not block.
    pub fn after(&mut self, after: impl FnOnce(Pos) + Send + 'static) {
        self.after.push(Box::new(after));
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many positions it takes: as many as were asked for, or are stamped somewhere.
    pub(crate) fn positions(&self) -> u32 {
        let cells = self
            .operations
            .iter()
            .flat_map(|operation| match operation {
                Operation::Put { key, value, .. } => [Some(key), Some(value)],
                Operation::Delete { key, .. } => [Some(key), None],
                Operation::DeleteRange { .. } => [None, None],
            });
        let stamps = cells.flatten().flat_map(|cell| &cell.stamps);
        let stamped = stamps.map(|(_, index)| u32::from(*index) + 1).max();
        stamped.unwrap_or(1).max(u32::from(self.positions)).max(1)
    }

    /// Bytes of keys and values, for the queue's bound.
    pub(crate) fn size(&self) -> usize {
        self.operations
            .iter()
            .map(|operation| match operation {
                Operation::Put { key, value, .. } => key.bytes.len() + value.bytes.len(),
                Operation::Delete { key, .. } => key.bytes.len(),
                Operation::DeleteRange { from, to, .. } => from.len() + to.len(),
            })
            .sum()
    }
}
