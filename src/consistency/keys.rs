//! What `encryption` keeps: keys, their counts, signatures, backups, inboxes, changes of device lists.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use store::{
    UserNid,
    tables::{
        CrossSigningKeys, DehydratedDevices, DeviceKeys, DeviceListHeads, DeviceListLog, Devices,
        Inbox, KeyBackups, KeySignatures, KeyStocks, OneTimeKeys, Raw, RoomKeys,
    },
};

use crate::{CheckError, Problem, Remedy, work::Work};

type DeviceKey = (UserNid, String);

#[derive(Deserialize)]
struct Dehydrated {
    device_id: String,
}

/// Device keys, as far as their key.
#[derive(Deserialize)]
struct Keys {
    device_id: String,
}

/// Whether somebody has the device, or has it dehydrated.
fn is_device(work: &Work<'_>, key: &DeviceKey) -> Result<bool, CheckError> {
    if work.get::<Devices>(key)?.is_some() {
        return Ok(true);
    }
    let dehydrated = work.get::<DehydratedDevices>(&key.0)?;
    Ok(
        dehydrated.is_some_and(|row| match serde_json::from_slice::<Dehydrated>(&row.0) {
            Ok(row) => row.device_id == key.1,
            // Which one it was is not known.
            Err(_) => true,
        }),
    )
}

/// Remembers the last answer: rows of one device lie beside each other.
struct Neighbour<K> {
    last: Option<(K, bool)>,
}

impl<K: PartialEq + Clone> Neighbour<K> {
    const fn new() -> Self {
        Self { last: None }
    }

    fn ask(
        &mut self,
        key: &K,
        ask: impl FnOnce() -> Result<bool, CheckError>,
    ) -> Result<bool, CheckError> {
        if let Some((last, answer)) = &self.last
            && last == key
        {
            return Ok(*answer);
        }
        let answer = ask()?;
        self.last = Some((key.clone(), answer));
        Ok(answer)
    }
}

/// Device keys and dehydrated devices.
pub(crate) fn check_devices(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<DehydratedDevices>(&(), Remedy::Restore, |user, raw| {
        let _: Option<Dehydrated> =
            work.json::<DehydratedDevices, _>(&user, &raw, Remedy::Restore)?;
        Ok(())
    })?;
    work.each::<DeviceKeys>(&(), Remedy::Restore, |key, raw| {
        if !is_device(work, &key)? {
            return work.stray::<DeviceKeys>(&key, "there is no such device");
        }
        let keys: Option<Keys> = work.json::<DeviceKeys, _>(&key, &raw, Remedy::Restore)?;
        if let Some(keys) = keys.filter(|keys| keys.device_id != key.1) {
            let problem = Problem::Differs {
                found: format!("the keys of {}", keys.device_id),
                right: key.1.clone(),
            };
            work.finding::<DeviceKeys>(&key, problem, Remedy::Restore);
        }
        Ok(())
    })
}

/// One-time keys and how many there are.
pub(crate) fn check_one_time_keys(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<KeyStocks>(&(), Remedy::Restore, |key, raw| {
        if !is_device(work, &key)? {
            return work.stray::<KeyStocks>(&key, "there is no such device");
        }
        let Some(mut stock) = work.json::<KeyStocks, Value>(&key, &raw, Remedy::Restore)? else {
            return Ok(());
        };
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let prefix = (key.0, key.1.clone());
        work.sweep.rows::<OneTimeKeys>(
            &store::Scan::prefix::<OneTimeKeys>(&prefix),
            &mut |row| {
                if let Ok((_, _, algorithm, _)) = row.key::<OneTimeKeys>() {
                    *counts.entry(algorithm).or_default() += 1;
                }
                true
            },
        )?;
        let right = serde_json::json!(counts);
        let found = stock.get("counts").cloned().unwrap_or_default();
        let is_same = found == right || (counts.is_empty() && found.is_null());
        if is_same {
            return Ok(());
        }
        stock["counts"] = right.clone();
        let raw = Raw(stock.to_string().into());
        work.differs::<KeyStocks>(&key, (found, right), &raw)
    })?;
    let mut stocks = Neighbour::new();
    work.each::<OneTimeKeys>(&(), Remedy::Restore, |key, row| {
        work.position::<OneTimeKeys>(&key, key.3);
        let device = (key.0, key.1.clone());
        let has_stock = stocks.ask(&device, || Ok(work.get::<KeyStocks>(&device)?.is_some()))?;
        if !has_stock {
            return work.stray::<OneTimeKeys>(&key, "the device has no keys");
        }
        let is_of = row.id.split_once(':').is_some_and(|(of, _)| of == key.2);
        if !is_of || serde_json::from_slice::<IgnoredAny>(&row.key).is_err() {
            let reason = format!("{} is not a key of that algorithm", row.id);
            work.finding::<OneTimeKeys>(&key, Problem::Unreadable { reason }, Remedy::Restore);
        }
        Ok(())
    })
}

/// Cross-signing keys, and signatures of keys that are there.
pub(crate) fn check_signatures(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<CrossSigningKeys>(&(), Remedy::Restore, |key, raw| {
        let public = work.json::<CrossSigningKeys, Value>(&key, &raw, Remedy::Restore)?;
        if key.1 > 2 || public.is_some_and(|json| public_key(&json).is_none()) {
            let reason = "it is not a cross-signing key".to_owned();
            work.finding::<CrossSigningKeys>(&key, Problem::Unreadable { reason }, Remedy::Restore);
        }
        Ok(())
    })?;
    work.each::<KeySignatures>(&(), Remedy::Restore, |key, _| {
        let target = (key.0, key.1.clone());
        if work.get::<DeviceKeys>(&target)?.is_some() {
            return Ok(());
        }
        for kind in 0..=2 {
            let row = work.get::<CrossSigningKeys>(&(key.0, kind))?;
            let json = row.and_then(|row| serde_json::from_slice::<Value>(&row.0).ok());
            if json.as_ref().and_then(public_key) == Some(&key.1) {
                return Ok(());
            }
        }
        work.stray::<KeySignatures>(&key, "there is no such key")
    })
}

/// The one public key in `keys`.
fn public_key(json: &Value) -> Option<&str> {
    let keys = json.get("keys")?.as_object()?;
    keys.values().next()?.as_str()
}

/// Backups and how many keys are in each.
pub(crate) fn check_backups(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<KeyBackups>(&(), Remedy::Restore, |key, raw| {
        let Some(mut row) = work.json::<KeyBackups, Value>(&key, &raw, Remedy::Restore)? else {
            return Ok(());
        };
        let mut right = 0_u64;
        work.sweep
            .rows::<RoomKeys>(&store::Scan::prefix::<RoomKeys>(&key), &mut |_| {
                right += 1;
                true
            })?;
        let found = row.get("count").and_then(Value::as_u64).unwrap_or(0);
        if found == right {
            return Ok(());
        }
        row["count"] = right.into();
        // Clients compare it with what they had: they are to look again.
        let etag = row.get("etag").and_then(Value::as_u64).unwrap_or(0);
        row["etag"] = etag.saturating_add(1).into();
        let raw = Raw(row.to_string().into());
        work.differs::<KeyBackups>(&key, (found, right), &raw)
    })?;
    let mut backups = Neighbour::new();
    work.each::<RoomKeys>(&(), Remedy::Restore, |key, raw| {
        let backup = (key.0, key.1);
        let is_there = backups.ask(&backup, || {
            let row = work.get::<KeyBackups>(&backup)?;
            let row = row.and_then(|row| serde_json::from_slice::<Value>(&row.0).ok());
            Ok(row.is_some_and(|row| row.get("deleted") != Some(&Value::Bool(true))))
        })?;
        if !is_there {
            return work.stray::<RoomKeys>(&key, "there is no such backup");
        }
        let _: Option<IgnoredAny> = work.json::<RoomKeys, _>(&key, &raw, Remedy::Restore)?;
        Ok(())
    })
}

/// Messages that wait, and changes of device lists from both sides.
pub(crate) fn check_feeds(work: &Work<'_>) -> Result<(), CheckError> {
    let mut devices = Neighbour::new();
    work.each::<Inbox>(&(), Remedy::Restore, |key, raw| {
        work.position::<Inbox>(&key, key.2);
        let device = (key.0, key.1.clone());
        if !devices.ask(&device, || is_device(work, &device))? {
            return work.stray::<Inbox>(&key, "there is no such device");
        }
        let _: Option<IgnoredAny> = work.json::<Inbox, _>(&key, &raw, Remedy::Restore)?;
        Ok(())
    })?;
    work.each::<DeviceListLog>(&(), Remedy::Remove, |pos, key| {
        work.position::<DeviceListLog>(&pos, pos);
        match work.get::<DeviceListHeads>(&key)? {
            Some(head) if head == pos => Ok(()),
            // The later of two rows is the one that counts.
            Some(head) if work.get::<DeviceListLog>(&head)? == Some(key) => {
                work.stray::<DeviceListLog>(&pos, format!("the last change is at position {head}"))
            }
            Some(head) => work.differs::<DeviceListHeads>(&key, (head, pos), &pos),
            None => work.missing::<DeviceListHeads>(&key, "the log has a change", &pos),
        }
    })?;
    work.each::<DeviceListHeads>(&(), Remedy::Remove, |key, pos| {
        if work.get::<DeviceListLog>(&pos)? == Some(key) {
            return Ok(());
        }
        // Corrected from the log's side, if it has another row of the pair.
        let mut is_elsewhere = false;
        let all = store::Scan::prefix::<DeviceListLog>(&());
        work.sweep.rows::<DeviceListLog>(&all, &mut |row| {
            is_elsewhere = row.value::<DeviceListLog>().is_ok_and(|of| of == key);
            !is_elsewhere
        })?;
        if is_elsewhere {
            return Ok(());
        }
        work.missing::<DeviceListLog>(&pos, "it is the last change of a device list", &key)
    })
}
