//! Rows that follow from events: compared as sums first, row by row where the sums differ.
//!
//! A healthy table is read once from its beginning to its end, and so are the events; no row is looked up. The rows
//! that should be there and those that are there are each added up as hashes, for each room or for each of 256 parts
//! of a table. Only where two sums differ are the rows of that part gathered and compared one by one.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};

use store::{
    Family, Pos, RoomNid, Rsn, Table, sweep,
    tables::{
        Activity, CurrentState, EventIds, Highlights, Log, Members, MembershipLog, ReadThreads,
        ReadUpTo, ReceiptLog, Relations, RoomHeads, StateHistory, StateLog, Threads, Timeline,
        Uncounted, UserRooms,
    },
};

use crate::{
    CheckError, Finding, Problem, Remedy,
    readable::{self, Readable},
    work::Work,
};

/// A table whose rows follow from events and primary rows.
pub(crate) trait DerivedTable: Table<Key: Readable, Value: std::fmt::Debug> {
    /// Its place in [`DERIVED`].
    const AT: usize;

    /// The event that a row speaks of.
    fn about(key: &Self::Key, value: &Self::Value) -> About;
}

/// The event that a row speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// By its number.
    Event(RoomNid, Rsn),
    /// By its position.
    Place(RoomNid, Pos),
    /// One by its position, and another by its number.
    Both(RoomNid, Pos, Rsn),
    /// Not of one.
    Room(RoomNid),
}

impl About {
    pub(crate) fn room(self) -> RoomNid {
        match self {
            Self::Event(room, _)
            | Self::Place(room, _)
            | Self::Both(room, ..)
            | Self::Room(room) => room,
        }
    }
}

/// One of these tables, its types forgotten.
pub(crate) struct Derived {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) prefix: u8,
    /// For tables whose keys do not begin with the room: the byte of the key that parts them.
    pub(crate) part_at: Option<PartAt>,
    /// The last byte of the value is not derived: whether a user has forgotten a room.
    has_own_byte: bool,
    key: fn(&Work<'_>, &[u8]) -> String,
    show: fn(&[u8]) -> String,
    about: fn(&[u8], &[u8]) -> Option<About>,
    unreadable: fn(&[u8], &[u8]) -> Option<&'static str>,
}

/// Which byte of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PartAt {
    /// Counted from its beginning.
    Byte(usize),
    /// The last.
    Last,
}

impl Derived {
    const fn of<T: DerivedTable>(part_at: Option<PartAt>, has_own_byte: bool) -> Self {
        Self {
            name: T::NAME,
            family: T::FAMILY,
            prefix: T::PREFIX,
            part_at,
            has_own_byte,
            key: readable::key::<T>,
            show: show::<T>,
            about: about::<T>,
            unreadable: unreadable::<T>,
        }
    }

    /// Which part of the table a row belongs to.
    pub(crate) fn part(&self, key: &[u8]) -> u8 {
        let byte = match self.part_at {
            Some(PartAt::Byte(at)) => key.get(at),
            Some(PartAt::Last) => key.last(),
            None => None,
        };
        byte.copied().unwrap_or_default()
    }

    /// The value as it is compared.
    fn compared<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        if self.has_own_byte {
            value.get(..value.len().saturating_sub(1)).unwrap_or(value)
        } else {
            value
        }
    }

    pub(crate) fn hash(&self, key: &[u8], value: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.compared(value).hash(&mut hasher);
        hasher.finish()
    }
}

fn show<T: DerivedTable>(value: &[u8]) -> String {
    match sweep::value::<T>(value) {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

fn about<T: DerivedTable>(key: &[u8], value: &[u8]) -> Option<About> {
    let (key, value) = (sweep::key::<T>(key).ok()?, sweep::value::<T>(value).ok()?);
    Some(T::about(&key, &value))
}

fn unreadable<T: DerivedTable>(key: &[u8], value: &[u8]) -> Option<&'static str> {
    match (sweep::key::<T>(key), sweep::value::<T>(value)) {
        (Ok(_), Ok(_)) => None,
        (Err(error), _) | (_, Err(error)) => Some(error.0),
    }
}

macro_rules! derived {
    ($($at:literal: $table:ident, $part_at:expr, $own:literal, |$key:pat_param, $value:pat_param| $about:expr;)*) => {
        $(
            impl DerivedTable for $table {
                const AT: usize = $at;

                fn about($key: &Self::Key, $value: &Self::Value) -> About {
                    $about
                }
            }
        )*

        /// All of them, those of rooms first.
        pub(crate) static DERIVED: [Derived; TABLES] = [$(Derived::of::<$table>($part_at, $own)),*];
    };
}

/// How many tables there are.
const TABLES: usize = 18;

/// The first so many have the room at the beginning of their keys.
pub(crate) const ROOM_TABLES: usize = 13;

derived! {
    0: Timeline, None, false, |(room, _), row| About::Event(*room, row.rsn);
    1: Relations, None, false, |(room, ..), row| About::Event(*room, row.rsn);
    2: Threads, None, false, |(room, pos), root| About::Both(*room, *pos, *root);
    3: CurrentState, None, false, |(room, _), row| About::Event(*room, row.rsn);
    4: StateHistory, None, false, |(room, ..), rsn| About::Event(*room, *rsn);
    5: StateLog, None, false, |(room, ..), row| About::Event(*room, row.new);
    6: Members, None, false, |(room, _), row| About::Event(*room, row.rsn);
    7: RoomHeads, None, false, |room, _| About::Room(*room);
    8: Activity, None, false, |room, _| About::Room(*room);
    9: ReceiptLog, None, false, |(room, _), _| About::Room(*room);
    10: ReadUpTo, None, false, |(room, _), pos| About::Place(*room, *pos);
    11: ReadThreads, None, false, |(room, _), pos| About::Place(*room, *pos);
    12: Uncounted, None, false, |(room, pos), _| About::Place(*room, *pos);
    // The first byte after the prefix: of a hash, so it parts evenly.
    13: EventIds, Some(PartAt::Byte(1)), false, |_, (room, rsn)| About::Event(*room, *rsn);
    14: Log, Some(PartAt::Last), false, |_, (room, rsn)| About::Event(*room, *rsn);
    // The last byte of the user's number.
    15: UserRooms, Some(PartAt::Byte(4)), true, |(_, room), row| About::Event(*room, row.member.rsn);
    16: MembershipLog, Some(PartAt::Byte(4)), false, |(_, pos), row| About::Place(row.room, *pos);
    17: Highlights, Some(PartAt::Byte(4)), false, |(_, room, pos), ()| About::Place(*room, *pos);
}

/// Takes the rows that should be there.
pub(crate) trait Sink {
    fn take(&mut self, at: usize, key: Vec<u8>, value: Vec<u8>);
}

/// Gives a row that should be there to a sink.
pub(crate) fn expect<T: DerivedTable>(sink: &mut impl Sink, key: &T::Key, value: &T::Value) {
    sink.take(
        T::AT,
        sweep::key_bytes::<T>(key),
        sweep::value_bytes::<T>(value),
    );
}

/// A sum of rows that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    sum: u64,
    rows: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, hash: u64) {
        self.sum = self.sum.wrapping_add(hash);
        self.rows += 1;
    }
}

/// The sums of the parts of one table.
pub(crate) struct Parts([(AtomicU64, AtomicU64); 256]);

impl Default for Parts {
    fn default() -> Self {
        Self([const { (AtomicU64::new(0), AtomicU64::new(0)) }; 256])
    }
}

impl Parts {
    pub(crate) fn add(&self, part: u8, hash: u64) {
        let (sum, rows) = &self.0[usize::from(part)];
        sum.fetch_add(hash, Ordering::Relaxed);
        rows.fetch_add(1, Ordering::Relaxed);
    }

    fn tally(&self, part: u8) -> Tally {
        let (sum, rows) = &self.0[usize::from(part)];
        Tally {
            sum: sum.load(Ordering::Relaxed),
            rows: rows.load(Ordering::Relaxed),
        }
    }

    /// The parts that differ from those of `other`.
    pub(crate) fn differing(&self, other: &Self) -> Vec<u8> {
        (0..=u8::MAX)
            .filter(|part| self.tally(*part) != other.tally(*part))
            .collect()
    }
}

/// The parts of all tables whose keys do not begin with the room.
#[derive(Default)]
pub(crate) struct Totals([Parts; TABLES - ROOM_TABLES]);

impl Totals {
    pub(crate) fn of(&self, at: usize) -> &Parts {
        &self.0[at - ROOM_TABLES]
    }
}

/// Adds up the rows of one room.
pub(crate) struct Tallies<'a> {
    pub(crate) room: [Tally; ROOM_TABLES],
    pub(crate) totals: &'a Totals,
}

impl Sink for Tallies<'_> {
    fn take(&mut self, at: usize, key: Vec<u8>, value: Vec<u8>) {
        let table = &DERIVED[at];
        let hash = table.hash(&key, &value);
        if at < ROOM_TABLES {
            self.room[at].add(hash);
        } else {
            self.totals.of(at).add(table.part(&key), hash);
        }
    }
}

/// Gathers the rows of some tables, or of some parts of one.
pub(crate) struct Gather<F> {
    pub(crate) wanted: F,
    pub(crate) rows: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
}

impl<F: Fn(usize, &[u8]) -> bool> Gather<F> {
    pub(crate) fn new(wanted: F) -> Self {
        Self {
            wanted,
            rows: BTreeMap::new(),
        }
    }
}

impl<F: Fn(usize, &[u8]) -> bool> Sink for Gather<F> {
    fn take(&mut self, at: usize, key: Vec<u8>, value: Vec<u8>) {
        if (self.wanted)(at, &key) {
            self.rows.insert((at, key), value);
        }
    }
}

/// Compares the rows of a table that are there with those that should be.
pub(crate) struct Comparison<'a, 'b, S> {
    pub(crate) work: &'a Work<'b>,
    pub(crate) at: usize,
    pub(crate) right: &'a mut BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    /// A row of an event that is lost, or of a room: it is as good as any.
    pub(crate) is_excused: S,
}

impl<S: Fn(About) -> bool> Comparison<'_, '_, S> {
    /// A row that is there.
    pub(crate) fn actual(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckError> {
        let table = &DERIVED[self.at];
        let right = self.right.remove(&(self.at, key.to_vec()));
        if let Some(right) = &right
            && table.compared(right) == table.compared(value)
        {
            return Ok(());
        }
        let about = (table.about)(key, value);
        if about.is_some_and(|about| (self.is_excused)(about)) {
            return Ok(());
        }
        if let Some(mut right) = right {
            if (table.about)(key, &right).is_some_and(|about| (self.is_excused)(about)) {
                return Ok(());
            }
            if table.has_own_byte
                && right.len() == value.len()
                && let (Some(own), Some(to)) = (value.last(), right.last_mut())
            {
                *to = *own;
            }
            let problem = match (table.unreadable)(key, value) {
                Some(reason) => Problem::Unreadable {
                    reason: reason.to_owned(),
                },
                None => Problem::Differs {
                    found: (table.show)(value),
                    right: (table.show)(&right),
                },
            };
            self.found(key, problem, Remedy::Rebuild);
            return self.work.put_bytes(table.family, key, &right);
        }
        let problem = match (table.unreadable)(key, value) {
            Some(reason) => Problem::Unreadable {
                reason: reason.to_owned(),
            },
            None => Problem::Stray {
                because: format!("no event brings {}", (table.show)(value)),
            },
        };
        self.found(key, problem, Remedy::Remove);
        self.work.delete_bytes(table.family, key)
    }

    /// What should be there and was not.
    pub(crate) fn rest(self) -> Result<(), CheckError> {
        let table = &DERIVED[self.at];
        let rest: Vec<_> = self
            .right
            .range((self.at, Vec::new())..(self.at + 1, Vec::new()))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in rest {
            self.right.remove(&(self.at, key.clone()));
            if (table.about)(&key, &value).is_some_and(|about| (self.is_excused)(about)) {
                continue;
            }
            let because = format!("it should say {}", (table.show)(&value));
            self.found(&key, Problem::Missing { because }, Remedy::Rebuild);
            self.work.put_bytes(table.family, &key, &value)?;
        }
        Ok(())
    }

    fn found(&self, key: &[u8], problem: Problem, remedy: Remedy) {
        let table = &DERIVED[self.at];
        self.work.found(Finding {
            table: table.name,
            key: (table.key)(self.work, key),
            problem,
            remedy,
        });
    }
}
