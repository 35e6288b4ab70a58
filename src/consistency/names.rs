//! Names and their numbers, one table from each side; aliases and the directory.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::de::IgnoredAny;
use store::{
    Nid, RoomNid, UserNid,
    codec::Tail,
    sweep,
    tables::{
        Aliases, BlockedRooms, NameOfNumber, NumberOfName, PublishedRooms, Raw, RoomAliases,
        RoomHeads,
    },
};

use crate::{CheckError, Problem, Remedy, derived::Tally, work::Work};

/// Both tables of the interner. Its high-water mark is the last number in `NameOfNumber`, so that a number that is
/// missing there would be given out again.
pub(crate) fn check(work: &Work<'_>) -> Result<(), CheckError> {
    let (mut numbers, mut names) = (Tally::default(), Tally::default());
    let hash = |kind: u8, number: u32, name: &[u8]| {
        let mut hasher = DefaultHasher::new();
        (kind, number, name).hash(&mut hasher);
        hasher.finish()
    };
    work.each::<NumberOfName>(&(), Remedy::Remove, |(kind, name), number| {
        numbers.add(hash(kind, number, &name.0));
        Ok(())
    })?;
    work.each::<NameOfNumber>(&(), Remedy::Remove, |(kind, number), name| {
        names.add(hash(kind, number, &name.0));
        Ok(())
    })?;
    if numbers == names {
        return Ok(());
    }
    compare(work)
}

type Name = (u8, Vec<u8>);
type Number = (u8, u32);

/// Whichever of two rows is confirmed by its counterpart is right.
fn compare(work: &Work<'_>) -> Result<(), CheckError> {
    // Rows without a counterpart.
    let mut by_name: BTreeMap<Name, u32> = BTreeMap::new();
    let mut by_number: BTreeMap<Number, Vec<u8>> = BTreeMap::new();
    each(work, |kind, name, number| {
        let there = work.get::<NameOfNumber>(&(kind, number))?;
        if there.is_none_or(|there| *there.0 != *name) {
            by_name.insert((kind, name), number);
        }
        Ok(())
    })?;
    let mut pages = work.pages::<NameOfNumber>(&());
    while let Some(page) = pages.next()? {
        for (key, name) in page {
            let Ok((kind, number)) = sweep::key::<NameOfNumber>(&key) else {
                continue;
            };
            if work.get::<NumberOfName>(&(kind, Tail(name.clone())))? != Some(number) {
                by_number.insert((kind, number), name);
            }
        }
    }
    let numbers: HashMap<Name, u32> = by_number
        .iter()
        .map(|((kind, number), name)| ((*kind, name.clone()), *number))
        .collect();
    for ((kind, name), number) in &by_name {
        let key = (*kind, Tail(name.clone()));
        if let Some(right) = numbers.get(&(*kind, name.clone())) {
            work.differs::<NumberOfName>(&key, (number, right), right)?;
            work.names.write().insert((*kind, name.clone()), *right);
            by_number.remove(&(*kind, *right));
            continue;
        }
        let place = (*kind, *number);
        let raw = Raw(name.clone().into());
        let text = |name: &[u8]| String::from_utf8_lossy(name).replace('\0', " ");
        match work.get::<NameOfNumber>(&place)? {
            None => {
                work.numbers.write().insert(place, name.clone());
                let because = format!("{} has it", text(name));
                work.missing::<NameOfNumber>(&place, because, &raw)?;
            }
            Some(other) if by_number.remove(&place).is_some() => {
                work.numbers.write().insert(place, name.clone());
                work.differs::<NameOfNumber>(&place, (text(&other.0), text(name)), &raw)?;
            }
            Some(other) => {
                let problem = Problem::Differs {
                    found: number.to_string(),
                    right: format!("another: that is the number of {}", text(&other.0)),
                };
                work.finding::<NumberOfName>(&key, problem, Remedy::Restore);
            }
        }
    }
    for ((kind, number), name) in by_number {
        work.names.write().insert((kind, name.clone()), number);
        let because = format!("it has number {number}");
        work.missing::<NumberOfName>(&(kind, Tail(name)), because, &number)?;
    }
    Ok(())
}

fn each(
    work: &Work<'_>,
    mut visit: impl FnMut(u8, Vec<u8>, u32) -> Result<(), CheckError>,
) -> Result<(), CheckError> {
    let mut pages = work.pages::<NumberOfName>(&());
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            if let (Ok((kind, Tail(name))), Ok(number)) = (
                sweep::key::<NumberOfName>(&key),
                sweep::value::<NumberOfName>(&value),
            ) {
                visit(kind, name, number)?;
            }
        }
    }
    Ok(())
}

/// The last number of a room.
pub(crate) fn last_room(work: &Work<'_>) -> Result<u32, CheckError> {
    let mut last = 0;
    let scan = store::Scan::prefix::<NameOfNumber>(&(RoomNid::KIND,))
        .reverse()
        .limit(1);
    work.sweep.rows::<NameOfNumber>(&scan, &mut |row| {
        if let Ok((_, number)) = row.key::<NameOfNumber>() {
            last = number;
        }
        true
    })?;
    Ok(last)
}

/// Aliases from both sides, and the directory.
pub(crate) fn check_aliases(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Aliases>(&(), Remedy::Restore, |alias, (room, creator)| {
        if !is_room(work, room)? {
            return work.stray::<Aliases>(&alias, format!("there is no room number {}", room.0));
        }
        if !is_user(work, creator)? {
            let reason = format!("its creator, user number {}, is unknown", creator.0);
            work.finding::<Aliases>(&alias, Problem::Unreadable { reason }, Remedy::Restore);
        }
        let key = (room, alias);
        if work.get::<RoomAliases>(&key)?.is_none() {
            work.missing::<RoomAliases>(&key, "the alias leads to the room", &())?;
        }
        Ok(())
    })?;
    work.each::<RoomAliases>(&(), Remedy::Remove, |key, ()| {
        match work.get::<Aliases>(&key.1)? {
            Some((room, _)) if room == key.0 => Ok(()),
            _ => work.stray::<RoomAliases>(&key, "the alias does not lead to the room"),
        }
    })?;
    work.each::<PublishedRooms>(&(), Remedy::Remove, |room, ()| {
        if is_room(work, room)? {
            return Ok(());
        }
        work.stray::<PublishedRooms>(&room, "there is no such room")
    })?;
    // A room need not be known to be blocked.
    work.each::<BlockedRooms>(&(), Remedy::Restore, |room_id, raw| {
        let _: Option<IgnoredAny> =
            work.json::<BlockedRooms, _>(&room_id, &raw, Remedy::Restore)?;
        Ok(())
    })
}

fn is_room(work: &Work<'_>, room: RoomNid) -> Result<bool, CheckError> {
    Ok(work.any::<RoomHeads>(&room)? || work.any::<store::tables::Events>(&(room,))?)
}

pub(crate) fn is_user(work: &Work<'_>, user: UserNid) -> Result<bool, CheckError> {
    Ok(work.name(user)?.is_some())
}
