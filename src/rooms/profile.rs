//! What a member event says of its user, and how a change of profile reaches the rooms.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information)

use std::{future::Future, pin::Pin};

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, value::to_raw_value};
use store::{StoreError, UserNid, rows::Membership};

use crate::{
    RoomError, Rooms,
    append::{Append, Commit, NewEvent},
};

/// The part of a profile that is copied into member events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberProfile {
    /// `displayname`
    pub displayname: Option<String>,
    /// `avatar_url`
    pub avatar_url: Option<String>,
}

/// Knows the profiles of local users, and whose invitations they refuse; plugged in from outside.
pub trait Profiles: Send + Sync + 'static {
    /// A user's profile; empty for an unknown user.
    fn profile<'a>(
        &'a self,
        user: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = MemberProfile> + Send + 'a>>;

    /// Whether a user refuses to be invited by another; unknown users refuse nothing.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#invite-permission)
    fn refuses_invite<'a>(
        &'a self,
        invitee: &'a UserId,
        inviter: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Those of `users` who are guests of this server. Without guests, none.
    fn guests<'a>(
        &'a self,
        _users: &'a [UserNid],
    ) -> Pin<Box<dyn Future<Output = Result<Vec<OwnedUserId>, StoreError>> + Send + 'a>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl MemberProfile {
    /// Writes itself into the content of a member event.
    pub(crate) fn write(self, content: &mut Map<String, Value>) {
        for (name, value) in [
            ("displayname", self.displayname),
            ("avatar_url", self.avatar_url),
        ] {
            match value {
                Some(value) => content.insert(name.to_owned(), Value::String(value)),
                None => content.remove(name),
            };
        }
    }
}

impl Rooms {
    /// A user has a new profile: every room that they have joined gets a new member event.
    ///
    /// A room that refuses it (its rules forbid the user to send) keeps the old one.
    pub async fn profile_changed(
        &self,
        user: &UserId,
        profile: &MemberProfile,
    ) -> Result<(), RoomError> {
        let mut queued = Vec::new();
        for (room, row) in self.rooms_of(user).await? {
            if row.member.membership != Membership::Join {
                continue;
            }
            match self.queue_profile(room, user, profile).await {
                Ok(commit) => queued.extend(commit),
                Err(RoomError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(user.id = %user, %error, "a room does not take a new profile");
                }
            }
        }
        for commit in queued {
            commit.await?;
        }
        Ok(())
    }

    async fn queue_profile(
        &self,
        room: store::RoomNid,
        user: &UserId,
        profile: &MemberProfile,
    ) -> Result<Option<store::Queued>, RoomError> {
        let room = self.room(room).await?;
        let mut writer = room.lock().await?;
        let mut commit = Commit::new();
        let mut append = Append::new(self, &room, &mut writer, &mut commit);
        let Some(current) = append.current("m.room.member", user.as_str()).await? else {
            return Ok(None);
        };
        let Ok(before) = serde_json::from_str::<Map<String, Value>>(current.pdu.content.get())
        else {
            return Ok(None);
        };
        let mut content = before.clone();
        profile.clone().write(&mut content);
        // The membership may have changed since the list was read.
        if content == before || content.get("membership").and_then(Value::as_str) != Some("join") {
            return Ok(None);
        }
        // These describe how the user came in, not who they are.
        content.remove("join_authorised_via_users_server");
        content.remove("reason");
        let content =
            to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
        append
            .append(NewEvent::state(
                "m.room.member",
                user.as_str(),
                user,
                &content,
            ))
            .await?;
        let ahead = append.finish();
        commit.queue(self, vec![(&mut writer, ahead)]).map(Some)
    }
}
