//! Accounts, devices, tokens, profiles, filters, pushers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256};
use store::{
    Table, UserNid,
    codec::Tail,
    tables::{
        AccessTokens, Accounts, DelayedEvents, DeviceSeen, Devices, FilterNumbers, Filters,
        LoginTokens, OpenIdTokens, Profiles, PushQueue, PusherUsers, Pushers, RateLimitOverrides,
        Raw, RefreshTokens, RegistrationTokens, ReportCounts, Reports,
    },
};

use crate::{CheckError, Problem, Remedy, names::is_user, readable::Readable, work::Work};

#[derive(Default, Deserialize)]
struct Account {
    #[serde(default)]
    deactivated: bool,
}

/// What an administrator lets a user do.
#[derive(Deserialize)]
struct RateLimit {
    #[serde(rename = "messages_per_second")]
    _messages_per_second: u32,
    #[serde(rename = "burst_count")]
    _burst_count: u32,
}

/// What of a device leads to its tokens.
#[derive(Deserialize)]
struct Device {
    #[serde(default)]
    current: Option<Pair>,
    #[serde(default)]
    next: Option<Pair>,
    #[serde(default)]
    spent: Vec<String>,
}

#[derive(Deserialize)]
struct Pair {
    access: String,
    #[serde(default)]
    refresh: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    user: u32,
    device: String,
}

/// An event that waits, as far as its key.
#[derive(Deserialize)]
struct Delayed {
    delay_id: String,
}

/// A token of a user and not of a device.
#[derive(Deserialize)]
struct UserToken {
    user: u32,
}

impl Device {
    fn access(&self) -> impl Iterator<Item = &String> {
        let pairs = self.current.iter().chain(&self.next);
        pairs.map(|pair| &pair.access)
    }

    fn refresh(&self) -> impl Iterator<Item = &String> {
        let pairs = self.current.iter().chain(&self.next);
        pairs
            .filter_map(|pair| pair.refresh.as_ref())
            .chain(&self.spent)
    }
}

/// Accounts: each has a name, and a closed one no devices.
pub(crate) fn check_accounts(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Accounts>(&(), Remedy::Restore, |user, raw| {
        work.count(|report| report.accounts += 1);
        let account: Option<Account> = work.json::<Accounts, _>(&user, &raw, Remedy::Restore)?;
        if !is_user(work, user)? {
            let reason = "nobody has this number".to_owned();
            work.finding::<Accounts>(&user, Problem::Unreadable { reason }, Remedy::Restore);
        }
        if account.is_some_and(|account| account.deactivated) && work.any::<Devices>(&(user,))? {
            let reason = "the account is closed and has devices".to_owned();
            work.finding::<Accounts>(&user, Problem::Unreadable { reason }, Remedy::Restore);
        }
        Ok(())
    })?;
    work.each::<RateLimitOverrides>(&(), Remedy::Remove, |user, raw| {
        if work.get::<Accounts>(&user)?.is_none() {
            return work.stray::<RateLimitOverrides>(&user, "there is no such account");
        }
        let _: Option<RateLimit> =
            work.json::<RateLimitOverrides, _>(&user, &raw, Remedy::Remove)?;
        Ok(())
    })?;
    work.each::<Profiles>(&(), Remedy::Restore, |user, raw| {
        type Profile = serde_json::Map<String, serde_json::Value>;
        let _: Option<Profile> = work.json::<Profiles, _>(&user, &raw, Remedy::Restore)?;
        Ok(())
    })
}

/// Devices: each is an account's, and its tokens are there.
pub(crate) fn check_devices(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Devices>(&(), Remedy::Restore, |key, raw| {
        if work.get::<Accounts>(&key.0)?.is_none() {
            return work.stray::<Devices>(&key, "there is no such account");
        }
        let Some(device) = work.json::<Devices, Device>(&key, &raw, Remedy::Restore)? else {
            return Ok(());
        };
        for hash in device.access() {
            token_is_there::<AccessTokens>(work, &key, hash)?;
        }
        for hash in device.refresh() {
            token_is_there::<RefreshTokens>(work, &key, hash)?;
        }
        Ok(())
    })?;
    work.each::<DeviceSeen>(&(), Remedy::Remove, |key, raw| {
        // One without a device is left by a request that was under way when the device was removed.
        let _: Option<IgnoredAny> = work.json::<DeviceSeen, _>(&key, &raw, Remedy::Remove)?;
        Ok(())
    })
}

fn token_is_there<T: Table<Key = Tail, Value = Raw>>(
    work: &Work<'_>,
    device: &(UserNid, String),
    hash: &str,
) -> Result<(), CheckError> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(hash) else {
        let reason = format!("{hash} is not a token's hash");
        work.finding::<Devices>(device, Problem::Unreadable { reason }, Remedy::Restore);
        return Ok(());
    };
    let key = Tail(bytes);
    if work.get::<T>(&key)?.is_none() {
        // Until when it holds is lost with it: whoever has it logs in anew.
        let because = format!("the device {} has it", device.readable(work));
        work.finding::<T>(&key, Problem::Missing { because }, Remedy::Restore);
    }
    Ok(())
}

/// Tokens: each is one of its device's.
pub(crate) fn check_tokens(work: &Work<'_>) -> Result<(), CheckError> {
    device_tokens::<AccessTokens>(work, |device, hash| device.access().any(|of| of == hash))?;
    device_tokens::<RefreshTokens>(work, |device, hash| device.refresh().any(|of| of == hash))?;
    user_tokens::<LoginTokens>(work)?;
    user_tokens::<OpenIdTokens>(work)?;
    work.each::<RegistrationTokens>(&(), Remedy::Restore, |key, raw| {
        let _: Option<IgnoredAny> =
            work.json::<RegistrationTokens, _>(&key, &raw, Remedy::Restore)?;
        Ok(())
    })
}

fn device_tokens<T: Table<Key = Tail, Value = Raw>>(
    work: &Work<'_>,
    is_of: impl Fn(&Device, &String) -> bool,
) -> Result<(), CheckError> {
    work.each::<T>(&(), Remedy::Remove, |key, raw| {
        let Some(token) = work.json::<T, Token>(&key, &raw, Remedy::Remove)? else {
            return Ok(());
        };
        let place = (UserNid(token.user), token.device);
        let Some(row) = work.get::<Devices>(&place)? else {
            return work.stray::<T>(&key, format!("there is no device {}", place.readable(work)));
        };
        // A device that cannot be read is found elsewhere; what it had is not known.
        let Ok(device) = serde_json::from_slice::<Device>(&row.0) else {
            return Ok(());
        };
        if is_of(&device, &URL_SAFE_NO_PAD.encode(&key.0)) {
            return Ok(());
        }
        let because = format!("the device {} does not have it", place.readable(work));
        work.stray::<T>(&key, because)
    })
}

fn user_tokens<T: Table<Key = Tail, Value = Raw>>(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<T>(&(), Remedy::Remove, |key, raw| {
        let Some(token) = work.json::<T, UserToken>(&key, &raw, Remedy::Remove)? else {
            return Ok(());
        };
        if work.get::<Accounts>(&UserNid(token.user))?.is_none() {
            return work.stray::<T>(&key, "there is no such account");
        }
        Ok(())
    })
}

/// Filters and pushers, each with its index.
pub(crate) fn check_settings(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Filters>(&(), Remedy::Restore, |key, raw| {
        let filter: Option<IgnoredAny> = work.json::<Filters, _>(&key, &raw, Remedy::Restore)?;
        let place = (key.0, Tail(Sha256::digest(&raw.0).to_vec()));
        match work.get::<FilterNumbers>(&place)? {
            Some(number) if number == key.1 => Ok(()),
            _ if filter.is_none() => Ok(()),
            None => work.missing::<FilterNumbers>(&place, "there is the filter", &key.1),
            Some(number) => work.differs::<FilterNumbers>(&place, (number, key.1), &key.1),
        }
    })?;
    work.each::<FilterNumbers>(&(), Remedy::Remove, |key, number| {
        let filter = work.get::<Filters>(&(key.0, number))?;
        if filter.is_some_and(|filter| *Sha256::digest(&filter.0) == *key.1.0) {
            return Ok(());
        }
        // Corrected from the filter's side, if there is one of that hash.
        let mut is_of_another = false;
        work.sweep
            .rows::<Filters>(&store::Scan::prefix::<Filters>(&(key.0,)), &mut |row| {
                is_of_another |= *Sha256::digest(row.value) == *key.1.0;
                !is_of_another
            })?;
        if is_of_another {
            return Ok(());
        }
        work.stray::<FilterNumbers>(&key, "there is no such filter")
    })?;
    work.each::<Pushers>(&(), Remedy::Restore, |key, raw| {
        let _: Option<IgnoredAny> = work.json::<Pushers, _>(&key, &raw, Remedy::Restore)?;
        let place = (key.1, key.2, key.0);
        if work.get::<PusherUsers>(&place)?.is_none() {
            work.missing::<PusherUsers>(&place, "there is the pusher", &())?;
        }
        Ok(())
    })?;
    work.each::<PusherUsers>(&(), Remedy::Remove, |key, ()| {
        let place = (key.2, key.0.clone(), key.1.clone());
        if work.get::<Pushers>(&place)?.is_none() {
            work.stray::<PusherUsers>(&key, "there is no such pusher")?;
        }
        Ok(())
    })
}

/// What waits to be pushed, for pushers that are there.
pub(crate) fn check_pushes(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<PushQueue>(&(), Remedy::Remove, |key, raw| {
        work.position::<PushQueue>(&key, key.3);
        let _: Option<IgnoredAny> = work.json::<PushQueue, _>(&key, &raw, Remedy::Remove)?;
        let pusher = (key.0, key.1.clone(), key.2.clone());
        if work.get::<Pushers>(&pusher)?.is_none() {
            work.stray::<PushQueue>(&key, "there is no such pusher")?;
        }
        Ok(())
    })
}

/// Reports and delayed events.
pub(crate) fn check_waiting(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Reports>(&(), Remedy::Restore, |pos, raw| {
        work.position::<Reports>(&pos, pos);
        let _: Option<IgnoredAny> = work.json::<Reports, _>(&pos, &raw, Remedy::Restore)?;
        Ok(())
    })?;
    // How many a user has ever left, also those that an administrator has deleted: nothing else says so.
    work.each::<ReportCounts>(&(), Remedy::Restore, |user, _| {
        if !is_user(work, user)? {
            work.stray::<ReportCounts>(&user, "there is no such user")?;
        }
        Ok(())
    })?;
    work.each::<DelayedEvents>(&(), Remedy::Restore, |key, raw| {
        let event: Option<Delayed> = work.json::<DelayedEvents, _>(&key, &raw, Remedy::Restore)?;
        if let Some(event) = event.filter(|event| event.delay_id != key.1) {
            let problem = Problem::Differs {
                found: event.delay_id,
                right: key.1.clone(),
            };
            work.finding::<DelayedEvents>(&key, problem, Remedy::Restore);
        }
        Ok(())
    })
}
