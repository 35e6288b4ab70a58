//! What every part of a check holds: the rows, the findings so far, and the rows that a repair writes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use room_versions::Rules;
use serde::de::DeserializeOwned;
use store::{
    Batch, CorruptRow, Family, Nid, Pos, RoomNid, Rsn, Scan, Store, Sweep, Table,
    codec::{Encode, Tail},
    rows::EventRow,
    sweep,
    tables::{Events, NameOfNumber, NumberOfName, Raw, RoomHeads},
};

use crate::{
    CheckError, CheckOptions, Finding, Problem, Progress, Remedy, Report,
    readable::{self, Readable},
};

/// Bytes of rows read at a time, by each thread.
const PAGE_BYTES: usize = 4 << 20;

/// Rows that a repair writes in one commit. Whatever is cut off is found again.
const REPAIR_ROWS: u64 = 512;

/// Numbers of names kept by each thread, of some hundred bytes each.
const MAX_KNOWN_NAMES: usize = 50_000;

/// A position may be so far behind the clock's mark that the mark was lost; further on the row itself is damaged.
const PLAUSIBLE: i64 = 1 << 40;

/// A check under way.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sweep: Sweep,
    pub(crate) options: &'a CheckOptions,
    pub(crate) progress: &'a dyn Progress,
    /// No position lies beyond it.
    pub(crate) mark: Pos,
    report: Mutex<Report>,
    repair: Mutex<Repair>,
    /// Events that are not what they were, by room: nothing is derived from them.
    lost: Mutex<HashMap<RoomNid, HashSet<Rsn>>>,
    /// Where events stand that say something else of themselves.
    positions: Mutex<HashMap<RoomNid, HashMap<Rsn, Pos>>>,
    lost_places: Mutex<HashSet<(RoomNid, Pos)>>,
    needs_index: AtomicBool,
    /// Names whose number one of the two tables does not tell.
    pub(crate) names: RwLock<HashMap<(u8, Vec<u8>), u32>>,
    /// The same from the other side.
    pub(crate) numbers: RwLock<HashMap<(u8, u32), Vec<u8>>>,
    /// Rooms of which not even the version is known.
    unknown_rooms: Mutex<HashSet<RoomNid>>,
    rules: Mutex<HashMap<RoomNid, Option<Rules>>>,
    /// The last position beyond the mark, and by table how many there are.
    beyond: Mutex<BTreeMap<&'static str, Beyond>>,
    pub(crate) done: AtomicU64,
    pub(crate) total: AtomicU64,
}

#[derive(Default)]
struct Repair {
    batch: Batch,
    rows: u64,
}

struct Beyond {
    key: String,
    pos: Pos,
    rows: u64,
}

/// Rows of a range, some megabytes at a time.
pub(crate) struct Pages<'a> {
    sweep: &'a Sweep,
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
    is_done: bool,
}

/// A row's key, with the table's prefix, and its value.
pub(crate) type Bytes2 = (Vec<u8>, Vec<u8>);

impl Pages<'_> {
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Bytes2>>, CheckError> {
        if self.is_done {
            return Ok(None);
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let scan = Scan::bytes(self.from.clone(), self.to.clone());
        self.sweep.family(self.family, &scan, &mut |row| {
            bytes += row.key.len() + row.value.len();
            rows.push((row.key.to_vec(), row.value.to_vec()));
            bytes < PAGE_BYTES
        })?;
        match rows.last() {
            Some((key, _)) if bytes >= PAGE_BYTES => {
                self.from.clone_from(key);
                // The smallest key greater than the last.
                self.from.push(0);
            }
            _ => self.is_done = true,
        }
        Ok(Some(rows))
    }
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        store: &'a Store,
        options: &'a CheckOptions,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            store,
            sweep: store.sweep(),
            options,
            progress,
            mark: store.visible(),
            report: Mutex::default(),
            repair: Mutex::default(),
            lost: Mutex::default(),
            positions: Mutex::default(),
            lost_places: Mutex::default(),
            needs_index: AtomicBool::new(false),
            names: RwLock::default(),
            numbers: RwLock::default(),
            unknown_rooms: Mutex::default(),
            rules: Mutex::default(),
            beyond: Mutex::default(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// So many steps of the whole are done.
    pub(crate) fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        self.progress
            .advance(done, self.total.load(Ordering::Relaxed).max(done));
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Report)) {
        count(&mut self.report.lock());
    }

    /// The rows of `T` under a leading part of its key.
    pub(crate) fn pages<T: Table>(&self, prefix: &impl Encode) -> Pages<'_> {
        let from = sweep::key_bytes::<T>(prefix);
        let to = sweep::after(&from);
        self.pages_between(T::FAMILY, from, to)
    }

    pub(crate) fn pages_between(&self, family: Family, from: Vec<u8>, to: Vec<u8>) -> Pages<'_> {
        Pages {
            sweep: &self.sweep,
            family,
            from,
            to,
            is_done: false,
        }
    }

    /// Shows every row of `T` under a prefix that can be read; the others are found. `damaged` says what is done
    /// about those.
    pub(crate) fn each<T: Table<Key: Readable>>(
        &self,
        prefix: &impl Encode,
        damaged: Remedy,
        mut visit: impl FnMut(T::Key, T::Value) -> Result<(), CheckError>,
    ) -> Result<(), CheckError> {
        let mut pages = self.pages::<T>(prefix);
        while let Some(page) = pages.next()? {
            for (key, value) in page {
                match (sweep::key::<T>(&key), sweep::value::<T>(&value)) {
                    (Ok(key), Ok(value)) => visit(key, value)?,
                    (Err(reason), _) | (_, Err(reason)) => {
                        self.damaged::<T>(&key, reason, damaged);
                        if damaged == Remedy::Remove {
                            self.delete_bytes(T::FAMILY, &key)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A primary row whose bytes mean nothing.
    pub(crate) fn unreadable<T: Table<Key: Readable>>(&self, key: &[u8], reason: CorruptRow) {
        self.damaged::<T>(key, reason, Remedy::Restore);
    }

    fn damaged<T: Table<Key: Readable>>(&self, key: &[u8], reason: CorruptRow, remedy: Remedy) {
        self.found(Finding {
            table: T::NAME,
            key: readable::key::<T>(self, key),
            problem: Problem::Unreadable {
                reason: reason.0.to_owned(),
            },
            remedy,
        });
    }

    /// Reads a row's JSON, or says that it is none.
    pub(crate) fn json<T: Table<Key: Readable>, V: DeserializeOwned>(
        &self,
        key: &T::Key,
        raw: &Raw,
        damaged: Remedy,
    ) -> Result<Option<V>, CheckError> {
        match serde_json::from_slice(&raw.0) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let reason = error.to_string();
                self.finding::<T>(key, Problem::Unreadable { reason }, damaged);
                if damaged == Remedy::Remove {
                    self.delete::<T>(key)?;
                }
                Ok(None)
            }
        }
    }

    pub(crate) fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, CheckError> {
        Ok(self.sweep.get::<T>(key)?)
    }

    /// Whether there is a row whose key begins so.
    pub(crate) fn any<T: Table>(&self, prefix: &impl Encode) -> Result<bool, CheckError> {
        let mut found = false;
        self.sweep
            .rows::<T>(&Scan::prefix::<T>(prefix).limit(1), &mut |_| {
                found = true;
                false
            })?;
        Ok(found)
    }

    /// The number of a name, if it has one. `known` is the thread's own memory of it.
    pub(crate) fn number<N: Nid>(
        &self,
        known: &mut HashMap<String, u32>,
        name: &str,
    ) -> Result<Option<N>, CheckError> {
        if let Some(number) = known.get(name) {
            return Ok(Some(N::from_u32(*number)));
        }
        let key = (N::KIND, name.as_bytes().to_vec());
        let corrected = self.names.read().get(&key).copied();
        let number = match corrected {
            Some(number) => Some(number),
            None => self.get::<NumberOfName>(&(key.0, Tail(key.1)))?,
        };
        if let Some(number) = number {
            if known.len() >= MAX_KNOWN_NAMES {
                known.clear();
            }
            known.insert(name.to_owned(), number);
        }
        Ok(number.map(N::from_u32))
    }

    /// The name of a number.
    pub(crate) fn name<N: Nid>(&self, number: N) -> Result<Option<Vec<u8>>, CheckError> {
        let key = (N::KIND, number.as_u32());
        let corrected = self.numbers.read().get(&key).cloned();
        match corrected {
            Some(name) => Ok(Some(name)),
            None => Ok(self.get::<NameOfNumber>(&key)?.map(|name| name.0.to_vec())),
        }
    }

    pub(crate) fn found(&self, finding: Finding) {
        let mut report = self.report.lock();
        report.found += 1;
        report.healable += u64::from(finding.remedy.heals());
        if report.findings.len() < self.options.max_findings {
            self.progress.found(&finding);
            report.findings.push(finding);
        }
    }

    /// What the engine cannot read. It names the file, and where in it.
    pub(crate) fn damaged_file(&self, reason: String) {
        let name = reason.split(['/', ' ']).find(|word| {
            let (stem, kind) = word.split_once('.').unwrap_or_default();
            !stem.is_empty() && kind == "sst"
        });
        self.found(Finding {
            table: "database",
            key: name.unwrap_or("file").to_owned(),
            problem: Problem::Unreadable { reason },
            remedy: Remedy::Restore,
        });
    }

    pub(crate) fn finding<T: Table<Key: Readable>>(
        &self,
        key: &T::Key,
        problem: Problem,
        remedy: Remedy,
    ) {
        self.found(Finding {
            table: T::NAME,
            key: key.readable(self),
            problem,
            remedy,
        });
    }

    /// A row that belongs to nothing: found, and removed by a repair.
    pub(crate) fn stray<T: Table<Key: Readable>>(
        &self,
        key: &T::Key,
        because: impl Into<String>,
    ) -> Result<(), CheckError> {
        let because = because.into();
        self.finding::<T>(key, Problem::Stray { because }, Remedy::Remove);
        self.delete::<T>(key)
    }

    /// A row that should be there: found, and written by a repair.
    pub(crate) fn missing<T: Table<Key: Readable>>(
        &self,
        key: &T::Key,
        because: impl Into<String>,
        value: &T::Value,
    ) -> Result<(), CheckError> {
        let because = because.into();
        self.finding::<T>(key, Problem::Missing { because }, Remedy::Rebuild);
        self.put::<T>(key, value)
    }

    /// A row that says something wrong: found, and corrected by a repair.
    pub(crate) fn differs<T: Table<Key: Readable>>(
        &self,
        key: &T::Key,
        (found, right): (impl ToString, impl ToString),
        value: &T::Value,
    ) -> Result<(), CheckError> {
        let (found, right) = (found.to_string(), right.to_string());
        self.finding::<T>(key, Problem::Differs { found, right }, Remedy::Rebuild);
        self.put::<T>(key, value)
    }

    /// A position of a row: beyond the clock's mark there is none.
    pub(crate) fn position<T: Table<Key: Readable>>(&self, key: &T::Key, pos: Pos) {
        if pos <= self.mark {
            return;
        }
        let mut beyond = self.beyond.lock();
        let entry = beyond.entry(T::NAME).or_insert_with(|| Beyond {
            key: key.readable(self),
            pos,
            rows: 0,
        });
        entry.rows += 1;
        entry.pos = entry.pos.max(pos);
    }

    /// Tells of the positions beyond the mark, and puts the clock ahead of them.
    pub(crate) fn finish_positions(&self) -> Result<(), CheckError> {
        let beyond = std::mem::take(&mut *self.beyond.lock());
        let mut upto = self.mark;
        for (table, Beyond { key, pos, rows }) in beyond {
            let plausible = pos.0 < self.mark.0.saturating_add(PLAUSIBLE);
            if plausible {
                upto = upto.max(pos);
            }
            let key = match rows {
                1 => key,
                _ => format!("{key} and {} more", rows - 1),
            };
            self.found(Finding {
                table,
                key,
                problem: Problem::Beyond {
                    pos: pos.0,
                    mark: self.mark.0,
                },
                remedy: if plausible {
                    Remedy::RaiseClock
                } else {
                    Remedy::Restore
                },
            });
        }
        if self.options.repair && upto > self.mark {
            self.store.skip_to(upto)?.wait()?;
            self.count(|report| report.repaired += 1);
        }
        Ok(())
    }

    pub(crate) fn put<T: Table>(&self, key: &T::Key, value: &T::Value) -> Result<(), CheckError> {
        self.write(|batch| batch.put::<T>(key, value))
    }

    pub(crate) fn delete<T: Table>(&self, key: &T::Key) -> Result<(), CheckError> {
        self.write(|batch| batch.delete::<T>(key))
    }

    pub(crate) fn put_bytes(
        &self,
        family: Family,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), CheckError> {
        self.write(|batch| batch.put_bytes(family, key, value))
    }

    pub(crate) fn delete_bytes(&self, family: Family, key: &[u8]) -> Result<(), CheckError> {
        self.write(|batch| batch.delete_bytes(family, key))
    }

    /// Adds a row to the repair, if there is one.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Batch)) -> Result<(), CheckError> {
        if !self.options.repair {
            return Ok(());
        }
        let mut repair = self.repair.lock();
        write(&mut repair.batch);
        repair.rows += 1;
        if repair.rows >= REPAIR_ROWS {
            self.commit(&mut repair)?;
        }
        Ok(())
    }

    fn commit(&self, repair: &mut Repair) -> Result<(), CheckError> {
        let Repair { batch, rows } = std::mem::take(repair);
        if rows > 0 {
            self.store.queue(batch)?.wait()?;
            self.report.lock().repaired += rows;
        }
        Ok(())
    }

    /// The rows of the repair so far are on disk.
    pub(crate) fn flush(&self) -> Result<(), CheckError> {
        self.commit(&mut self.repair.lock())
    }

    pub(crate) fn finish(self) -> Report {
        let mut report = self.report.into_inner();
        report
            .findings
            .sort_by(|one, other| (one.table, &one.key).cmp(&(other.table, &other.key)));
        report
    }

    pub(crate) fn lose(&self, room: RoomNid, rsn: Rsn) {
        self.lost.lock().entry(room).or_default().insert(rsn);
    }

    pub(crate) fn lost_in(&self, room: RoomNid) -> HashSet<Rsn> {
        self.lost.lock().get(&room).cloned().unwrap_or_default()
    }

    pub(crate) fn is_lost(&self, room: RoomNid, rsn: Rsn) -> bool {
        let lost = self.lost.lock();
        lost.get(&room).is_some_and(|lost| lost.contains(&rsn))
    }

    /// Two other rows agree that an event stands there.
    pub(crate) fn correct_position(&self, (room, rsn): (RoomNid, Rsn), pos: Pos) {
        self.positions
            .lock()
            .entry(room)
            .or_default()
            .insert(rsn, pos);
    }

    pub(crate) fn positions_in(&self, room: RoomNid) -> HashMap<Rsn, Pos> {
        self.positions
            .lock()
            .get(&room)
            .cloned()
            .unwrap_or_default()
    }

    /// The search index is not what it should be.
    pub(crate) fn reindex(&self) {
        self.needs_index.store(true, Ordering::Relaxed);
    }

    pub(crate) fn needs_index(&self) -> bool {
        self.needs_index.load(Ordering::Relaxed)
    }

    /// Where a lost event was, as far as other rows tell.
    pub(crate) fn lose_place(&self, room: RoomNid, pos: Pos) {
        self.lost_places.lock().insert((room, pos));
    }

    pub(crate) fn is_lost_place(&self, room: RoomNid, pos: Pos) -> bool {
        self.lost_places.lock().contains(&(room, pos))
    }

    pub(crate) fn lose_room(&self, room: RoomNid) {
        self.unknown_rooms.lock().insert(room);
    }

    pub(crate) fn is_lost_room(&self, room: RoomNid) -> bool {
        self.unknown_rooms.lock().contains(&room)
    }

    /// The rules of a room: as its create event says, or else its head.
    pub(crate) fn rules(&self, room: RoomNid) -> Result<Option<Rules>, CheckError> {
        if let Some(known) = self.rules.lock().get(&room) {
            return Ok(known.clone());
        }
        let create = self.get::<Events>(&(room, Rsn(1)))?;
        let version = match create.as_ref().and_then(room_version) {
            Some(version) => Some(version),
            None => self.get::<RoomHeads>(&room)?.map(|head| head.version),
        };
        let rules = version
            .and_then(|version| ruma::RoomVersionId::try_from(version.as_str()).ok())
            .and_then(|version| Rules::of(&version));
        self.rules.lock().insert(room, rules.clone());
        Ok(rules)
    }
}

/// `room_version` of an `m.room.create` event.
fn room_version(row: &EventRow) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Create {
        #[serde(rename = "type")]
        event_type: String,
        content: Content,
    }
    #[derive(serde::Deserialize)]
    struct Content {
        // "Defaults to "1" if the key does not exist."
        #[serde(default = "first")]
        room_version: String,
    }
    fn first() -> String {
        "1".to_owned()
    }
    let create: Create = serde_json::from_slice(&room_versions::pdu_json(&row.client, b"")).ok()?;
    (create.event_type == "m.room.create").then_some(create.content.room_version)
}
