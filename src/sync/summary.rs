//! Who is in a room, in a few words: the counts, and the members that an unnamed room is named after.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync_response-200_roomsummary)

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use store::{Pos, RoomNid, Scan, rows::Membership, tables::Members};

use crate::{SyncError, answer::Context};

/// `summary`
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) heroes: Vec<OwnedUserId>,
    pub(crate) joined: u32,
    pub(crate) invited: u32,
}

/// "This should be the first 5 members of the room"
const HEROES: usize = 5;

/// Members among whom the heroes are looked for; rooms with more have names.
const MAX_CANDIDATES: usize = 200;

impl Context {
    /// The summary of a room. Counts may be ahead of the answer's position; the answer that catches up says so again.
    pub(crate) async fn summary(&self, room: RoomNid) -> Result<Summary, SyncError> {
        let head = self.rooms().head(room).await?;
        let mut summary = Summary {
            heroes: Vec::new(),
            joined: head.joined,
            invited: head.invited,
        };
        if !self.is_named(room).await? {
            summary.heroes = self.heroes(room).await?;
        }
        Ok(summary)
    }

    async fn is_named(&self, room: RoomNid) -> Result<bool, SyncError> {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow, alias = "alias")]
            name: std::borrow::Cow<'a, str>,
        }
        for event_type in ["m.room.name", "m.room.canonical_alias"] {
            if let Some(event) = self.rooms().state_event(room, event_type, "").await?
                && serde_json::from_str::<Content<'_>>(event.content())
                    .is_ok_and(|content| !content.name.is_empty())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Joined or invited members, else those who have left, in the order in which they came.
    async fn heroes(&self, room: RoomNid) -> Result<Vec<OwnedUserId>, SyncError> {
        let scan = Scan::prefix::<Members>(&(room,)).limit(MAX_CANDIDATES);
        let members = self.engine.store().scan::<Members>(scan).await?;
        let others = || {
            members
                .iter()
                .filter(|((_, user), _)| *user != self.request.user)
        };
        let in_order = |present: bool| {
            let mut chosen: Vec<_> = others()
                .filter(|(_, row)| {
                    matches!(row.membership, Membership::Join | Membership::Invite) == present
                })
                .filter(|(_, row)| row.membership != Membership::Knock)
                .map(|((_, user), row)| (row.pos, *user))
                .collect::<Vec<(Pos, _)>>();
            chosen.sort_unstable();
            chosen
        };
        let mut chosen = in_order(true);
        if chosen.is_empty() {
            chosen = in_order(false);
        }
        let mut heroes = Vec::new();
        for (_, user) in chosen.into_iter().take(HEROES) {
            let name = self.engine.store().interner().name(user).await?;
            heroes.extend(UserId::parse(&*name));
        }
        Ok(heroes)
    }
}
