//! Which servers may take part in a room
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms)).

use ruma::events::room::server_acl::RoomServerAclEventContent;
use serde_json::value::RawValue;

use crate::{RoomError, Rooms};

/// The event type.
pub(crate) const SERVER_ACL: &str = "m.room.server_acl";

impl Rooms {
    /// Refuses an `m.room.server_acl` that shuts this server out: nobody here could ever take it back. Synapse refuses it
    /// too; in the specification it is a warning to clients.
    ///
    /// # Errors
    /// [`RoomError::BadJson`] for what is no such list, [`RoomError::InvalidParam`] for one without this server.
    pub(crate) fn check_server_acl(&self, content: &RawValue) -> Result<(), RoomError> {
        let acl: RoomServerAclEventContent = serde_json::from_str(content.get())
            .map_err(|error| RoomError::BadJson(format!("not a server ACL: {error}")))?;
        if acl.is_allowed(self.server_name()) {
            return Ok(());
        }
        Err(RoomError::InvalidParam(
            "a server ACL that denies this server cannot be taken back".to_owned(),
        ))
    }
}
