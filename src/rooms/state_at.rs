//! The room's state at a position of the past, and what changed between two positions (DESIGN §6).
//!
//! State *at* a position is the state after the event there; the state before an event is that at [`Pos::prev`]. Three facts
//! per state change answer every question: the current state `C`, each key's history `H`, and the room's log `L`.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
};

use store::{
    Pos, RoomNid, Rsn, Scan, StateKeyNid, UserNid,
    rows::{MemberRow, StateChangeRow},
    tables::{StateHistory, StateLog},
};

use crate::{Event, RoomError, Rooms, visibility::membership_of_event};

/// A room's state, as event numbers by state key.
pub type State = BTreeMap<StateKeyNid, Rsn>;

/// What became of one state key between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The key.
    pub key: StateKeyNid,
    /// Its event at the end.
    pub new: Rsn,
    /// Its event at the beginning, or none.
    pub old: Rsn,
    /// The position of its last change.
    pub pos: Pos,
}

/// Rows of the log that are read at a time when it is not clear from which end the way is shorter.
/// Tests take few, so that their small rooms need several.
const LOG_ROWS: usize = if cfg!(test) { 3 } else { 512 };

impl Rooms {
    /// The event that was the state of a key at a position: one reverse seek.
    pub async fn state_key_at(
        &self,
        room: RoomNid,
        key: StateKeyNid,
        at: Pos,
    ) -> Result<Option<Rsn>, RoomError> {
        let range = Scan::range::<StateHistory>(&(room, key), &(room, key, at.next()));
        let found = self
            .store()
            .scan::<StateHistory>(range.reverse().limit(1))
            .await?;
        Ok(found.first().and_then(|(_, rsn)| rsn.some()))
    }

    /// The state event of one type and key at a position.
    pub async fn state_event_at(
        &self,
        room: RoomNid,
        event_type: &str,
        state_key: &str,
        at: Pos,
    ) -> Result<Option<Arc<Event>>, RoomError> {
        let Some(key) = self.state_key(event_type, state_key).await? else {
            return Ok(None);
        };
        match self.state_key_at(room, key, at).await? {
            Some(rsn) => self.event(room, rsn).await.map(Some),
            None => Ok(None),
        }
    }

    /// The whole state at a position: back from the current state or forth from the first event, whichever is shorter.
    pub async fn state_at(&self, room: RoomNid, at: Pos) -> Result<State, RoomError> {
        // Keys that changed later, with what they were at `at`; keys that changed until then, with what they became.
        let (mut undone, mut replayed) = (HashMap::new(), State::new());
        let (mut undo_from, mut replay_from) = (at.next(), Pos::MIN);
        loop {
            let (changes, rest) = self.log_rows(room, undo_from, Pos::MAX).await?;
            for (_, change) in changes {
                undone.entry(change.key).or_insert(change.old);
            }
            let Some(rest) = rest else {
                return self.undo(room, at, &undone).await;
            };
            undo_from = rest;

            let (changes, rest) = self.log_rows(room, replay_from, at).await?;
            for (_, change) in changes {
                replayed.insert(change.key, change.new);
            }
            let Some(rest) = rest else {
                replayed.retain(|_, rsn| rsn.some().is_some());
                return Ok(replayed);
            };
            replay_from = rest;
        }
    }

    /// What changed after `after` up to and including `upto`: each key once, in the order of their last changes.
    pub async fn state_changes(
        &self,
        room: RoomNid,
        after: Pos,
        upto: Pos,
    ) -> Result<Vec<StateChange>, RoomError> {
        let mut changes: HashMap<StateKeyNid, StateChange> = HashMap::new();
        let mut from = Some(after.next());
        while let Some(first) = from {
            let (rows, rest) = self.log_rows(room, first, upto).await?;
            for (pos, StateChangeRow { key, new, old, .. }) in rows {
                match changes.entry(key) {
                    Entry::Occupied(mut change) => {
                        let change = change.get_mut();
                        (change.new, change.pos) = (new, pos);
                    }
                    Entry::Vacant(place) => {
                        place.insert(StateChange { key, new, old, pos });
                    }
                }
            }
            from = rest;
        }
        let mut changes: Vec<_> = changes
            .into_values()
            .filter(|change| change.new != change.old)
            .collect();
        changes.sort_unstable_by_key(|change| (change.pos, change.key));
        Ok(changes)
    }

    /// Everybody that the room knew at a position, whatever their membership.
    pub async fn members_at(
        &self,
        room: RoomNid,
        at: Pos,
    ) -> Result<Vec<(UserNid, MemberRow)>, RoomError> {
        let mut members = Vec::new();
        for (user, row) in self.members(room).await? {
            if row.pos <= at {
                members.push((user, row));
            } else if let Some(row) = self.member_at(room, user, at).await? {
                members.push((user, row));
            }
        }
        Ok(members)
    }

    /// A user's membership at a position; `None` if the room did not know the user.
    pub async fn member_at(
        &self,
        room: RoomNid,
        user: UserNid,
        at: Pos,
    ) -> Result<Option<MemberRow>, RoomError> {
        let name = self.store().interner().name(user).await?;
        let Some(event) = self
            .state_event_at(room, "m.room.member", &name, at)
            .await?
        else {
            return Ok(None);
        };
        Ok(membership_of_event(&event).map(|membership| MemberRow {
            membership,
            rsn: event.rsn,
            pos: event.pos,
        }))
    }

    /// The current state, put back to what it was at `at` with `undone`, the keys that the log says have changed since.
    async fn undo(
        &self,
        room: RoomNid,
        at: Pos,
        undone: &HashMap<StateKeyNid, Rsn>,
    ) -> Result<State, RoomError> {
        let mut state = State::new();
        for (key, row) in self.current_state(room).await? {
            let rsn = match undone.get(&key) {
                Some(old) => old.some(),
                None if row.pos <= at => Some(row.rsn),
                // It changed after the log was read.
                None => self.state_key_at(room, key, at).await?,
            };
            if let Some(rsn) = rsn {
                state.insert(key, rsn);
            }
        }
        Ok(state)
    }

    /// Rows of the state log from `from` to `upto`, both included, at least [`LOG_ROWS`] of them if there are as many; and
    /// where to go on if that is not all.
    async fn log_rows(
        &self,
        room: RoomNid,
        from: Pos,
        upto: Pos,
    ) -> Result<(Vec<(Pos, StateChangeRow)>, Option<Pos>), RoomError> {
        let range = Scan::range::<StateLog>(&(room, from), &(room, upto.next()));
        let rows = self.store().scan::<StateLog>(range.limit(LOG_ROWS)).await?;
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|((_, pos, _), row)| (pos, row))
            .collect();
        let Some(last) = rows
            .last()
            .map(|(pos, _)| *pos)
            .filter(|_| rows.len() == LOG_ROWS)
        else {
            return Ok((rows, None));
        };
        // A resolution may have changed many keys at one position: read that position whole, next time.
        if rows[0].0 == last {
            let whole = self
                .store()
                .scan::<StateLog>(Scan::prefix::<StateLog>(&(room, last)))
                .await?;
            rows = whole
                .into_iter()
                .map(|((_, pos, _), row)| (pos, row))
                .collect();
            return Ok((rows, Some(last.next())));
        }
        rows.retain(|(pos, _)| *pos < last);
        Ok((rows, Some(last)))
    }
}

#[cfg(test)]
mod tests;
