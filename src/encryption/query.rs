//! Keys as others see them: with every signature that they may see
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery)).

use std::collections::{BTreeMap, HashMap};

use ruma::UserId;
use serde_json::{Map, Value, json, value::RawValue};
use store::{
    CorruptRow, Raw, Scan, StoreError, Table, UserNid,
    tables::{CrossSigningKeys, DeviceKeys, KeySignatures},
};

use crate::{
    Encryption,
    cross_signing::{self, Kind},
    json,
};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Their number.
    pub user: UserNid,
    /// Their id.
    pub user_id: &'a UserId,
}

/// The keys of a user.
#[derive(Debug, Default)]
pub struct UserKeys {
    /// By device id; devices without keys are left out.
    pub devices: BTreeMap<String, Box<RawValue>>,
    /// Signs the other two.
    pub master: Option<Box<RawValue>>,
    /// Signs the user's own devices.
    pub self_signing: Option<Box<RawValue>>,
    /// Signs other users' master keys; for the user alone.
    pub user_signing: Option<Box<RawValue>>,
}

/// Signer's id → key id → signature.
type Signatures = BTreeMap<String, BTreeMap<String, String>>;

impl Encryption {
    /// The keys of a user: those of the devices named, or of all if none is.
    pub async fn user_keys(
        &self,
        reader: Reader<'_>,
        (user, user_id): (UserNid, &UserId),
        device_ids: &[&str],
    ) -> Result<UserKeys, StoreError> {
        let mut keys = UserKeys::default();
        let devices = self.devices(user).await?;
        let names: HashMap<&str, Option<&str>> = devices
            .iter()
            .map(|device| (device.device_id.as_str(), device.display_name.as_deref()))
            .filter(|(device_id, _)| device_ids.is_empty() || device_ids.contains(device_id))
            .collect();
        for ((_, device_id), row) in self.device_rows(user, device_ids).await? {
            let Some(name) = names.get(device_id.as_str()) else {
                continue;
            };
            let signatures = self
                .signatures((user, &device_id), &[(user, user_id)])
                .await?;
            let device =
                with_signatures::<DeviceKeys>(&row, &signatures, &Unsigned::DeviceName(*name))?;
            keys.devices.insert(device_id, device);
        }
        self.add_cross_signing_keys(reader, (user, user_id), &mut keys)
            .await?;
        Ok(keys)
    }

    async fn device_rows(
        &self,
        user: UserNid,
        device_ids: &[&str],
    ) -> Result<Vec<((UserNid, String), Raw)>, StoreError> {
        if device_ids.is_empty() {
            let scan = Scan::prefix::<DeviceKeys>(&(user,));
            return self.0.store.scan::<DeviceKeys>(scan).await;
        }
        let keys: Vec<_> = device_ids
            .iter()
            .map(|device_id| (user, (*device_id).to_owned()))
            .collect();
        let rows = self.0.store.multi_get::<DeviceKeys>(&keys).await?;
        let found = keys.into_iter().zip(rows);
        Ok(found
            .filter_map(|(key, row)| row.map(|row| (key, row)))
            .collect())
    }

    async fn add_cross_signing_keys(
        &self,
        reader: Reader<'_>,
        (user, user_id): (UserNid, &UserId),
        keys: &mut UserKeys,
    ) -> Result<(), StoreError> {
        let kinds = [Kind::Master, Kind::SelfSigning, Kind::UserSigning];
        let places: Vec<_> = kinds.iter().map(|kind| (user, kind.number())).collect();
        let rows = self.0.store.multi_get::<CrossSigningKeys>(&places).await?;
        for (kind, row) in kinds.into_iter().zip(rows) {
            let Some(row) = row else { continue };
            let key = json::sent::<CrossSigningKeys>(&row.0)?;
            match kind {
                Kind::Master => {
                    let id = cross_signing::public_key(&key).unwrap_or_default();
                    // Whom others have verified is between them and the reader.
                    let mut signers = vec![(user, user_id)];
                    if reader.user != user {
                        signers.push((reader.user, reader.user_id));
                    }
                    let signatures = self.signatures((user, &id), &signers).await?;
                    keys.master = Some(with_signatures::<CrossSigningKeys>(
                        &row,
                        &signatures,
                        &Unsigned::AsSent,
                    )?);
                }
                Kind::SelfSigning => keys.self_signing = Some(key),
                Kind::UserSigning if reader.user == user => keys.user_signing = Some(key),
                Kind::UserSigning => {}
            }
        }
        Ok(())
    }

    /// The signatures that these users have added to a key.
    async fn signatures(
        &self,
        (user, key_id): (UserNid, &str),
        signers: &[(UserNid, &UserId)],
    ) -> Result<Signatures, StoreError> {
        let mut signatures = Signatures::new();
        for (signer, signer_id) in signers {
            let prefix = (user, key_id.to_owned(), *signer);
            let scan = Scan::prefix::<KeySignatures>(&prefix);
            for ((_, _, _, signing_key), row) in self.0.store.scan::<KeySignatures>(scan).await? {
                let signature = String::from_utf8(row.0.to_vec())
                    .map_err(|_| json::corrupt::<KeySignatures>(CorruptRow("is not text")))?;
                signatures
                    .entry(signer_id.to_string())
                    .or_default()
                    .insert(signing_key, signature);
            }
        }
        Ok(signatures)
    }
}

/// What becomes of `unsigned`.
enum Unsigned<'a> {
    AsSent,
    /// A device's display name, if it has one, and nothing else.
    DeviceName(Option<&'a str>),
}

/// What was uploaded with what was added to it.
fn with_signatures<T: Table>(
    row: &Raw,
    signatures: &Signatures,
    unsigned: &Unsigned<'_>,
) -> Result<Box<RawValue>, StoreError> {
    let mut object: Map<String, Value> = json::parse::<T, _>(row)?;
    let is_unsigned_as_sent = match unsigned {
        Unsigned::AsSent => true,
        Unsigned::DeviceName(None) => object.remove("unsigned").is_none(),
        Unsigned::DeviceName(Some(name)) => {
            let name = json!({ "device_display_name": name });
            object.insert("unsigned".to_owned(), name);
            false
        }
    };
    if is_unsigned_as_sent && signatures.is_empty() {
        return json::sent::<T>(&row.0);
    }
    let all = object.entry("signatures").or_insert_with(|| json!({}));
    for (signer, signed) in signatures {
        let Value::Object(all) = all else { break };
        let one = all.entry(signer.as_str()).or_insert_with(|| json!({}));
        let Value::Object(one) = one else { continue };
        for (key_id, signature) in signed {
            one.insert(key_id.clone(), signature.as_str().into());
        }
    }
    serde_json::value::to_raw_value(&object)
        .map_err(|_| json::corrupt::<T>(CorruptRow("cannot be written as JSON")))
}
