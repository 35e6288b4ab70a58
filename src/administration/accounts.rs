//! Accounts and the rooms they are in.

use ruma::UserId;
use store::{UserNid, rows::Membership};

use crate::{Administration, AdministrationError};

impl Administration {
    /// Closes an account and takes it out of every room. With `erase`, what it said is shown redacted to whoever joins
    /// later. Done again, it goes on where it was interrupted.
    pub async fn deactivate(
        &self,
        user: UserNid,
        user_id: &UserId,
        erase: bool,
    ) -> Result<(), AdministrationError> {
        self.0.users.deactivate(user, erase).await?;
        for (nid, row) in self.0.rooms.rooms_of_nid(user).await? {
            if !matches!(
                row.member.membership,
                Membership::Join | Membership::Invite | Membership::Knock
            ) {
                continue;
            }
            let room = self.0.rooms.room(nid).await?;
            // A room that does not let go must not keep the account open.
            if let Err(error) = self.0.rooms.leave_for_good(&room.id, user_id).await {
                tracing::warn!(user.id = %user_id, room.id = %room.id, %error, "a closed account stays in a room");
            }
        }
        Ok(())
    }
}
