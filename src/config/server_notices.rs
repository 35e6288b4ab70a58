//! Options of server notices. A doc comment here is the text in `config/myelin.toml`.

use serde::{Deserialize, Serialize};

/// `server_notices.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerNotices {
    /// Who sends them: the name before the colon of an account that the first notice makes, and that nobody logs in to.
    /// Empty: none are sent.
    pub localpart: String,
    /// How that account is called.
    pub display_name: String,
    /// Its picture: "mxc://…".
    pub avatar_url: Option<String>,
    /// How the room is called that each recipient gets.
    pub room_name: String,
}

impl Default for ServerNotices {
    fn default() -> Self {
        Self {
            localpart: "notices".to_owned(),
            display_name: "Server Notices".to_owned(),
            avatar_url: None,
            room_name: "Server Notices".to_owned(),
        }
    }
}
