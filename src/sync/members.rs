//! Which members a client was told of, so that lazily loaded members come once.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members)

use std::collections::HashMap;

use store::{Pos, RoomNid, StateKeyNid};

/// The members that one device's client was told of, with the token of the answer that told.
///
/// A member is taken as known only once the client comes back with that token or a later one: an answer that got
/// lost on the way is no answer.
#[derive(Debug, Default)]
pub(crate) struct Told(HashMap<(RoomNid, StateKeyNid), Pos>);

/// Members remembered per device, for accounts with thousands of rooms. Forgetting them all at once costs some members
/// told twice.
const MAX_TOLD: usize = 100_000;

impl Told {
    /// Whether a client with the token `since` knows the member.
    pub(crate) fn knows(&self, room: RoomNid, member: StateKeyNid, since: Pos) -> bool {
        self.0
            .get(&(room, member))
            .is_some_and(|told| *told <= since)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The answer with the token `upto` tells of the member.
    pub(crate) fn tell(&mut self, room: RoomNid, member: StateKeyNid, upto: Pos) {
        if self.0.len() >= MAX_TOLD {
            self.0.clear();
        }
        // Whoever was told in an answer before stays known, should this answer get lost.
        self.0.entry((room, member)).or_insert(upto);
    }
}
