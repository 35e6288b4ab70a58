//! The search index of a room: its postings are those of its texts, and lead to events.

use std::hash::{DefaultHasher, Hash, Hasher};

use store::{
    Pos, RoomNid, Rsn, Table, sweep,
    tables::{SearchPostings, SearchTexts},
};

use crate::{CheckError, Finding, Problem, Remedy, derived::Tally, work::Work};

/// Looks at the index of one room; whatever is wrong with it, it is made anew.
pub(super) fn check(
    work: &Work<'_>,
    room: RoomNid,
    place: &dyn Fn(Rsn) -> Option<Pos>,
) -> Result<(), CheckError> {
    let mut wrong = None;
    let mut say = |table, key: String, reason: &str| {
        wrong.get_or_insert((table, key, reason.to_owned()));
    };
    let (mut of_postings, mut of_texts) = (Tally::default(), Tally::default());
    let hash = |pos: Pos, term: u64| {
        let mut hasher = DefaultHasher::new();
        (pos, term).hash(&mut hasher);
        hasher.finish()
    };
    let mut pages = work.pages::<SearchPostings>(&(room,));
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            let row = (
                sweep::key::<SearchPostings>(&key),
                sweep::value::<SearchPostings>(&value),
            );
            let (Ok((_, term, pos)), Ok((rsn, ..))) = row else {
                say(
                    SearchPostings::NAME,
                    crate::readable::hex(&key),
                    "it cannot be read",
                );
                continue;
            };
            of_postings.add(hash(pos, term));
            if place(rsn) != Some(pos) {
                say(
                    SearchPostings::NAME,
                    format!("term {term:016x}, position {pos}"),
                    "it leads to no event there",
                );
            }
        }
    }
    let mut pages = work.pages::<SearchTexts>(&(room,));
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            let Ok((_, pos)) = sweep::key::<SearchTexts>(&key) else {
                say(
                    SearchTexts::NAME,
                    crate::readable::hex(&key),
                    "it cannot be read",
                );
                continue;
            };
            match value.split_first() {
                // The terms of a text.
                Some((0, terms)) if terms.len().is_multiple_of(8) => {
                    for term in terms.chunks_exact(8) {
                        let term = term
                            .iter()
                            .fold(0, |term, byte| term << 8 | u64::from(*byte));
                        of_texts.add(hash(pos, term));
                    }
                }
                // An edit of an event.
                Some((1, number)) if number.len() == 4 => {}
                _ => say(
                    SearchTexts::NAME,
                    format!("position {pos}"),
                    "it cannot be read",
                ),
            }
        }
    }
    if of_postings != of_texts {
        say(
            SearchPostings::NAME,
            "its terms".to_owned(),
            "they are not those of the texts",
        );
    }
    let Some((table, key, reason)) = wrong else {
        return Ok(());
    };
    let name = crate::readable::Readable::readable(&room, work);
    work.found(Finding {
        table,
        key: format!("{name}, {key}"),
        problem: Problem::Unreadable { reason },
        remedy: Remedy::Reindex,
    });
    work.reindex();
    Ok(())
}
