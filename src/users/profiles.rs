//! Profiles: display name, avatar and whatever else a user shows
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#profiles)). Telling the rooms is the caller's
//! business.

use ruma::MxcUri;
use serde_json::{Map, Value};
use store::{Batch, StoreError, UserNid, tables::Profiles};

use crate::{ProfileError, UserNews, Users, news::Aftermath, rows};

/// What a user shows of themselves: field → value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile(pub Map<String, Value>);

/// The whole profile, as JSON.
const MAX_PROFILE_BYTES: usize = 64 * 1024;
/// A field's name.
const MAX_KEY_BYTES: usize = 255;
/// As in Synapse: both go into every membership event.
const MAX_DISPLAYNAME_CHARACTERS: usize = 256;
const MAX_AVATAR_URL_BYTES: usize = 1000;

const DISPLAYNAME: &str = "displayname";
const AVATAR_URL: &str = "avatar_url";

impl Profile {
    /// The display name.
    pub fn displayname(&self) -> Option<&str> {
        self.0.get(DISPLAYNAME)?.as_str()
    }

    /// The avatar's `mxc:` URI.
    pub fn avatar_url(&self) -> Option<&str> {
        self.0.get(AVATAR_URL)?.as_str()
    }

    /// Whether a change of this field is to be told to the user's rooms.
    pub fn is_shown_in_rooms(field: &str) -> bool {
        field == DISPLAYNAME || field == AVATAR_URL
    }
}

/// The profile of somebody who has chosen nothing but a name.
pub(crate) fn named(displayname: &str) -> Map<String, Value> {
    let name = displayname
        .chars()
        .take(MAX_DISPLAYNAME_CHARACTERS)
        .collect();
    Map::from_iter([(DISPLAYNAME.to_owned(), Value::String(name))])
}

impl Users {
    /// A local user's profile, empty if nothing is set.
    pub async fn profile(&self, user: UserNid) -> Result<Profile, StoreError> {
        let fields = rows::read::<Profiles, _>(&self.0.store, &user).await?;
        Ok(Profile(fields.unwrap_or_default()))
    }

    /// Sets a field, and gives the profile as it is then if something changed. An empty display name or avatar
    /// removes it, as clients have always done it.
    pub async fn set_profile_field(
        &self,
        user: UserNid,
        field: &str,
        value: Value,
    ) -> Result<Option<Profile>, ProfileError> {
        check_field(field)?;
        let value = check_value(field, value)?;
        self.change_profile(user, field, value).await
    }

    /// Removes a field, and gives the profile as it is then if something changed.
    pub async fn delete_profile_field(
        &self,
        user: UserNid,
        field: &str,
    ) -> Result<Option<Profile>, ProfileError> {
        check_field(field)?;
        self.change_profile(user, field, None).await
    }

    async fn change_profile(
        &self,
        user: UserNid,
        field: &str,
        value: Option<Value>,
    ) -> Result<Option<Profile>, ProfileError> {
        let guard = self.0.locks.lock(user).await;
        let mut profile = self.profile(user).await?;
        let before = match value {
            Some(value) if profile.0.get(field) == Some(&value) => return Ok(None),
            Some(value) => Some(profile.0.insert(field.to_owned(), value)),
            None => profile.0.remove(field).map(Some),
        };
        if before.is_none() {
            return Ok(None);
        }
        let row = rows::write::<Profiles>(&profile.0)?;
        if row.0.len() > MAX_PROFILE_BYTES {
            return Err(ProfileError::ProfileTooLarge);
        }
        let mut batch = Batch::new();
        batch.put::<Profiles>(&user, &row);
        self.commit(user, guard, batch, Aftermath::news(UserNews::Profile))
            .await?;
        Ok(Some(profile))
    }
}

/// The common namespaced identifier grammar; `displayname` and `avatar_url` follow it too.
fn check_field(field: &str) -> Result<(), ProfileError> {
    if field.len() > MAX_KEY_BYTES {
        return Err(ProfileError::KeyTooLarge);
    }
    let known = field == DISPLAYNAME || field == AVATAR_URL;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let namespaced = field.starts_with(|first: char| first.is_ascii_lowercase())
        && field.contains('.')
        && field.bytes().all(allowed);
    if known || namespaced {
        Ok(())
    } else {
        Err(ProfileError::Invalid("Invalid profile key."))
    }
}

/// The value to keep; `None` removes the field.
fn check_value(field: &str, value: Value) -> Result<Option<Value>, ProfileError> {
    let text = match (field, value) {
        (DISPLAYNAME | AVATAR_URL, Value::Null) => return Ok(None),
        (DISPLAYNAME | AVATAR_URL | "m.tz", Value::String(text)) => text,
        (DISPLAYNAME | AVATAR_URL | "m.tz", _) => {
            return Err(ProfileError::Invalid("The value must be a string."));
        }
        (_, value) => return Ok(Some(value)),
    };
    if field == DISPLAYNAME && text.chars().count() > MAX_DISPLAYNAME_CHARACTERS {
        return Err(ProfileError::Invalid(
            "The display name is longer than 256 characters.",
        ));
    }
    if field == AVATAR_URL && !text.is_empty() {
        if text.len() > MAX_AVATAR_URL_BYTES {
            return Err(ProfileError::Invalid(
                "The avatar URL is longer than 1000 bytes.",
            ));
        }
        if !<&MxcUri>::from(text.as_str()).is_valid() {
            return Err(ProfileError::Invalid("The avatar URL is not an mxc: URI."));
        }
    }
    let removes = text.is_empty() && field != "m.tz";
    Ok((!removes).then_some(Value::String(text)))
}

#[cfg(test)]
mod tests;
