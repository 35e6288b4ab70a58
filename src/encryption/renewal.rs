//! What a database that was brought back from a backup must not go on with (docs/decisions/restore.md).

use std::collections::BTreeMap;

use store::{
    Batch, Scan, Store, StoreError, Table, UserNid,
    codec::Encode,
    sweep,
    tables::{KeyBackups, KeyStocks, OneTimeKeys, RoomKeys},
};

use crate::{json, key_backup::Row, one_time_keys::Stock};

/// What was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// One-time keys that are offered no more.
    pub one_time_keys: u64,
    /// Key backups that have another version.
    pub key_backups: u64,
}

/// Rows read, and written in one commit.
const ROWS: usize = 500;

/// Writes in commits of some hundred rows.
struct Writer<'a> {
    store: &'a Store,
    batch: Batch,
    rows: usize,
}

impl Writer<'_> {
    fn write(&mut self, write: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
        write(&mut self.batch);
        self.rows += 1;
        if self.rows >= ROWS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.rows = 0;
        self.store.queue(std::mem::take(&mut self.batch))?.wait()?;
        Ok(())
    }
}

/// Takes back what may have been given away since the backup was made, and lets clients notice. Blocks.
///
/// * One-time keys are dropped: each may have been claimed since, and none may be given twice. The counts say so, and
///   clients upload new ones.
/// * Fallback keys stay, so that devices can be reached until then, and count as used, so that clients replace them.
/// * Each user's current key backup gets another version: clients find out that keys which they have stored since are
///   missing, and store all of theirs again.
pub fn renew(store: &Store) -> Result<Renewed, StoreError> {
    let mut writer = Writer {
        store,
        batch: Batch::new(),
        rows: 0,
    };
    let renewed = Renewed {
        one_time_keys: one_time_keys(&mut writer)?,
        key_backups: key_backups(&mut writer)?,
    };
    writer.flush()?;
    Ok(renewed)
}

/// Visits the rows under a leading part of a table's key, some at a time, so that who visits them may write.
fn each<T: Table>(
    store: &Store,
    prefix: &impl Encode,
    mut visit: impl FnMut(T::Key, T::Value) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut from = sweep::key_bytes::<T>(prefix);
    let to = sweep::after(&from);
    loop {
        let mut rows = Vec::new();
        let scan = Scan::bytes(from.clone(), to.clone()).limit(ROWS);
        store.sweep().rows::<T>(&scan, &mut |row| {
            rows.push((row.key.to_vec(), row.decode::<T>()));
            true
        })?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        from.clone_from(last);
        // The smallest key greater than the last.
        from.push(0);
        for (_, row) in rows {
            let (key, value) = row.map_err(json::corrupt::<T>)?;
            visit(key, value)?;
        }
    }
}

fn one_time_keys(writer: &mut Writer<'_>) -> Result<u64, StoreError> {
    let store = writer.store;
    let mut dropped = 0;
    each::<KeyStocks>(store, &(), |key, raw| {
        let mut stock: Stock = json::parse::<KeyStocks, _>(&raw)?;
        let mut ids = Vec::new();
        each::<OneTimeKeys>(store, &key, |_, row| {
            ids.push(row.id);
            Ok(())
        })?;
        dropped += ids.len() as u64;
        stock.renew(ids);
        let row = json::write::<KeyStocks>(&stock)?;
        writer.write(|batch| {
            batch.delete_prefix::<OneTimeKeys>(&key);
            batch.put::<KeyStocks>(&key, &row);
        })
    })?;
    Ok(dropped)
}

/// How far the versions of key backups jump ahead: nobody makes as many between two backups of the server.
const VERSIONS_AHEAD: u32 = 1_000;

fn key_backups(writer: &mut Writer<'_>) -> Result<u64, StoreError> {
    let store = writer.store;
    let mut by_user: BTreeMap<UserNid, Vec<(u32, Row)>> = BTreeMap::new();
    each::<KeyBackups>(store, &(), |(user, number), raw| {
        let row = json::parse::<KeyBackups, _>(&raw)?;
        by_user.entry(user).or_default().push((number, row));
        Ok(())
    })?;
    let mut renewed = 0;
    for (user, mut rows) in by_user {
        let last = rows.last().map_or(0, |(number, _)| *number);
        let ahead = (user, last.saturating_add(VERSIONS_AHEAD));
        let current = rows.iter().rposition(|(_, row)| !row.deleted);
        let Some((number, row)) = current.map(|at| rows.swap_remove(at)) else {
            // No version that was given out since is given out again.
            let row = json::write::<KeyBackups>(&Row::deleted())?;
            writer.write(|batch| batch.put::<KeyBackups>(&ahead, &row))?;
            continue;
        };
        renewed += 1;
        let before = (user, number);
        each::<RoomKeys>(store, &before, |(_, _, room, session), key| {
            let place = (ahead.0, ahead.1, room, session);
            writer.write(|batch| batch.put::<RoomKeys>(&place, &key))
        })?;
        let (row, gone) = (
            json::write::<KeyBackups>(&row)?,
            json::write::<KeyBackups>(&Row::deleted())?,
        );
        writer.write(|batch| {
            batch.put::<KeyBackups>(&ahead, &row);
            batch.put::<KeyBackups>(&before, &gone);
            batch.delete_prefix::<RoomKeys>(&before);
        })?;
    }
    Ok(renewed)
}

#[cfg(test)]
mod tests;
