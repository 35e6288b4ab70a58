//! Cross-signing keys
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#cross-signing)).

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{
    StoreError, UserNid,
    tables::{CrossSigningKeys, KeySignatures},
};

use crate::{
    Encryption, KeysError,
    change::{Change, EVERYBODY},
    json, signatures,
};

/// What a user uploads.
#[derive(Debug, Default)]
pub struct CrossSigningUpload {
    /// The user's identity.
    pub master: Option<Box<RawValue>>,
    /// Signs the user's own devices.
    pub self_signing: Option<Box<RawValue>>,
    /// Signs other users' master keys.
    pub user_signing: Option<Box<RawValue>>,
}

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Master,
    SelfSigning,
    UserSigning,
}

impl Kind {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Master => 0,
            Self::SelfSigning => 1,
            Self::UserSigning => 2,
        }
    }

    const fn usage(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// One key and some signatures.
const MAX_KEY_BYTES: usize = 32 * 1024;

/// What the server looks at in a cross-signing key.
#[derive(Deserialize)]
struct Form {
    user_id: String,
    usage: Vec<String>,
    keys: BTreeMap<String, String>,
    #[serde(default)]
    #[expect(dead_code, reason = "checked to have the right form")]
    signatures: BTreeMap<String, BTreeMap<String, String>>,
}

/// A key that was uploaded and has the right form.
struct Checked {
    kind: Kind,
    json: Box<RawValue>,
    object: CanonicalJsonObject,
    public_key: String,
}

/// A key that is kept.
struct Kept {
    object: CanonicalJsonObject,
    public_key: String,
}

impl Encryption {
    /// Keeps cross-signing keys. Unless they are the first of their user, or those that are kept already, the user must
    /// have confirmed that it is they who ask.
    ///
    /// # Errors
    /// [`KeysError::Unconfirmed`]; [`KeysError::NoMasterKey`], [`KeysError::InvalidSignature`] where the master key has
    /// not signed the others; [`KeysError::Forbidden`] for a key that is called as one of the user's devices.
    pub async fn upload_cross_signing_keys(
        &self,
        (user, user_id): (UserNid, &UserId),
        upload: CrossSigningUpload,
        confirmed: bool,
    ) -> Result<(), KeysError> {
        let mut keys = Vec::new();
        for (kind, json) in [
            (Kind::Master, upload.master),
            (Kind::SelfSigning, upload.self_signing),
            (Kind::UserSigning, upload.user_signing),
        ] {
            if let Some(json) = json {
                keys.push(check(kind, json, user_id)?);
            }
        }
        let mut change = self.change([user]).await;
        let mut kept = Vec::new();
        for kind in [Kind::Master, Kind::SelfSigning, Kind::UserSigning] {
            kept.push(self.kept_key(user, kind).await?);
        }
        let kept_of = |kind: Kind| kept[usize::from(kind.number())].as_ref();
        let is_kept = |key: &Checked| {
            kept_of(key.kind).is_some_and(|kept| json::same_signed(&kept.object, &key.object))
        };
        let sent_master = keys.iter().find(|key| key.kind == Kind::Master);
        let master = sent_master
            .map(|key| key.public_key.clone())
            .or_else(|| kept_of(Kind::Master).map(|key| key.public_key.clone()))
            .ok_or(KeysError::NoMasterKey)?;
        for key in keys.iter().filter(|key| key.kind != Kind::Master) {
            let signer = (user_id.as_str(), format!("ed25519:{master}"));
            if !signatures::is_signed(&key.object, (signer.0, &signer.1), &master) {
                return Err(KeysError::InvalidSignature(
                    "The key is not signed by the master signing key.",
                ));
            }
        }
        let devices = self.devices(user).await?;
        if keys.iter().any(|key| {
            devices
                .iter()
                .any(|device| device.device_id == key.public_key)
        }) {
            return Err(KeysError::Forbidden("Key ID in use"));
        }
        if keys.iter().all(is_kept) {
            return Ok(());
        }
        let master_before = kept_of(Kind::Master).map(|key| key.public_key.as_str());
        if master_before.is_some() && !confirmed {
            return Err(KeysError::Unconfirmed);
        }
        if let Some(before) = master_before.filter(|before| *before != master) {
            stage_new_master(&mut change, user, before);
        }
        for key in &keys {
            change
                .batch
                .put::<CrossSigningKeys>(&(user, key.kind.number()), &json::kept(&key.json));
        }
        let Change { batch, news, .. } = &mut change;
        self.log_list(batch, news, (user, EVERYBODY)).await?;
        Ok(self.commit(change).await?)
    }

    async fn kept_key(&self, user: UserNid, kind: Kind) -> Result<Option<Kept>, StoreError> {
        let Some(json) = self.cross_signing_key(user, kind).await? else {
            return Ok(None);
        };
        Ok(json::canonical(&json).and_then(|object| {
            let public_key = public_key(&json)?;
            Some(Kept { object, public_key })
        }))
    }

    /// A user's key as it was uploaded.
    pub(crate) async fn cross_signing_key(
        &self,
        user: UserNid,
        kind: Kind,
    ) -> Result<Option<Box<RawValue>>, StoreError> {
        let place = (user, kind.number());
        let row = self.0.store.get::<CrossSigningKeys>(&place).await?;
        row.map(|row| json::sent::<CrossSigningKeys>(&row.0))
            .transpose()
    }
}

/// What the old master key has signed, and what has signed it, means nothing now.
fn stage_new_master(change: &mut Change, user: UserNid, before: &str) {
    let signatures = (user, before.to_owned());
    change.batch.delete_prefix::<KeySignatures>(&signatures);
    for kind in [Kind::SelfSigning, Kind::UserSigning] {
        change
            .batch
            .delete::<CrossSigningKeys>(&(user, kind.number()));
    }
}

fn check(kind: Kind, json: Box<RawValue>, user_id: &UserId) -> Result<Checked, KeysError> {
    let usage = kind.usage();
    if json.get().len() > MAX_KEY_BYTES {
        return Err(KeysError::TooLarge("The key is too large.".into()));
    }
    let form: Form = serde_json::from_str(json.get())
        .map_err(|error| KeysError::BadJson(format!("{usage} key: {error}").into()))?;
    if form.user_id != user_id.as_str() {
        return Err(KeysError::invalid("The key is that of another user."));
    }
    if !form.usage.iter().any(|word| word == usage) {
        return Err(KeysError::Invalid(
            format!("The key is not for `{usage}`.").into(),
        ));
    }
    let public_key = public_key(&json).ok_or_else(|| {
        KeysError::invalid("A cross-signing key has one public key, which is also its name.")
    })?;
    debug_assert_eq!(form.keys.len(), 1, "as `public_key` sees to");
    let object = json::canonical(&json)
        .ok_or_else(|| KeysError::BadJson(format!("{usage} key: not canonical JSON").into()))?;
    Ok(Checked {
        kind,
        json,
        object,
        public_key,
    })
}

/// The one public key of a cross-signing key: `ed25519:KEY` → `KEY`.
pub(crate) fn public_key(json: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Keys {
        keys: BTreeMap<String, String>,
    }
    let Keys { keys } = serde_json::from_str(json.get()).ok()?;
    let mut keys = keys.into_iter();
    let (Some((id, key)), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let is_named_so = id.strip_prefix("ed25519:") == Some(key.as_str());
    (is_named_so && signatures::is_ed25519(&key)).then_some(key)
}

#[cfg(test)]
mod tests;
