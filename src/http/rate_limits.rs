//! How often is too often: a token bucket for each user or address and each kind of request, in bounded memory.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#rate-limiting)

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use config::RateLimit;
use figures::Counter;
use host::Host;
use parking_lot::{Mutex, RwLock};

use ruma::UserId;

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

/// What one user may, instead of what everybody may.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Override {
    /// Whatever they like, once they are logged in.
    Unlimited,
    /// So many messages; the rest as everybody.
    Messages(RateLimit),
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
    /// Hash of the user id → what they may. Set by administrators, so there are few.
    overrides: RwLock<HashMap<u64, Override>>,
    /// Those who were told to wait, by [`Class::ALL`].
    refused: [Counter; Class::ALL.len()],
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
            overrides: RwLock::default(),
            refused: Default::default(),
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

    /// From now on a user may `instead`, or what everybody may.
    pub fn set_override(&self, user: &UserId, instead: Option<Override>) {
        let Some(buckets) = &self.0 else {
            return;
        };
        let hash = buckets.hasher.hash_one(user);
        let mut overrides = buckets.overrides.write();
        match instead {
            Some(instead) => overrides.insert(hash, instead),
            None => overrides.remove(&hash),
        };
    }

    /// How many were told to wait so far, by class.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        let buckets = self.0.iter();
        let refused = buckets.flat_map(|buckets| Class::ALL.into_iter().zip(&buckets.refused));
        refused
            .map(|(class, count)| (class.name(), count.get()))
            .collect()
    }

    fn take(&self, class: Class, key: impl Hash, keep: bool) -> Result<(), StandardError> {
        let Some(buckets) = &self.0 else {
            return Ok(());
        };
        let Some(limit) = buckets.limit(class, &key) else {
            return Ok(());
        };
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
            buckets.refused[class as usize].increment();
            return Err(StandardError::limit_exceeded(wait_us.div_ceil(1_000)));
        }
        if keep {
            make_room(&mut shard, now_us);
            shard.insert(hash, full_at);
        }
        Ok(())
    }
}

impl Buckets {
    /// What holds for this user, or address; none where nothing limits them.
    fn limit(&self, class: Class, key: &impl Hash) -> Option<RateLimit> {
        let instead = match class {
            // Whoever logs in is not yet anybody.
            Class::LoginAddress
            | Class::LoginAccount
            | Class::LoginFailed
            | Class::Registration
            | Class::RegistrationToken
            | Class::Guest => None,
            Class::Message
            | Class::Join
            | Class::Invite
            | Class::CreateRoom
            | Class::Upload
            | Class::Preview
            | Class::Search
            | Class::Keys => {
                let overrides = self.overrides.read();
                if overrides.is_empty() {
                    None
                } else {
                    overrides.get(&self.hasher.hash_one(key)).copied()
                }
            }
        };
        match (instead, class) {
            (Some(Override::Unlimited), _) => None,
            (Some(Override::Messages(limit)), Class::Message) => Some(limit),
            _ => Some(class.limit(&self.limits)),
        }
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
    /// In the order above.
    const ALL: [Self; 14] = [
        Self::LoginAddress,
        Self::LoginAccount,
        Self::LoginFailed,
        Self::Registration,
        Self::RegistrationToken,
        Self::Message,
        Self::Join,
        Self::Invite,
        Self::CreateRoom,
        Self::Upload,
        Self::Preview,
        Self::Search,
        Self::Keys,
        Self::Guest,
    ];

    /// As its option is called.
    fn name(self) -> &'static str {
        match self {
            Self::LoginAddress => "login_address",
            Self::LoginAccount => "login_account",
            Self::LoginFailed => "login_failed",
            Self::Registration => "registration",
            Self::RegistrationToken => "registration_token",
            Self::Message => "message",
            Self::Join => "join",
            Self::Invite => "invite",
            Self::CreateRoom => "create_room",
            Self::Upload => "upload",
            Self::Preview => "preview",
            Self::Search => "search",
            Self::Keys => "keys",
            Self::Guest => "guest",
        }
    }

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

    use config::RateLimit;
    use ruma::{OwnedUserId, user_id};

    use super::{Class, Override, RateLimits, SHARD_ENTRIES, SHARDS};

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
    fn those_who_have_to_wait_are_counted_by_class() {
        let (limits, _) = limits();
        for _ in 0..5 {
            let _ = limits.check(Class::Message, "alice");
        }
        let refused = limits.refused();
        assert_eq!(refused.len(), Class::ALL.len());
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place);
            let count = if class == Class::Message { 2 } else { 0 };
            assert_eq!(refused[place], (class.name(), count));
        }
        assert_eq!(RateLimits::none().refused(), []);
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
    fn one_user_may_more_or_less_than_others() {
        let (limits, clock) = limits();
        let bot = user_id!("@bot:x");
        // As handlers name the user.
        let owned: OwnedUserId = bot.to_owned();
        let messages =
            |count: usize| (0..count).all(|_| limits.check(Class::Message, &owned).is_ok());
        limits.set_override(
            bot,
            Some(Override::Messages(RateLimit {
                per_second: 1.0,
                burst: 5,
            })),
        );
        assert!(messages(5) && !messages(1));
        clock.advance(1_000);
        assert!(messages(1) && !messages(1));
        assert!((0..4).any(|_| limits.check(Class::Message, user_id!("@alice:x")).is_err()));
        limits.set_override(bot, Some(Override::Unlimited));
        assert!(messages(100));
        assert!((0..100).all(|_| limits.check(Class::CreateRoom, bot.as_str()).is_ok()));
        assert!((0..1_000).any(|_| limits.check(Class::LoginAccount, bot.as_str()).is_err()));
        limits.set_override(bot, None);
        clock.advance(10_000);
        assert!(messages(3) && !messages(1));
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
