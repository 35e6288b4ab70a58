//! What an administrator of the server does in a room by the hands of those who have power there: the rules of rooms hold
//! for them as for everybody.

use std::sync::Arc;

use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{Pos, RoomNid, Scan, UserNid, rows::Membership, tables::Timeline};

use crate::{Event, RoomError, Rooms};

/// Members with power that are found, at most.
const MAX_HELPERS: usize = 50;

/// The level of somebody who is not in the room's list, where a creator stands above it.
const HIGHEST: i64 = 100;

impl Rooms {
    /// Local members with power, the most powerful first.
    async fn helpers(&self, room_id: &RoomId) -> Result<Vec<(OwnedUserId, i64)>, RoomError> {
        let room = self.room_by_id(room_id).await?;
        let mut helpers: Vec<(OwnedUserId, i64)> = Vec::new();
        // From version 12 on creators stand above all levels; before, they have power where there are no levels.
        let has_levels = self
            .state_event(room.nid, "m.room.power_levels", "")
            .await?
            .is_some();
        if room.rules.privileged_creators() || !has_levels {
            let creators = room.creation.creators.iter();
            helpers.extend(creators.map(|user| (user.clone(), i64::MAX)));
        }
        if let Some(levels) = self.power_levels_of(room.nid).await? {
            let users = levels.users.iter();
            helpers.extend(users.map(|(user, level)| (user.clone(), i64::from(*level))));
        }
        helpers.sort_by_key(|(_, level)| std::cmp::Reverse(*level));
        let mut joined = Vec::new();
        for (user, level) in helpers {
            if self.is_local(&user) && self.is_joined(room_id, &user).await? {
                joined.push((user, level));
            }
            if joined.len() == MAX_HELPERS {
                break;
            }
        }
        Ok(joined)
    }

    /// Gives a user as much power as the most powerful local member has, by that member's hand, and invites them where
    /// they could not enter otherwise.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]; [`RoomError::Powerless`] if no local member may do so.
    pub async fn make_admin(&self, room_id: &RoomId, user: &UserId) -> Result<(), RoomError> {
        let helpers = self.helpers(room_id).await?;
        let (helper, level) = helpers.first().ok_or(RoomError::Powerless)?;
        let room = self.room_by_id(room_id).await?;
        let is_creator = room.creation.creators.iter().any(|creator| creator == user);
        if helper != user && !(is_creator && room.rules.privileged_creators()) {
            let content = self.content(room.nid, "m.room.power_levels").await?;
            let mut content = match content {
                Some(Value::Object(content)) => content,
                _ => Map::new(),
            };
            let level = if *level == i64::MAX { HIGHEST } else { *level };
            let users = content.entry("users").or_insert_with(|| json!({}));
            if let Value::Object(users) = users {
                users.insert(user.to_string(), json!(level));
            }
            let content =
                to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
            self.set_state(room_id, helper, "m.room.power_levels", "", &content)
                .await
                .map_err(|error| match error {
                    RoomError::Forbidden(_) => RoomError::Powerless,
                    error => error,
                })?;
        }
        let membership = self.membership_of(room.nid, user).await?;
        let is_in = matches!(membership, Some(Membership::Join | Membership::Invite));
        if is_in || self.is_public(room.nid).await? {
            return Ok(());
        }
        self.invite(room_id, helper, user, Map::new()).await
    }

    /// Lets a user into a room, by invitation of `by` or of a member who may invite where there is no other way.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`], [`RoomError::Blocked`]; [`RoomError::Powerless`] if no local member may invite.
    pub async fn admit(
        &self,
        room_id: &RoomId,
        user: &UserId,
        by: Option<&UserId>,
    ) -> Result<(), RoomError> {
        let room = self.room_by_id(room_id).await?;
        let membership = self.membership_of(room.nid, user).await?;
        let enters = match membership {
            Some(Membership::Join | Membership::Invite) => true,
            Some(Membership::Ban) => {
                return Err(RoomError::Forbidden("the user is banned".to_owned()));
            }
            Some(Membership::Leave | Membership::Knock) | None => self.is_public(room.nid).await?,
        };
        if !enters {
            self.be_invited(room_id, user, by).await?;
        }
        self.join(room_id, user, Map::new()).await
    }

    async fn be_invited(
        &self,
        room_id: &RoomId,
        user: &UserId,
        by: Option<&UserId>,
    ) -> Result<(), RoomError> {
        let helpers = self.helpers(room_id).await?;
        let helpers = helpers.iter().map(|(user, _)| &**user);
        for helper in by.into_iter().chain(helpers) {
            match self.invite(room_id, helper, user, Map::new()).await {
                Err(RoomError::Forbidden(_) | RoomError::NotJoined) => {}
                done => return done,
            }
        }
        Err(RoomError::Powerless)
    }

    async fn is_public(&self, room: RoomNid) -> Result<bool, RoomError> {
        let join_rules = self.content(room, "m.room.join_rules").await?;
        Ok(join_rules.is_some_and(|content| content["join_rule"] == "public"))
    }

    /// What a user has sent to a room before a position, the latest first: of the `limit` events before it. Returns where
    /// to go on.
    pub async fn sent_by(
        &self,
        room: RoomNid,
        user: UserNid,
        before: Pos,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, Option<Pos>), RoomError> {
        let range = Scan::range::<Timeline>(&(room, Pos::MIN), &(room, before));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(limit))
            .await?;
        let next = rows.last().map(|((_, pos), _)| *pos);
        let next = next.filter(|_| rows.len() == limit);
        let sent = rows.into_iter().filter(|(_, row)| row.sender == user);
        let numbers: Vec<_> = sent.map(|(_, row)| row.rsn).collect();
        Ok((self.events(room, &numbers).await?, next))
    }
}
