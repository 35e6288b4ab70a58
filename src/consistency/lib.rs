//! Whether a store is whole: every table against every other, and what can be healed.
//!
//! An event's bytes, and the rows that nothing else tells, are *primary*: what is lost of them is reported and never
//! guessed. Everything else is *derived* and can be rebuilt: indexes, timelines, the current state, members, counts,
//! relations, heads. [`check`] derives it all anew and compares; with [`CheckOptions::repair`] it writes what differs.
//!
//! * Memory is bounded by a room: some 60 bytes for each event of the largest rooms being looked at, and its current
//!   state. No table is ever held as a whole, except for parts of one that is damaged.
//! * A healthy store is read from end to end and not looked up row by row: `derived.rs` says how.
//! * A repair is a sequence of small commits, each of which follows from primary rows alone: one that is cut off is
//!   taken up by the next.
//! * It blocks: call it where that may be. Nothing else may write to the store meanwhile; of a running server check a
//!   checkpoint (`Store::checkpoint`).

use std::{path::PathBuf, sync::atomic::Ordering};

use parking_lot::Mutex;
use room_versions::PublicKey;
use ruma::OwnedServerName;
use store::{RoomNid, Rsn, Store, StoreError};
use thiserror::Error;

mod accounts;
pub mod coverage;
mod derived;
mod events;
mod feeds;
mod files;
mod keys;
mod names;
mod parallel;
mod pdu;
mod readable;
mod report;
mod room;
mod whole;
mod work;

pub use report::{Finding, Problem, Remedy, Report};

use derived::Totals;
use work::Work;

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Whose store it is.
    pub server_name: OwnedServerName,
    /// What the server's events are signed with; without it no signature is verified.
    pub key: Option<PublicKey>,
    /// Where media files lie (`media` in the data directory); without it there are only their rows.
    pub media: Option<PathBuf>,
    /// Files are not hashed and signatures not verified: their sizes, and the hashes of events, say almost as much.
    pub quick: bool,
    /// Derived rows that differ are written anew. Needs a store that was opened to be written.
    pub repair: bool,
    /// How many threads look. One for each core is best.
    pub threads: usize,
    /// The most findings that are kept; the others are counted.
    pub max_findings: usize,
}

impl CheckOptions {
    /// Everything, on all cores, changing nothing; without files and signatures.
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            key: None,
            media: None,
            quick: false,
            repair: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_findings: 10_000,
        }
    }
}

/// Who watches a check. Called from several threads.
pub trait Progress: Sync {
    /// What is being looked at now.
    fn stage(&self, _name: &'static str) {}

    /// So much of the whole is done.
    fn advance(&self, _done: u64, _total: u64) {}

    /// Something is wrong.
    fn found(&self, _finding: &Finding) {}
}

/// Nobody watches.
impl Progress for () {}

/// Why a check could not go on.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The store cannot be read, or the repair not written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks at some tables as a whole.
type Check = fn(&Work<'_>) -> Result<(), CheckError>;

/// One of the tables, or pieces of them, that are looked at on their own.
enum Piece {
    Events(RoomNid, Rsn, Rsn),
    Room(RoomNid),
    Whole(usize),
    Table(Check),
    MediaRows,
}

/// Checks a store; blocks until it is done.
///
/// # Errors
/// Only what keeps it from looking; what is wrong with the rows is in the report. So is a file of the database whose bytes
/// have changed: nothing is looked at, or repaired, after that.
pub fn check(
    store: &Store,
    options: &CheckOptions,
    progress: &dyn Progress,
) -> Result<Report, CheckError> {
    let work = Work::new(store, options, progress);
    match look(&work) {
        Ok(()) => {}
        Err(CheckError::Store(StoreError::Damaged(reason))) => work.damaged_file(reason),
        Err(error) => return Err(error),
    }
    Ok(work.finish())
}

fn look(work: &Work<'_>) -> Result<(), CheckError> {
    let (progress, threads) = (work.progress, work.options.threads);

    // Names first: everything else is keyed by their numbers.
    progress.stage("names");
    names::check(work)?;
    work.flush()?;
    feeds::note_unfinished(work)?;

    progress.stage("events");
    let rooms = rooms(work)?;
    let mut pieces = Vec::new();
    for (room, last) in &rooms {
        let mut from = 0;
        while from <= last.0 {
            let to = from.saturating_add(events::PIECE);
            pieces.push(Piece::Events(*room, Rsn(from), Rsn(to)));
            from = to;
        }
        // Once to be verified, once to derive from.
        work.total
            .fetch_add(2 * u64::from(last.0), Ordering::Relaxed);
    }
    let (right, there) = (Totals::default(), Totals::default());
    let files = Mutex::new(Vec::new());
    let run = |piece: &Piece| match piece {
        Piece::Events(room, from, to) => events::check(work, *room, (*from, *to)),
        Piece::Room(room) => room::check(work, *room, &right),
        Piece::Whole(at) => whole::add_up(work, *at, &there),
        Piece::Table(check) => check(work),
        Piece::MediaRows => {
            *files.lock() = files::check_rows(work)?;
            Ok(())
        }
    };
    parallel::each(threads, &pieces, run)?;

    // The largest first, so that none is left to one thread at the end.
    progress.stage("rooms and accounts");
    let mut by_size = rooms.clone();
    by_size.sort_unstable_by_key(|(_, last)| std::cmp::Reverse(*last));
    let mut pieces: Vec<_> = by_size.iter().map(|(room, _)| Piece::Room(*room)).collect();
    pieces.extend(whole::tables().map(Piece::Whole));
    pieces.extend(TABLES.iter().map(|check| Piece::Table(*check)));
    pieces.push(Piece::MediaRows);
    parallel::each(threads, &pieces, run)?;
    work.flush()?;

    progress.stage("indexes");
    let rooms: Vec<_> = rooms.into_iter().map(|(room, _)| room).collect();
    for at in whole::tables() {
        whole::compare(work, at, &rooms, (&right, &there))?;
    }
    work.flush()?;
    // These look events up in the index, which is whole by now if it can be.
    feeds::check_transactions(work)?;

    progress.stage("files");
    let files = files.into_inner();
    work.total.fetch_add(files.len() as u64, Ordering::Relaxed);
    parallel::each(threads, &files, |file| files::check_file(work, file))?;

    feeds::reindex(work)?;
    work.finish_positions()?;
    work.flush()
}

/// Tables that are looked at as a whole.
const TABLES: [Check; 15] = [
    names::check_aliases,
    accounts::check_accounts,
    accounts::check_devices,
    accounts::check_tokens,
    accounts::check_settings,
    accounts::check_waiting,
    accounts::check_pushes,
    keys::check_devices,
    keys::check_one_time_keys,
    keys::check_signatures,
    keys::check_backups,
    keys::check_feeds,
    feeds::check_account_data,
    feeds::check_cursors,
    feeds::check_tasks,
];

/// Every room that has a number, and the last of its events.
fn rooms(work: &Work<'_>) -> Result<Vec<(RoomNid, Rsn)>, CheckError> {
    let last = names::last_room(work)?;
    let mut rooms = Vec::new();
    for number in 1..=last {
        let room = RoomNid(number);
        rooms.push((room, events::last(work, room)?));
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests;
