//! Tables that follow from events but are not parted by room: where their sums differ, row by row.

use std::collections::HashSet;

use parking_lot::Mutex;
use store::{RoomNid, Scan, sweep};

use crate::{
    CheckError,
    derived::{About, Comparison, DERIVED, Gather, ROOM_TABLES, Totals},
    parallel, room,
    work::Work,
};

/// Parts of a table, of 256, whose rows are held in memory at a time.
const PARTS_AT_ONCE: usize = 16;

/// The tables that are added up here.
pub(crate) fn tables() -> std::ops::Range<usize> {
    ROOM_TABLES..DERIVED.len()
}

/// Adds up one of the tables as it is.
pub(crate) fn add_up(work: &Work<'_>, at: usize, there: &Totals) -> Result<(), CheckError> {
    let table = &DERIVED[at];
    let from = vec![table.prefix];
    let to = sweep::after(&from);
    work.sweep
        .family(table.family, &Scan::bytes(from, to), &mut |row| {
            let hash = table.hash(row.key, row.value);
            there.of(at).add(table.part(row.key), hash);
            true
        })?;
    Ok(())
}

/// Compares one of the tables where it differs.
pub(crate) fn compare(
    work: &Work<'_>,
    at: usize,
    rooms: &[RoomNid],
    (right, there): (&Totals, &Totals),
) -> Result<(), CheckError> {
    let table = &DERIVED[at];
    let differing = right.of(at).differing(there.of(at));
    for parts in differing.chunks(PARTS_AT_ONCE) {
        let parts: HashSet<u8> = parts.iter().copied().collect();
        let is_wanted = |key: &[u8]| parts.contains(&table.part(key));
        let gathered = Mutex::new(std::collections::BTreeMap::new());
        parallel::each(work.options.threads, rooms, |room| {
            let mut gather = Gather::new(|of, key: &[u8]| of == at && is_wanted(key));
            room::derive_again(work, *room, &mut gather)?;
            gathered.lock().append(&mut gather.rows);
            Ok(())
        })?;
        let mut gathered = gathered.into_inner();
        let is_excused = |about: About| {
            let room = about.room();
            work.is_lost_room(room)
                || match about {
                    About::Event(room, rsn) => work.is_lost(room, rsn),
                    About::Place(room, pos) => work.is_lost_place(room, pos),
                    About::Both(room, pos, rsn) => {
                        work.is_lost(room, rsn) || work.is_lost_place(room, pos)
                    }
                    About::Room(_) => false,
                }
        };
        let mut comparison = Comparison {
            work,
            at,
            right: &mut gathered,
            is_excused,
        };
        let from = vec![table.prefix];
        let to = sweep::after(&from);
        let mut rows = work.pages_between(table.family, from, to);
        while let Some(page) = rows.next()? {
            for (key, value) in page.iter().filter(|(key, _)| is_wanted(key)) {
                comparison.actual(key, value)?;
            }
        }
        comparison.rest()?;
    }
    Ok(())
}
