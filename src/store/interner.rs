//! Names ↔ the short numbers that stand for them in keys.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::{Equivalent, Weighter, sync::Cache};

use crate::{
    Batch, CorruptRow, Nid, Scan, StoreError,
    codec::{Decode, Decoder, Tail},
    engine::{Engine, ReadError, Tier},
    handle::Reader,
    queue::Queue,
    tables::{NameOfNumber, NumberOfName, Raw, Table},
};

/// Budget of each of the two caches, in bytes.
const CACHE_BYTES: u64 = 8 << 20;

/// What an entry costs beyond its text.
const ENTRY_BYTES: u64 = 80;

/// How many names can be given a number at once; names that share a stripe wait for each other.
const STRIPES: usize = 16;

/// Names ↔ numbers. A number is given out once and never reused; what it stands for never changes.
pub struct Interner {
    reader: Reader,
    queue: Arc<Queue>,
    numbers: Cache<Name, u32, NameBytes>,
    names: Cache<(u8, u32), Arc<str>, NameBytes>,
    /// Numbers given out and not yet readable. Also keeps what the caches may have dropped.
    pending: Arc<Mutex<Pending>>,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
    hasher: RandomState,
    /// By kind, the last number given out.
    last: Box<[AtomicU32; 256]>,
}

#[derive(Default)]
struct Pending {
    numbers: HashMap<Name, u32>,
    names: HashMap<(u8, u32), Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(u8, Arc<str>);

#[derive(Hash)]
struct NameRef<'a>(u8, &'a str);

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == name.0 && *self.1 == *name.1
    }
}

#[derive(Clone)]
struct NameBytes;

impl Weighter<Name, u32> for NameBytes {
    fn weight(&self, name: &Name, _number: &u32) -> u64 {
        name.1.len() as u64 + ENTRY_BYTES
    }
}

impl Weighter<(u8, u32), Arc<str>> for NameBytes {
    fn weight(&self, _number: &(u8, u32), name: &Arc<str>) -> u64 {
        name.len() as u64 + ENTRY_BYTES
    }
}

impl Interner {
    pub(crate) fn open(reader: Reader, queue: &Arc<Queue>) -> Result<Self, ReadError> {
        let last = last_numbers(reader.engine())?;
        let cache_items = usize::try_from(CACHE_BYTES / (ENTRY_BYTES + 40)).unwrap_or(usize::MAX);
        Ok(Self {
            reader,
            queue: Arc::clone(queue),
            numbers: Cache::with_weighter(cache_items, CACHE_BYTES, NameBytes),
            names: Cache::with_weighter(cache_items, CACHE_BYTES, NameBytes),
            pending: Arc::default(),
            stripes: Default::default(),
            hasher: RandomState::new(),
            last,
        })
    }

    /// Bytes of names in memory, and how many they may be.
    pub fn memory(&self) -> (u64, u64) {
        let bytes = self.numbers.weight() + self.names.weight();
        (bytes, self.numbers.capacity() + self.names.capacity())
    }

    /// The number of a name, if it has one. Never gives one out: for whatever a client merely mentions.
    pub async fn find<N: Nid>(&self, name: &str) -> Result<Option<N>, StoreError> {
        self.look_up(N::KIND, name)
            .await
            .map(|found| found.map(N::from_u32))
    }

    /// The number of a name; a new name gets one. Its row is queued before this returns, so whatever names the
    /// number is kept only after it. Queued without a bound: call it only for names that a limited action brings.
    pub async fn number<N: Nid>(&self, name: &str) -> Result<N, StoreError> {
        if let Some(number) = self.numbers.get(&NameRef(N::KIND, name)) {
            return Ok(N::from_u32(number));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "any bits of the hash will do"
        )]
        let stripe = self.hasher.hash_one(NameRef(N::KIND, name)) as usize % STRIPES;
        let _alone = self.stripes[stripe].lock().await;
        // While the stripe is held nobody else gives this name a number: what is found here is final.
        let number = match self.look_up(N::KIND, name).await? {
            Some(number) => number,
            None => self.allocate(N::KIND, name)?,
        };
        Ok(N::from_u32(number))
    }

    /// The name of a number that [`Interner::number`] or [`Interner::find`] gave.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if nothing has that number.
    pub async fn name<N: Nid>(&self, number: N) -> Result<Arc<str>, StoreError> {
        let key = (N::KIND, number.as_u32());
        if let Some(name) = self.names.get(&key) {
            return Ok(name);
        }
        let pending = self.pending.lock().names.get(&key).cloned();
        let name = match pending {
            Some(name) => name,
            None => self.read_name(key).await?,
        };
        self.names.insert(key, Arc::clone(&name));
        Ok(name)
    }

    async fn look_up(&self, kind: u8, name: &str) -> Result<Option<u32>, StoreError> {
        if let Some(number) = self.numbers.get(&NameRef(kind, name)) {
            return Ok(Some(number));
        }
        let owned = Name(kind, Arc::from(name));
        // First what is pending, then the table: a name leaves the one only when it is in the other.
        let pending = self.pending.lock().numbers.get(&owned).copied();
        let found = match pending {
            Some(number) => Some(number),
            None => {
                self.reader
                    .get::<NumberOfName>(&(kind, Tail(name.as_bytes().to_vec())))
                    .await?
            }
        };
        if let Some(number) = found {
            self.numbers.insert(owned, number);
        }
        Ok(found)
    }

    /// Gives `name` the next number and queues its rows; relaxed, because whatever uses the number comes later.
    fn allocate(&self, kind: u8, name: &str) -> Result<u32, StoreError> {
        let next = |last: u32| last.checked_add(1);
        let last =
            self.last[usize::from(kind)].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let number = last.map_err(|_| StoreError::Engine("all numbers are given out".into()))? + 1;
        let name: Arc<str> = Arc::from(name);
        self.pending.lock().add(kind, number, &name);

        let mut batch = Batch::new();
        batch.relax();
        batch.put::<NumberOfName>(&(kind, Tail(name.as_bytes().to_vec())), &number);
        batch.put::<NameOfNumber>(
            &(kind, number),
            &Raw(Bytes::copy_from_slice(name.as_bytes())),
        );
        let pending = Arc::clone(&self.pending);
        let written = Arc::clone(&name);
        batch.after(move |_| pending.lock().remove(kind, number, &written));
        if let Err(error) = self.queue.push(batch) {
            self.pending.lock().remove(kind, number, &name);
            return Err(error);
        }

        self.names.insert((kind, number), Arc::clone(&name));
        self.numbers.insert(Name(kind, name), number);
        Ok(number)
    }

    async fn read_name(&self, (kind, number): (u8, u32)) -> Result<Arc<str>, StoreError> {
        let corrupt = |reason| StoreError::Corrupt {
            table: NameOfNumber::NAME,
            source: CorruptRow(reason),
        };
        let row = self.reader.get::<NameOfNumber>(&(kind, number)).await?;
        let Raw(bytes) = row.ok_or_else(|| corrupt("no such number"))?;
        std::str::from_utf8(&bytes)
            .map(Arc::from)
            .map_err(|_| corrupt("name is not UTF-8"))
    }
}

impl Pending {
    fn add(&mut self, kind: u8, number: u32, name: &Arc<str>) {
        self.numbers.insert(Name(kind, Arc::clone(name)), number);
        self.names.insert((kind, number), Arc::clone(name));
    }

    fn remove(&mut self, kind: u8, number: u32, name: &Arc<str>) {
        self.numbers.remove(&Name(kind, Arc::clone(name)));
        self.names.remove(&(kind, number));
    }
}

/// By kind, the largest number in the table: one reverse seek for each kind that occurs.
fn last_numbers(engine: &Engine) -> Result<Box<[AtomicU32; 256]>, ReadError> {
    let last = Box::new([const { AtomicU32::new(0) }; 256]);
    let mut scan = Scan::prefix::<NameOfNumber>(&()).reverse().limit(1);
    loop {
        let mut found = None;
        engine.scan(NameOfNumber::FAMILY, &scan, Tier::Disk, &mut |key, _| {
            found = Some(<(u8, u32)>::decode(&mut Decoder::new(
                key.get(1..).unwrap_or_default(),
            )));
            true
        })?;
        let Some(key) = found else { return Ok(last) };
        let (kind, number) = key.map_err(|error| ReadError::Failed(error.to_string()))?;
        last[usize::from(kind)].store(number, Ordering::Relaxed);
        scan = Scan::range::<NameOfNumber>(&(), &(kind,))
            .reverse()
            .limit(1);
    }
}

#[cfg(test)]
mod tests;
