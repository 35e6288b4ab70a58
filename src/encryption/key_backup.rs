//! Room keys kept for the user's other and later devices, encrypted
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    Scan, StoreError, UserNid,
    tables::{KeyBackups, RoomKeys},
};

use crate::{BackupError, Encryption, change::Change, json};

/// A backup as its owner sees it.
#[derive(Debug)]
pub struct Backup {
    /// Its name: a number.
    pub version: String,
    /// How it is encrypted.
    pub algorithm: String,
    /// What the client needs to use it, as it was sent.
    pub auth_data: Box<RawValue>,
    /// Keys and changes.
    pub state: BackupState,
}

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupState {
    /// How many keys.
    pub count: u64,
    /// Another one after each change of the keys.
    pub etag: String,
}

/// A room key in a backup.
#[derive(Debug)]
pub struct RoomKey {
    /// The room.
    pub room_id: String,
    /// The Megolm session.
    pub session_id: String,
    /// As it was sent.
    pub data: Box<RawValue>,
}

/// The row of a backup.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    algorithm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_data: Option<Box<RawValue>>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    etag: u64,
    /// The row stays so that its number is not given out again.
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// What decides between two keys of one session.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Merit {
    first_message_index: u64,
    forwarded_count: u64,
    is_verified: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(flatten)]
    merit: Merit,
    #[serde(borrow)]
    session_data: &'a RawValue,
}

/// A user makes a new one when the recovery key is lost.
const MAX_BACKUPS: usize = 100;
/// A public key and signatures.
const MAX_AUTH_DATA_BYTES: usize = 64 * 1024;
/// An encrypted session takes 700 bytes.
const MAX_KEY_BYTES: usize = 64 * 1024;
/// As of every identifier.
const MAX_NAME_BYTES: usize = 255;
/// Half a gigabyte of keys as they usually are.
const MAX_KEYS: u64 = 1_000_000;
/// Keys read at a time.
const PAGE: usize = 1_000;

const UNKNOWN_BACKUP: BackupError = BackupError::NotFound("Unknown backup version");

impl Merit {
    /// The spec's rule: verified wins, then the lower first index, then fewer forwards; else the key that is there stays.
    fn beats(self, kept: Self) -> bool {
        let rank = |merit: Self| {
            (
                !merit.is_verified,
                merit.first_message_index,
                merit.forwarded_count,
            )
        };
        rank(self) < rank(kept)
    }
}

impl Row {
    /// What is left of a backup.
    pub(crate) fn deleted() -> Self {
        Self {
            deleted: true,
            ..Self::default()
        }
    }

    fn state(&self) -> BackupState {
        BackupState {
            count: self.count,
            etag: self.etag.to_string(),
        }
    }
}

impl Encryption {
    /// Makes a backup, which is the current one from then on; gives its version.
    pub async fn create_backup(
        &self,
        user: UserNid,
        algorithm: &str,
        auth_data: Box<RawValue>,
    ) -> Result<String, BackupError> {
        check_backup(algorithm, &auth_data)?;
        let mut change = self.change([user]).await;
        let rows = self.backup_rows(user).await?;
        if rows.iter().filter(|(_, row)| !row.deleted).count() >= MAX_BACKUPS {
            return Err(BackupError::TooLarge("There are too many backups."));
        }
        for (number, _) in rows.iter().filter(|(_, row)| row.deleted) {
            change.batch.delete::<KeyBackups>(&(user, *number));
        }
        let number = rows
            .last()
            .map_or(1, |(number, _)| number.saturating_add(1));
        let row = Row {
            algorithm: algorithm.to_owned(),
            auth_data: Some(auth_data),
            ..Row::default()
        };
        stage(&mut change, user, number, &row)?;
        self.commit(change).await?;
        Ok(number.to_string())
    }

    /// The current backup.
    pub async fn current_backup(&self, user: UserNid) -> Result<Backup, BackupError> {
        let (number, row) = self.current(user).await?;
        backup(number, row)
    }

    /// One backup.
    pub async fn backup(&self, user: UserNid, version: &str) -> Result<Backup, BackupError> {
        let (number, row) = self.named(user, version).await?;
        backup(number, row)
    }

    /// Changes what a client needs to use a backup. The algorithm stays.
    ///
    /// # Errors
    /// [`BackupError::Invalid`] for another algorithm.
    pub async fn update_backup(
        &self,
        user: UserNid,
        version: &str,
        (algorithm, auth_data): (&str, Box<RawValue>),
    ) -> Result<(), BackupError> {
        check_backup(algorithm, &auth_data)?;
        let mut change = self.change([user]).await;
        let (number, mut row) = self.named(user, version).await?;
        if row.algorithm != algorithm {
            return Err(BackupError::Invalid("Algorithm does not match"));
        }
        row.auth_data = Some(auth_data);
        stage(&mut change, user, number, &row)?;
        Ok(self.commit(change).await?)
    }

    /// Deletes a backup with all its keys.
    pub async fn delete_backup(&self, user: UserNid, version: &str) -> Result<(), BackupError> {
        let mut change = self.change([user]).await;
        let (number, _) = self.named(user, version).await?;
        change.batch.delete_prefix::<RoomKeys>(&(user, number));
        let row = Row::deleted();
        stage(&mut change, user, number, &row)?;
        Ok(self.commit(change).await?)
    }

    /// Adds keys to the current backup. Of two keys of one session the better stays.
    ///
    /// # Errors
    /// [`BackupError::WrongVersion`] for another backup than the current one.
    pub async fn put_room_keys(
        &self,
        user: UserNid,
        version: &str,
        keys: Vec<RoomKey>,
    ) -> Result<BackupState, BackupError> {
        let mut sent = Vec::with_capacity(keys.len());
        for key in &keys {
            sent.push(check_key(key)?);
        }
        let mut change = self.change([user]).await;
        let (number, mut row) = self.current(user).await?;
        if number.to_string() != version {
            return Err(BackupError::WrongVersion {
                current: number.to_string(),
            });
        }
        let places: Vec<_> = keys
            .iter()
            .map(|key| (user, number, key.room_id.clone(), key.session_id.clone()))
            .collect();
        let kept = self.0.store.multi_get::<RoomKeys>(&places).await?;
        let mut is_changed = false;
        for (((place, key), merit), kept) in places.iter().zip(&keys).zip(sent).zip(kept) {
            let is_new = kept.is_none();
            let is_better = kept.is_none_or(|kept| {
                serde_json::from_slice(&kept.0).map_or(true, |kept: Merit| merit.beats(kept))
            });
            if is_better {
                change.batch.put::<RoomKeys>(place, &json::kept(&key.data));
                row.count += u64::from(is_new);
                is_changed = true;
            }
        }
        if row.count > MAX_KEYS {
            return Err(BackupError::TooLarge("The backup is full."));
        }
        if is_changed {
            row.etag += 1;
            stage(&mut change, user, number, &row)?;
            self.commit(change).await?;
        }
        Ok(row.state())
    }

    /// One key of a backup.
    pub async fn room_key(
        &self,
        user: UserNid,
        version: &str,
        (room_id, session_id): (&str, &str),
    ) -> Result<Box<RawValue>, BackupError> {
        let (number, _) = self.named(user, version).await?;
        let place = (user, number, room_id.to_owned(), session_id.to_owned());
        let row = self.0.store.get::<RoomKeys>(&place).await?;
        let row = row.ok_or(BackupError::NotFound("No such key in the backup"))?;
        Ok(json::sent::<RoomKeys>(&row.0)?)
    }

    /// The keys of a backup, or of one room in it: room → session → key.
    pub async fn room_keys(
        &self,
        user: UserNid,
        version: &str,
        room_id: Option<&str>,
    ) -> Result<BTreeMap<String, BTreeMap<String, Box<RawValue>>>, BackupError> {
        let (number, _) = self.named(user, version).await?;
        let scan = match room_id {
            None => Scan::prefix::<RoomKeys>(&(user, number)),
            Some(room_id) => Scan::prefix::<RoomKeys>(&(user, number, room_id)),
        };
        let mut rooms: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        for ((_, _, room_id, session_id), row) in self.0.store.scan::<RoomKeys>(scan).await? {
            let key = json::sent::<RoomKeys>(&row.0)?;
            rooms.entry(room_id).or_default().insert(session_id, key);
        }
        Ok(rooms)
    }

    /// Deletes all keys of a backup, or those of a room, or the one of a session.
    pub async fn delete_room_keys(
        &self,
        user: UserNid,
        version: &str,
        which: Option<(&str, Option<&str>)>,
    ) -> Result<BackupState, BackupError> {
        let mut change = self.change([user]).await;
        let (number, mut row) = self.named(user, version).await?;
        let deleted = match which {
            None => {
                change.batch.delete_prefix::<RoomKeys>(&(user, number));
                row.count
            }
            Some((room_id, None)) => {
                let prefix = (user, number, room_id);
                change.batch.delete_prefix::<RoomKeys>(&prefix);
                self.count_room_keys(user, number, room_id).await?
            }
            Some((room_id, Some(session_id))) => {
                let place = (user, number, room_id.to_owned(), session_id.to_owned());
                change.batch.delete::<RoomKeys>(&place);
                u64::from(self.0.store.get::<RoomKeys>(&place).await?.is_some())
            }
        };
        if deleted > 0 {
            row.count = row.count.saturating_sub(deleted);
            row.etag += 1;
            stage(&mut change, user, number, &row)?;
            self.commit(change).await?;
        }
        Ok(row.state())
    }

    async fn count_room_keys(
        &self,
        user: UserNid,
        number: u32,
        room_id: &str,
    ) -> Result<u64, StoreError> {
        let (mut count, mut from) = (0, (user, number, room_id.to_owned(), String::new()));
        let mut session_ids = String::new();
        loop {
            let after = (user, number, room_id.to_owned(), char::MAX.to_string());
            let range = Scan::range::<RoomKeys>(&from, &after).limit(PAGE);
            let rows = self.0.store.scan::<RoomKeys>(range).await?;
            count += rows.len() as u64;
            if rows.len() < PAGE {
                return Ok(count);
            }
            if let Some((place, _)) = rows.into_iter().last() {
                session_ids.clone_from(&place.3);
            }
            // The smallest text greater than the last.
            session_ids.push('\0');
            from.3.clone_from(&session_ids);
        }
    }

    async fn current(&self, user: UserNid) -> Result<(u32, Row), BackupError> {
        let rows = self.backup_rows(user).await?;
        let current = rows.into_iter().rfind(|(_, row)| !row.deleted);
        current.ok_or(BackupError::NotFound("No current backup version"))
    }

    async fn named(&self, user: UserNid, version: &str) -> Result<(u32, Row), BackupError> {
        let number = version.parse().map_err(|_| UNKNOWN_BACKUP)?;
        let row = json::read::<KeyBackups, Row>(&self.0.store, &(user, number)).await?;
        let row = row.filter(|row| !row.deleted).ok_or(UNKNOWN_BACKUP)?;
        Ok((number, row))
    }

    async fn backup_rows(&self, user: UserNid) -> Result<Vec<(u32, Row)>, StoreError> {
        let scan = Scan::prefix::<KeyBackups>(&(user,));
        let rows = self.0.store.scan::<KeyBackups>(scan).await?;
        rows.into_iter()
            .map(|((_, number), raw)| Ok((number, json::parse::<KeyBackups, _>(&raw)?)))
            .collect()
    }
}

fn stage(change: &mut Change, user: UserNid, number: u32, row: &Row) -> Result<(), StoreError> {
    let raw = json::write::<KeyBackups>(row)?;
    change.batch.put::<KeyBackups>(&(user, number), &raw);
    Ok(())
}

fn backup(number: u32, row: Row) -> Result<Backup, BackupError> {
    let state = row.state();
    Ok(Backup {
        version: number.to_string(),
        algorithm: row.algorithm,
        auth_data: row.auth_data.ok_or(UNKNOWN_BACKUP)?,
        state,
    })
}

fn check_backup(algorithm: &str, auth_data: &RawValue) -> Result<(), BackupError> {
    if algorithm.is_empty() || algorithm.len() > MAX_NAME_BYTES {
        return Err(BackupError::Invalid("This is not the name of an algorithm"));
    }
    if auth_data.get().len() > MAX_AUTH_DATA_BYTES {
        return Err(BackupError::TooLarge("`auth_data` is too large."));
    }
    if !json::is_object(auth_data) {
        return Err(BackupError::BadJson("`auth_data` must be an object."));
    }
    Ok(())
}

fn check_key(key: &RoomKey) -> Result<Merit, BackupError> {
    if key.room_id.len() > MAX_NAME_BYTES || key.session_id.len() > MAX_NAME_BYTES {
        return Err(BackupError::Invalid("A session id is too long"));
    }
    if key.data.get().len() > MAX_KEY_BYTES {
        return Err(BackupError::TooLarge("A key is too large."));
    }
    let bad = BackupError::BadJson(
        "A key has `first_message_index`, `forwarded_count`, `is_verified` and `session_data`.",
    );
    match serde_json::from_str::<Data<'_>>(key.data.get()) {
        Ok(data) if json::is_object(data.session_data) => Ok(data.merit),
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests;
