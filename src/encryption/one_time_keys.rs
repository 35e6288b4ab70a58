//! One-time and fallback keys: uploaded, counted, claimed
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys)).

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    Pos, Scan, StoreError, UserNid,
    rows::OneTimeKeyRow,
    tables::{KeyStocks, OneTimeKeys},
};

use crate::{Encryption, KeyUpload, KeysError, change::Change, json};

/// What a device has for others to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// By algorithm, the one-time keys that nobody has claimed yet; those without any are left out.
    pub one_time_keys: BTreeMap<String, u32>,
    /// Algorithms whose fallback key nobody was given yet.
    pub unused_fallback_keys: Vec<String>,
}

/// Which key somebody wants.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose device.
    pub user: UserNid,
    /// The device.
    pub device_id: String,
    /// The kind of key.
    pub algorithm: String,
}

/// A key that nobody else was or will be given, unless it is a fallback key.
#[derive(Clone, Debug)]
pub struct ClaimedKey {
    /// `algorithm:id`
    pub id: String,
    /// As the device has uploaded it.
    pub key: Box<RawValue>,
}

/// The row of what a device has for others to claim.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stock {
    /// One-time keys by algorithm.
    #[serde(default)]
    counts: BTreeMap<String, u32>,
    /// Fallback keys by algorithm.
    #[serde(default)]
    fallback: BTreeMap<String, Fallback>,
    /// Ids of the keys that were claimed last: an upload whose answer was lost comes once more, and must not bring
    /// back what was given away in between.
    #[serde(default)]
    claimed: VecDeque<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Fallback {
    id: String,
    key: Box<RawValue>,
    used: bool,
}

/// Clients keep 50 to 100.
const MAX_ONE_TIME_KEYS: usize = 1_000;
/// There are two that anybody uses.
const MAX_ALGORITHMS: usize = 16;
/// A key with its signature takes 250; keys that withstand quantum computers some thousands.
const MAX_KEY_BYTES: usize = 16 * 1024;
/// As of every identifier.
const MAX_KEY_ID_BYTES: usize = 255;
/// As many as a client uploads at once.
const CLAIMED_REMEMBERED: usize = 100;

impl Stock {
    pub(crate) fn counts(&self) -> KeyCounts {
        let unused = self.fallback.iter().filter(|(_, fallback)| !fallback.used);
        KeyCounts {
            one_time_keys: self.counts.clone(),
            unused_fallback_keys: unused.map(|(algorithm, _)| algorithm.clone()).collect(),
        }
    }

    /// Nothing of it may be given as if it had never been: the one-time keys `dropped` are gone, and fallback keys used.
    pub(crate) fn renew(&mut self, dropped: Vec<String>) {
        self.counts.clear();
        for fallback in self.fallback.values_mut() {
            fallback.used = true;
        }
        self.claimed.extend(dropped);
        let surplus = self.claimed.len().saturating_sub(CLAIMED_REMEMBERED);
        self.claimed.drain(..surplus);
    }

    fn claimed(&mut self, algorithm: &str, id: String) {
        if let Some(count) = self.counts.get_mut(algorithm) {
            *count = count.saturating_sub(1);
        }
        self.counts.retain(|_, count| *count > 0);
        self.claimed.push_back(id);
        if self.claimed.len() > CLAIMED_REMEMBERED {
            self.claimed.pop_front();
        }
    }
}

impl Encryption {
    /// What a device has for others to claim. Answered from memory for who asked before.
    pub async fn key_counts(
        &self,
        user: UserNid,
        device_id: &str,
    ) -> Result<Arc<KeyCounts>, StoreError> {
        let key = (user, device_id.to_owned());
        if let Some(counts) = self.0.counts.get(&key) {
            return Ok(counts);
        }
        // Whoever changes the row corrects the memory before the lock is free again.
        let _unchanged = self.0.locks.read([user]).await;
        let stock = json::read::<KeyStocks, Stock>(&self.0.store, &key).await?;
        let counts = Arc::new(stock.unwrap_or_default().counts());
        self.0.counts.insert(key, Arc::clone(&counts));
        Ok(counts)
    }

    /// Adds one-time and fallback keys to a change, and to `stock`.
    pub(crate) async fn stage_one_time_keys(
        &self,
        change: &mut Change,
        (key, stock): (&(UserNid, String), &mut Stock),
        is_new_identity: bool,
        upload: KeyUpload,
    ) -> Result<(), KeysError> {
        let mut is_changed = is_new_identity;
        if !upload.one_time_keys.is_empty() {
            let mut kept = HashMap::new();
            if !is_new_identity {
                let scan = Scan::prefix::<OneTimeKeys>(key);
                for (_, row) in self.0.store.scan::<OneTimeKeys>(scan).await? {
                    kept.insert(row.id, row.key);
                }
            }
            let mut added: u16 = 0;
            for (id, json) in upload.one_time_keys {
                let algorithm = check_key(&id, &json)?;
                if let Some(before) = kept.get(&id) {
                    if json::same(before, json.get().as_bytes()) {
                        continue;
                    }
                    // matrix-rust-sdk knows this error by how it begins.
                    return Err(KeysError::Invalid(
                        format!("One time key {id} already exists with another value.").into(),
                    ));
                }
                if stock.claimed.contains(&id) {
                    continue;
                }
                if kept.len() + usize::from(added) >= MAX_ONE_TIME_KEYS {
                    return Err(KeysError::TooLarge("Too many one-time keys.".into()));
                }
                let algorithm = algorithm.to_owned();
                let place = (
                    key.0,
                    key.1.clone(),
                    algorithm.clone(),
                    Pos::unassigned(added),
                );
                let row = OneTimeKeyRow {
                    id,
                    key: json.get().as_bytes().to_vec().into(),
                };
                change.batch.put::<OneTimeKeys>(&place, &row);
                *stock.counts.entry(algorithm).or_default() += 1;
                added += 1;
            }
            is_changed |= added > 0;
        }
        let mut seen: Vec<String> = Vec::new();
        for (id, json) in upload.fallback_keys {
            let algorithm = check_key(&id, &json)?.to_owned();
            if seen.contains(&algorithm) {
                return Err(KeysError::invalid(
                    "There is one fallback key per algorithm.",
                ));
            }
            seen.push(algorithm.clone());
            let same = stock.fallback.get(&algorithm).is_some_and(|before| {
                before.id == id && json::same(before.key.get().as_bytes(), json.get().as_bytes())
            });
            if !same {
                let fallback = Fallback {
                    id,
                    key: json,
                    used: false,
                };
                stock.fallback.insert(algorithm, fallback);
                is_changed = true;
            }
        }
        if stock.counts.len() > MAX_ALGORITHMS || stock.fallback.len() > MAX_ALGORITHMS {
            return Err(KeysError::TooLarge("Too many algorithms.".into()));
        }
        if is_changed {
            change
                .batch
                .put::<KeyStocks>(key, &json::write::<KeyStocks>(stock)?);
            change.news.counts.push(key.clone());
        }
        Ok(())
    }

    /// Claims keys: a one-time key where there is one, else the fallback key, else none. The answer is in the order of
    /// `claims`, of which no two name the same device. What is given is gone from the disk before it is given.
    pub async fn claim_keys(
        &self,
        claims: &[Claim],
    ) -> Result<Vec<Option<ClaimedKey>>, StoreError> {
        let mut change = self.change(claims.iter().map(|claim| claim.user)).await;
        let mut given = Vec::with_capacity(claims.len());
        for claim in claims {
            given.push(self.stage_claim(&mut change, claim).await?);
        }
        self.commit(change).await?;
        Ok(given)
    }

    async fn stage_claim(
        &self,
        change: &mut Change,
        claim: &Claim,
    ) -> Result<Option<ClaimedKey>, StoreError> {
        let key = (claim.user, claim.device_id.clone());
        let Some(mut stock) = json::read::<KeyStocks, Stock>(&self.0.store, &key).await? else {
            return Ok(None);
        };
        let prefix = (claim.user, claim.device_id.clone(), claim.algorithm.clone());
        let oldest = Scan::prefix::<OneTimeKeys>(&prefix).limit(1);
        let found = self.0.store.scan::<OneTimeKeys>(oldest).await?;
        let given = if let Some((place, row)) = found.into_iter().next() {
            change.batch.delete::<OneTimeKeys>(&place);
            stock.claimed(&claim.algorithm, row.id.clone());
            ClaimedKey {
                key: json::sent::<OneTimeKeys>(&row.key)?,
                id: row.id,
            }
        } else if let Some(fallback) = stock.fallback.get_mut(&claim.algorithm) {
            let given = ClaimedKey {
                id: fallback.id.clone(),
                key: fallback.key.clone(),
            };
            if std::mem::replace(&mut fallback.used, true) {
                return Ok(Some(given));
            }
            given
        } else {
            return Ok(None);
        };
        change
            .batch
            .put::<KeyStocks>(&key, &json::write::<KeyStocks>(&stock)?);
        change.news.counts.push(key);
        Ok(Some(given))
    }
}

/// Checks the form of a key and gives its algorithm.
fn check_key<'a>(id: &'a str, json: &RawValue) -> Result<&'a str, KeysError> {
    let (algorithm, name) = id.split_once(':').unwrap_or_default();
    if algorithm.is_empty() || name.is_empty() || id.len() > MAX_KEY_ID_BYTES {
        return Err(KeysError::invalid("A key id is `algorithm:id`."));
    }
    if json.get().len() > MAX_KEY_BYTES {
        return Err(KeysError::TooLarge("A key is too large.".into()));
    }
    if !json::is_object(json) && !json.get().starts_with('"') {
        return Err(KeysError::BadJson("A key is an object or a string.".into()));
    }
    Ok(algorithm)
}

#[cfg(test)]
mod tests;
