//! What the tests of this crate share: keys over a store in memory, and users whose devices the test names.

use std::{collections::HashMap, sync::Arc};

use host::{Host, ManualClock};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, OwnedUserId, UserId,
    serde::Base64,
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json, value::RawValue};
use store::{MemoryDisk, Pos, Store, StoreOptions, UserNid};

use crate::{
    DeviceName, DevicesFuture, Directory, Encryption, Follower, KeyUpload, Reader, Sending,
};

/// Devices by user.
#[derive(Default)]
pub(crate) struct Devices(Mutex<HashMap<UserNid, Vec<DeviceName>>>);

impl Directory for Devices {
    fn devices(&self, user: UserNid) -> DevicesFuture<'_> {
        let devices = self.0.lock().get(&user).cloned().unwrap_or_default();
        Box::pin(async move { Ok(devices) })
    }
}

/// Everything that was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) lists: Mutex<Vec<(UserNid, Option<UserNid>)>>,
    pub(crate) messages: Mutex<Vec<(UserNid, String)>>,
}

impl Follower for Told {
    fn device_list_changed(&self, user: UserNid, audience: Option<UserNid>, _pos: Pos) {
        self.lists.lock().push((user, audience));
    }

    fn message_sent(&self, user: UserNid, device_id: &str, _pos: Pos) {
        self.messages.lock().push((user, device_id.to_owned()));
    }
}

impl Told {
    /// Whose lists changed since the last call.
    pub(crate) fn lists(&self) -> Vec<(UserNid, Option<UserNid>)> {
        std::mem::take(&mut self.lists.lock())
    }
}

pub(crate) struct Fixture {
    pub(crate) encryption: Encryption,
    pub(crate) store: Store,
    pub(crate) told: Arc<Told>,
    devices: Arc<Devices>,
    disk: MemoryDisk,
}

pub(crate) struct Person {
    pub(crate) user: UserNid,
    pub(crate) user_id: OwnedUserId,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::over(MemoryDisk::new(), Arc::default())
    }

    fn over(disk: MemoryDisk, devices: Arc<Devices>) -> Self {
        let host = Host::manual(&ManualClock::new(1_770_000_000_000), 7);
        let store = Store::open_memory_disk(&disk, &StoreOptions::default(), host).unwrap();
        let encryption = Encryption::new(store.clone(), devices.clone());
        let told = Arc::new(Told::default());
        encryption.follow(told.clone());
        Self {
            encryption,
            store,
            told,
            devices,
            disk,
        }
    }

    /// The machine loses power; what the disk has is opened again.
    pub(crate) fn crashed(self) -> Self {
        self.disk.crash();
        Self::over(self.disk, self.devices)
    }

    /// A user with devices.
    pub(crate) async fn person(&self, name: &str, device_ids: &[&str]) -> Person {
        let user_id = UserId::parse(format!("@{name}:localhost")).unwrap();
        let user = self
            .store
            .interner()
            .number(user_id.as_str())
            .await
            .unwrap();
        let devices = device_ids.iter().map(|device_id| DeviceName {
            device_id: (*device_id).to_owned(),
            display_name: Some(format!("{name}'s {device_id}")),
        });
        self.devices.0.lock().insert(user, devices.collect());
        Person { user, user_id }
    }

    /// The user is no longer logged in with the device.
    pub(crate) fn forget_device(&self, person: &Person, device_id: &str) {
        let mut devices = self.devices.0.lock();
        let devices = devices.entry(person.user).or_default();
        devices.retain(|device| device.device_id != device_id);
    }

    /// Uploads identity keys for a device, signed by itself.
    pub(crate) async fn upload_identity(&self, person: &Person, device_id: &str) -> Box<RawValue> {
        let keys = identity(person, device_id, device_id);
        let upload = KeyUpload {
            device_keys: Some(keys.clone()),
            ..KeyUpload::default()
        };
        self.encryption
            .upload_keys(person.owner(), device_id, upload)
            .await
            .unwrap();
        keys
    }

    /// Users whose lists `reader` is told of, behind `since`.
    pub(crate) async fn changes(&self, reader: &Person, since: Pos) -> Vec<UserNid> {
        let upto = self.store.visible();
        self.encryption
            .device_list_changes(reader.user, since, upto)
            .await
            .unwrap()
    }
}

impl Person {
    pub(crate) fn owner(&self) -> (UserNid, &UserId) {
        (self.user, &self.user_id)
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            user: self.user,
            user_id: &self.user_id,
        }
    }

    pub(crate) fn sending<'a>(&'a self, device_id: &'a str, txn_id: &'a str) -> Sending<'a> {
        Sending {
            user: self.user,
            user_id: &self.user_id,
            device_id,
            event_type: "m.test",
            txn_id,
            now_ms: 1,
        }
    }
}

/// A key pair that is always the same for a seed; its version is `version`.
pub(crate) fn pair(seed: &str, version: &str) -> Ed25519KeyPair {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(seed.bytes()) {
        *place = byte;
    }
    // A PKCS#8 document around the seed (RFC 8410, section 7).
    let mut document = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    document.extend_from_slice(&bytes);
    Ed25519KeyPair::from_der(&document, version.to_owned()).unwrap()
}

pub(crate) fn public(seed: &str) -> String {
    let key: Base64 = Base64::new(pair(seed, "x").public_key().to_vec());
    key.encode()
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

/// The same object with a signature by the key of `seed`, which is called `name`.
pub(crate) fn signed(value: &Value, signer: &UserId, (seed, name): (&str, &str)) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
    sign_json(signer.as_str(), &pair(seed, name), &mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

/// Identity keys of a device, signed by itself.
pub(crate) fn identity(person: &Person, device_id: &str, seed: &str) -> Box<RawValue> {
    let keys = json!({
        "user_id": person.user_id,
        "device_id": device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            format!("ed25519:{device_id}"): public(seed),
            format!("curve25519:{device_id}"): format!("curve of {seed}"),
        },
    });
    raw(&signed(&keys, &person.user_id, (seed, device_id)))
}

/// A cross-signing key, signed by the master key of `master`, if there is one.
pub(crate) fn cross_signing_key(
    person: &Person,
    (usage, seed): (&str, &str),
    master: Option<&str>,
) -> Box<RawValue> {
    let key = json!({
        "user_id": person.user_id,
        "usage": [usage],
        "keys": { format!("ed25519:{}", public(seed)): public(seed) },
    });
    raw(&match master {
        None => key,
        Some(master) => signed(&key, &person.user_id, (master, &public(master))),
    })
}

pub(crate) fn parsed(json: &RawValue) -> Value {
    serde_json::from_str(json.get()).unwrap()
}
