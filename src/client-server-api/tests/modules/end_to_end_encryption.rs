//! [End-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption).

use ruma::{
    CanonicalJsonObject,
    serde::Base64,
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json};
use test_support::{Client, Reply};

mod cross_signing;
mod dehydrated_devices;
mod device_lists;
mod key_backup;
mod keys;

/// A key pair that is always the same for a seed.
fn pair(seed: &str, version: &str) -> Ed25519KeyPair {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(seed.bytes()) {
        *place = byte;
    }
    // A PKCS#8 document around the seed (RFC 8410, section 7).
    let head = "302e020100300506032b657004220420";
    let mut document: Vec<u8> = (0..head.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&head[place..place + 2], 16).unwrap())
        .collect();
    document.extend_from_slice(&bytes);
    Ed25519KeyPair::from_der(&document, version.to_owned()).unwrap()
}

pub(crate) fn public(seed: &str) -> String {
    let key: Base64 = Base64::new(pair(seed, "x").public_key().to_vec());
    key.encode()
}

/// The same object with a signature by the key of `seed`, which is called `name`.
pub(crate) fn signed(value: &Value, signer: &str, (seed, name): (&str, &str)) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
    sign_json(signer, &pair(seed, name), &mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

/// Identity keys of a client's device, signed by itself.
pub(crate) fn identity(client: &Client) -> Value {
    let (user_id, device_id) = (&client.user_id, &client.device_id);
    let keys = json!({
        "user_id": user_id,
        "device_id": device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            format!("ed25519:{device_id}"): public(device_id),
            format!("curve25519:{device_id}"): "Y3VydmU",
        },
    });
    signed(&keys, user_id, (device_id, device_id))
}

/// One-time keys with these numbers.
pub(crate) fn one_time_keys(numbers: std::ops::Range<u32>) -> Value {
    let keys = numbers.map(|number| {
        let key = json!({ "key": format!("a2V5{number}"), "signatures": {} });
        (format!("signed_curve25519:{number:04}"), key)
    });
    Value::Object(keys.collect())
}

pub(crate) async fn upload(client: &Client, body: Value) -> Reply {
    client.post("/_matrix/client/v3/keys/upload", body).await
}

/// Uploads identity keys and gives them.
pub(crate) async fn upload_identity(client: &Client) -> Value {
    let keys = identity(client);
    upload(client, json!({ "device_keys": keys })).await.ok();
    keys
}

pub(crate) async fn query(client: &Client, user_id: &str) -> Value {
    let body = json!({ "device_keys": { user_id: [] } });
    let path = "/_matrix/client/v3/keys/query";
    client.post(path, body).await.ok()
}

/// A user's cross-signing keys; the master key's seed is `master`.
pub(crate) fn cross_signing(client: &Client, master: &str) -> Value {
    let key = |usage: &str, seed: &str| {
        let name = format!("ed25519:{}", public(seed));
        json!({ "user_id": client.user_id, "usage": [usage], "keys": { name: public(seed) } })
    };
    let by_master = |key: &Value| signed(key, &client.user_id, (master, &public(master)));
    let own = |kind: &str| format!("{} {kind}", client.user_id);
    json!({
        "master_key": key("master", master),
        "self_signing_key": by_master(&key("self_signing", &own("self"))),
        "user_signing_key": by_master(&key("user_signing", &own("user"))),
    })
}

pub(crate) const CROSS_SIGNING: &str = "/_matrix/client/v3/keys/device_signing/upload";
