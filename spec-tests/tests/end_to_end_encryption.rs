//! [End-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption): keys handed out, device
//! lists told, backups kept. What needs real keys, real clients do: `real_clients`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use spec_tests::{Feed, Server, User, encode, user};

/// Keys of the right form; nobody checks what the device itself has signed.
fn identity(user: &User) -> Value {
    let (id, device) = (&user.id, &user.device_id);
    json!({
        "user_id": id,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            format!("curve25519:{device}"): "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI",
            format!("ed25519:{device}"): "lEuiRJBit0IG6nUf5pUzWTUEsRVVe/HJkoKuEww9ULI",
        },
        "signatures": { id: { format!("ed25519:{device}"):
            "dSO80A01XiigH3uBiDVx/EjzaoycHcjq9lfQX0uWsqxl2giMIiSPR8a4d291W1ihKJL/a+myXS367WT6NAIcBA" } },
    })
}

fn one_time_keys(count: u32) -> Value {
    let keys = (0..count).map(|number| {
        let key = json!({"key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs", "signatures": {}});
        (format!("signed_curve25519:AAAA{number:04}"), key)
    });
    Value::Object(keys.collect())
}

fn upload(user: &User, body: Value) -> Value {
    user.post("/v3/keys/upload", body).ok()["one_time_key_counts"].clone()
}

fn query(user: &User, other: &User) -> Value {
    let body = json!({"device_keys": {&other.id: []}});
    user.post("/v3/keys/query", body).ok()["device_keys"][&other.id].clone()
}

fn claim(user: &User, other: &User) -> Option<String> {
    let body = json!({"one_time_keys": {&other.id: {&other.device_id: "signed_curve25519"}}});
    let answer = user.post("/v3/keys/claim", body).ok();
    let keys = answer["one_time_keys"][&other.id][&other.device_id].as_object()?;
    keys.keys().next().cloned()
}

fn names(answer: &Value, list: &str, user: &User) -> Option<()> {
    let names = answer["device_lists"][list].as_array()?;
    names.contains(&json!(user.id)).then_some(())
}

#[test]
fn device_keys_are_served_as_uploaded() {
    let alice = user("alice");
    let bob = user("bob");
    let keys = identity(&alice);
    upload(&alice, json!({"device_keys": keys}));
    let served = query(&bob, &alice)[&alice.device_id].clone();
    for key in ["user_id", "device_id", "algorithms", "keys", "signatures"] {
        assert_eq!(served[key], keys[key], "{key}");
    }
}

#[test]
fn keys_of_another_device_are_refused() {
    let alice = user("alice");
    let bob = user("bob");
    let answer = alice.post("/v3/keys/upload", json!({"device_keys": identity(&bob)}));
    assert_eq!(answer.status, 400);
}

#[test]
fn one_time_keys_are_counted_and_given_once() {
    let alice = user("alice");
    let bob = user("bob");
    for _ in 0..2 {
        let counts = upload(&alice, json!({"one_time_keys": one_time_keys(5)}));
        assert_eq!(counts["signed_curve25519"], 5);
    }
    let sync = alice.sync(&[]);
    assert_eq!(sync["device_one_time_keys_count"]["signed_curve25519"], 5);
    let given: BTreeSet<_> = (0..5).filter_map(|_| claim(&bob, &alice)).collect();
    assert_eq!(given.len(), 5);
    assert_eq!(claim(&bob, &alice), None);
    let mut other = one_time_keys(1);
    upload(
        &alice,
        json!({"one_time_keys": {"signed_curve25519:B": {"key": "one"}}}),
    );
    other["signed_curve25519:B"] = json!({"key": "another"});
    let answer = alice.post("/v3/keys/upload", json!({"one_time_keys": other}));
    assert_eq!(answer.status, 400, "another key under a known id");
}

#[test]
fn the_fallback_key_is_given_when_there_is_no_other() {
    let alice = user("alice");
    let bob = user("bob");
    let fallback =
        json!({"signed_curve25519:F": {"key": "a2V5", "fallback": true, "signatures": {}}});
    upload(
        &alice,
        json!({"one_time_keys": one_time_keys(1), "fallback_keys": fallback}),
    );
    let unused = |alice: &User| alice.sync(&[])["device_unused_fallback_key_types"].clone();
    assert_eq!(unused(&alice), json!(["signed_curve25519"]));
    claim(&bob, &alice).unwrap();
    for _ in 0..2 {
        assert_eq!(claim(&bob, &alice).unwrap(), "signed_curve25519:F");
    }
    assert_eq!(unused(&alice), json!([]));
}

#[test]
fn no_key_is_given_twice_over_kill_9() {
    let mut server = Server::start();
    let mut alice = server.client().register("alice");
    let mut bob = server.client().register("bob");
    upload(&alice, json!({"one_time_keys": one_time_keys(20)}));
    let mut given = BTreeSet::new();
    for round in 0..2 {
        for _ in 0..10 {
            let key = claim(&bob, &alice).unwrap();
            assert!(
                given.insert(key.clone()),
                "{key} was given before, in round {round}"
            );
        }
        server.kill();
        server.start_again();
        (alice, bob) = (alice.reconnected(), bob.reconnected());
    }
    assert_eq!(claim(&bob, &alice), None);
}

#[test]
fn those_who_share_a_room_are_told_of_changed_devices() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let mut feed = Feed::from_now(&bob);
    let from = feed.token().to_owned();
    upload(&alice, json!({"device_keys": identity(&alice)}));
    feed.until("the new keys", |sync| names(sync, "changed", &alice));
    let other = alice.log_in_again();
    upload(&other, json!({"device_keys": identity(&other)}));
    feed.until("the new device", |sync| names(sync, "changed", &alice));
    other.post("/v3/logout", json!({})).ok();
    feed.until("the device's end", |sync| names(sync, "changed", &alice));
    assert!(query(&bob, &alice).get(&other.device_id).is_none());
    let path = format!(
        "/v3/keys/changes?from={}&to={}",
        encode(&from),
        encode(feed.token())
    );
    let changes = json!({"device_lists": bob.get(&path).ok()});
    assert_eq!(names(&changes, "changed", &alice), Some(()));
    alice.leave(&room);
    feed.until("the parting", |sync| names(sync, "left", &alice));
    bob.leave(&room);
    alice.join(&room);
    bob.join(&room);
    feed.until("the meeting", |sync| names(sync, "changed", &alice));
}

#[test]
fn a_backup_keeps_the_better_key() {
    let alice = user("alice");
    alice.get("/v3/room_keys/version").fails(404, "M_NOT_FOUND");
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": "abcdefg", "signatures": {}},
    });
    let version = alice.post("/v3/room_keys/version", backup.clone()).ok()["version"].clone();
    let version = version.as_str().unwrap();
    let key = |first: u32| {
        json!({
            "first_message_index": first,
            "forwarded_count": 0,
            "is_verified": false,
            "session_data": {"ephemeral": "YQ", "ciphertext": "YQ", "mac": "YQ"},
        })
    };
    let path = format!("/v3/room_keys/keys/!r:x/session?version={version}");
    let first = alice.put(&path, key(5)).ok();
    assert_eq!(first["count"], 1);
    let worse = alice.put(&path, key(6)).ok();
    assert_eq!(worse["etag"], first["etag"]);
    assert_ne!(alice.put(&path, key(4)).ok()["etag"], first["etag"]);
    assert_eq!(alice.get(&path).ok()["first_message_index"], 4);
    let info = alice.get("/v3/room_keys/version").ok();
    assert_eq!(
        (&info["count"], &info["auth_data"]),
        (&json!(1), &backup["auth_data"])
    );

    let second = alice.post("/v3/room_keys/version", backup).ok()["version"].clone();
    let refused = alice
        .put(&path, key(1))
        .fails(403, "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(refused["current_version"], second);
    alice
        .delete(&format!("/v3/room_keys/version/{version}"))
        .ok();
    alice.get(&path).fails(404, "M_NOT_FOUND");
}
