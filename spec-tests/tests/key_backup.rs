//! [Key backup](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups) and
//! [cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing): what is kept is served.

use serde_json::{Value, json};
use spec_tests::user;

const VERSIONS: &str = "/v3/room_keys/version";

fn key() -> Value {
    json!({
        "first_message_index": 1,
        "forwarded_count": 0,
        "is_verified": true,
        "session_data": {"ephemeral": "ZQ", "ciphertext": "Yw", "mac": "bQ"},
    })
}

#[test]
fn a_backup_is_made_changed_and_deleted() {
    let alice = user("alice");
    let mut backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": "cHVibGlj", "signatures": {}},
    });
    let made = alice.post(VERSIONS, backup.clone()).ok();
    let path = format!("{VERSIONS}/{}", made["version"].as_str().unwrap());
    assert_eq!(alice.get(&path).ok()["auth_data"], backup["auth_data"]);
    backup["auth_data"]["public_key"] = json!("b3RoZXI");
    alice.put(&path, backup.clone()).ok();
    assert_eq!(alice.get(VERSIONS).ok()["auth_data"], backup["auth_data"]);
    alice.delete(&path).ok();
    alice.get(&path).fails(404, "M_NOT_FOUND");
}

#[test]
fn keys_are_kept_one_by_one_by_room_and_all() {
    let alice = user("alice");
    let backup = json!({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {}});
    let version = alice.post(VERSIONS, backup).ok()["version"].clone();
    let version = version.as_str().unwrap().to_owned();
    let at = |place: &str| format!("/v3/room_keys/keys{place}?version={version}");
    let room = json!({"sessions": {"s2": key()}});
    let all = json!({"rooms": {"!b:x": room}});
    assert_eq!(alice.put(&at("/!a:x/s1"), key()).ok()["count"], 1);
    assert_eq!(alice.put(&at("/!a:x"), room.clone()).ok()["count"], 2);
    assert_eq!(alice.put(&at(""), all).ok()["count"], 3);
    assert_eq!(alice.get(&at("/!a:x/s1")).ok(), key());
    assert_eq!(alice.get(&at("/!b:x")).ok(), room);
    assert_eq!(alice.get(&at("")).ok()["rooms"]["!b:x"], room);
    assert_eq!(alice.delete(&at("/!a:x/s1")).ok()["count"], 2);
    assert_eq!(alice.delete(&at("/!a:x")).ok()["count"], 1);
    assert_eq!(alice.delete(&at("")).ok()["count"], 0);
}

#[test]
fn a_cross_signing_key_is_served_and_a_bad_signature_is_told() {
    let alice = user("alice");
    // The public key of the specification's test vectors.
    let public = "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI";
    let master = json!({
        "user_id": alice.id,
        "usage": ["master"],
        "keys": {format!("ed25519:{public}"): public},
    });
    let upload = json!({"master_key": master});
    let path = "/v3/keys/device_signing/upload";
    assert_eq!(alice.post(path, upload).ok(), json!({}));
    let query = json!({"device_keys": {&alice.id: []}});
    let served = alice.post("/v3/keys/query", query).ok();
    assert_eq!(served["master_keys"][&alice.id]["keys"], master["keys"]);

    let mut signed = master;
    signed["signatures"] = json!({&alice.id: {format!("ed25519:{}", alice.device_id): "bm8"}});
    let signatures = json!({&alice.id: {public: signed}});
    let answer = alice.post("/v3/keys/signatures/upload", signatures).ok();
    assert!(
        answer["failures"][&alice.id][public]["errcode"].is_string(),
        "{answer}"
    );
}
