//! About how much space ranges of rows take, without reading them.

use std::sync::Arc;

use crate::{
    Scan, Store, StoreError,
    codec::Encode,
    scan::after_prefix,
    tables::{Family, Table},
};

/// A range of one family.
#[derive(Clone, Debug)]
pub struct Extent {
    pub(crate) family: Family,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

impl Extent {
    /// Every row of the table with this prefix byte.
    pub fn table(family: Family, prefix: u8) -> Self {
        let from = vec![prefix];
        Self {
            family,
            to: after_prefix(&from),
            from,
        }
    }

    /// Every row whose key begins with `prefix`, a leading part of the table's key.
    pub fn prefix<T: Table>(prefix: &impl Encode) -> Self {
        let Scan { from, to, .. } = Scan::prefix::<T>(prefix);
        Self {
            family: T::FAMILY,
            from,
            to,
        }
    }
}

impl Store {
    /// About how many bytes each of `extents` takes on the disk, compressed as it is there; blocks that two share count for one
    /// of them. What is only in the write buffers is moved to the disk first, so that it counts.
    ///
    /// # Errors
    /// [`StoreError::Engine`]
    pub async fn approximate_bytes(&self, extents: Vec<Extent>) -> Result<Vec<u64>, StoreError> {
        let engine = Arc::clone(self.engine());
        let task = tokio::task::spawn_blocking(move || {
            engine.flush()?;
            engine.approximate_bytes(&extents)
        });
        match task.await {
            Ok(sizes) => sizes.map_err(|error| StoreError::Engine(error.to_string())),
            Err(error) => Err(StoreError::Engine(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
