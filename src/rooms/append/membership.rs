//! The rows of a member event, beside those of every state event.

use room_versions::Pdu;
use ruma::OwnedUserId;
use store::{
    Pos, Rsn, UserNid,
    rows::{MemberRow, Membership, MembershipLogRow, UserRoomRow},
    tables::{Members, MembershipLog, UserRooms},
};

use super::Append;
use crate::{MemberChange, RoomError, room::Current};

impl Append<'_> {
    /// The membership rows, from the room's side and from the user's, and the counts.
    pub(super) async fn stage_member(
        &mut self,
        pdu: &Pdu,
        user: &str,
        rsn: Rsn,
        pos: Pos,
        replaced: Option<&Current>,
    ) -> Result<Option<MemberChange>, RoomError> {
        let (Ok(user_id), Some(membership)) = (OwnedUserId::try_from(user), membership_of(pdu))
        else {
            return Ok(None);
        };
        let user: UserNid = self.rooms.store().interner().number(user).await?;
        let before = replaced.and_then(|current| membership_of(&current.pdu));
        let head = &mut self.ahead.head;
        for (count, counted) in [
            (&mut head.joined, Membership::Join),
            (&mut head.invited, Membership::Invite),
        ] {
            *count = (*count + u32::from(membership == counted))
                .saturating_sub(u32::from(before == Some(counted)));
        }
        let room = self.room.nid;
        let member = MemberRow {
            membership,
            rsn,
            pos,
        };
        let batch = &mut self.commit.batch;
        batch.put::<Members>(&(room, user), &member);
        if self.rooms.is_local(&user_id) {
            batch.put::<UserRooms>(
                &(user, room),
                &UserRoomRow {
                    member,
                    forgotten: false,
                },
            );
            batch.put::<MembershipLog>(
                &(user, pos),
                &MembershipLogRow {
                    room,
                    membership,
                    before,
                },
            );
        }
        Ok(Some(MemberChange {
            user,
            user_id,
            membership,
            before,
        }))
    }
}

/// `membership` of an `m.room.member` event.
pub(crate) fn membership_of(pdu: &Pdu) -> Option<Membership> {
    #[derive(serde::Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        membership: std::borrow::Cow<'a, str>,
    }
    let content: Content<'_> = serde_json::from_str(pdu.content.get()).ok()?;
    Membership::parse(&content.membership)
}
