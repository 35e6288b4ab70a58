//! How many rooms somebody has joined lately: who joins hundreds in an hour is seldom a person.

use std::collections::HashSet;

use store::{
    Pos, Scan, UserNid,
    rows::{Membership, MembershipLogRow},
    tables::{MembershipLog, Timeline},
};

use crate::{RoomError, Rooms};

/// Changes of membership read at a time.
const CHUNK: usize = 250;

impl Rooms {
    /// How many rooms a local user has joined since `from_ms` (milliseconds since the Unix epoch), those counted in that they
    /// have left again. Reads the user's changes of membership since then and no others.
    pub async fn joined_since(&self, user: UserNid, from_ms: u64) -> Result<usize, RoomError> {
        let (mut rooms, mut to) = (HashSet::new(), Pos::MAX);
        loop {
            let chunk = Scan::range::<MembershipLog>(&(user, Pos::MIN), &(user, to));
            let chunk = self
                .store()
                .scan::<MembershipLog>(chunk.reverse().limit(CHUNK))
                .await?;
            let Some(((_, earliest), _)) = chunk.last() else {
                return Ok(rooms.len());
            };
            to = *earliest;
            for ((_, pos), row) in chunk {
                if !is_joining(row) {
                    continue;
                }
                let place = (row.room, pos);
                let Some(line) = self.store().get::<Timeline>(&place).await? else {
                    continue;
                };
                let event = self.event(row.room, line.rsn).await?;
                if event.origin_server_ts < from_ms {
                    return Ok(rooms.len());
                }
                rooms.insert(row.room);
            }
        }
    }
}

/// A new name or picture is none.
fn is_joining(row: MembershipLogRow) -> bool {
    row.membership == Membership::Join && row.before != Some(Membership::Join)
}
