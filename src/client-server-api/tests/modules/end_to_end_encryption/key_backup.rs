use serde_json::{Value, json};
use test_support::{Client, TestServer};

const VERSION: &str = "/_matrix/client/v3/room_keys/version";
const KEYS: &str = "/_matrix/client/v3/room_keys/keys";

fn backup() -> Value {
    json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "cHVibGlj", "signatures": {}, "extra": [1] },
    })
}

fn key(first: u32) -> Value {
    json!({
        "first_message_index": first,
        "forwarded_count": 0,
        "is_verified": true,
        "session_data": { "ephemeral": "ZQ", "ciphertext": "Yw", "mac": "bQ" },
    })
}

async fn made(client: &Client) -> String {
    let answer = client.post(VERSION, backup()).await.ok();
    answer["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_backup_is_made_changed_and_deleted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    alice.get(VERSION).await.is(404, "M_NOT_FOUND");
    let version = made(&alice).await;
    let path = format!("{VERSION}/{version}");
    for path in [VERSION, &path] {
        let answer = alice.get(path).await.ok();
        assert_eq!(answer["algorithm"], backup()["algorithm"]);
        assert_eq!(answer["auth_data"], backup()["auth_data"], "kept as sent");
        assert_eq!(
            (&answer["version"], &answer["count"]),
            (&json!(version), &json!(0))
        );
        assert!(answer["etag"].is_string());
    }
    let mut changed = backup();
    changed["auth_data"]["extra"] = json!(2);
    changed["version"] = json!(version);
    assert_eq!(alice.put(&path, changed.clone()).await.ok(), json!({}));
    assert_eq!(alice.get(&path).await.ok()["auth_data"]["extra"], 2);
    changed["version"] = json!("77");
    alice.put(&path, changed).await.is(400, "M_INVALID_PARAM");
    let mut other = backup();
    other["algorithm"] = json!("m.other");
    alice.put(&path, other).await.is(400, "M_INVALID_PARAM");
    alice
        .put(&format!("{VERSION}/77"), backup())
        .await
        .is(404, "M_NOT_FOUND");
    alice.post(VERSION, json!({})).await.is(400, "M_BAD_JSON");
    assert_eq!(alice.delete(&path, json!({})).await.ok(), json!({}));
    alice.delete(&path, json!({})).await.is(404, "M_NOT_FOUND");
    alice.get(&path).await.is(404, "M_NOT_FOUND");
    let bob = server.register("bob").await;
    bob.get(VERSION).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn keys_are_put_got_and_deleted_one_by_one_by_room_and_all() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let version = made(&alice).await;
    let at = |place: &str| format!("{KEYS}{place}?version={version}");
    let answer = alice.put(&at("/!a:x/s%2F1"), key(1)).await.ok();
    assert_eq!(answer["count"], 1);
    let etag = answer["etag"].clone();
    let sessions = json!({ "sessions": { "s/1": key(2), "s2": key(2) } });
    let answer = alice.put(&at("/!a:x"), sessions.clone()).await.ok();
    assert_eq!(answer["count"], 2);
    assert_ne!(answer["etag"], etag);
    let answer = alice
        .put(&at(""), json!({ "rooms": { "!b:x": sessions } }))
        .await
        .ok();
    assert_eq!(answer["count"], 4);
    let again = alice
        .put(&at(""), json!({ "rooms": { "!b:x": sessions } }))
        .await
        .ok();
    assert_eq!(again, answer, "nothing has changed");
    assert_eq!(alice.get(VERSION).await.ok()["etag"], answer["etag"]);

    assert_eq!(
        alice.get(&at("/!a:x/s%2F1")).await.ok(),
        key(1),
        "the earlier index stays"
    );
    let expected = json!({ "sessions": { "s/1": key(1), "s2": key(2) } });
    assert_eq!(alice.get(&at("/!a:x")).await.ok(), expected);
    let expected = json!({ "rooms": { "!a:x": expected, "!b:x": sessions } });
    assert_eq!(alice.get(&at("")).await.ok(), expected);
    assert_eq!(
        alice.get(&at("/!c:x")).await.ok(),
        json!({ "sessions": {} })
    );
    alice.get(&at("/!a:x/s3")).await.is(404, "M_NOT_FOUND");

    assert_eq!(
        alice.delete(&at("/!a:x/s2"), json!({})).await.ok()["count"],
        3
    );
    assert_eq!(alice.delete(&at("/!b:x"), json!({})).await.ok()["count"], 1);
    assert_eq!(alice.delete(&at(""), json!({})).await.ok()["count"], 0);
    assert_eq!(alice.get(&at("")).await.ok(), json!({ "rooms": {} }));
}

#[tokio::test]
async fn keys_go_to_the_current_backup_only() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let at = |version: &str| format!("{KEYS}/!a:x/s?version={version}");
    alice.put(&at("1"), key(1)).await.is(404, "M_NOT_FOUND");
    let (old, new) = (made(&alice).await, made(&alice).await);
    let error = alice
        .put(&at(&old), key(1))
        .await
        .is(403, "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(error["current_version"], json!(new));
    alice.put(&at(&new), key(1)).await.ok();
    alice.put(&at(&new), json!({})).await.is(400, "M_BAD_JSON");
    alice
        .put(&at(&new), json!({ "is_verified": 5 }))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .put(&format!("{KEYS}/!a:x/s"), key(1))
        .await
        .is(400, "M_INVALID_PARAM");
    alice
        .get(&format!("{KEYS}?version=77"))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .delete(&format!("{KEYS}?version=77"), json!({}))
        .await
        .is(404, "M_NOT_FOUND");
    for path in [VERSION, &at(&new)] {
        server.anyone().get(path).await.is(401, "M_MISSING_TOKEN");
    }
    let bob = server.register("bob").await;
    bob.get(&at(&new)).await.is(404, "M_NOT_FOUND");
}
