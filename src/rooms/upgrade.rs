//! Replacing a room by one of another version: the new room and the old one's end in one commit.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades)

use std::sync::Arc;

use room_versions::Rules;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use store::{
    UserNid,
    rows::Membership,
    tables::{Aliases, PublishedRooms, RoomAliases},
};

use crate::{
    Creation, Preset, Room, RoomError, Rooms,
    append::{Append, Commit, NewEvent},
};

mod power_levels;
mod space_links;

/// The spec's "recommended state events to transfer", but the power levels, which come last.
const TRANSFERRED: [&str; 8] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
];

/// Bans that are taken over: all of them in one commit, so there has to be an end. Newest first.
const MAX_BANS: usize = 2000;

/// Rooms of a space that are taken over.
const MAX_SPACE_CHILDREN: usize = 2000;

/// What a client wants of an upgrade.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Who upgrades, and so creates the new room.
    pub sender: OwnedUserId,
    /// The version of the new room.
    pub new_version: RoomVersionId,
    /// Further creators of the new room, if its version knows such.
    pub additional_creators: Vec<OwnedUserId>,
}

/// What goes over from the old room besides its power levels.
struct Estate {
    state: Vec<(&'static str, String, Box<RawValue>)>,
    power_levels: Option<Map<String, Value>>,
    canonical_alias: Option<Map<String, Value>>,
    bans: Vec<(OwnedUserId, Map<String, Value>)>,
}

impl Rooms {
    /// Replaces a room. Returns the new room's id.
    ///
    /// # Errors
    /// [`RoomError::UnsupportedRoomVersion`]; [`RoomError::UnknownRoom`]; [`RoomError::NotJoined`]; [`RoomError::Forbidden`] for
    /// those whose power does not suffice for `m.room.tombstone`.
    pub async fn upgrade(
        &self,
        room_id: &RoomId,
        upgrade: Upgrade,
    ) -> Result<OwnedRoomId, RoomError> {
        if Rules::of(&upgrade.new_version).is_none() {
            return Err(RoomError::UnsupportedRoomVersion(upgrade.new_version));
        }
        let old = self.room_by_id(room_id).await?;
        let profile = self.profiles().profile(&upgrade.sender).await;
        let mut old_writer = old.lock().await?;
        let mut commit = Commit::new();
        let mut ending = Append::new(self, &old, &mut old_writer, &mut commit);
        // "Checks that the user has permission to send `m.room.tombstone` events in the room."
        if ending.membership(&upgrade.sender).await? != Some(Membership::Join) {
            return Err(RoomError::NotJoined);
        }
        if !ending
            .power_levels()
            .await?
            .user_can_send_state(&upgrade.sender, "m.room.tombstone".into())
        {
            return Err(RoomError::Forbidden(
                "your power level does not suffice to upgrade the room".to_owned(),
            ));
        }
        let estate = self.estate(&mut ending).await?;

        // "Creates a replacement room with a `m.room.create` event containing a `predecessor` field …"
        let last_event = old_writer.forward_extremities.last();
        let predecessor = json!({
            "room_id": old.id,
            "event_id": last_event.map(|reference| &reference.event_id),
        });
        let mut founded = self.found(&successor(&old, &upgrade, predecessor)).await?;
        let new = Arc::clone(&founded.room);
        let mut new_writer = new.writer.lock().await;
        let mut beginning = Append::new(self, &new, &mut new_writer, &mut commit);
        beginning.append_create(founded.create.clone()).await?;
        let mut member = Map::new();
        profile.write(&mut member);
        beginning
            .member(&upgrade.sender, &upgrade.sender, "join", member)
            .await?;
        hand_over(&mut beginning, &old, &upgrade, &estate).await?;
        let new_ahead = beginning.finish();

        let mut ending = Append::new(self, &old, &mut old_writer, &mut commit);
        end(&mut ending, &upgrade.sender, &new.id, &estate).await?;
        let old_ahead = ending.finish();

        let published = self.move_aliases(&mut commit, &old, &new).await?;
        let queued = commit.queue(
            self,
            vec![(&mut *new_writer, new_ahead), (&mut *old_writer, old_ahead)],
        )?;
        founded.keep();
        drop((old_writer, new_writer));
        if let Err(error) = queued.await {
            self.disown(new.nid);
            return Err(error.into());
        }
        if published {
            self.directory().visibility_changed(old.nid);
            self.directory().visibility_changed(new.nid);
        }
        self.relink(&upgrade.sender, &old, &new).await;
        Ok(new.id.clone())
    }

    /// The room that another replaces, if it says so itself and both are known here.
    pub async fn predecessor(&self, room_id: &RoomId) -> Result<Option<Arc<Room>>, RoomError> {
        #[derive(serde::Deserialize)]
        struct Tombstone {
            replacement_room: OwnedRoomId,
        }
        let room = self.room_by_id(room_id).await?;
        let Some(old) = &room.creation.predecessor else {
            return Ok(None);
        };
        let old = match self.room_by_id(old).await {
            Err(RoomError::UnknownRoom) => return Ok(None),
            old => old?,
        };
        // Everybody can make a room that claims to be another's successor.
        let tombstone = self.state_event(old.nid, "m.room.tombstone", "").await?;
        let agreed = tombstone.is_some_and(|tombstone| {
            serde_json::from_str::<Tombstone>(tombstone.content())
                .is_ok_and(|tombstone| tombstone.replacement_room == room.id)
        });
        Ok(agreed.then_some(old))
    }

    /// Reads what goes over.
    async fn estate(&self, old: &mut Append<'_>) -> Result<Estate, RoomError> {
        let mut state = Vec::new();
        for event_type in TRANSFERRED {
            if let Some(current) = old.current(event_type, "").await? {
                state.push((event_type, String::new(), current.pdu.content.clone()));
            }
        }
        let room = Arc::clone(old.room());
        if room.creation.room_type.as_deref() == Some("m.space") {
            state.extend(self.space_children(&room).await?);
        }
        let mut object = async |event_type| {
            let current = old.current(event_type, "").await?;
            Ok::<_, RoomError>(
                current.and_then(|current| serde_json::from_str(current.pdu.content.get()).ok()),
            )
        };
        let power_levels = object("m.room.power_levels").await?;
        let canonical_alias = object("m.room.canonical_alias").await?;
        Ok(Estate {
            state,
            power_levels,
            canonical_alias,
            bans: self.bans(&room).await?,
        })
    }

    async fn bans(&self, room: &Room) -> Result<Vec<(OwnedUserId, Map<String, Value>)>, RoomError> {
        let members = self.members(room.nid).await?;
        let mut banned: Vec<_> = members
            .into_iter()
            .filter(|(_, row)| row.membership == Membership::Ban)
            .map(|(_, row)| row.rsn)
            .collect();
        banned.sort_unstable_by(|one, other| other.cmp(one));
        banned.truncate(MAX_BANS);
        let mut bans = Vec::with_capacity(banned.len());
        for event in self.events(room.nid, &banned).await? {
            let content: Map<String, Value> =
                serde_json::from_str(event.content()).unwrap_or_default();
            let reason = content
                .into_iter()
                .filter(|(name, _)| name == "reason")
                .collect();
            bans.extend(event.member().map(|user| (user.to_owned(), reason)));
        }
        Ok(bans)
    }

    /// A space is made of its `m.space.child` events: without them the new one would be empty. Synapse takes them over, too.
    async fn space_children(
        &self,
        room: &Room,
    ) -> Result<Vec<(&'static str, String, Box<RawValue>)>, RoomError> {
        let mut children = Vec::new();
        for (key, row) in self.current_state(room.nid).await? {
            let name = self.store().interner().name(key).await?;
            let Some(child) = name.strip_prefix("m.space.child\0") else {
                continue;
            };
            let event = self.event(room.nid, row.rsn).await?;
            // An empty content means: no longer a child.
            if event.content() != "{}"
                && children.len() < MAX_SPACE_CHILDREN
                && let Ok(content) = RawValue::from_string(event.content().to_owned())
            {
                children.push(("m.space.child", child.to_owned(), content));
            }
        }
        Ok(children)
    }

    /// "Moves any local aliases to the new room", and the entry in the directory. Returns whether there is one.
    async fn move_aliases(
        &self,
        commit: &mut Commit,
        old: &Room,
        new: &Room,
    ) -> Result<bool, RoomError> {
        for alias in self.aliases_of(old.nid).await? {
            let alias = alias.to_string();
            let row = self.store().get::<Aliases>(&alias).await?;
            let Some((_, creator)) = row.filter(|(room, _): &(_, UserNid)| *room == old.nid) else {
                continue;
            };
            // Without a guard: the old room has gone on before a guard could fail.
            commit.batch.put::<Aliases>(&alias, &(new.nid, creator));
            commit
                .batch
                .delete::<RoomAliases>(&(old.nid, alias.clone()));
            commit.batch.put::<RoomAliases>(&(new.nid, alias), &());
        }
        let published = self
            .store()
            .get::<PublishedRooms>(&old.nid)
            .await?
            .is_some();
        if published {
            commit.batch.delete::<PublishedRooms>(&old.nid);
            commit.batch.put::<PublishedRooms>(&new.nid, &());
        }
        Ok(published)
    }
}

/// The new room, as a client would ask for it.
fn successor(old: &Room, upgrade: &Upgrade, predecessor: Value) -> Creation {
    let mut content = Map::from_iter([("predecessor".to_owned(), predecessor)]);
    if let Some(room_type) = &old.creation.room_type {
        content.insert("type".to_owned(), json!(room_type));
    }
    if !old.creation.federate {
        content.insert("m.federate".to_owned(), json!(false));
    }
    let creators = Rules::of(&upgrade.new_version).is_some_and(|rules| rules.privileged_creators());
    if creators && !upgrade.additional_creators.is_empty() {
        content.insert(
            "additional_creators".to_owned(),
            json!(upgrade.additional_creators),
        );
    }
    Creation {
        creator: upgrade.sender.clone(),
        published: false,
        alias_localpart: None,
        name: None,
        topic: None,
        preset: Preset::PrivateChat,
        room_version: Some(upgrade.new_version.clone()),
        creation_content: content,
        initial_state: Vec::new(),
        power_level_content_override: Map::new(),
        invite: Vec::new(),
        is_direct: false,
    }
}

/// Fills the new room. Its power levels come last: until then its creator may do everything, whatever their power will be.
async fn hand_over(
    new: &mut Append<'_>,
    old: &Room,
    upgrade: &Upgrade,
    estate: &Estate,
) -> Result<(), RoomError> {
    let sender = &upgrade.sender;
    for (event_type, state_key, content) in &estate.state {
        new.append(NewEvent::state(event_type, state_key, sender, content))
            .await?;
    }
    if let Some(content) = &estate.canonical_alias {
        new.append(NewEvent::state(
            "m.room.canonical_alias",
            "",
            sender,
            &raw(content)?,
        ))
        .await?;
    }
    for (user, content) in &estate.bans {
        unless_forbidden(new.member(sender, user, "ban", content.clone()).await)?;
    }
    let room = Arc::clone(new.room());
    let levels = match &estate.power_levels {
        Some(levels) => Value::Object(power_levels::taken_over(&room, old, levels.clone())),
        None => room
            .rules
            .initial_power_levels((!room.rules.privileged_creators()).then_some(sender)),
    };
    new.append(NewEvent::state(
        "m.room.power_levels",
        "",
        sender,
        &raw(&levels)?,
    ))
    .await?;
    Ok(())
}

/// Says in the old room where the new one is, and closes it as far as the sender may.
async fn end(
    old: &mut Append<'_>,
    sender: &UserId,
    new: &RoomId,
    estate: &Estate,
) -> Result<(), RoomError> {
    let tombstone = json!({ "body": "This room has been replaced", "replacement_room": new });
    old.append(NewEvent::state(
        "m.room.tombstone",
        "",
        sender,
        &raw(&tombstone)?,
    ))
    .await?;
    // Its aliases lead to the new room now.
    if estate
        .canonical_alias
        .as_ref()
        .is_some_and(|content| !content.is_empty())
    {
        let none = raw(&json!({}))?;
        unless_forbidden(
            old.append(NewEvent::state("m.room.canonical_alias", "", sender, &none))
                .await,
        )?;
    }
    if let Some(levels) = &estate.power_levels {
        let levels = raw(&power_levels::closed(levels.clone()))?;
        unless_forbidden(
            old.append(NewEvent::state("m.room.power_levels", "", sender, &levels))
                .await,
        )?;
    }
    Ok(())
}

fn unless_forbidden<T>(result: Result<T, RoomError>) -> Result<(), RoomError> {
    match result {
        Ok(_) | Err(RoomError::Forbidden(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, RoomError> {
    to_raw_value(value).map_err(|error| RoomError::BadJson(error.to_string()))
}
