//! How often is too often: a token bucket for each user or address and each kind of request, in bounded memory.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#rate-limiting)

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use config::RateLimit;
use host::Host;
use parking_lot::Mutex;

use crate::StandardError;

/// What is limited. By address: [`crate::ClientAddress::limit_key`]; by account: the user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Logins, by address.
    LoginAddress,
    /// Logins, by account.
    LoginAccount,
    /// Failed logins, by account: [`RateLimits::peek`] before, [`RateLimits::check`] after a failure.
    LoginFailed,
    /// Registrations, by address.
    Registration,
    /// Questions whether a registration token is valid, by address.
    RegistrationToken,
    /// Events sent, by user.
    Message,
    /// Rooms joined, by user.
    Join,
    /// Invitations, by user.
    Invite,
    /// Rooms created, by user.
    CreateRoom,
    /// Files uploaded or announced, by user.
    Upload,
    /// Links previewed, by user.
    Preview,
    /// Searches, by user or by address.
    Search,
    /// Questions for keys, by user.
    Keys,
    /// Whatever a guest changes, by user.
    Guest,
}

/// Entries kept in one shard; with 16 bytes each and 64 shards, at most 4 MB.
const SHARD_ENTRIES: usize = 4_096;
const SHARDS: usize = 64;

/// The buckets; cheap to clone.
///
/// A handler's first line: `limits.check(Class::Message, &sender)?`.
#[derive(Clone)]
pub struct RateLimits(Option<Arc<Buckets>>);

struct Buckets {
    host: Host,
    limits: config::RateLimits,
    hasher: RandomState,
    /// Hash of class and key → when the bucket will be full again, in µs since the epoch.
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

impl RateLimits {
    /// The limits of `limits` by the clock of `host`.
    pub fn new(limits: &config::RateLimits, host: Host) -> Self {
        if !limits.enabled {
            return Self::none();
        }
        Self(Some(Arc::new(Buckets {
            host,
            limits: limits.clone(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        })))
    }

    /// Nobody is limited.
    pub fn none() -> Self {
        Self(None)
    }

    /// Takes one from the bucket of `key`.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` with the milliseconds until there is one again.
    pub fn check(&self, class: Class, key: impl Hash) -> Result<(), StandardError> {
        self.take(class, key, true)
    }

    /// Whether [`Self::check`] would pass, taking nothing.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` with the milliseconds until there is one again.
    pub fn peek(&self, class: Class, key: impl Hash) -> Result<(), StandardError> {
        self.take(class, key, false)
    }

    fn take(&self, class: Class, key: impl Hash, keep: bool) -> Result<(), StandardError> {
        let Some(buckets) = &self.0 else {
            return Ok(());
        };
        let limit = class.limit(&buckets.limits);
        let now_us = buckets.host.now_ms().saturating_mul(1_000);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the configuration is checked: a positive number of microseconds"
        )]
        let each_us = (1e6 / limit.per_second) as u64;
        let whole_us = each_us.saturating_mul(u64::from(limit.burst));
        let hash = buckets.hasher.hash_one((class, key));
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let mut shard = buckets.shards[index].lock();
        // A clock set back must not lock anybody out for longer than a whole bucket.
        let full_at = shard
            .get(&hash)
            .copied()
            .unwrap_or(0)
            .clamp(now_us, now_us + whole_us);
        let full_at = full_at.saturating_add(each_us);
        let wait_us = full_at.saturating_sub(whole_us).saturating_sub(now_us);
        if wait_us > 0 {
            return Err(StandardError::limit_exceeded(wait_us.div_ceil(1_000)));
        }
        if keep {
            make_room(&mut shard, now_us);
            shard.insert(hash, full_at);
        }
        Ok(())
    }
}

/// Forgets full buckets, and where that is not enough the fullest quarter, once there are too many.
fn make_room(shard: &mut HashMap<u64, u64>, now_us: u64) {
    if shard.len() < SHARD_ENTRIES {
        return;
    }
    shard.retain(|_, full_at| *full_at > now_us);
    if shard.len() >= SHARD_ENTRIES {
        let mut times: Vec<u64> = shard.values().copied().collect();
        let (_, quarter, _) = times.select_nth_unstable(SHARD_ENTRIES / 4);
        let quarter = *quarter;
        shard.retain(|_, full_at| *full_at > quarter);
    }
}

impl Class {
    fn limit(self, limits: &config::RateLimits) -> RateLimit {
        match self {
            Self::LoginAddress => limits.login_address,
            Self::LoginAccount => limits.login_account,
            Self::LoginFailed => limits.login_failed,
            Self::Registration => limits.registration,
            Self::RegistrationToken => limits.registration_token,
            Self::Message => limits.message,
            Self::Join => limits.join,
            Self::Invite => limits.invite,
            Self::CreateRoom => limits.create_room,
            Self::Upload => limits.upload,
            Self::Preview => limits.preview,
            Self::Search => limits.search,
            Self::Keys => limits.keys,
            Self::Guest => limits.guest,
        }
    }
}

#[cfg(test)]
mod tests {
    use host::{Host, ManualClock};

    use super::{Class, RateLimits, SHARD_ENTRIES, SHARDS};

    fn limits() -> (RateLimits, ManualClock) {
        let clock = ManualClock::new(1_000_000);
        let mut config = config::RateLimits::default();
        config.message.per_second = 2.0;
        config.message.burst = 3;
        (RateLimits::new(&config, Host::manual(&clock, 1)), clock)
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let (limits, clock) = limits();
        for _ in 0..3 {
            limits.check(Class::Message, "alice").unwrap();
        }
        let error = limits.check(Class::Message, "alice").unwrap_err();
        assert_eq!(error.fields["retry_after_ms"], 500);
        limits.check(Class::Message, "bob").unwrap();
        limits.check(Class::Join, "alice").unwrap();
        clock.advance(499);
        limits.check(Class::Message, "alice").unwrap_err();
        clock.advance(1);
        limits.peek(Class::Message, "alice").unwrap();
        limits.check(Class::Message, "alice").unwrap();
        limits.check(Class::Message, "alice").unwrap_err();
        clock.advance(10_000);
        for _ in 0..3 {
            limits.check(Class::Message, "alice").unwrap();
        }
        limits.check(Class::Message, "alice").unwrap_err();
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let (limits, clock) = limits();
        for _ in 0..20 {
            if let Err(error) = limits.check(Class::CreateRoom, 1) {
                clock.advance(error.fields["retry_after_ms"].as_u64().unwrap());
                limits.check(Class::CreateRoom, 1).unwrap();
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (limits, _) = limits();
        for user in 0..SHARDS * SHARD_ENTRIES * 2 {
            limits.check(Class::Message, user).unwrap();
        }
        let kept: usize = limits
            .0
            .unwrap()
            .shards
            .iter()
            .map(|shard| shard.lock().len())
            .sum();
        assert!(kept <= SHARDS * SHARD_ENTRIES, "{kept}");
    }

    #[test]
    fn switched_off_nobody_is_limited() {
        let limits = RateLimits::none();
        for _ in 0..1_000 {
            limits.check(Class::LoginFailed, "alice").unwrap();
        }
    }
}
