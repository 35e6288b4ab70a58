//! JSON rows: written and read with the table's name in the error.

use serde::{Serialize, de::DeserializeOwned};
use store::{Raw, Store, StoreError, Table};

pub(crate) fn write<T: Table>(value: &impl Serialize) -> Result<Raw, StoreError> {
    Raw::json(value).map_err(|source| StoreError::Corrupt {
        table: T::NAME,
        source,
    })
}

pub(crate) fn parse<T: Table, V: DeserializeOwned>(raw: &Raw) -> Result<V, StoreError> {
    raw.parse().map_err(|source| StoreError::Corrupt {
        table: T::NAME,
        source,
    })
}

/// The row under `key`, parsed.
pub(crate) async fn read<T: Table<Value = Raw>, V: DeserializeOwned>(
    store: &Store,
    key: &T::Key,
) -> Result<Option<V>, StoreError> {
    store
        .get::<T>(key)
        .await?
        .map(|raw| parse::<T, V>(&raw))
        .transpose()
}
