//! Pushers: where a user's notifications are sent
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset)).
//!
//! A pusher belongs to the session that set it, and ends with that session; what waits to be sent to it ends in the same
//! commit.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use config::Network;
use ruma::{DeviceId, OwnedDeviceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    Batch, Scan, StoreError, UserNid,
    tables::{PushQueue, PusherUsers, Pushers},
};

use crate::{PusherError, Session, UserNews, Users, news::Aftermath, rows};

/// Which pusher of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PusherKey {
    /// The application, `com.example.app.ios`.
    pub app_id: String,
    /// Where the push service finds it.
    pub pushkey: String,
}

/// A pusher as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// Which one.
    #[serde(flatten)]
    pub key: PusherKey,
    /// `http`
    pub kind: String,
    /// The application's name.
    pub app_display_name: String,
    /// The device's name.
    pub device_display_name: String,
    /// `profile_tag`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_tag: Option<String>,
    /// `en`
    pub lang: String,
    /// `url`, `format`, and whatever the gateway wants to have.
    pub data: Map<String, Value>,
}

/// A pusher as whoever sends to it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPusher {
    /// What its owner has set.
    pub pusher: Pusher,
    /// When it was set or last changed, in milliseconds since the Unix epoch.
    pub changed_ms: u64,
}

/// The row.
#[derive(Serialize, Deserialize)]
struct Row {
    pusher: Pusher,
    device: OwnedDeviceId,
    /// When it was set or last changed, in milliseconds since the Unix epoch.
    #[serde(default)]
    changed_ms: u64,
}

/// Pushers of one user. A phone has one, a person some ten phones in their life.
const MAX_PUSHERS: usize = 100;
/// "Max length, 64 chars."
const MAX_APP_ID_BYTES: usize = 64;
/// "Max length, 512 bytes."
const MAX_PUSHKEY_BYTES: usize = 512;
/// Names and languages.
const MAX_TEXT_BYTES: usize = 255;
/// `data`, as JSON: Synapse has no bound, gateways take little.
const MAX_DATA_BYTES: usize = 8 * 1024;
/// Without the slash before it.
const GATEWAY_PATH: &str = "_matrix/push/v1/notify";

impl Users {
    /// All pushers of a user.
    pub async fn pushers(&self, user: UserNid) -> Result<Vec<Pusher>, StoreError> {
        let rows = self.pusher_rows(user).await?;
        Ok(rows.into_iter().map(|row| row.pusher).collect())
    }

    /// Whoever has a pusher.
    pub async fn pusher_owners(&self) -> Result<HashSet<UserNid>, StoreError> {
        let rows = Scan::prefix::<Pushers>(&());
        let rows = self.0.store.scan::<Pushers>(rows).await?;
        Ok(rows.into_iter().map(|((user, _, _), _)| user).collect())
    }

    /// A pusher, with what its owner is not told.
    pub async fn kept_pusher(
        &self,
        user: UserNid,
        pusher: &PusherKey,
    ) -> Result<Option<KeptPusher>, StoreError> {
        let row = rows::read::<Pushers, Row>(&self.0.store, &key(user, pusher)).await?;
        Ok(row.map(|row| KeptPusher {
            pusher: row.pusher,
            changed_ms: row.changed_ms,
        }))
    }

    /// Adds a pusher, or replaces the user's one with the same key. Unless `append`, other users' pushers with that key
    /// are removed in the same commit: the device has changed hands. What waits for the pusher is dropped if it changes;
    /// clients set the same one anew at every start, and that changes nothing.
    pub async fn set_pusher(
        &self,
        session: &Session,
        pusher: Pusher,
        append: bool,
    ) -> Result<(), PusherError> {
        check(&pusher, &self.0.options.allowed_networks)?;
        let guard = self.0.locks.lock(session.user).await;
        let key = key(session.user, &pusher.key);
        let others = self.pusher_rows(session.user).await?;
        let before = others.iter().find(|row| row.pusher.key == pusher.key);
        if others.len() >= MAX_PUSHERS && before.is_none() {
            return Err(PusherError::TooMany);
        }
        let mut batch = Batch::new();
        let same = before.filter(|before| before.pusher == pusher);
        let changed_ms = same.map_or_else(|| self.0.host.now_ms(), |same| same.changed_ms);
        if before.is_some() && same.is_none() {
            batch.delete_prefix::<PushQueue>(&(key.0, &key.1, &key.2));
        }
        if !append {
            let same = Scan::prefix::<PusherUsers>(&(&key.1, &key.2));
            for ((.., user), ()) in self.0.store.scan::<PusherUsers>(same).await? {
                if user != session.user {
                    remove(&mut batch, user, &pusher.key);
                    let users = self.clone();
                    batch.after(move |pos| users.tell(user, pos, &UserNews::Pushers));
                }
            }
        }
        batch.put::<PusherUsers>(&(key.1.clone(), key.2.clone(), key.0), &());
        let row = Row {
            pusher,
            device: session.device_id.clone(),
            changed_ms,
        };
        batch.put::<Pushers>(&key, &rows::write::<Pushers>(&row)?);
        let aftermath = Aftermath::news(UserNews::Pushers);
        self.commit(session.user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Removes a pusher, if the user has it.
    pub async fn delete_pusher(&self, user: UserNid, pusher: &PusherKey) -> Result<(), StoreError> {
        self.delete_pusher_if(user, pusher, |_| true).await
    }

    /// Removes a pusher that its gateway has rejected, unless it was changed meanwhile.
    pub async fn reject_pusher(
        &self,
        user: UserNid,
        rejected: &KeptPusher,
    ) -> Result<(), StoreError> {
        let still = |row: &Row| row.changed_ms == rejected.changed_ms;
        self.delete_pusher_if(user, &rejected.pusher.key, still)
            .await
    }

    async fn delete_pusher_if(
        &self,
        user: UserNid,
        pusher: &PusherKey,
        condition: impl Fn(&Row) -> bool,
    ) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let row = rows::read::<Pushers, Row>(&self.0.store, &key(user, pusher)).await?;
        if !row.is_some_and(|row| condition(&row)) {
            return Ok(());
        }
        let mut batch = Batch::new();
        remove(&mut batch, user, pusher);
        let aftermath = Aftermath::news(UserNews::Pushers);
        self.commit(user, guard, batch, aftermath).await?;
        Ok(())
    }

    /// Removes the pushers of sessions that `news` ends.
    pub(crate) async fn drop_pushers(
        &self,
        batch: &mut Batch,
        user: UserNid,
        news: &[UserNews],
    ) -> Result<(), StoreError> {
        let ended: Vec<&DeviceId> = news.iter().filter_map(ended).collect();
        if ended.is_empty() {
            return Ok(());
        }
        for row in self.pusher_rows(user).await? {
            if ended.contains(&&*row.device) {
                remove(batch, user, &row.pusher.key);
            }
        }
        Ok(())
    }

    async fn pusher_rows(&self, user: UserNid) -> Result<Vec<Row>, StoreError> {
        let rows = Scan::prefix::<Pushers>(&(user,)).limit(MAX_PUSHERS);
        let rows = self.0.store.scan::<Pushers>(rows).await?;
        rows.iter()
            .map(|(_, raw)| rows::parse::<Pushers, _>(raw))
            .collect()
    }
}

/// The device whose session has ended.
fn ended(news: &UserNews) -> Option<&DeviceId> {
    match news {
        UserNews::LoggedOut { device_id } | UserNews::DeviceRemoved { device_id } => {
            Some(device_id)
        }
        UserNews::AccountData { .. }
        | UserNews::PushRules
        | UserNews::Pushers
        | UserNews::DeviceChanged { .. }
        | UserNews::Profile
        | UserNews::Deactivated => None,
    }
}

fn key(user: UserNid, pusher: &PusherKey) -> (UserNid, String, String) {
    (user, pusher.app_id.clone(), pusher.pushkey.clone())
}

fn remove(batch: &mut Batch, user: UserNid, pusher: &PusherKey) {
    batch.delete::<Pushers>(&key(user, pusher));
    batch.delete::<PusherUsers>(&(pusher.app_id.clone(), pusher.pushkey.clone(), user));
    batch.delete_prefix::<PushQueue>(&(user, &pusher.app_id, &pusher.pushkey));
}

fn check(pusher: &Pusher, allowed: &[Network]) -> Result<(), PusherError> {
    if pusher.key.app_id.is_empty() || pusher.key.app_id.len() > MAX_APP_ID_BYTES {
        return Err(PusherError::Invalid(
            "The app_id must have 1 to 64 characters.",
        ));
    }
    if pusher.key.pushkey.is_empty() || pusher.key.pushkey.len() > MAX_PUSHKEY_BYTES {
        return Err(PusherError::Invalid(
            "The pushkey must have 1 to 512 bytes.",
        ));
    }
    let texts = [
        &pusher.app_display_name,
        &pusher.device_display_name,
        &pusher.lang,
    ];
    let texts = texts.into_iter().chain(&pusher.profile_tag);
    if texts.into_iter().any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(PusherError::Invalid("A name is longer than 255 bytes."));
    }
    if pusher.kind != "http" {
        return Err(PusherError::Invalid(
            "This server only has pushers of the kind \"http\".",
        ));
    }
    if serde_json::to_string(&pusher.data).map_or(0, |data| data.len()) > MAX_DATA_BYTES {
        return Err(PusherError::Invalid("`data` is too large."));
    }
    let Some(url) = pusher.data.get("url").and_then(Value::as_str) else {
        return Err(PusherError::Missing("data.url".to_owned()));
    };
    check_url(url, allowed)
}

/// "MUST be an HTTPS URL with a path of `/_matrix/push/v1/notify`." Gateways inside the networks that the administrator
/// allows (`outbound.allowed_networks`) may speak HTTP where the URL holds their address: what a name leads to is known
/// only when it is asked.
fn check_url(url: &str, allowed: &[Network]) -> Result<(), PusherError> {
    let invalid = Err(PusherError::Invalid(
        "`data.url` must be an HTTPS URL with the path /_matrix/push/v1/notify.",
    ));
    let plain = url.strip_prefix("http://");
    let Some((authority, path)) = plain
        .or_else(|| url.strip_prefix("https://"))
        .and_then(|rest| rest.split_once('/'))
    else {
        return invalid;
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // Credentials are never sent, and no host holds these.
    let no_host = authority.is_empty() || authority.contains(['@', '?', '#', '\\', ' ']);
    if no_host || path != GATEWAY_PATH {
        return invalid;
    }
    let may_be_plain = || {
        let bare = authority.trim_matches(['[', ']']).parse::<IpAddr>();
        let address = bare.or_else(|_| authority.parse().map(|socket: SocketAddr| socket.ip()));
        address.is_ok_and(|address| allowed.iter().any(|network| network.contains(address)))
    };
    if plain.is_some() && !may_be_plain() {
        return invalid;
    }
    Ok(())
}
