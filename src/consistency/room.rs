//! A room: everything that follows from its events, and what lies beside them.

use std::collections::{BTreeMap, HashMap, HashSet};

use store::{
    Pos, RoomNid, Rsn, Scan, UserNid, sweep,
    tables::{
        Activity, CurrentState, Events, Log, Members, Parents, ReadThreads, ReadUpTo, ReceiptLog,
        Receipts, RoomHeads, StateLog, Timeline,
    },
};

use crate::{
    CheckError, Problem, Remedy,
    derived::{
        About, Comparison, DERIVED, DerivedTable, Gather, ROOM_TABLES, Sink, Tallies, Tally,
        Totals, expect,
    },
    work::Work,
};

mod derive;
mod search;

use derive::{Derivation, Info, Known, Trace};

/// Looks at one room, and adds what follows from its events to the sums of the tables that are not parted by room.
pub(crate) fn check(work: &Work<'_>, room: RoomNid, totals: &Totals) -> Result<(), CheckError> {
    // A room that is being deleted is whole again once its task is done.
    if work.is_lost_room(room) || !exists(work, room)? {
        return Ok(());
    }
    work.count(|report| report.rooms += 1);
    let Some(rules) = work.rules(room)? else {
        // Without its version no event of it can be read.
        work.lose_room(room);
        let because = "the create event and the version of the room are lost".to_owned();
        work.finding::<Events>(
            &(room, Rsn(1)),
            Problem::Missing { because },
            Remedy::Restore,
        );
        return Ok(());
    };
    let mut known = Known {
        lost: work.lost_in(room),
        ..Known::default()
    };
    let mut sums = Tallies {
        room: [Tally::default(); ROOM_TABLES],
        totals,
    };
    let mut derivation = Derivation::new(work, room, &rules, &known);
    derivation.run(&mut sums)?;
    let is_regular = beside(work, room, &derivation, &mut sums, Receipt::Unseen)?;
    let differing = differing(work, room, &sums)?;
    let lost_since = work.lost_in(room).len() > known.lost.len();
    if is_regular && differing.is_empty() && !lost_since {
        return rest(work, room, derivation, &known);
    }
    let infos = std::mem::take(&mut derivation.infos);
    drop(derivation);
    evidence(work, room, &infos, &mut known)?;
    compare(work, room, &rules, &known, &differing)
}

/// What is not compared as rows that follow from events.
fn rest(
    work: &Work<'_>,
    room: RoomNid,
    mut derivation: Derivation<'_, '_>,
    known: &Known,
) -> Result<(), CheckError> {
    let remarks = std::mem::take(&mut derivation.remarks);
    parents(work, room, &derivation.infos, &derivation.parents)?;
    if known.lost.is_empty() {
        search::check(work, room, &|rsn| derivation.info(rsn).map(|info| info.pos))?;
    }
    remarked(work, room, remarks, !known.lost.is_empty())
}

/// Whether any row speaks of the room.
fn exists(work: &Work<'_>, room: RoomNid) -> Result<bool, CheckError> {
    Ok(work.any::<Events>(&(room,))?
        || work.any::<RoomHeads>(&room)?
        || work.any::<Timeline>(&(room,))?
        || work.any::<CurrentState>(&(room,))?
        || work.any::<Members>(&(room,))?)
}

/// What was found in the events themselves.
fn remarked(
    work: &Work<'_>,
    room: RoomNid,
    remarks: Vec<derive::Remark>,
    is_incomplete: bool,
) -> Result<(), CheckError> {
    for remark in remarks {
        let key = (room, remark.rsn);
        // What an event replaced cannot be told where another is lost.
        if is_incomplete && remark.remedy == Remedy::Rebuild {
            continue;
        }
        work.finding::<Events>(&key, remark.problem, remark.remedy);
        if let Some(row) = remark.row {
            work.put::<Events>(&key, &row)?;
        }
    }
    Ok(())
}

/// Whether what is wrong with receipts is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receipt {
    /// It is not known yet which events are lost.
    Unseen,
    /// It is.
    Told,
}

/// Rows that follow from receipts and from the latest events. Whether the receipts are as they should be.
fn beside(
    work: &Work<'_>,
    room: RoomNid,
    derivation: &Derivation<'_, '_>,
    sink: &mut impl Sink,
    receipt: Receipt,
) -> Result<bool, CheckError> {
    let (mut read, mut threads) = (derivation.read.clone(), derivation.threads.clone());
    let mut activity = derivation.infos.iter().map(|info| info.pos).max();
    let is_told = receipt == Receipt::Told;
    // A receipt may be of an event before the first that is kept, or of a lost one.
    let is_whole = derivation.infos.first().is_none_or(|info| info.rsn.0 == 1)
        && work.lost_in(room).is_empty();
    let mut is_regular = true;
    let mut pages = work.pages::<Receipts>(&(room,));
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            let row = sweep::key::<Receipts>(&key)
                .and_then(|key| Ok((key, sweep::value::<Receipts>(&value)?)));
            let (key, mut row) = match row {
                Ok(row) => row,
                Err(reason) => {
                    is_regular = false;
                    if is_told {
                        work.unreadable::<Receipts>(&key, reason);
                    }
                    continue;
                }
            };
            match derivation.by_id(&row.event_id) {
                Some(event) if event.pos != row.event_pos => {
                    is_regular = false;
                    let positions = (row.event_pos, event.pos);
                    row.event_pos = event.pos;
                    if is_told {
                        work.differs::<Receipts>(&key, positions, &row)?;
                    }
                }
                None if is_whole && !derivation.is_removed(row.event_pos) => {
                    is_regular = false;
                    if is_told {
                        let because = format!("the room has no {}", row.event_id);
                        work.stray::<Receipts>(&key, because)?;
                        continue;
                    }
                }
                _ => {}
            }
            if !is_told {
                work.position::<Receipts>(&key, row.pos);
            }
            let (room, user, kind, thread) = key;
            let raise = |marks: &mut HashMap<UserNid, Pos>| {
                let upto = marks.entry(user).or_insert(row.event_pos);
                *upto = (*upto).max(row.event_pos);
            };
            if matches!(&*thread, "" | "main") {
                raise(&mut read);
            }
            if thread.is_empty() {
                raise(&mut threads);
            }
            activity = activity.max(Some(row.pos));
            expect::<ReceiptLog>(sink, &(room, row.pos), &(user, kind, thread));
        }
    }
    for (user, pos) in read {
        expect::<ReadUpTo>(sink, &(room, user), &derivation.read_upto(pos));
    }
    for (user, pos) in threads {
        expect::<ReadThreads>(sink, &(room, user), &derivation.read_upto(pos));
    }
    if let Some(activity) = activity {
        expect::<Activity>(sink, &room, &activity);
    }
    Ok(is_regular)
}

/// The tables of the room whose sums differ from what is there.
fn differing(
    work: &Work<'_>,
    room: RoomNid,
    right: &Tallies<'_>,
) -> Result<Vec<usize>, CheckError> {
    let mut differing = Vec::new();
    for (at, table) in DERIVED.iter().enumerate().take(ROOM_TABLES) {
        let mut there = Tally::default();
        let (from, to) = room_range(table.prefix, room);
        let scan = Scan::bytes(from, to);
        work.sweep.family(table.family, &scan, &mut |row| {
            there.add(table.hash(row.key, row.value));
            true
        })?;
        if there != right.room[at] {
            differing.push(at);
        }
    }
    Ok(differing)
}

/// The keys of a table that begin with the room.
fn room_range(prefix: u8, room: RoomNid) -> (Vec<u8>, Vec<u8>) {
    let mut from = vec![prefix];
    from.extend_from_slice(&room.0.to_be_bytes());
    let to = sweep::after(&from);
    (from, to)
}

/// Where the timeline has events.
type Places = HashMap<Rsn, (Pos, store::rows::TimelineRow)>;

/// What other rows tell of events that are not there or are not what they were, and of positions.
fn evidence(
    work: &Work<'_>,
    room: RoomNid,
    infos: &[Info],
    known: &mut Known,
) -> Result<(), CheckError> {
    known.lost = work.lost_in(room);
    let by_pos: BTreeMap<Pos, Rsn> = infos.iter().map(|info| (info.pos, info.rsn)).collect();
    let by_rsn: HashMap<Rsn, Pos> = infos.iter().map(|info| (info.rsn, info.pos)).collect();
    let mut places: Places = HashMap::new();
    let mut pages = work.pages::<Timeline>(&(room,));
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            let (Ok((_, pos)), Ok(row)) = (
                sweep::key::<Timeline>(&key),
                sweep::value::<Timeline>(&value),
            ) else {
                continue;
            };
            places.insert(row.rsn, (pos, row));
            match by_rsn.get(&row.rsn) {
                Some(own) if *own == pos => {}
                // Timeline and log agree, and nobody agrees with the event.
                Some(own) if !by_pos.contains_key(&pos) => {
                    let says = |pos| work.get::<Log>(&pos);
                    if says(pos)? == Some((room, row.rsn)) && says(*own)? != Some((room, row.rsn)) {
                        moved(work, (room, row.rsn), pos)?;
                        known.positions.insert(row.rsn, pos);
                    }
                }
                None if !by_pos.contains_key(&pos) && known.lost.insert(row.rsn) => {
                    gone(work, (room, row.rsn), pos);
                }
                _ => {}
            }
        }
    }
    traces(work, room, &places, known)
}

/// An event whose own row has another position than everybody else.
fn moved(work: &Work<'_>, key: (RoomNid, Rsn), pos: Pos) -> Result<(), CheckError> {
    if let Some(mut row) = work.get::<Events>(&key)? {
        let positions = (row.pos, pos);
        row.pos = pos;
        row.state_before = store::rows::StateRef::Line(pos);
        work.differs::<Events>(&key, positions, &row)?;
    }
    work.correct_position(key, pos);
    Ok(())
}

fn gone(work: &Work<'_>, key: (RoomNid, Rsn), pos: Pos) {
    work.lose(key.0, key.1);
    let because = format!("the timeline has it at position {pos}");
    work.finding::<Events>(&key, Problem::Missing { because }, Remedy::Restore);
}

/// What the state log and the members tell of lost events.
fn traces(
    work: &Work<'_>,
    room: RoomNid,
    places: &Places,
    known: &mut Known,
) -> Result<(), CheckError> {
    if known.lost.is_empty() {
        return Ok(());
    }
    let mut members: HashMap<Rsn, (UserNid, store::rows::MemberRow)> = HashMap::new();
    let mut pages = work.pages::<Members>(&(room,));
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            if let (Ok((_, user)), Ok(row)) =
                (sweep::key::<Members>(&key), sweep::value::<Members>(&value))
                && known.lost.contains(&row.rsn)
            {
                members.insert(row.rsn, (user, row));
            }
        }
    }
    for rsn in known.lost.clone() {
        let Some((pos, timeline)) = places.get(&rsn).copied() else {
            continue;
        };
        work.lose_place(room, pos);
        let change = work.get::<StateLog>(&(room, pos, 0))?;
        let trace = Trace {
            pos,
            timeline,
            state: change
                .filter(|change| change.new == rsn)
                .map(|change| change.key),
            member: members.get(&rsn).copied(),
        };
        known.traces.insert(rsn, trace);
    }
    Ok(())
}

/// Compares the tables whose sums differ row by row.
fn compare(
    work: &Work<'_>,
    room: RoomNid,
    rules: &room_versions::Rules,
    known: &Known,
    differing: &[usize],
) -> Result<(), CheckError> {
    let mut right = Gather::new(|at, _: &[u8]| differing.contains(&at));
    let mut derivation = Derivation::new(work, room, rules, known);
    derivation.run(&mut right)?;
    beside(work, room, &derivation, &mut right, Receipt::Told)?;
    let lost_places: HashSet<Pos> = known.traces.values().map(|trace| trace.pos).collect();
    for at in differing.iter().copied() {
        let table = &DERIVED[at];
        let is_excused = |about| match about {
            About::Event(_, rsn) => known.lost.contains(&rsn),
            About::Place(_, pos) => lost_places.contains(&pos),
            About::Both(_, pos, rsn) => known.lost.contains(&rsn) || lost_places.contains(&pos),
            // What the next event follows, and how many there are, only all events tell.
            About::Room(_) => !known.lost.is_empty() && at == RoomHeads::AT,
        };
        let mut comparison = Comparison {
            work,
            at,
            right: &mut right.rows,
            is_excused,
        };
        let (from, to) = room_range(table.prefix, room);
        let mut rows = work.pages_between(table.family, from, to);
        while let Some(page) = rows.next()? {
            for (key, value) in page {
                comparison.actual(&key, &value)?;
            }
        }
        comparison.rest()?;
    }
    rest(work, room, derivation, known)
}

/// The rows of events that others relate to: at least of those that still do.
fn parents(
    work: &Work<'_>,
    room: RoomNid,
    infos: &[Info],
    right: &[Pos],
) -> Result<(), CheckError> {
    let mut there = Vec::new();
    work.each::<Parents>(&(room,), Remedy::Remove, |(_, pos), ()| {
        there.push(pos);
        Ok(())
    })?;
    if there != right {
        let places: HashSet<Pos> = infos.iter().map(|info| info.pos).collect();
        let is_whole = work.lost_in(room).is_empty();
        for pos in there.iter().filter(|pos| !places.contains(pos) && is_whole) {
            work.stray::<Parents>(&(room, *pos), "there is no event")?;
        }
        for pos in right.iter().filter(|pos| there.binary_search(pos).is_err()) {
            work.missing::<Parents>(&(room, *pos), "an event relates to it", &())?;
        }
    }
    Ok(())
}

/// Gives what follows from a room's events to `sink`, once more.
pub(crate) fn derive_again(
    work: &Work<'_>,
    room: RoomNid,
    sink: &mut impl Sink,
) -> Result<(), CheckError> {
    if work.is_lost_room(room) {
        return Ok(());
    }
    let Some(rules) = work.rules(room)? else {
        return Ok(());
    };
    let mut known = Known {
        lost: work.lost_in(room),
        ..Known::default()
    };
    if !known.lost.is_empty() {
        let mut places = HashMap::new();
        work.sweep
            .rows::<Timeline>(&Scan::prefix::<Timeline>(&(room,)), &mut |row| {
                if let Ok(((_, pos), row)) = row.decode::<Timeline>() {
                    places.insert(row.rsn, (pos, row));
                }
                true
            })?;
        traces(work, room, &places, &mut known)?;
    }
    known.positions = work.positions_in(room);
    Derivation::new(work, room, &rules, &known).run(sink)
}
