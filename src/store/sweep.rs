//! Rows as they are, damaged ones included, for who reads everything: a check, or figures by table.
//!
//! Reads here block, and leave the cache to the server's own.

use std::sync::Arc;

use crate::{
    CorruptRow, Scan, StoreError,
    batch::Cell,
    codec::{Decode, Decoder, Encode},
    engine::{Engine, Tier},
    tables::{Family, Table},
};

/// The way in.
#[derive(Clone)]
pub struct Sweep(Arc<Engine>);

/// One row, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The key, with the table's prefix.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Row<'_> {
    /// What it is found by.
    pub fn key<T: Table>(&self) -> Result<T::Key, CorruptRow> {
        key::<T>(self.key)
    }

    /// What it holds.
    pub fn value<T: Table>(&self) -> Result<T::Value, CorruptRow> {
        value::<T>(self.value)
    }

    /// Both.
    pub fn decode<T: Table>(&self) -> Result<(T::Key, T::Value), CorruptRow> {
        Ok((self.key::<T>()?, self.value::<T>()?))
    }
}

/// Reads a key, with the table's prefix, to its end.
pub fn key<T: Table>(bytes: &[u8]) -> Result<T::Key, CorruptRow> {
    let mut from = Decoder::new(bytes.get(1..).unwrap_or_default());
    let key = T::Key::decode(&mut from)?;
    match from.rest() {
        [] => Ok(key),
        _ => Err(CorruptRow("the key is too long")),
    }
}

/// Reads a value to its end.
pub fn value<T: Table>(bytes: &[u8]) -> Result<T::Value, CorruptRow> {
    let mut from = Decoder::new(bytes);
    let value = T::Value::decode(&mut from)?;
    match from.rest() {
        [] => Ok(value),
        _ => Err(CorruptRow("the value is too long")),
    }
}

/// A key as it lies in the family, with the table's prefix.
pub fn key_bytes<T: Table>(key: &impl Encode) -> Vec<u8> {
    Cell::key::<T>(key).bytes
}

/// The smallest key greater than every key that begins with `prefix`.
pub fn after(prefix: &[u8]) -> Vec<u8> {
    crate::scan::after_prefix(prefix)
}

/// A value as it is kept. Positions in it are real ones.
pub fn value_bytes<T: Table>(value: &T::Value) -> Vec<u8> {
    Cell::value(value).bytes
}

impl Sweep {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    /// Shows the rows of a range of `T`; `false` ends it.
    pub fn rows<T: Table>(
        &self,
        scan: &Scan,
        visit: &mut dyn FnMut(Row<'_>) -> bool,
    ) -> Result<(), StoreError> {
        self.family(T::FAMILY, scan, visit)
    }

    /// The same for a range that was made for another table of the family.
    pub fn family(
        &self,
        family: Family,
        scan: &Scan,
        visit: &mut dyn FnMut(Row<'_>) -> bool,
    ) -> Result<(), StoreError> {
        Ok(self.0.scan(family, scan, Tier::Sweep, &mut |key, value| {
            visit(Row { key, value })
        })?)
    }

    /// One row. A damaged one is as if it were not there; who reads its table finds it.
    pub fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, StoreError> {
        let read = |bytes: &[u8]| value::<T>(bytes).ok();
        let row = self
            .0
            .get(T::FAMILY, &key_bytes::<T>(key), Tier::Disk, read)?;
        Ok(row.flatten())
    }

    /// Several rows; the answer is in the order of `keys`, and quickest where they are sorted.
    pub fn multi_get<T: Table>(
        &self,
        keys: &[T::Key],
    ) -> Result<Vec<Option<T::Value>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(key_bytes::<T>).collect();
        let read = |bytes: &[u8]| value::<T>(bytes).ok();
        let rows = self.0.multi_get(T::FAMILY, &keys, Tier::Disk, read)?;
        Ok(rows.into_iter().map(Option::flatten).collect())
    }
}

#[cfg(test)]
mod tests;
