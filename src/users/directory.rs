//! The user directory: local users by their names
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#user-directory)). Who may find whom, the caller knows.
//!
//! In memory: the words of all names in order. A user whose profile changes is marked when the change is published and
//! read again by the next search: a search costs the users that changed since the last one, and those it finds.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::OwnedUserId;
use store::{Scan, StoreError, UserNid, tables::Accounts};

use crate::Users;

/// Users that one search looks at. Who looks for somebody types until few are left.
const MAX_FOUND: usize = 2_000;
/// Words of a search; a name has hardly more.
const MAX_TERMS: usize = 8;
/// Words of one name that are indexed.
const MAX_WORDS: usize = 16;

/// Somebody whose name fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Their number.
    pub user: UserNid,
    /// Their id.
    pub user_id: OwnedUserId,
    /// Their display name.
    pub displayname: Option<String>,
    /// Their picture's `mxc:` URI.
    pub avatar_url: Option<String>,
}

/// The directory in memory.
#[derive(Default)]
pub(crate) struct Directory {
    /// Users whose profile changed.
    changed: Mutex<HashSet<UserNid>>,
    index: tokio::sync::Mutex<Index>,
}

#[derive(Default)]
struct Index {
    scanned: bool,
    /// Users that have to be read again.
    pending: HashSet<UserNid>,
    words: BTreeSet<(Box<str>, UserNid)>,
    entries: HashMap<UserNid, Arc<Entry>>,
}

struct Entry {
    found: Found,
    words: Vec<Box<str>>,
    /// The whole name and the localpart, folded.
    name: String,
    localpart: String,
}

impl Directory {
    /// A profile has changed, an account is new or was closed.
    pub(crate) fn changed(&self, user: UserNid) {
        self.changed.lock().insert(user);
    }
}

impl Users {
    /// Local users whose localpart, user id or display name has words that begin with the words of `term`, the best
    /// first; and whether there may be more.
    pub async fn find_users(&self, term: &str) -> Result<(Vec<Found>, bool), StoreError> {
        let term = fold(term.trim());
        let bare = term.strip_prefix('@').unwrap_or(&term);
        let bare = bare
            .strip_suffix(&format!(":{}", self.server_name()))
            .unwrap_or(bare);
        let terms: Vec<Box<str>> = words(bare).take(MAX_TERMS).collect();
        // The longest is the one that fewest names have.
        let Some(rarest) = terms.iter().max_by_key(|term| term.len()) else {
            return Ok((Vec::new(), false));
        };
        let mut index = self.0.directory.index.lock().await;
        self.read_changed(&mut index).await?;
        let mut seen = HashSet::new();
        let mut limited = false;
        let mut hits: Vec<Arc<Entry>> = Vec::new();
        let from = (rarest.clone(), UserNid(0));
        for (word, user) in index.words.range(from..) {
            if !word.starts_with(&**rarest) {
                break;
            }
            if hits.len() >= MAX_FOUND {
                limited = true;
                break;
            }
            let Some(entry) = index.entries.get(user).filter(|_| seen.insert(*user)) else {
                continue;
            };
            let has = |term: &str| entry.words.iter().any(|word| word.starts_with(term));
            if terms.iter().all(|term| has(term)) {
                hits.push(Arc::clone(entry));
            }
        }
        drop(index);
        hits.sort_by_cached_key(|entry| (rank(entry, bare), entry.localpart.clone()));
        let found = hits.iter().map(|entry| entry.found.clone()).collect();
        Ok((found, limited))
    }

    /// Reads whoever has changed.
    async fn read_changed(&self, index: &mut Index) -> Result<(), StoreError> {
        index
            .pending
            .extend(self.0.directory.changed.lock().drain());
        if !index.scanned {
            let accounts = Scan::prefix::<Accounts>(&());
            let accounts = self.0.store.scan::<Accounts>(accounts).await?;
            index
                .pending
                .extend(accounts.into_iter().map(|(user, _)| user));
            index.scanned = true;
        }
        while let Some(user) = index.pending.iter().next().copied() {
            let entry = self.entry(user).await?;
            if let Some(old) = index.entries.remove(&user) {
                for word in &old.words {
                    index.words.remove(&(word.clone(), user));
                }
            }
            if let Some(entry) = entry {
                for word in &entry.words {
                    index.words.insert((word.clone(), user));
                }
                index.entries.insert(user, Arc::new(entry));
            }
            index.pending.remove(&user);
        }
        Ok(())
    }

    async fn entry(&self, user: UserNid) -> Result<Option<Entry>, StoreError> {
        let account = self.account_of(user).await?;
        // Guests come and go by the thousand, and have a number for a name.
        if account.is_none_or(|account| account.deactivated || account.guest) {
            return Ok(None);
        }
        let user_id = self.user_id(user).await?;
        let profile = self.profile(user).await?;
        let localpart = fold(user_id.localpart());
        let name = fold(profile.displayname().unwrap_or_default());
        let mut all: Vec<Box<str>> = words(&localpart)
            .chain(words(&name))
            .take(MAX_WORDS)
            .collect();
        // As it is written: `anna.b` is found by `anna.b`, too.
        all.push(localpart.as_str().into());
        all.sort_unstable();
        all.dedup();
        Ok(Some(Entry {
            found: Found {
                user,
                user_id,
                displayname: profile.displayname().map(str::to_owned),
                avatar_url: profile.avatar_url().map(str::to_owned),
            },
            words: all,
            name,
            localpart,
        }))
    }
}

/// The smaller the better: the very name, its beginning, a word in it.
fn rank(entry: &Entry, term: &str) -> u8 {
    if entry.localpart == term || entry.name == term {
        0
    } else if entry.localpart.starts_with(term) {
        1
    } else if entry.name.starts_with(term) {
        2
    } else {
        3
    }
}

/// Upper and lower case are the same.
fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = Box<str>> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(Into::into)
}

#[cfg(test)]
mod tests;
