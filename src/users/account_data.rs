//! Account data, global and per room, and the feed that sync reads
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#client-config)).

use std::collections::HashSet;

use bytes::Bytes;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use store::{
    Batch, Pos, RoomNid, Scan, StoreError, UserNid,
    rows::AccountDataRow,
    tables::{AccountData, AccountDataLog},
};
use tokio::sync::OwnedMutexGuard;

use crate::{AccountDataError, UserNews, Users, news::Aftermath, push_rules};

/// One piece of account data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDataEvent {
    /// The room it is about; `None` for global data.
    pub room: Option<RoomNid>,
    /// The event type.
    pub event_type: String,
    /// The content: a JSON object, as the client sent it.
    pub content: Bytes,
}

/// The push rules' type.
pub(crate) const PUSH_RULES: &str = "m.push_rules";
/// What the server alone writes.
const MANAGED: [&str; 2] = ["m.fully_read", PUSH_RULES];
/// The longest list of direct chats or ignored users anybody was seen with is a tenth of it.
const MAX_CONTENT_BYTES: usize = 512 * 1024;
/// As long as an event type may be.
const MAX_TYPE_BYTES: usize = 255;
/// In keys, stands for "no room".
const GLOBAL: RoomNid = RoomNid(0);

impl Users {
    /// Sets what a client asks to set.
    ///
    /// # Errors
    /// [`AccountDataError::Managed`] for `m.fully_read` and `m.push_rules`, in a room or not.
    pub async fn set_account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        event_type: &str,
        content: Bytes,
    ) -> Result<Pos, AccountDataError> {
        if MANAGED.contains(&event_type) {
            return Err(AccountDataError::Managed(event_type.to_owned()));
        }
        self.put_account_data(user, room, event_type, content).await
    }

    /// Sets what the server itself decides, such as `m.fully_read`.
    pub async fn put_account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        event_type: &str,
        content: Bytes,
    ) -> Result<Pos, AccountDataError> {
        check(event_type, &content)?;
        let guard = self.0.locks.lock(user).await;
        Ok(self
            .write_account_data(user, guard, (room, event_type), content)
            .await?)
    }

    /// One piece of account data, as it was set. The push rules are always there.
    pub async fn account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        event_type: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        if room.is_none() && event_type == PUSH_RULES {
            return Ok(Some(push_rules::content(&*self.push_rules(user).await?)));
        }
        let row = self
            .0
            .store
            .get::<AccountData>(&key(user, room, event_type))
            .await?;
        Ok(row
            .map(|row| row.content)
            .filter(|content| !content.is_empty()))
    }

    /// Whom a user ignores.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#ignoring-users)
    pub async fn ignored_users(&self, user: UserNid) -> Result<HashSet<OwnedUserId>, StoreError> {
        #[derive(Deserialize)]
        struct Content {
            ignored_users: Map<String, Value>,
        }
        let content = self
            .account_data(user, None, "m.ignored_user_list")
            .await?
            .and_then(|content| serde_json::from_slice::<Content>(&content).ok());
        let ignored = content.map(|content| content.ignored_users);
        Ok(ignored
            .into_iter()
            .flatten()
            .filter_map(|(name, _)| OwnedUserId::try_from(name).ok())
            .collect())
    }

    /// All account data of a user, for a sync without a token.
    pub async fn account_data_all(
        &self,
        user: UserNid,
    ) -> Result<Vec<AccountDataEvent>, StoreError> {
        let rows = self
            .0
            .store
            .scan::<AccountData>(Scan::prefix::<AccountData>(&(user,)))
            .await?;
        let mut events: Vec<_> = rows
            .into_iter()
            .filter(|((_, room, event_type), row)| {
                let rules = *room == GLOBAL && event_type == PUSH_RULES;
                !rules && !row.content.is_empty()
            })
            .map(|((_, room, event_type), row)| event(room, event_type, row.content))
            .collect();
        let rules = push_rules::content(&*self.push_rules(user).await?);
        events.push(event(GLOBAL, PUSH_RULES.to_owned(), rules));
        Ok(events)
    }

    /// All account data of a user about one room.
    pub async fn account_data_of_room(
        &self,
        user: UserNid,
        room: RoomNid,
    ) -> Result<Vec<AccountDataEvent>, StoreError> {
        let rows = self
            .0
            .store
            .scan::<AccountData>(Scan::prefix::<AccountData>(&(user, room)))
            .await?;
        let kept = rows.into_iter().filter(|(_, row)| !row.content.is_empty());
        Ok(kept
            .map(|((_, room, event_type), row)| event(room, event_type, row.content))
            .collect())
    }

    /// What changed behind `since` and up to `upto`, in that order. What changed again later is left to the
    /// later call, which tells it whole.
    pub async fn account_data_since(
        &self,
        user: UserNid,
        since: Pos,
        upto: Pos,
    ) -> Result<Vec<AccountDataEvent>, StoreError> {
        let range = Scan::range::<AccountDataLog>(&(user, since.next()), &(user, upto.next()));
        let changed = self.0.store.scan::<AccountDataLog>(range).await?;
        let keys: Vec<_> = changed
            .into_iter()
            .map(|(_, (room, event_type))| (user, room, event_type))
            .collect();
        let rows = self.0.store.multi_get::<AccountData>(&keys).await?;
        let mut events = Vec::with_capacity(keys.len());
        for ((_, room, event_type), row) in keys.into_iter().zip(rows) {
            let Some(row) = row.filter(|row| !row.content.is_empty()) else {
                continue;
            };
            let rules = room == GLOBAL && event_type == PUSH_RULES;
            let content = if rules {
                push_rules::content(&*self.push_rules(user).await?)
            } else {
                row.content
            };
            events.push(event(room, event_type, content));
        }
        Ok(events)
    }

    /// Writes row and feed row in one commit; the older feed row goes. The caller holds the lock and has
    /// checked.
    pub(crate) async fn write_account_data(
        &self,
        user: UserNid,
        guard: OwnedMutexGuard<()>,
        (room, event_type): (Option<RoomNid>, &str),
        content: Bytes,
    ) -> Result<Pos, StoreError> {
        let key = key(user, room, event_type);
        let mut batch = Batch::new();
        if let Some(before) = self.0.store.get::<AccountData>(&key).await? {
            batch.delete::<AccountDataLog>(&(user, before.pos));
        }
        let pos = Pos::unassigned(0);
        batch.put::<AccountDataLog>(&(user, pos), &(key.1, key.2.clone()));
        batch.put::<AccountData>(&key, &AccountDataRow { pos, content });
        let mut aftermath = Aftermath::news(UserNews::AccountData { room });
        if room.is_none() && event_type == PUSH_RULES {
            aftermath.news.push(UserNews::PushRules);
        }
        self.commit(user, guard, batch, aftermath).await
    }
}

fn check(event_type: &str, content: &[u8]) -> Result<(), AccountDataError> {
    if event_type.len() > MAX_TYPE_BYTES {
        return Err(AccountDataError::NameTooLong {
            limit: MAX_TYPE_BYTES,
        });
    }
    if content.len() > MAX_CONTENT_BYTES {
        return Err(AccountDataError::TooLarge {
            limit: MAX_CONTENT_BYTES,
        });
    }
    let object =
        serde_json::from_slice::<&RawValue>(content).is_ok_and(|json| json.get().starts_with('{'));
    if object {
        Ok(())
    } else {
        Err(AccountDataError::NotAnObject)
    }
}

fn key(user: UserNid, room: Option<RoomNid>, event_type: &str) -> (UserNid, RoomNid, String) {
    (user, room.unwrap_or(GLOBAL), event_type.to_owned())
}

fn event(room: RoomNid, event_type: String, content: Bytes) -> AccountDataEvent {
    AccountDataEvent {
        room: (room != GLOBAL).then_some(room),
        event_type,
        content,
    }
}

#[cfg(test)]
mod tests;
