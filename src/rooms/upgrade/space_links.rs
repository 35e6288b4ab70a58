//! The spaces that a room is in lead to the room that replaces it.

use ruma::{RoomId, UserId};
use serde_json::value::RawValue;
use store::{RoomNid, rows::Membership, tables::CurrentState};

use super::{raw, unless_forbidden};
use crate::{
    Room, RoomError, Rooms,
    append::{Append, NewEvent},
};

impl Rooms {
    /// In every space of the sender's that has the old room as a child, and where they may change that, the new room takes
    /// its place; the new room names those spaces as its parents that the old one named.
    ///
    /// It comes after the upgrade, as commits of their own: a space that cannot be changed stays as it is.
    pub(super) async fn relink(&self, sender: &UserId, old: &Room, new: &Room) {
        if let Err(error) = self.relink_all(sender, old, new).await {
            tracing::warn!(room.id = %old.id, %error, "spaces do not follow an upgrade");
        }
    }

    async fn relink_all(&self, sender: &UserId, old: &Room, new: &Room) -> Result<(), RoomError> {
        let Some(child) = self.state_key("m.space.child", old.id.as_str()).await? else {
            return Ok(());
        };
        for (space, row) in self.rooms_of(sender).await? {
            let linked = row.member.membership == Membership::Join
                && self
                    .store()
                    .get::<CurrentState>(&(space, child))
                    .await?
                    .is_some();
            if linked && self.relink_one(sender, space, old, new).await? {
                self.rename_parent(sender, space, old, new).await?;
            }
        }
        Ok(())
    }

    /// Returns whether the space has changed.
    async fn relink_one(
        &self,
        sender: &UserId,
        space: RoomNid,
        old: &Room,
        new: &Room,
    ) -> Result<bool, RoomError> {
        let space = self.room(space).await?;
        let nothing = raw(&serde_json::json!({}))?;
        let mut changed = false;
        self.change(&space, async |append| {
            let Some(link) = link(append, "m.space.child", &old.id).await? else {
                return Ok(());
            };
            let may = append
                .power_levels()
                .await?
                .user_can_send_state(sender, "m.space.child".into());
            if !may {
                return Ok(());
            }
            for (child, content) in [(&new.id, &link), (&old.id, &nothing)] {
                let event = NewEvent::state("m.space.child", child.as_str(), sender, content);
                unless_forbidden(append.append(event).await)?;
            }
            changed = true;
            Ok(())
        })
        .await?;
        Ok(changed)
    }

    async fn rename_parent(
        &self,
        sender: &UserId,
        space: RoomNid,
        old: &Room,
        new: &Room,
    ) -> Result<(), RoomError> {
        let space = self.room(space).await?;
        let parent = self
            .state_event(old.nid, "m.space.parent", space.id.as_str())
            .await?;
        let Some(parent) = parent.filter(|parent| parent.content() != "{}") else {
            return Ok(());
        };
        let content = RawValue::from_string(parent.content().to_owned())
            .map_err(|error| RoomError::BadJson(error.to_string()))?;
        let set = self
            .set_state(
                &new.id,
                sender,
                "m.space.parent",
                space.id.as_str(),
                &content,
            )
            .await;
        unless_forbidden(set)
    }
}

/// The content of a link that was not taken back: "an empty content" means that it was.
async fn link(
    append: &mut Append<'_>,
    event_type: &str,
    room: &RoomId,
) -> Result<Option<Box<RawValue>>, RoomError> {
    let current = append.current(event_type, room.as_str()).await?;
    Ok(current
        .map(|current| current.pdu.content.clone())
        .filter(|content| content.get() != "{}"))
}
