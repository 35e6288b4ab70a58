//! Ranges of a table.

use crate::{
    codec::{Encode, Encoder},
    tables::Table,
};

/// A range of one table, from a first key up to but without a last, in either direction.
#[derive(Clone, Debug)]
pub struct Scan {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    pub(crate) reverse: bool,
    pub(crate) limit: usize,
}

impl Scan {
    /// Rows of one family from the key `from` (included) to `to` (left out), as bytes with the table's prefix.
    pub fn bytes(from: Vec<u8>, to: Vec<u8>) -> Self {
        Self {
            from,
            to,
            reverse: false,
            limit: usize::MAX,
        }
    }

    /// Every row whose key begins with `prefix`, a leading part of the table's key.
    pub fn prefix<T: Table>(prefix: &impl Encode) -> Self {
        let from = encoded::<T>(prefix);
        let to = after_prefix(&from);
        Self {
            from,
            to,
            reverse: false,
            limit: usize::MAX,
        }
    }

    /// Rows from `from` (included) to `to` (left out); both are leading parts of the table's key.
    pub fn range<T: Table>(from: &impl Encode, to: &impl Encode) -> Self {
        Self {
            from: encoded::<T>(from),
            to: encoded::<T>(to),
            reverse: false,
            limit: usize::MAX,
        }
    }

    /// Last row first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// At most `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

fn encoded<T: Table>(part: &impl Encode) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.u8(T::PREFIX);
    part.encode(&mut encoder);
    encoder.bytes
}

/// The smallest key greater than every key that begins with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}
