//! Making rooms: every event of a new room, in the spec's order, in one commit.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom)

use std::sync::Arc;

use room_versions::{Composed, Draft, Rules};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, RoomVersionId};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use store::{
    Pos, RoomNid, Rsn, StoreError, UserNid,
    rows::RoomHeadRow,
    tables::{Aliases, PublishedRooms, RoomAliases},
};

use crate::{
    Room, RoomError, Rooms,
    append::{Append, Commit, NewEvent},
    server_acl::SERVER_ACL,
};

/// Characters of a room id's random part in room versions 1 to 11: 107 bits.
const ROOM_ID_LENGTH: usize = 18;

/// What a client wants of a new room.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Who creates it.
    pub creator: OwnedUserId,
    /// Whether it is put into the published directory.
    pub published: bool,
    /// The local part of its alias.
    pub alias_localpart: Option<String>,
    /// `m.room.name`
    pub name: Option<String>,
    /// `m.room.topic`
    pub topic: Option<String>,
    /// Defaults for its state.
    pub preset: Preset,
    /// Defaults to the server's choice.
    pub room_version: Option<RoomVersionId>,
    /// Members of the `m.room.create` event's content.
    pub creation_content: Map<String, Value>,
    /// State in the client's own order.
    pub initial_state: Vec<InitialState>,
    /// Members of the `m.room.power_levels` event's content.
    pub power_level_content_override: Map<String, Value>,
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
    /// The `is_direct` flag of those invitations.
    pub is_direct: bool,
}

/// One event of `initial_state`.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// `type`
    pub event_type: String,
    /// `state_key`
    pub state_key: String,
    /// `content`
    pub content: Box<RawValue>,
}

/// `preset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `private_chat`
    PrivateChat,
    /// `trusted_private_chat`
    TrustedPrivateChat,
    /// `public_chat`
    PublicChat,
}

impl Preset {
    /// Type and content of the state that the preset implies, in the order in which it is sent.
    fn state(self) -> [(&'static str, Value); 3] {
        let (join_rule, guest_access) = match self {
            Self::PrivateChat | Self::TrustedPrivateChat => ("invite", "can_join"),
            Self::PublicChat => ("public", "forbidden"),
        };
        [
            ("m.room.join_rules", json!({ "join_rule": join_rule })),
            (
                "m.room.history_visibility",
                json!({ "history_visibility": "shared" }),
            ),
            (
                "m.room.guest_access",
                json!({ "guest_access": guest_access }),
            ),
        ]
    }
}

impl Rooms {
    /// Creates a room.
    ///
    /// # Errors
    /// [`RoomError::UnsupportedRoomVersion`]; [`RoomError::AliasTaken`]; [`RoomError::InvalidRoomState`] if the events asked for
    /// contradict each other or the authorisation rules; [`RoomError::InviteBlocked`] if one of the invited does not want to
    /// be; `BadJson`, `TooLarge`. There is no room then.
    pub async fn create(&self, creation: Creation) -> Result<OwnedRoomId, RoomError> {
        let alias = self.alias_of(&creation).await?;
        for invited in &creation.invite {
            self.check_invite(&creation.creator, invited).await?;
        }
        let profile = self.profiles().profile(&creation.creator).await;
        let mut founded = self.found(&creation).await?;
        let room = Arc::clone(&founded.room);
        let mut writer = room.writer.lock().await;
        let mut commit = Commit::new();
        let mut append = Append::new(self, &room, &mut writer, &mut commit);
        append.append_create(founded.create.clone()).await?;
        let mut member = Map::new();
        profile.write(&mut member);
        append
            .member(&creation.creator, &creation.creator, "join", member)
            .await?;
        self.furnish(&mut append, &creation, alias.as_deref())
            .await
            .map_err(as_invalid_state)?;
        for invited in &creation.invite {
            self.invite_founder(&mut append, &creation, invited).await?;
        }
        let ahead = append.finish();

        if let Some(alias) = &alias {
            let creator: UserNid = self
                .store()
                .interner()
                .number(creation.creator.as_str())
                .await?;
            let alias = alias.to_string();
            commit.batch.guard_absent::<Aliases>(&alias);
            commit.batch.put::<Aliases>(&alias, &(room.nid, creator));
            commit.batch.put::<RoomAliases>(&(room.nid, alias), &());
        }
        if creation.published {
            commit.batch.put::<PublishedRooms>(&room.nid, &());
        }
        let queued = commit.queue(self, vec![(&mut writer, ahead)])?;
        founded.keep();
        drop(writer);
        match (queued.await, alias) {
            (Ok(_), _) => {
                if creation.published {
                    self.directory().visibility_changed(room.nid);
                }
                Ok(room.id.clone())
            }
            (Err(error), alias) => {
                self.disown(room.nid);
                match (error, alias) {
                    (StoreError::Guard, Some(alias)) => Err(RoomError::AliasTaken(alias)),
                    (error, _) => Err(error.into()),
                }
            }
        }
    }

    /// The room's full alias, if it wants one that is free and well-formed.
    async fn alias_of(&self, creation: &Creation) -> Result<Option<OwnedRoomAliasId>, RoomError> {
        let Some(localpart) = &creation.alias_localpart else {
            return Ok(None);
        };
        let alias = self.local_alias(localpart)?;
        if self
            .store()
            .get::<Aliases>(&alias.to_string())
            .await?
            .is_some()
        {
            return Err(RoomError::AliasTaken(alias));
        }
        Ok(Some(alias))
    }

    /// Composes the create event, which is what makes the room's id from version 12 on, and puts the room into memory.
    pub(crate) async fn found(&self, creation: &Creation) -> Result<Founded, RoomError> {
        let version = creation
            .room_version
            .clone()
            .unwrap_or_else(|| self.options().default_version.clone());
        let rules = Rules::of(&version)
            .ok_or_else(|| RoomError::UnsupportedRoomVersion(version.clone()))?;
        let content = raw(&create_content(creation, &version, &rules)?)?;
        let mut origin_server_ts = self.host().now_ms();
        loop {
            let create = self.compose_create(creation, &rules, &content, origin_server_ts)?;
            let pdu = Arc::new(create.pdu.clone());
            let known = rules
                .create(&pdu)
                .map_err(|error| RoomError::InvalidRoomState(error.to_string()))?;
            let interner = self.store().interner();
            let is_taken = interner
                .find::<RoomNid>(pdu.room_id.as_str())
                .await?
                .is_some()
                || self.blocked(&pdu.room_id).await?.is_some();
            let nid: RoomNid = interner.number(pdu.room_id.as_str()).await?;
            let room = Arc::new(Room::new(
                nid,
                rules.clone(),
                pdu,
                known,
                new_head(&version),
            ));
            // From version 12 on, two rooms that one user creates alike within one millisecond would be one. A room that
            // was deleted is not created again.
            if !is_taken && self.adopt(&room) {
                let rooms = self.clone();
                return Ok(Founded {
                    rooms,
                    room,
                    create,
                    kept: false,
                });
            }
            origin_server_ts += 1;
        }
    }

    fn compose_create(
        &self,
        creation: &Creation,
        rules: &Rules,
        content: &RawValue,
        origin_server_ts: u64,
    ) -> Result<Composed, RoomError> {
        let room_id = if rules.room_id_from_create() {
            None
        } else {
            let id = format!(
                "!{}:{}",
                self.host().random_string(ROOM_ID_LENGTH),
                self.server_name()
            );
            Some(RoomId::parse(id).map_err(|error| RoomError::InvalidParam(error.to_string()))?)
        };
        let opaque_id =
            (!rules.event_id_is_hash()).then(|| self.host().random_string(ROOM_ID_LENGTH));
        let draft = Draft {
            room_id: room_id.as_deref(),
            event_type: "m.room.create",
            state_key: Some(""),
            sender: &creation.creator,
            content,
            origin_server_ts,
            redacts: None,
            prev_events: &[],
            auth_events: &[],
            depth: 1,
            opaque_id: opaque_id.as_deref(),
        };
        let create = rules.compose(&draft, self.signer())?;
        rules
            .authorise(&create.pdu, |_, _| None)
            .map_err(|error| as_invalid_state(error.into()))?;
        Ok(create)
    }

    /// Everything between the creator's join and the invitations.
    async fn furnish(
        &self,
        append: &mut Append<'_>,
        creation: &Creation,
        alias: Option<&RoomAliasId>,
    ) -> Result<(), RoomError> {
        let given = |event_type: &str| {
            creation
                .initial_state
                .iter()
                .any(|state| state.event_type == event_type && state.state_key.is_empty())
        };
        let mut state: Vec<(&str, &str, Box<RawValue>)> = Vec::new();
        let rules = &append.room().rules;
        state.push((
            "m.room.power_levels",
            "",
            raw(&power_levels(creation, rules))?,
        ));
        if let Some(alias) = alias {
            state.push((
                "m.room.canonical_alias",
                "",
                raw(&json!({ "alias": alias }))?,
            ));
        }
        for (event_type, content) in creation.preset.state() {
            if !given(event_type) {
                state.push((event_type, "", raw(&content)?));
            }
        }
        for initial in &creation.initial_state {
            if initial.event_type == "m.room.canonical_alias" {
                let room = append.room();
                self.check_canonical_alias(room, &initial.content, alias)
                    .await?;
            }
            if initial.event_type == SERVER_ACL {
                self.check_server_acl(&initial.content)?;
            }
            let overridden = initial.state_key.is_empty()
                && ((initial.event_type == "m.room.name" && creation.name.is_some())
                    || (initial.event_type == "m.room.topic" && creation.topic.is_some()));
            if !overridden {
                state.push((
                    &initial.event_type,
                    &initial.state_key,
                    initial.content.clone(),
                ));
            }
        }
        if let Some(name) = &creation.name {
            state.push(("m.room.name", "", raw(&json!({ "name": name }))?));
        }
        if let Some(topic) = &creation.topic {
            let content = json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } });
            state.push(("m.room.topic", "", raw(&content)?));
        }
        for (event_type, state_key, content) in &state {
            append
                .append(NewEvent::state(
                    event_type,
                    state_key,
                    &creation.creator,
                    content,
                ))
                .await?;
        }
        Ok(())
    }

    async fn invite_founder(
        &self,
        append: &mut Append<'_>,
        creation: &Creation,
        invited: &OwnedUserId,
    ) -> Result<(), RoomError> {
        if !self.is_local(invited) {
            return Err(RoomError::Forbidden(
                "this server does not federate yet".to_owned(),
            ));
        }
        let mut content = Map::new();
        self.profiles().profile(invited).await.write(&mut content);
        if creation.is_direct {
            content.insert("is_direct".to_owned(), Value::Bool(true));
        }
        append
            .member(&creation.creator, invited, "invite", content)
            .await
    }
}

/// A room of which nothing is stored yet, and its first event. It leaves memory again unless it is kept.
pub(crate) struct Founded {
    rooms: Rooms,
    pub(crate) room: Arc<Room>,
    pub(crate) create: Composed,
    kept: bool,
}

impl Founded {
    /// Its events are queued.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Founded {
    fn drop(&mut self) {
        if !self.kept {
            self.rooms.disown(self.room.nid);
        }
    }
}

fn new_head(version: &RoomVersionId) -> RoomHeadRow {
    RoomHeadRow {
        version: version.to_string(),
        last_rsn: Rsn::NONE,
        last_pos: Pos::ZERO,
        depth: 0,
        forward_extremities: Vec::new(),
        joined: 0,
        invited: 0,
        notifying: 0,
        highlighting: 0,
    }
}

fn create_content(
    creation: &Creation,
    version: &RoomVersionId,
    rules: &Rules,
) -> Result<Map<String, Value>, RoomError> {
    let mut content = creation.creation_content.clone();
    content.remove("creator");
    content.insert("room_version".to_owned(), json!(version));
    if rules.creator_in_content() {
        content.insert("creator".to_owned(), json!(creation.creator));
    }
    if rules.privileged_creators() && creation.preset == Preset::TrustedPrivateChat {
        let creators = content
            .entry("additional_creators")
            .or_insert_with(|| json!([]));
        let Value::Array(creators) = creators else {
            return Err(RoomError::InvalidParam(
                "additional_creators is not a list".to_owned(),
            ));
        };
        for invited in &creation.invite {
            if !creators
                .iter()
                .any(|creator| creator.as_str() == Some(invited.as_str()))
            {
                creators.push(json!(invited));
            }
        }
    }
    Ok(content)
}

/// The content of a new room's `m.room.power_levels`, with what the client overrides.
fn power_levels(creation: &Creation, rules: &Rules) -> Value {
    let mut owners = Vec::new();
    if !rules.privileged_creators() {
        owners.push(&creation.creator);
        if creation.preset == Preset::TrustedPrivateChat {
            owners.extend(&creation.invite);
        }
    }
    let mut content = rules.initial_power_levels(owners);
    if let Value::Object(content) = &mut content {
        content.extend(creation.power_level_content_override.clone());
    }
    content
}

/// What the authorisation rules refuse in a room that does not exist yet is a contradiction in the request.
fn as_invalid_state(error: RoomError) -> RoomError {
    match error {
        RoomError::Forbidden(reason) => RoomError::InvalidRoomState(reason),
        error => error,
    }
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, RoomError> {
    to_raw_value(value).map_err(|error| RoomError::BadJson(error.to_string()))
}
