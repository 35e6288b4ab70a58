//! Events: each is read, hashed and verified. What is not as it was is lost, and nothing is derived from it.

use room_versions::{Claim, Pdu, Rules, SignatureState};
use ruma::EventId;
use store::{
    RoomNid, Rsn,
    rows::EventRow,
    sweep,
    tables::{Events, Table},
};

use crate::{CheckError, Finding, Problem, Remedy, readable, work::Work};

/// Events of a room that are looked at as one piece of work.
pub(crate) const PIECE: u32 = 8_192;

/// Looks at the events of a room from one number up to but without another.
pub(crate) fn check(
    work: &Work<'_>,
    room: RoomNid,
    (from, to): (Rsn, Rsn),
) -> Result<(), CheckError> {
    let rules = work.rules(room)?;
    let mut pages = work.pages_between(
        Events::FAMILY,
        sweep::key_bytes::<Events>(&(room, from)),
        sweep::key_bytes::<Events>(&(room, to)),
    );
    while let Some(page) = pages.next()? {
        let rows = page.len() as u64;
        let mut signed = Vec::new();
        for (key, value) in page {
            let (room, rsn) = match sweep::key::<Events>(&key) {
                Ok(place) => place,
                Err(error) => {
                    unreadable(work, &key, error.0);
                    continue;
                }
            };
            let row = match sweep::value::<Events>(&value) {
                Ok(row) => row,
                Err(error) => {
                    unreadable(work, &key, error.0);
                    work.lose(room, rsn);
                    continue;
                }
            };
            work.position::<Events>(&(room, rsn), row.pos);
            // Where not even the version is known, the room says so once.
            let Some(rules) = &rules else { continue };
            match audit(work, rules, &row) {
                Ok(None) => {}
                Ok(Some(claim)) => signed.push((rsn, claim)),
                Err(Wrong { reason, is_lost }) => {
                    wrong(work, (room, rsn), reason);
                    if is_lost {
                        work.lose(room, rsn);
                    }
                }
            }
        }
        verify(work, room, &signed);
        work.count(|report| report.events += rows);
        work.advance(rows);
    }
    Ok(())
}

fn unreadable(work: &Work<'_>, key: &[u8], reason: &str) {
    work.found(Finding {
        table: Events::NAME,
        key: readable::key::<Events>(work, key),
        problem: Problem::Unreadable {
            reason: reason.to_owned(),
        },
        remedy: Remedy::Restore,
    });
}

struct Wrong {
    reason: String,
    /// Its content is not to be believed; without it, only its signature.
    is_lost: bool,
}

fn wrong(work: &Work<'_>, key: (RoomNid, Rsn), reason: String) {
    work.finding::<Events>(&key, Problem::Event { reason }, Remedy::Restore);
}

/// The signatures of a page, all at once.
fn verify(work: &Work<'_>, room: RoomNid, signed: &[(Rsn, Claim)]) {
    let Some(key) = &work.options.key else { return };
    let claims: Vec<_> = signed.iter().map(|(_, claim)| claim).collect();
    for ((rsn, _), is_right) in signed.iter().zip(key.verify(&claims)) {
        if !is_right {
            wrong(work, (room, *rsn), "its signature is wrong".to_owned());
        }
    }
}

/// Looks at one event; gives the signature that is still to be verified.
fn audit(work: &Work<'_>, rules: &Rules, row: &EventRow) -> Result<Option<Claim>, Wrong> {
    let lost = |reason: String| Wrong {
        reason,
        is_lost: true,
    };
    let event_id = EventId::parse(&*row.event_id).map_err(|_| {
        lost(format!(
            "{} is not an event id",
            row.event_id.escape_debug()
        ))
    })?;
    let key = work.options.key.as_ref();
    let key = key.filter(|_| !work.options.quick);
    let audit = rules
        .audit(&row.client, &row.federation, key)
        .map_err(lost)?;
    if audit.event_id != row.event_id {
        let (kept, hash) = (&row.event_id, audit.event_id);
        return Err(lost(format!(
            "it is kept as {kept}, but its hash is {hash}"
        )));
    }
    if !audit.content_hash_matches {
        if row.redacted_by.some().is_none() {
            return Err(lost("its content has another hash".to_owned()));
        }
        // Of a redacted event only what the redaction left is known, and that is in its id.
        let redacted = rules.redact(&event_id, &row.client, &row.federation);
        let is_redacted = redacted.is_ok_and(|redacted| {
            redacted.client == row.client && redacted.federation == row.federation
        });
        if !is_redacted {
            let reason = "it is redacted, and has more than a redaction leaves";
            return Err(lost(reason.to_owned()));
        }
    }
    match audit.signature {
        SignatureState::Claimed(claim) => Ok(Some(claim)),
        SignatureState::Unknown => Ok(None),
        SignatureState::Missing => {
            let pdu = rules.parse(&event_id, &row.client, &row.federation);
            let is_local = |pdu: &Pdu| pdu.sender.server_name() == work.options.server_name;
            if pdu.is_ok_and(|pdu| is_local(&pdu)) {
                return Err(Wrong {
                    reason: "it has no signature of this server".to_owned(),
                    is_lost: false,
                });
            }
            Ok(None)
        }
    }
}

/// The last event of a room.
pub(crate) fn last(work: &Work<'_>, room: RoomNid) -> Result<Rsn, CheckError> {
    let scan = store::Scan::prefix::<Events>(&(room,)).reverse().limit(1);
    let mut last = Rsn::NONE;
    work.sweep.rows::<Events>(&scan, &mut |row| {
        if let Ok((_, rsn)) = row.key::<Events>() {
            last = rsn;
        }
        true
    })?;
    Ok(last)
}
