//! Signatures of keys: checked, added, kept
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload)).

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm, UserId,
    serde::Base64,
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};
use serde_json::value::RawValue;
use store::{
    Raw, StoreError, UserNid,
    tables::{DeviceKeys, KeySignatures},
};

use crate::{
    Encryption, KeysError, Reader,
    change::{Change, EVERYBODY},
    cross_signing::{self, Kind},
    device_keys, json,
};

/// A key with new signatures.
#[derive(Debug)]
pub struct Signed {
    /// Whose key; none for a user whom the server does not know.
    pub user: Option<UserNid>,
    /// The device id, or the public key of a cross-signing key.
    pub key_id: String,
    /// The key as it was uploaded, with new signatures.
    pub json: Box<RawValue>,
}

/// Why a signature was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFailure {
    /// There is no such key, or it is another one.
    NotFound,
    /// It does not hold, or was not made with a key that signs such keys.
    Invalid(&'static str),
}

/// Keys in one upload: more than anybody has devices.
const MAX_SIGNED: usize = 1_000;

/// What may sign a key: key ids with their public keys.
type Signers = BTreeMap<String, String>;

/// A key that is kept, and what may sign it.
struct Target {
    json: Box<RawValue>,
    signers: Signers,
}

impl Encryption {
    /// Adds the signatures that hold, in one commit, and gives for each key why not if there are none: the user's
    /// self-signing key signs their devices, their devices sign their master key, and their user-signing key signs
    /// other users' master keys.
    pub async fn upload_signatures(
        &self,
        signer: Reader<'_>,
        signed: &[Signed],
    ) -> Result<Vec<Option<SignatureFailure>>, KeysError> {
        if signed.len() > MAX_SIGNED {
            return Err(KeysError::TooLarge("Too many keys.".into()));
        }
        let users = signed.iter().filter_map(|key| key.user);
        let mut change = self.change(users.chain([signer.user])).await;
        let mut failures = Vec::with_capacity(signed.len());
        for key in signed {
            failures.push(self.stage_signatures(&mut change, signer, key).await?.err());
        }
        self.commit(change).await?;
        Ok(failures)
    }

    async fn stage_signatures(
        &self,
        change: &mut Change,
        signer: Reader<'_>,
        signed: &Signed,
    ) -> Result<Result<(), SignatureFailure>, StoreError> {
        let Some(user) = signed.user else {
            return Ok(Err(SignatureFailure::NotFound));
        };
        let Some(target) = self.target(signer, user, &signed.key_id).await? else {
            return Ok(Err(SignatureFailure::NotFound));
        };
        let added = match new_signatures(&target, signer.user_id, &signed.json) {
            Ok(added) => added,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut is_changed = false;
        for (key_id, signature) in added {
            let place = (user, signed.key_id.clone(), signer.user, key_id);
            let row = Raw(signature.into_bytes().into());
            if self.0.store.get::<KeySignatures>(&place).await?.as_ref() == Some(&row) {
                continue;
            }
            change.batch.put::<KeySignatures>(&place, &row);
            is_changed = true;
        }
        if is_changed {
            // Whom a user has verified is for the user alone.
            let audience = if user == signer.user {
                EVERYBODY
            } else {
                signer.user
            };
            let Change { batch, news, .. } = change;
            self.log_list(batch, news, (user, audience)).await?;
        }
        Ok(Ok(()))
    }

    /// The key of that name, and what of the signer's may sign it.
    async fn target(
        &self,
        signer: Reader<'_>,
        user: UserNid,
        key_id: &str,
    ) -> Result<Option<Target>, StoreError> {
        let own = user == signer.user;
        let master = self.cross_signing_key(user, Kind::Master).await?;
        if let Some(json) = master
            && cross_signing::public_key(&json).as_deref() == Some(key_id)
        {
            let signers = if own {
                self.device_signers(user).await?
            } else {
                self.signing_key(signer.user, Kind::UserSigning).await?
            };
            return Ok(Some(Target { json, signers }));
        }
        if !own {
            return Ok(None);
        }
        let place = (user, key_id.to_owned());
        let Some(row) = self.0.store.get::<DeviceKeys>(&place).await? else {
            return Ok(None);
        };
        let json = json::sent::<DeviceKeys>(&row.0)?;
        let signers = self.signing_key(user, Kind::SelfSigning).await?;
        Ok(Some(Target { json, signers }))
    }

    async fn signing_key(&self, user: UserNid, kind: Kind) -> Result<Signers, StoreError> {
        let json = self.cross_signing_key(user, kind).await?;
        let key = json.and_then(|json| cross_signing::public_key(&json));
        Ok(key
            .map(|key| (format!("ed25519:{key}"), key))
            .into_iter()
            .collect())
    }

    async fn device_signers(&self, user: UserNid) -> Result<Signers, StoreError> {
        let scan = store::Scan::prefix::<DeviceKeys>(&(user,));
        let mut signers = Signers::new();
        for ((_, device_id), row) in self.0.store.scan::<DeviceKeys>(scan).await? {
            let json = json::sent::<DeviceKeys>(&row.0)?;
            if let Some(key) = device_keys::ed25519_key(&json, &device_id) {
                signers.insert(format!("ed25519:{device_id}"), key);
            }
        }
        Ok(signers)
    }
}

/// The signatures by the user that hold. Others that came with them, such as the device's own, are passed over.
fn new_signatures(
    target: &Target,
    signer: &UserId,
    json: &RawValue,
) -> Result<BTreeMap<String, String>, SignatureFailure> {
    let invalid = SignatureFailure::Invalid;
    let signed = json::canonical(json).ok_or(invalid("This is not a signed key."))?;
    let kept = json::canonical(&target.json).ok_or(SignatureFailure::NotFound)?;
    if !json::same_signed(&signed, &kept) {
        return Err(invalid("The key is not the one that was uploaded."));
    }
    let made =
        made_by(&signed, signer.as_str()).ok_or(invalid("There is no signature of yours."))?;
    let mut added = BTreeMap::new();
    for (key_id, signature) in made {
        let Some(key) = target.signers.get(key_id) else {
            continue;
        };
        let CanonicalJsonValue::String(signature) = signature else {
            return Err(invalid("A signature is a string."));
        };
        if !is_signed(&signed, (signer.as_str(), key_id), key) {
            return Err(invalid("Invalid signature"));
        }
        added.insert(key_id.clone(), signature.clone());
    }
    if added.is_empty() {
        return Err(invalid(
            "There is no signature by a key that signs such keys.",
        ));
    }
    Ok(added)
}

fn made_by<'a>(object: &'a CanonicalJsonObject, signer: &str) -> Option<&'a CanonicalJsonObject> {
    let CanonicalJsonValue::Object(signatures) = object.get("signatures")? else {
        return None;
    };
    match signatures.get(signer)? {
        CanonicalJsonValue::Object(made) => Some(made),
        _ => None,
    }
}

/// Whether `signer` has signed the object with the key of that id, which is `public_key`.
pub(crate) fn is_signed(
    object: &CanonicalJsonObject,
    (signer, key_id): (&str, &str),
    public_key: &str,
) -> bool {
    let verify = || {
        let CanonicalJsonValue::String(signature) = made_by(object, signer)?.get(key_id)? else {
            return None;
        };
        let signature: Base64 = Base64::parse(signature).ok()?;
        let public_key: Base64 = Base64::parse(public_key).ok()?;
        let signed = to_canonical_json_string_for_signing(object).ok()?;
        let algorithm = SigningKeyAlgorithm::Ed25519;
        verify_canonical_json_bytes(
            &algorithm,
            public_key.as_bytes(),
            signature.as_bytes(),
            signed.as_bytes(),
        )
        .ok()
    };
    verify().is_some()
}

/// Whether this is a public key in Base64.
pub(crate) fn is_ed25519(key: &str) -> bool {
    Base64::<ruma::serde::base64::Standard>::parse(key).is_ok_and(|key| key.as_bytes().len() == 32)
}

#[cfg(test)]
mod tests;
