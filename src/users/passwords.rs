//! Passwords: argon2id in a pool smaller than the machine, so that logins never starve anybody's sync.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use config::Passwords as PasswordOptions;
use figures::Counter;
use host::Host;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug_span};

use crate::{OptionsError, PasswordError};

/// Longer ones are refused: argon2 would read them all.
const MAX_PASSWORD_BYTES: usize = 512;
/// Who comes when this many already wait for one worker is told to come back: about 2 s of work.
const WAITING_PER_WORKER: usize = 64;
/// As RFC 9106 recommends.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// How long the memory of idle workers is kept for the next password. Long beside a hash (20 ms), so that a morning's
/// logins share it; short beside a day, in which a small server sees few.
const MEMORY_KEPT: Duration = Duration::from_secs(10);

/// What one hash is computed in: 19 MiB by default. A buffer anew for each would end as a hole in the heap of each thread.
type Memory = Vec<Block>;

/// The memory of idle workers.
#[derive(Default)]
struct Memories {
    idle: Vec<Memory>,
    /// Somebody will let go of it.
    watched: bool,
    /// It was used since whoever watches looked last.
    used: bool,
}

/// A look at the work with passwords. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordFigures {
    /// Hashes asked for and not yet computed, those being computed included.
    pub queued: u64,
    /// How many may be asked for at the same time.
    pub queue_limit: u64,
    /// Hashes computed at the same time, at most.
    pub workers: u64,
    /// Hashes computed.
    pub hashed: u64,
    /// Requests that found the queue full.
    pub refused: u64,
}

pub(crate) struct Passwords {
    host: Host,
    params: Params,
    /// The hash of nothing that anybody knows: random bytes, which no work went into. Whoever has no password is checked
    /// against it, so that a guess takes equally long whether the user exists or not.
    dummy: Arc<str>,
    workers: Arc<Semaphore>,
    memories: Arc<Mutex<Memories>>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    hashed: Counter,
    refused: Counter,
    worker_count: usize,
    min_characters: usize,
}

impl Passwords {
    pub(crate) fn new(host: &Host, options: &PasswordOptions) -> Result<Self, OptionsError> {
        let cost = |error: argon2::Error| OptionsError::Passwords(error.to_string());
        let params = Params::new(
            options.memory_kib,
            options.iterations,
            options.parallelism,
            None,
        )
        .map_err(cost)?;
        let (salt, nothing) = (
            host.random_bytes::<SALT_BYTES>(),
            host.random_bytes::<HASH_BYTES>(),
        );
        let dummy = kept(&params, &salt, &nothing)
            .map_err(|error| OptionsError::Passwords(error.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if options.workers == 0 {
            (cores / 2).max(1)
        } else {
            options.workers
        };
        Ok(Self {
            host: host.clone(),
            params,
            dummy: dummy.into(),
            workers: Arc::new(Semaphore::new(workers)),
            memories: Arc::default(),
            waiting: Arc::default(),
            most_waiting: workers.saturating_mul(WAITING_PER_WORKER),
            hashed: Counter::default(),
            refused: Counter::default(),
            worker_count: workers,
            min_characters: options.min_length,
        })
    }

    /// Whether a user may choose `password`.
    pub(crate) fn check(&self, password: &str) -> Result<(), PasswordError> {
        if password.chars().count() < self.min_characters {
            return Err(PasswordError::TooShort {
                limit: self.min_characters,
            });
        }
        check_length(password)
    }

    /// The PHC string to keep for `password`.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        check_length(password)?;
        let (password, params) = (password.to_owned(), self.params.clone());
        let salt = self.host.random_bytes::<SALT_BYTES>();
        self.work(move |memory| hash(&params, password.as_bytes(), &salt, memory))
            .await?
            .map_err(|_| PasswordError::Failed)
    }

    /// Whether `password` is the one that `kept` was made of. `None` is never right, after equal work.
    pub(crate) async fn verify(
        &self,
        password: &str,
        kept: Option<&str>,
    ) -> Result<bool, PasswordError> {
        check_length(password)?;
        let known = kept.is_some();
        let kept: Arc<str> = kept.map_or_else(|| Arc::clone(&self.dummy), Arc::from);
        let password = password.to_owned();
        // The cost in `kept` counts, not the one in the options: it may have been raised since.
        let right = self
            .work(move |memory| verify(&kept, password.as_bytes(), memory).unwrap_or(false))
            .await?;
        Ok(known && right)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = Waiting::enter(&self.waiting, self.most_waiting)
            .inspect_err(|_| self.refused.increment())?;
        let permit = Arc::clone(&self.workers)
            .acquire_owned()
            .instrument(debug_span!(target: traces::TARGET, "wait for a password worker"))
            .await
            .map_err(|_| PasswordError::Busy)?;
        let memories = Arc::clone(&self.memories);
        let done = tokio::task::spawn_blocking(move || {
            // Moved in: a caller who hangs up does not free a worker that still works.
            let _busy = (permit, waiting);
            let mut memory = memories.lock().idle.pop().unwrap_or_default();
            let done = work(&mut memory);
            let mut memories = memories.lock();
            memories.idle.push(memory);
            memories.used = true;
            done
        });
        self.watch_memories();
        let span = debug_span!(target: traces::TARGET, "hash a password");
        let done = done
            .instrument(span)
            .await
            .map_err(|_| PasswordError::Failed)?;
        self.hashed.increment();
        Ok(done)
    }

    /// Sees to it that idle memory is let go.
    fn watch_memories(&self) {
        if std::mem::replace(&mut self.memories.lock().watched, true) {
            return;
        }
        let memories = Arc::clone(&self.memories);
        self.host.spawn("password memory", async move {
            loop {
                tokio::time::sleep(MEMORY_KEPT).await;
                let mut memories = memories.lock();
                if !std::mem::take(&mut memories.used) {
                    memories.idle = Vec::new();
                    memories.watched = false;
                    return;
                }
            }
        });
    }

    pub(crate) fn figures(&self) -> PasswordFigures {
        PasswordFigures {
            queued: self.waiting.load(Ordering::Relaxed) as u64,
            queue_limit: self.most_waiting as u64,
            workers: self.worker_count as u64,
            hashed: self.hashed.get(),
            refused: self.refused.get(),
        }
    }
}

fn hash(
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &mut Memory,
) -> password_hash::Result<String> {
    let mut output = [0; HASH_BYTES];
    compute(params, password, salt, &mut output, memory)?;
    kept(params, salt, &output)
}

/// The PHC string of a hash.
fn kept(params: &Params, salt: &[u8], output: &[u8]) -> password_hash::Result<String> {
    let kept = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(Output::new(output)?),
    };
    Ok(kept.to_string())
}

/// Whether `kept` was made of `password`; an error if it is no hash of ours.
fn verify(kept: &str, password: &[u8], memory: &mut Memory) -> password_hash::Result<bool> {
    let kept = PasswordHash::new(kept)?;
    let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else {
        return Ok(false);
    };
    if kept.algorithm != Algorithm::Argon2id.ident() {
        return Ok(false);
    }
    let mut output = vec![0; expected.len()];
    compute(
        &Params::try_from(&kept)?,
        password,
        salt.as_ref(),
        &mut output,
        memory,
    )?;
    // Outputs compare in constant time.
    Ok(Output::new(&output)? == expected)
}

fn compute(
    params: &Params,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> password_hash::Result<()> {
    memory.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    Ok(argon2.hash_password_into_with_memory(password, salt, output, memory)?)
}

fn check_length(password: &str) -> Result<(), PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong {
            limit: MAX_PASSWORD_BYTES,
        });
    }
    Ok(())
}

/// One place in the queue, given back when dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn enter(counter: &Arc<AtomicUsize>, most: usize) -> Result<Self, PasswordError> {
        let place = Self(Arc::clone(counter));
        if counter.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(PasswordError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
