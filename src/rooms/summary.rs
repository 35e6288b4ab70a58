//! What is told of a room to those who consider joining it, and who they are.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias)

use ruma::{
    OwnedRoomId, RoomId, RoomVersionId, UserId, directory::PublicRoomsChunk,
    room_version_rules::AuthorizationRules,
};
use serde_json::{Map, Value};
use store::{RoomNid, UserNid, rows::Membership};

use crate::{RoomError, Rooms};

/// Rooms whose members a restricted room lets in, that are looked at.
const MAX_ALLOWED_ROOMS: usize = 100;

/// A room at a glance.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Which one.
    pub room: RoomNid,
    /// What the directory tells of it.
    pub chunk: PublicRoomsChunk,
    /// Whose members may join, where the join rule is `restricted` or `knock_restricted`.
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// The algorithm, if it is encrypted.
    pub encryption: Option<String>,
    /// Its version.
    pub room_version: String,
}

impl Summary {
    /// As clients see it.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut json = match serde_json::to_value(&self.chunk) {
            Ok(Value::Object(json)) => json,
            _ => Map::new(),
        };
        json.insert("join_rule".to_owned(), self.chunk.join_rule.as_str().into());
        if !self.allowed_room_ids.is_empty() {
            let ids = self.allowed_room_ids.iter().map(|id| id.as_str().into());
            json.insert("allowed_room_ids".to_owned(), Value::Array(ids.collect()));
        }
        // Clients that know the proposal (MSC3266) look for its names.
        for name in ["encryption", "im.nheko.summary.encryption"] {
            if let Some(encryption) = &self.encryption {
                json.insert(name.to_owned(), encryption.as_str().into());
            }
        }
        for name in ["room_version", "im.nheko.summary.version"] {
            json.insert(name.to_owned(), self.room_version.as_str().into());
        }
        json
    }
}

impl Rooms {
    /// A room at a glance, for `user` or for somebody who is not logged in; `None` if it is not theirs to see, or not
    /// here.
    pub async fn summary(
        &self,
        room_id: &RoomId,
        user: Option<&UserId>,
    ) -> Result<Option<Summary>, RoomError> {
        let Some(summary) = self.whole_summary(room_id).await? else {
            return Ok(None);
        };
        let seen = self.may_preview(&summary, user).await?;
        Ok(seen.then_some(summary))
    }

    /// A room at a glance, whoever may see it; `None` if it is not here.
    pub(crate) async fn whole_summary(
        &self,
        room_id: &RoomId,
    ) -> Result<Option<Summary>, RoomError> {
        let room = match self.room_by_id(room_id).await {
            Ok(room) => room.nid,
            Err(RoomError::UnknownRoom) => return Ok(None),
            Err(error) => return Err(error),
        };
        let head = self.head(room).await?;
        let join_rules = self.content(room, "m.room.join_rules").await?;
        let encryption = self.content(room, "m.room.encryption").await?;
        let algorithm = encryption
            .as_ref()
            .and_then(|content| content["algorithm"].as_str());
        Ok(Some(Summary {
            room,
            chunk: self.public_summary(room).await?,
            allowed_room_ids: allowed_rooms(join_rules.as_ref()),
            encryption: algorithm.map(str::to_owned),
            room_version: head.version,
        }))
    }

    /// The current membership of a user in a room.
    pub async fn membership_of(
        &self,
        room: RoomNid,
        user: &UserId,
    ) -> Result<Option<Membership>, RoomError> {
        let user = self
            .store()
            .interner()
            .find::<UserNid>(user.as_str())
            .await?;
        let Some(user) = user else { return Ok(None) };
        let member = self.member(room, user).await?;
        Ok(member.map(|member| member.membership))
    }

    /// The spec's list at
    /// [`/hierarchy`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy).
    async fn may_preview(
        &self,
        summary: &Summary,
        user: Option<&UserId>,
    ) -> Result<bool, RoomError> {
        // "The room's `m.room.history_visibility` is set to `world_readable`."
        if summary.chunk.world_readable {
            return Ok(true);
        }
        let membership = match user {
            Some(user) => self.membership_of(summary.room, user).await?,
            None => None,
        };
        match membership {
            // "The requesting user is currently a member." "The user's room membership is `invite`."
            Some(Membership::Join | Membership::Invite) => return Ok(true),
            Some(Membership::Ban) => return Ok(false),
            Some(Membership::Leave | Membership::Knock) | None => {}
        }
        let version = RoomVersionId::try_from(summary.room_version.as_str()).ok();
        let rules = version.and_then(|version| version.rules());
        let supports = |which: fn(&AuthorizationRules) -> bool| {
            rules
                .as_ref()
                .is_some_and(|rules| which(&rules.authorization))
        };
        let restricted = match summary.chunk.join_rule.as_str() {
            // "The room's join rules are set to `public`."
            "public" => return Ok(true),
            // "The room is 'knockable'."
            "knock" => return Ok(supports(|rules| rules.knocking)),
            "knock_restricted" => return Ok(supports(|rules| rules.knock_restricted_join_rule)),
            "restricted" => supports(|rules| rules.restricted_join_rule),
            _ => false,
        };
        // "The room's join rules are set to `restricted`, provided the user meets one of the specified conditions."
        let Some(user) = user.filter(|_| restricted) else {
            return Ok(false);
        };
        for room_id in &summary.allowed_room_ids {
            let room = self
                .store()
                .interner()
                .find::<RoomNid>(room_id.as_str())
                .await?;
            let Some(room) = room else { continue };
            if self.membership_of(room, user).await? == Some(Membership::Join) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn allowed_rooms(join_rules: Option<&Value>) -> Vec<OwnedRoomId> {
    let Some(content) = join_rules else {
        return Vec::new();
    };
    if !matches!(
        content["join_rule"].as_str(),
        Some("restricted" | "knock_restricted")
    ) {
        return Vec::new();
    }
    let allow = content["allow"].as_array().into_iter().flatten();
    allow
        .filter(|rule| rule["type"] == "m.room_membership")
        .filter_map(|rule| RoomId::parse(rule["room_id"].as_str()?).ok())
        .take(MAX_ALLOWED_ROOMS)
        .collect()
}
