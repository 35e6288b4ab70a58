//! Notices: what the server itself has to say to a user, in a room of its own
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#server-notices)).

use rooms::{Creation, Preset, RoomError, Transaction};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{UserNid, rows::Membership};
use users::AccountToCreate;

use crate::{Administration, AdministrationError};

/// The tag by which clients know the room.
const TAG: &str = "m.server_notice";

/// The device under whose name transactions of notices are kept: no client's can have it.
const DEVICE: &str = "\u{0}notices";

/// Something that the server has to say.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `type`, mostly `m.room.message`.
    pub event_type: String,
    /// `state_key`, if it is state.
    pub state_key: Option<String>,
    /// `content`
    pub content: Map<String, Value>,
    /// The name of the request: the same one twice is one notice.
    pub txn_id: Option<String>,
}

impl Administration {
    /// Sends a notice to a user. The first one invites them to a room for notices.
    ///
    /// # Errors
    /// [`AdministrationError::NoNotices`] if the server sends none, or somebody else has the name of their sender; as for
    /// sending events.
    pub async fn send_notice(
        &self,
        (user, user_id): (UserNid, &UserId),
        notice: &Notice,
    ) -> Result<OwnedEventId, AdministrationError> {
        // One at a time: there is one room for each user.
        let _alone = self.0.noticing.lock().await;
        let sender = self.notices_user().await?;
        let room_id = self.notices_room(&sender, (user, user_id)).await?;
        let content =
            to_raw_value(&notice.content).map_err(|error| RoomError::BadJson(error.to_string()))?;
        let rooms = &self.0.rooms;
        if let Some(state_key) = &notice.state_key {
            let sent = rooms.set_state(&room_id, &sender, &notice.event_type, state_key, &content);
            return Ok(sent.await?);
        }
        let transaction = notice.txn_id.as_deref().map(|txn_id| Transaction {
            device_id: DEVICE,
            txn_id,
        });
        let sent = rooms.send_message(&room_id, &sender, &notice.event_type, &content, transaction);
        Ok(sent.await?)
    }

    /// The account that notices come from, made if it is not there.
    async fn notices_user(&self) -> Result<OwnedUserId, AdministrationError> {
        let (users, options) = (&self.0.users, &self.0.notices);
        if options.localpart.is_empty() {
            return Err(AdministrationError::NoNotices(
                "Server notices are not enabled on this server",
            ));
        }
        let wrong = |_| AdministrationError::NoNotices("`server_notices.localpart` is no name.");
        let user_id = users.new_user_id(&options.localpart).map_err(wrong)?;
        match users.account(&user_id).await? {
            Some((_, account)) if account.has_password() || account.guest => {
                return Err(AdministrationError::NoNotices(
                    "Somebody has the account that notices come from: set `server_notices.localpart`.",
                ));
            }
            Some(_) => return Ok(user_id),
            None => {}
        }
        let new = AccountToCreate {
            localpart: options.localpart.clone(),
            password: None,
            admin: false,
            user_type: Some("support".to_owned()),
            displayname: Some(options.display_name.clone()),
        };
        let made = users.create_account(new).await.map_err(|error| {
            tracing::warn!(user.id = %user_id, %error, "the account that notices come from cannot be made");
            AdministrationError::NoNotices("The account that notices come from cannot be made.")
        })?;
        if let Some(avatar) = &options.avatar_url
            && let Some(number) = users.number(&made).await?
        {
            let set = users.set_profile_field(number, "avatar_url", json!(avatar));
            if let Err(error) = set.await {
                tracing::warn!(%error, "`server_notices.avatar_url` cannot be used");
            }
        }
        Ok(made)
    }

    /// The user's room for notices, made if it is not there; they are in it, or invited.
    async fn notices_room(
        &self,
        sender: &UserId,
        (user, user_id): (UserNid, &UserId),
    ) -> Result<OwnedRoomId, AdministrationError> {
        let rooms = &self.0.rooms;
        for (nid, row) in rooms.rooms_of_nid(user).await? {
            let room = rooms.room(nid).await?;
            if room.create.sender != sender || !rooms.is_joined(&room.id, sender).await? {
                continue;
            }
            let membership = row.member.membership;
            if !matches!(membership, Membership::Join | Membership::Invite) {
                rooms.invite(&room.id, sender, user_id, Map::new()).await?;
            }
            self.tag(user, nid).await?;
            return Ok(room.id.clone());
        }
        let creation = Creation {
            creator: sender.to_owned(),
            published: false,
            alias_localpart: None,
            name: Some(self.0.notices.room_name.clone()),
            topic: None,
            preset: Preset::PrivateChat,
            room_version: None,
            creation_content: Map::from_iter([("m.federate".to_owned(), json!(false))]),
            initial_state: Vec::new(),
            // Nobody answers a notice.
            power_level_content_override: Map::from_iter([(
                "users_default".to_owned(),
                json!(-10),
            )]),
            invite: vec![user_id.to_owned()],
            is_direct: false,
        };
        let room_id = rooms.create(creation).await?;
        self.tag(user, rooms.nid(&room_id).await?).await?;
        Ok(room_id)
    }

    async fn tag(&self, user: UserNid, room: store::RoomNid) -> Result<(), AdministrationError> {
        let users = &self.0.users;
        if users.tags(user, room).await?.contains_key(TAG) {
            return Ok(());
        }
        if let Err(error) = users.set_tag(user, room, TAG, Map::new()).await {
            // The notice matters more than how its room is shown.
            tracing::warn!(%error, "a room for notices cannot be tagged");
        }
        Ok(())
    }
}
