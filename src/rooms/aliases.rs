//! Room aliases.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-aliases)

use serde::Deserialize;
use serde_json::value::RawValue;
use store::tables::Aliases;

use crate::{Room, RoomError, Rooms};

#[derive(Deserialize, Default)]
struct CanonicalAlias {
    alias: Option<String>,
    #[serde(default)]
    alt_aliases: Vec<String>,
}

impl Rooms {
    /// Whether every alias that an `m.room.canonical_alias` event names points to its room; those that the room's present
    /// event names already are not asked again.
    ///
    /// # Errors
    /// [`RoomError::BadAlias`]; [`RoomError::InvalidParam`] for a malformed alias.
    pub(crate) async fn check_canonical_alias(
        &self,
        room: &Room,
        content: &RawValue,
    ) -> Result<(), RoomError> {
        let wanted: CanonicalAlias = serde_json::from_str(content.get())
            .map_err(|error| RoomError::BadJson(error.to_string()))?;
        let present: CanonicalAlias = match self
            .state_event(room.nid, "m.room.canonical_alias", "")
            .await?
        {
            Some(event) => serde_json::from_str(event.content()).unwrap_or_default(),
            None => CanonicalAlias::default(),
        };
        for alias in wanted
            .alias
            .iter()
            .filter(|alias| !alias.is_empty())
            .chain(&wanted.alt_aliases)
        {
            if present.alias.as_ref() == Some(alias) || present.alt_aliases.contains(alias) {
                continue;
            }
            if ruma::RoomAliasId::parse(alias).is_err() {
                return Err(RoomError::InvalidParam(format!(
                    "{alias} is not a room alias"
                )));
            }
            match self.store().get::<Aliases>(alias).await? {
                Some((nid, _)) if nid == room.nid => {}
                _ => {
                    return Err(RoomError::BadAlias(format!(
                        "{alias} does not point to this room"
                    )));
                }
            }
        }
        Ok(())
    }
}
