//! Scenarios of encryption: keys uploaded, and a room's key shared with many devices.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::{Prepared, WRITERS, in_tasks};
use crate::Result;
use crate::client::{User, encode, text};
use crate::target::Target;

/// One-time keys of a device, as clients make them at first.
const ONE_TIME_KEYS: usize = 50;
/// Messages of one `sendToDevice`: matrix-rust-sdk puts at most so many in one.
const MESSAGES_AT_ONCE: usize = 250;
/// Bytes of an encrypted room key: base64 of about 700.
const CIPHERTEXT_BYTES: usize = 936;

/// Unpadded base64 that no other call with this seed gives; keys are compared and stored, not used.
fn base64(length: usize, seed: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // FNV-1a, then xorshift: pseudo-random text without a crate for it.
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[usize::try_from(state >> 58).unwrap_or(0)])
    };
    // The last character of 32 or 64 bytes has bits to spare, which must be 0.
    std::iter::repeat_with(next)
        .take(length - 1)
        .chain(['A'])
        .collect()
}

/// Device keys and one-time keys of each device, in parallel.
pub async fn upload_keys(target: &Target, prepared: &Prepared) -> Result<Vec<Duration>> {
    let users = prepared.users.clone();
    let run = target.fresh("keys");
    in_tasks(WRITERS, users.len(), move |index| {
        let (user, body) = (users[index].clone(), keys(&users[index], &run));
        async move {
            let answer = user.post("/_matrix/client/v3/keys/upload", &body).await?;
            let counts = answer.json()?;
            let count = counts["one_time_key_counts"]["signed_curve25519"].as_u64();
            if count.is_none_or(|count| count < ONE_TIME_KEYS as u64) {
                return Err(format!("not all keys were kept: {counts}").into());
            }
            Ok(answer.took)
        }
    })
    .await
}

fn keys(user: &User, run: &str) -> Value {
    let (id, device) = (user.id.as_str(), user.device.as_str());
    let signature = |of: &str| json!({id: {format!("ed25519:{device}"): base64(86, of)}});
    let mut one_time_keys = Map::new();
    for number in 0..ONE_TIME_KEYS {
        let seed = format!("{run} {id} {number}");
        let name = format!("signed_curve25519:{}", &base64(12, &seed)[..11]);
        let key = json!({"key": base64(43, &seed), "signatures": signature(&seed)});
        one_time_keys.insert(name, key);
    }
    json!({
        "device_keys": {
            "user_id": id,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("curve25519:{device}"): base64(43, device),
                format!("ed25519:{device}"): base64(43, id),
            },
            "signatures": signature(id),
        },
        "one_time_keys": one_time_keys,
    })
}

/// One user sends a key to each device; then each syncs until it has it, and once more, when it must not come again.
///
/// # Errors
/// A key that came twice or never.
pub async fn share_key(target: &Target, prepared: &Prepared) -> Result<Vec<Duration>> {
    let (sender, devices) = (&prepared.users[0], &prepared.users[1..]);
    let run = target.fresh("share");
    let mut tokens = Vec::with_capacity(devices.len());
    for device in devices {
        tokens.push(device.now().await?);
    }
    let mut latencies = Vec::new();
    for chunk in devices.chunks(MESSAGES_AT_ONCE) {
        let messages = chunk.iter().map(|device| {
            let content = json!({
                "algorithm": "m.olm.v1.curve25519-aes-sha2",
                "sender_key": base64(43, &sender.id),
                "ciphertext": {base64(43, &device.id): {"type": 0, "body": base64(CIPHERTEXT_BYTES, &device.id)}},
                "run": run,
            });
            (device, content)
        });
        let sent = sender
            .send_to_devices("m.room.encrypted", &target.fresh("txn"), messages)
            .await?;
        latencies.push(sent.took);
    }
    let mut receiving = JoinSet::new();
    for (device, since) in devices.iter().zip(tokens) {
        receiving.spawn(receive(device.clone(), run.clone(), since));
    }
    while let Some(received) = receiving.join_next().await {
        latencies.push(received??);
    }
    Ok(latencies)
}

/// All at once, as after a message in a large room; gives how long the sync with the key took.
async fn receive(device: User, run: String, mut since: String) -> Result<Duration> {
    let mut took = Duration::ZERO;
    let mut seen = 0;
    // Acknowledged by the second, which must not bring it again; nor must the third.
    for round in 0..3 {
        let answer = device
            .sync(&format!(
                "since={}&timeout=0&set_presence=offline",
                encode(&since)
            ))
            .await?;
        if round == 0 {
            took = answer.took;
        }
        let answer = answer.json()?;
        text(&answer, "next_batch")?.clone_into(&mut since);
        let events = answer["to_device"]["events"].as_array();
        seen += events
            .into_iter()
            .flatten()
            .filter(|event| event["content"]["run"] == run.as_str())
            .count();
    }
    if seen == 1 {
        Ok(took)
    } else {
        Err(format!("{} has the key {seen} times", device.device).into())
    }
}
