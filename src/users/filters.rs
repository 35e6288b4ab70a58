//! Filters that clients keep with us ([spec](https://spec.matrix.org/v1.19/client-server-api/#filtering)).
//! Applying them is sync's and rooms' business.

use std::sync::Arc;

use bytes::Bytes;
use ruma::api::client::filter::FilterDefinition;
use sha2::{Digest, Sha256};
use store::{
    Batch, Raw, Scan, StoreError, UserNid,
    codec::Tail,
    tables::{FilterNumbers, Filters},
};

use crate::{FILTER_BYTES, FilterError, Users, news::Aftermath, rows};

/// A filter's JSON.
const MAX_FILTER_BYTES: usize = 64 * 1024;
/// Filters kept per user. The oldest goes: its client makes it again when it is told that it is unknown.
const MAX_FILTERS: u32 = 1_000;

impl Users {
    /// Keeps a filter and gives its number; the same JSON has the same number.
    pub async fn define_filter(&self, user: UserNid, filter: Bytes) -> Result<u32, FilterError> {
        if filter.len() > MAX_FILTER_BYTES {
            return Err(FilterError::TooLarge {
                limit: MAX_FILTER_BYTES,
            });
        }
        serde_json::from_slice::<FilterDefinition>(&filter)
            .map_err(|error| FilterError::Invalid(error.to_string()))?;
        let hash = hash(&filter);
        let guard = self.0.locks.lock(user).await;
        if let Some(number) = self
            .0
            .store
            .get::<FilterNumbers>(&(user, hash.clone()))
            .await?
        {
            return Ok(number);
        }
        let last = Scan::prefix::<Filters>(&(user,)).reverse().limit(1);
        let last = self.0.store.scan::<Filters>(last).await?.pop();
        let number = last.map_or(1, |((_, number), _)| number.saturating_add(1));
        let mut batch = Batch::new();
        let oldest = (user, number.saturating_sub(MAX_FILTERS));
        if let Some(old) = self.0.store.get::<Filters>(&oldest).await? {
            batch.delete::<FilterNumbers>(&(user, self::hash(&old.0)));
            batch.delete::<Filters>(&oldest);
            self.0.filters.remove(&oldest);
        }
        batch.put::<FilterNumbers>(&(user, hash), &number);
        batch.put::<Filters>(&(user, number), &Raw(filter));
        self.commit(user, guard, batch, Aftermath::default())
            .await?;
        Ok(number)
    }

    /// A filter as the client sent it.
    pub async fn filter_json(
        &self,
        user: UserNid,
        number: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        Ok(self
            .0
            .store
            .get::<Filters>(&(user, number))
            .await?
            .map(|raw| raw.0))
    }

    /// A filter to apply, from memory if it was asked for before.
    pub async fn filter(
        &self,
        user: UserNid,
        number: u32,
    ) -> Result<Option<Arc<FilterDefinition>>, StoreError> {
        if let Some(filter) = self.0.filters.get(&(user, number)) {
            return Ok(Some(filter));
        }
        let Some(raw) = self.0.store.get::<Filters>(&(user, number)).await? else {
            return Ok(None);
        };
        let filter = Arc::new(rows::parse::<Filters, FilterDefinition>(&raw)?);
        self.0.filters.insert(
            (user, number),
            Arc::clone(&filter),
            raw.0.len() * 2 + FILTER_BYTES,
        );
        Ok(Some(filter))
    }
}

fn hash(filter: &[u8]) -> Tail {
    Tail(Sha256::digest(filter).to_vec())
}

#[cfg(test)]
mod tests;
