//! What a user's sync is fed with: account data and transaction ids; and how far followers of the log have come.

use std::collections::HashMap;

use ruma::EventId;
use serde::{Deserialize, de::IgnoredAny};
use store::{
    RoomNid, UserNid,
    codec::Tail,
    sweep,
    tables::{
        AccountData, AccountDataLog, AuditLog, Cursors, EventIds, Farewells, Raw, SearchPostings,
        SearchTexts, Tasks, Transactions,
    },
};

use crate::{CheckError, Problem, Remedy, names::is_user, pdu::event_key, work::Work};

/// Event ids that are looked up together: in their order, so that each block of the index is read once.
const LOOK_UPS: usize = 65_536;

/// Account data and its feed, from both sides.
pub(crate) fn check_account_data(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<AccountData>(&(), Remedy::Restore, |key, row| {
        work.position::<AccountData>(&key, row.pos);
        let is_json =
            row.content.is_empty() || serde_json::from_slice::<IgnoredAny>(&row.content).is_ok();
        if !is_json {
            let reason = "its content is no JSON".to_owned();
            work.finding::<AccountData>(&key, Problem::Unreadable { reason }, Remedy::Restore);
        }
        let (user, room, event_type) = key;
        let (place, right) = ((user, row.pos), (room, event_type));
        match work.get::<AccountDataLog>(&place)? {
            Some(there) if there == right => Ok(()),
            None => work.missing::<AccountDataLog>(&place, "it was set there", &right),
            Some(there) => {
                let (there, said) = (format!("{there:?}"), format!("{right:?}"));
                work.differs::<AccountDataLog>(&place, (there, said), &right)
            }
        }
    })?;
    work.each::<AccountDataLog>(&(), Remedy::Remove, |key, (room, event_type)| {
        work.position::<AccountDataLog>(&key, key.1);
        let row = work.get::<AccountData>(&(key.0, room, event_type))?;
        if row.is_some_and(|row| row.pos == key.1) || is_set_at(work, key)? {
            return Ok(());
        }
        work.stray::<AccountDataLog>(&key, "nothing was set there")
    })
}

/// Whether some account data was set there: then the feed's row is corrected, not removed.
fn is_set_at(work: &Work<'_>, (user, pos): (UserNid, store::Pos)) -> Result<bool, CheckError> {
    let mut is_set = false;
    let all = store::Scan::prefix::<AccountData>(&(user,));
    work.sweep.rows::<AccountData>(&all, &mut |row| {
        is_set = row.value::<AccountData>().is_ok_and(|row| row.pos == pos);
        !is_set
    })?;
    Ok(is_set)
}

/// Transaction ids: what was answered is an event that is there.
pub(crate) fn check_transactions(work: &Work<'_>) -> Result<(), CheckError> {
    let mut waiting = Vec::new();
    let mut pages = work.pages::<Transactions>(&());
    while let Some(page) = pages.next()? {
        for (key, value) in page {
            let Ok(place) = sweep::key::<Transactions>(&key) else {
                work.found(crate::Finding {
                    table: "Transactions",
                    key: crate::readable::hex(&key),
                    problem: Problem::Unreadable {
                        reason: "its key is damaged".to_owned(),
                    },
                    remedy: Remedy::Remove,
                });
                work.delete_bytes(store::Family::Feeds, &key)?;
                continue;
            };
            let row = sweep::value::<Transactions>(&value).ok();
            // A call may answer with nothing, and a delayed event with an id of its own.
            if row.as_ref().is_some_and(|row| !row.answer.starts_with('$')) {
                continue;
            }
            if let Some(event_id) = row.and_then(|row| EventId::parse(row.answer).ok()) {
                waiting.push((event_key(&event_id), place));
            } else {
                let reason = "it is not an event id".to_owned();
                work.finding::<Transactions>(
                    &place,
                    Problem::Unreadable { reason },
                    Remedy::Remove,
                );
                work.delete::<Transactions>(&place)?;
            }
            if waiting.len() >= LOOK_UPS {
                look_up(work, &mut waiting)?;
            }
        }
    }
    look_up(work, &mut waiting)
}

type Place = (UserNid, String, Tail);

fn look_up(work: &Work<'_>, waiting: &mut Vec<(Vec<u8>, Place)>) -> Result<(), CheckError> {
    waiting.sort_unstable();
    for chunk in waiting.chunks(1024) {
        let keys: Vec<_> = chunk.iter().map(|(key, _)| Tail(key.clone())).collect();
        let found = work.sweep.multi_get::<EventIds>(&keys)?;
        for ((_, place), found) in chunk.iter().zip(found) {
            if found.is_none() {
                work.stray::<Transactions>(place, "there is no such event")?;
            }
        }
    }
    waiting.clear();
    Ok(())
}

/// How far followers of the log have come: never further than the log. And what administrators did.
pub(crate) fn check_cursors(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Cursors>(&(), Remedy::Remove, |name, pos| {
        if pos > work.mark {
            let problem = Problem::Beyond {
                pos: pos.0,
                mark: work.mark.0,
            };
            work.finding::<Cursors>(&name, problem, Remedy::Reindex);
            // Whoever follows under that name begins anew.
            work.delete::<Cursors>(&name)?;
            if name == SEARCH {
                work.reindex();
            }
        }
        Ok(())
    })?;
    work.each::<AuditLog>(&(), Remedy::Restore, |pos, raw| {
        work.position::<AuditLog>(&pos, pos);
        let _: Option<IgnoredAny> = work.json::<AuditLog, _>(&pos, &raw, Remedy::Restore)?;
        Ok(())
    })
}

/// What is read of a task.
#[derive(Deserialize)]
struct Task {
    state: String,
    job: Job,
}

#[derive(Deserialize)]
struct Job {
    kind: String,
    #[serde(default)]
    room_id: String,
}

/// Rooms that a task of the server is taking apart, and goes on with at its next start: what is left of them is not
/// looked at.
pub(crate) fn note_unfinished(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Tasks>(&(), Remedy::Restore, |_, raw| {
        // One that cannot be read is found later.
        let Ok(task) = serde_json::from_slice::<Task>(&raw.0) else {
            return Ok(());
        };
        let is_unfinished = matches!(&*task.state, "queued" | "running");
        if is_unfinished && UNDOING.contains(&&*task.job.kind) {
            let room = work.number::<RoomNid>(&mut HashMap::new(), &task.job.room_id)?;
            if let Some(room) = room {
                work.lose_room(room);
            }
        }
        Ok(())
    })
}

/// Jobs that take rooms apart.
const UNDOING: [&str; 2] = ["delete_room", "purge_history"];

/// Long jobs, and how deleted rooms ended for their users.
pub(crate) fn check_tasks(work: &Work<'_>) -> Result<(), CheckError> {
    work.each::<Tasks>(&(), Remedy::Restore, |pos, raw| {
        work.position::<Tasks>(&pos, pos);
        let _: Option<Task> = work.json::<Tasks, _>(&pos, &raw, Remedy::Restore)?;
        Ok(())
    })?;
    work.each::<Farewells>(&(), Remedy::Remove, |key, (room, event)| {
        work.position::<Farewells>(&key, key.1);
        if !is_user(work, key.0)? {
            return work.stray::<Farewells>(&key, "there is no such user");
        }
        if work.name(room)?.is_none() {
            return work.stray::<Farewells>(&key, format!("there is no room number {}", room.0));
        }
        let raw = Raw(event.0.into());
        let _: Option<IgnoredAny> = work.json::<Farewells, _>(&key, &raw, Remedy::Remove)?;
        Ok(())
    })
}

/// The search index follows the log under this name.
const SEARCH: &str = "search";

/// Empties the search index: the server fills it from the beginning of the log.
pub(crate) fn reindex(work: &Work<'_>) -> Result<(), CheckError> {
    if !work.needs_index() {
        return Ok(());
    }
    work.write(|batch| {
        batch.delete_prefix::<SearchPostings>(&());
        batch.delete_prefix::<SearchTexts>(&());
        batch.delete::<Cursors>(&SEARCH.to_owned());
    })
}
