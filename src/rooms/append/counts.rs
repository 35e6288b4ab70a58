//! What an event means for unread counts.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications)

use room_versions::Pdu;
use store::{
    Pos, UserNid,
    rows::Membership,
    tables::{Highlights, ReadThreads, ReadUpTo},
};

use super::Append;
use crate::{
    MemberChange, RoomError,
    notify::{self, Class},
};

impl Append<'_> {
    pub(super) async fn classify(&mut self, pdu: &Pdu) -> Result<Class, RoomError> {
        let power_levels = self.power_levels().await?;
        let is_state = pdu.state_key.is_some();
        Ok(notify::classify(
            &pdu.event_type.to_string(),
            is_state,
            pdu.content.get(),
            || power_levels.user_can_trigger_room_notification(&pdu.sender),
        ))
    }

    /// Highlight rows for those mentioned who are here to see it. Returns whether there are any.
    pub(super) async fn stage_highlights(
        &mut self,
        class: &Class,
        pos: Pos,
    ) -> Result<bool, RoomError> {
        let mut any = false;
        for user_id in &class.mentions {
            if self.rooms.is_local(user_id)
                && self.membership(user_id).await? == Some(Membership::Join)
            {
                let user = self
                    .rooms
                    .store()
                    .interner()
                    .number(user_id.as_str())
                    .await?;
                self.commit
                    .batch
                    .put::<Highlights>(&(user, self.room.nid, pos), &());
                any = true;
            }
        }
        Ok(any)
    }

    /// Whoever speaks has read: the main timeline, if they speak there. What is in threads counts from when they join.
    pub(super) fn stage_read(
        &mut self,
        sender: UserNid,
        class: &Class,
        member: Option<&MemberChange>,
        pos: Pos,
    ) {
        let own = member.filter(|member| member.user == sender);
        let renames = own.is_some_and(|own| own.before == Some(own.membership));
        let joins = !renames && own.is_some_and(|own| own.membership == Membership::Join);
        let key = (self.room.nid, sender);
        if !class.is_threaded() && !renames {
            self.commit.batch.put::<ReadUpTo>(&key, &pos);
        }
        if joins {
            self.commit.batch.put::<ReadThreads>(&key, &pos);
        }
    }
}
