//! Which rooms people have in common, and who may know of whom.

use std::collections::{HashMap, HashSet};

use store::{RoomNid, UserNid, rows::Membership};

use crate::{RoomError, Rooms};

/// Rooms of somebody who shares no room with the one who looks, that are tried for being open to all.
const MAX_ROOMS_TRIED: usize = 100;

/// Whom one user may find
/// ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch)).
pub struct Acquaintance {
    mine: HashSet<RoomNid>,
    open: HashMap<RoomNid, bool>,
}

impl Rooms {
    /// The rooms that a user has joined.
    pub async fn rooms_joined_by(&self, user: UserNid) -> Result<HashSet<RoomNid>, RoomError> {
        let rooms = self.rooms_of_nid(user).await?.into_iter();
        Ok(rooms
            .filter(|(_, row)| row.member.membership == Membership::Join)
            .map(|(room, _)| room)
            .collect())
    }

    /// The rooms that both users have joined, in the order of their numbers.
    pub async fn mutual_rooms(
        &self,
        user: UserNid,
        other: UserNid,
    ) -> Result<Vec<RoomNid>, RoomError> {
        let mine = self.rooms_joined_by(user).await?;
        let theirs = self.rooms_joined_by(other).await?;
        let mut mutual: Vec<RoomNid> = mine.intersection(&theirs).copied().collect();
        mutual.sort_unstable();
        Ok(mutual)
    }

    /// Begins to ask whom a user may find.
    pub async fn acquaintance(&self, user: UserNid) -> Result<Acquaintance, RoomError> {
        Ok(Acquaintance {
            mine: self.rooms_joined_by(user).await?,
            open: HashMap::new(),
        })
    }

    /// Whether the two share a room, or `other` is in one that is open to everybody.
    pub async fn may_find(
        &self,
        acquaintance: &mut Acquaintance,
        other: UserNid,
    ) -> Result<bool, RoomError> {
        let theirs = self.rooms_joined_by(other).await?;
        if theirs.iter().any(|room| acquaintance.mine.contains(room)) {
            return Ok(true);
        }
        for room in theirs.into_iter().take(MAX_ROOMS_TRIED) {
            let open = match acquaintance.open.get(&room) {
                Some(open) => *open,
                None => self.is_open(room).await?,
            };
            acquaintance.open.insert(room, open);
            if open {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everybody may join the room, or read it.
    async fn is_open(&self, room: RoomNid) -> Result<bool, RoomError> {
        let is = |content: Option<serde_json::Value>, key: &str, word: &str| {
            content.is_some_and(|content| content[key] == word)
        };
        let rules = self.content(room, "m.room.join_rules").await?;
        if is(rules, "join_rule", "public") {
            return Ok(true);
        }
        let visibility = self.content(room, "m.room.history_visibility").await?;
        Ok(is(visibility, "history_visibility", "world_readable"))
    }
}
