//! JSON rows and JSON that clients send.

use ruma::CanonicalJsonObject;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use store::{CorruptRow, Raw, Store, StoreError, Table};

pub(crate) fn write<T: Table>(value: &impl Serialize) -> Result<Raw, StoreError> {
    Raw::json(value).map_err(corrupt::<T>)
}

pub(crate) fn parse<T: Table, V: DeserializeOwned>(raw: &Raw) -> Result<V, StoreError> {
    raw.parse().map_err(corrupt::<T>)
}

/// The row under `key`, parsed.
pub(crate) async fn read<T: Table<Value = Raw>, V: DeserializeOwned>(
    store: &Store,
    key: &T::Key,
) -> Result<Option<V>, StoreError> {
    let row = store.get::<T>(key).await?;
    row.map(|raw| parse::<T, V>(&raw)).transpose()
}

/// A row that holds what a client sent, as it was sent.
pub(crate) fn kept(json: &RawValue) -> Raw {
    Raw(json.get().as_bytes().to_vec().into())
}

/// What a client sent, out of a row.
pub(crate) fn sent<T: Table>(row: &[u8]) -> Result<Box<RawValue>, StoreError> {
    serde_json::from_slice(row).map_err(|_| corrupt::<T>(CorruptRow("is not JSON")))
}

pub(crate) fn corrupt<T: Table>(source: CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: T::NAME,
        source,
    }
}

/// JSON that may be signed; `None` for floats, large integers and what is not an object.
pub(crate) fn canonical(json: &RawValue) -> Option<CanonicalJsonObject> {
    serde_json::from_str(json.get()).ok()
}

/// Whether two texts are the same JSON.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let parse = |text| serde_json::from_slice::<Value>(text).ok();
    parse(one).is_some_and(|one| parse(other) == Some(one))
}

/// Whether two objects are the same but for what is not signed.
pub(crate) fn same_signed(one: &CanonicalJsonObject, other: &CanonicalJsonObject) -> bool {
    let signed = |object: &CanonicalJsonObject| {
        let mut object = object.clone();
        object.remove("signatures");
        object.remove("unsigned");
        object
    };
    signed(one) == signed(other)
}

/// Whether it is an object.
pub(crate) fn is_object(json: &RawValue) -> bool {
    json.get().trim_start().starts_with('{')
}
