//! Encryption: keys up, keys asked for, keys claimed, and a room's key shared with many devices.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::broadcast::lost_and_doubled;
use super::reading::must_be;
use super::{Made, Numbers, Stage, in_tasks};
use crate::Result;
use crate::client::{User, encode, text};
use crate::measure::{Measured, watch};
use crate::target::Target;

/// One-time keys of a device, as clients make them at first.
const ONE_TIME_KEYS: usize = 50;
/// Claims of a round, as fast as they go; and at most as many on schedule.
const CLAIMS: usize = 10;
/// Queries of a round, as fast as they go.
const QUERIES: usize = 20;
/// Devices that upload at once.
const UPLOADING: usize = 8;
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

/// So many users with a device each, whose keys nobody has yet.
async fn devices(target: &Target, count: usize) -> Result<Made> {
    let name = format!("{count} devices");
    let making = async {
        Ok(Made {
            users: target.users(count).await?,
            rooms: Vec::new(),
        })
    };
    target.library.get(name, making).await
}

/// The same whose keys are on the server, with one-time keys.
async fn devices_with_keys(target: &Target, count: usize) -> Result<Made> {
    let made = devices(target, count).await?;
    let (users, run) = (made.users.clone(), target.fresh("keys"));
    in_tasks(UPLOADING, count, move |index| {
        let (user, run) = (users[index].clone(), run.clone());
        async move { upload_keys(&user, &run).await }
    })
    .await?;
    Ok(made)
}

pub async fn upload(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let count = numbers.some(0);
    let made = devices(&target, count).await?;
    let run = target.fresh("keys");
    Ok(Stage::each(UPLOADING, count, move |index| {
        let user = made.users[index % count].clone();
        let run = format!("{run}-{index}");
        async move { upload_keys(&user, &run).await }
    }))
}

async fn upload_keys(user: &User, run: &str) -> Result<()> {
    let answer = user
        .post("/_matrix/client/v3/keys/upload", &keys(user, run))
        .await?;
    let counts = answer.json()?;
    let count = counts["one_time_key_counts"]["signed_curve25519"].as_u64();
    if count.is_none_or(|count| count < ONE_TIME_KEYS as u64) {
        return Err(format!("not all keys were kept: {counts}").into());
    }
    Ok(())
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

pub async fn query(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = devices_with_keys(&target, numbers.some(0)).await?;
    let wanted: Map<_, _> = made
        .users
        .iter()
        .map(|user| (user.id.clone(), json!([])))
        .collect();
    let body = Arc::new(json!({ "device_keys": wanted }));
    Ok(Stage::each(1, QUERIES, move |_| {
        let (user, body) = (made.users[0].clone(), Arc::clone(&body));
        async move {
            let answer = user.post("/_matrix/client/v3/keys/query", &body).await?;
            must_be(
                entries(&answer.json()?["device_keys"]),
                entries(&body["device_keys"]),
                "devices",
            )
        }
    }))
}

pub async fn claim(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = devices_with_keys(&target, numbers.some(0)).await?;
    let wanted: Map<_, _> = made
        .users
        .iter()
        .map(|user| (user.id.clone(), json!({&user.device: "signed_curve25519"})))
        .collect();
    let body = Arc::new(json!({ "one_time_keys": wanted }));
    let (target, refilled) = (Arc::clone(&target), made.users.len());
    let stage = Stage::each(1, CLAIMS, move |_| {
        let (user, body) = (made.users[0].clone(), Arc::clone(&body));
        async move {
            let answer = user.post("/_matrix/client/v3/keys/claim", &body).await?;
            must_be(
                entries(&answer.json()?["one_time_keys"]),
                entries(&body["one_time_keys"]),
                "keys",
            )
        }
    });
    // What the round before took.
    Ok(stage.before(move || {
        let target = Arc::clone(&target);
        async move { devices_with_keys(&target, refilled).await.map(drop) }
    }))
}

fn entries(object: &Value) -> usize {
    object.as_object().map_or(0, Map::len)
}

/// One user sends a key to each device; then each syncs until it has it, and once more, when it must not come again.
pub async fn share_key(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = devices(&target, numbers.some(0)).await?;
    Ok(Stage::whole(move || {
        let (target, devices) = (Arc::clone(&target), made.users.clone());
        async move { share_key_once(&target, &devices).await }
    }))
}

async fn share_key_once(target: &Target, devices: &[User]) -> Result<Measured> {
    let run = target.fresh("share");
    let mut tokens = Vec::with_capacity(devices.len());
    for device in devices {
        tokens.push(device.now().await?);
    }
    let (mut measured, received) = watch(target, devices.len(), async {
        for chunk in devices.chunks(MESSAGES_AT_ONCE) {
            let messages = chunk.iter().map(|device| (device, room_key(device, &run)));
            devices[0]
                .send_to_devices("m.room.encrypted", &target.fresh("txn"), messages)
                .await?;
        }
        let mut receiving = JoinSet::new();
        for (device, since) in devices.iter().zip(tokens) {
            receiving.spawn(receive(device.clone(), run.clone(), since));
        }
        let mut received = Vec::new();
        while let Some(one) = receiving.join_next().await {
            received.push(one??);
        }
        Ok(received)
    })
    .await?;
    let (mut latencies, counts): (Vec<_>, Vec<_>) = received.into_iter().unzip();
    measured.set_latencies(&mut latencies);
    let counts: Vec<_> = counts.into_iter().map(heard).collect();
    measured.notes.extend(lost_and_doubled(&counts, 1));
    Ok(measured)
}

fn heard(count: u32) -> std::collections::HashMap<usize, u32> {
    (count > 0).then_some((0, count)).into_iter().collect()
}

fn room_key(device: &User, run: &str) -> Value {
    let body = base64(CIPHERTEXT_BYTES, &device.id);
    json!({
        "algorithm": "m.olm.v1.curve25519-aes-sha2",
        "sender_key": base64(43, run),
        "ciphertext": {base64(43, &device.id): {"type": 0, "body": body}},
        "run": run,
    })
}

/// All at once, as after a message in a large room; gives how long the sync with the key took, and how often it came.
async fn receive(device: User, run: String, mut since: String) -> Result<(Duration, u32)> {
    let mut took = Duration::ZERO;
    let mut seen = 0;
    // Acknowledged by the second, which must not bring it again; nor must the third.
    for round in 0..3 {
        let query = format!("since={}&timeout=0&set_presence=offline", encode(&since));
        let answer = device.sync(&query).await?;
        if round == 0 {
            took = answer.took;
        }
        let answer = answer.json()?;
        text(&answer, "next_batch")?.clone_into(&mut since);
        let events = answer["to_device"]["events"]
            .as_array()
            .into_iter()
            .flatten();
        for event in events {
            seen += u32::from(event["content"]["run"] == run.as_str());
        }
    }
    Ok((took, seen))
}
