//! Room aliases: names of this server that lead to rooms.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-aliases)

use std::sync::Arc;

use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, RoomOrAliasId, UserId,
};
use serde::Deserialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use store::{
    Batch, RoomNid, Scan, StoreError, UserNid,
    rows::Membership,
    tables::{Aliases, RoomAliases},
};

use crate::{
    Room, RoomError, Rooms,
    append::{Append, Commit},
};

/// How many aliases one room may have here, so that listing them stays cheap.
const MAX_ALIASES_PER_ROOM: usize = 1_000;

/// How many aliases one `m.room.canonical_alias` may newly name; each is looked up.
const MAX_NEW_ALIASES: usize = 200;

const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

impl Rooms {
    /// The alias of this server with the given local part.
    ///
    /// [spec](https://spec.matrix.org/v1.19/appendices/#room-aliases)
    ///
    /// # Errors
    /// [`RoomError::InvalidParam`] if the grammar forbids it or the whole alias is longer than 255 bytes.
    pub fn local_alias(&self, localpart: &str) -> Result<OwnedRoomAliasId, RoomError> {
        let malformed = || RoomError::InvalidParam("the alias is malformed or too long".to_owned());
        // A colon would end the local part early; NUL is forbidden by the grammar; blanks no client can link to.
        if localpart.is_empty()
            || localpart.contains([':', '\0'])
            || localpart.contains(char::is_whitespace)
        {
            return Err(malformed());
        }
        RoomAliasId::parse(format!("#{localpart}:{}", self.server_name())).map_err(|_| malformed())
    }

    /// Makes an alias of this server lead to a room that `creator` is in.
    ///
    /// # Errors
    /// [`RoomError::InvalidParam`] for other servers' aliases; [`RoomError::NotJoined`]; [`RoomError::AliasTaken`].
    pub async fn set_alias(
        &self,
        alias: &RoomAliasId,
        room_id: &RoomId,
        creator: &UserId,
    ) -> Result<(), RoomError> {
        if alias.server_name() != self.server_name() {
            return Err(RoomError::InvalidParam(
                "the alias is not one of this server".to_owned(),
            ));
        }
        let alias = self.local_alias(alias.alias())?;
        let room = self.room_to_send(room_id).await?;
        if !self.is_joined(room_id, creator).await? {
            return Err(RoomError::NotJoined);
        }
        if self.aliases_of(room.nid).await?.len() >= MAX_ALIASES_PER_ROOM {
            return Err(RoomError::Forbidden(
                "the room has too many aliases".to_owned(),
            ));
        }
        let creator: UserNid = self.store().interner().number(creator.as_str()).await?;
        let mut batch = Batch::new();
        batch.guard_absent::<Aliases>(&alias.to_string());
        batch.put::<Aliases>(&alias.to_string(), &(room.nid, creator));
        batch.put::<RoomAliases>(&(room.nid, alias.to_string()), &());
        match self.store().commit(batch).await {
            Err(StoreError::Guard) => Err(RoomError::AliasTaken(alias)),
            result => Ok(result.map(drop)?),
        }
    }

    /// Where an alias leads, and which servers know that room.
    ///
    /// # Errors
    /// [`RoomError::NotFound`], also for other servers' aliases.
    pub async fn resolve_alias(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>), RoomError> {
        let (room, _) = self.alias_row(alias).await?;
        let room_id = self.store().interner().name(room).await?;
        let room_id = RoomId::parse(&*room_id).map_err(|_| store::CorruptRow("not a room id"))?;
        Ok((room_id, vec![self.server_name().to_owned()]))
    }

    /// The id of a room that a client names by its id or by an alias; whether a room has that id is not asked.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] for an alias that leads nowhere.
    pub async fn resolve(&self, name: &RoomOrAliasId) -> Result<OwnedRoomId, RoomError> {
        match <&RoomAliasId>::try_from(name.as_str()) {
            Ok(alias) => Ok(self.resolve_alias(alias).await?.0),
            Err(_) => RoomId::parse(name.as_str())
                .map_err(|error| RoomError::InvalidParam(error.to_string())),
        }
    }

    /// Takes an alias away: its creator may, and whoever has the power to send `m.room.canonical_alias` in its room.
    ///
    /// The room's `m.room.canonical_alias` loses it too, if the user may send one.
    ///
    /// # Errors
    /// [`RoomError::NotFound`], [`RoomError::Forbidden`]
    pub async fn delete_alias(
        &self,
        alias: &RoomAliasId,
        user_id: &UserId,
    ) -> Result<(), RoomError> {
        let row @ (nid, creator) = self.alias_row(alias).await?;
        let room = self.room(nid).await?;
        let user: Option<UserNid> = self.store().interner().find(user_id.as_str()).await?;
        if user != Some(creator) && !self.may_send_state(&room, user_id, CANONICAL_ALIAS).await? {
            return Err(RoomError::Forbidden(
                "only its creator and the room's moderators may delete an alias".to_owned(),
            ));
        }
        let mut batch = Batch::new();
        batch.guard_equals::<Aliases>(&alias.to_string(), &row);
        batch.delete::<Aliases>(&alias.to_string());
        batch.delete::<RoomAliases>(&(nid, alias.to_string()));
        match self.store().commit(batch).await {
            Err(StoreError::Guard) => return Err(RoomError::NotFound("alias")),
            result => result.map(drop)?,
        }
        // The alias is gone; whether the room's state may follow is the room's affair.
        match self.strike_alias(&room, alias, user_id).await {
            Ok(()) | Err(RoomError::NotJoined | RoomError::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The aliases of this server that lead to a room, for its members, and for everybody where its history is world
    /// readable.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], also for rooms that do not exist.
    pub async fn local_aliases(
        &self,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<Vec<OwnedRoomAliasId>, RoomError> {
        let room = self.room_to_send(room_id).await?;
        if !self.is_joined(room_id, user).await? && !self.is_world_readable(room.nid).await? {
            return Err(RoomError::NotJoined);
        }
        self.aliases_of(room.nid).await
    }

    /// Checks the aliases that an `m.room.canonical_alias` newly names; `fresh` is one that the same commit makes.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey)
    ///
    /// # Errors
    /// [`RoomError::InvalidParam`] for what is no alias, [`RoomError::BadAlias`] for one that does not lead to the room.
    pub(crate) async fn check_canonical_alias(
        &self,
        room: &Room,
        content: &RawValue,
        fresh: Option<&RoomAliasId>,
    ) -> Result<(), RoomError> {
        let wanted = CanonicalAlias::parse(content)?;
        let current = self.state_event(room.nid, CANONICAL_ALIAS, "").await?;
        let current = current
            .and_then(|event| serde_json::from_str::<Map<String, Value>>(event.content()).ok());
        let mut known = current.as_ref().map(named).unwrap_or_default();
        known.extend(fresh.map(RoomAliasId::as_str));
        let mut new: Vec<_> = wanted
            .named()
            .filter(|alias| !known.contains(&alias.as_str()))
            .collect();
        new.sort_unstable();
        new.dedup();
        if new.len() > MAX_NEW_ALIASES {
            return Err(RoomError::InvalidParam(format!(
                "more than {MAX_NEW_ALIASES} new aliases"
            )));
        }
        for alias in new {
            let alias = RoomAliasId::parse(alias.as_str())
                .map_err(|_| RoomError::InvalidParam(format!("{alias} is not a room alias")))?;
            let row = self.store().get::<Aliases>(&alias.to_string()).await?;
            if row.is_none_or(|(leads_to, _)| leads_to != room.nid) {
                return Err(RoomError::BadAlias(format!(
                    "the alias {alias} does not lead to this room"
                )));
            }
        }
        Ok(())
    }

    /// Whether a member's power suffices for state of a type; not for those outside the room.
    pub(crate) async fn may_send_state(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        event_type: &str,
    ) -> Result<bool, RoomError> {
        let mut writer = room.lock().await?;
        let mut commit = Commit::new();
        let mut append = Append::new(self, room, &mut writer, &mut commit);
        if append.membership(user).await? != Some(Membership::Join) {
            return Ok(false);
        }
        Ok(append
            .power_levels()
            .await?
            .user_can_send_state(user, event_type.into()))
    }

    async fn alias_row(&self, alias: &RoomAliasId) -> Result<(RoomNid, UserNid), RoomError> {
        self.store()
            .get::<Aliases>(&alias.to_string())
            .await?
            .ok_or(RoomError::NotFound("alias"))
    }

    pub async fn aliases_of(&self, room: RoomNid) -> Result<Vec<OwnedRoomAliasId>, RoomError> {
        let scan = Scan::prefix::<RoomAliases>(&(room,)).limit(MAX_ALIASES_PER_ROOM);
        let rows = self.store().scan::<RoomAliases>(scan).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((_, alias), ())| RoomAliasId::parse(alias).ok())
            .collect())
    }

    async fn is_world_readable(&self, room: RoomNid) -> Result<bool, RoomError> {
        let content = self.content(room, "m.room.history_visibility").await?;
        Ok(content.is_some_and(|content| content["history_visibility"] == "world_readable"))
    }

    /// Takes an alias out of the room's `m.room.canonical_alias`.
    async fn strike_alias(
        &self,
        room: &Room,
        alias: &RoomAliasId,
        user: &UserId,
    ) -> Result<(), RoomError> {
        let Some(event) = self.state_event(room.nid, CANONICAL_ALIAS, "").await? else {
            return Ok(());
        };
        let Ok(mut content) = serde_json::from_str::<Map<String, Value>>(event.content()) else {
            return Ok(());
        };
        if !named(&content).contains(&alias.as_str()) {
            return Ok(());
        }
        if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
            content.remove("alias");
        }
        if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
            others.retain(|other| other.as_str() != Some(alias.as_str()));
        }
        let content =
            to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
        self.set_state(&room.id, user, CANONICAL_ALIAS, "", &content)
            .await
            .map(drop)
    }
}

/// `m.room.canonical_alias` as a client wants it. An empty `alias` means none, as older clients write it.
#[derive(Deserialize)]
struct CanonicalAlias {
    alias: Option<String>,
    alt_aliases: Option<Vec<String>>,
}

impl CanonicalAlias {
    fn parse(content: &RawValue) -> Result<Self, RoomError> {
        serde_json::from_str(content.get())
            .map_err(|error| RoomError::InvalidParam(format!("not a canonical alias: {error}")))
    }

    fn named(&self) -> impl Iterator<Item = &String> {
        let alias = self.alias.iter().filter(|alias| !alias.is_empty());
        alias.chain(self.alt_aliases.iter().flatten())
    }
}

/// The aliases that a stored `m.room.canonical_alias` names, whatever else is in it.
fn named(content: &Map<String, Value>) -> Vec<&str> {
    let others = content
        .get("alt_aliases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    content
        .get("alias")
        .into_iter()
        .chain(others)
        .filter_map(Value::as_str)
        .collect()
}
