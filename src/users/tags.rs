//! Tags: the `m.tag` account data of a room, changed tag by tag
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#room-tagging)).

use bytes::Bytes;
use serde_json::{Map, Value, json};
use store::{RoomNid, StoreError, UserNid};

use crate::{AccountDataError, Users};

const TAG: &str = "m.tag";
/// As the spec has it.
const MAX_TAG_BYTES: usize = 255;
/// Nobody looks through more.
const MAX_TAGS_PER_ROOM: usize = 100;
/// An order, and whatever a client adds.
const MAX_INFO_BYTES: usize = 4 * 1024;

impl Users {
    /// The tags of a room: name → what is known about the tag.
    pub async fn tags(
        &self,
        user: UserNid,
        room: RoomNid,
    ) -> Result<Map<String, Value>, StoreError> {
        let content = self.account_data(user, Some(room), TAG).await?;
        Ok(content.as_deref().map(parse).unwrap_or_default())
    }

    /// Adds a tag, or changes what is known about it.
    pub async fn set_tag(
        &self,
        user: UserNid,
        room: RoomNid,
        tag: &str,
        info: Map<String, Value>,
    ) -> Result<(), AccountDataError> {
        if tag.len() > MAX_TAG_BYTES {
            return Err(AccountDataError::NameTooLong {
                limit: MAX_TAG_BYTES,
            });
        }
        let info = Value::Object(info);
        if info.to_string().len() > MAX_INFO_BYTES {
            return Err(AccountDataError::TooLarge {
                limit: MAX_INFO_BYTES,
            });
        }
        let guard = self.0.locks.lock(user).await;
        let mut tags = self.tags(user, room).await?;
        tags.insert(tag.to_owned(), info);
        if tags.len() > MAX_TAGS_PER_ROOM {
            return Err(AccountDataError::TooLarge {
                limit: MAX_TAGS_PER_ROOM * MAX_INFO_BYTES,
            });
        }
        self.write_account_data(user, guard, (Some(room), TAG), content(&tags))
            .await?;
        Ok(())
    }

    /// Removes a tag; one that is not there is removed already.
    pub async fn delete_tag(
        &self,
        user: UserNid,
        room: RoomNid,
        tag: &str,
    ) -> Result<(), AccountDataError> {
        let guard = self.0.locks.lock(user).await;
        let mut tags = self.tags(user, room).await?;
        if tags.remove(tag).is_some() {
            self.write_account_data(user, guard, (Some(room), TAG), content(&tags))
                .await?;
        }
        Ok(())
    }

    /// Gives `new` the tags of `old`, if nobody has ever tagged it.
    pub(crate) async fn copy_tags(
        &self,
        user: UserNid,
        old: RoomNid,
        new: RoomNid,
    ) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let tags = self.tags(user, old).await?;
        if !tags.is_empty() && self.account_data(user, Some(new), TAG).await?.is_none() {
            self.write_account_data(user, guard, (Some(new), TAG), content(&tags))
                .await?;
        }
        Ok(())
    }
}

/// A client may have set `m.tag` as account data, with whatever in it.
fn parse(content: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice::<Map<String, Value>>(content)
        .unwrap_or_default()
        .remove("tags")
    {
        Some(Value::Object(tags)) => tags,
        _ => Map::new(),
    }
}

fn content(tags: &Map<String, Value>) -> Bytes {
    json!({ "tags": tags }).to_string().into()
}
