//! A server on which people have done a bit of everything.

use http::Method;
use ruma::{
    CanonicalJsonObject,
    serde::Base64,
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

const V3: &str = "/_matrix/client/v3";

/// A PNG of one pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1F, 0x15, 0xC4, 0x89, 0, 0, 0, 0x0D, b'I', b'D', b'A', b'T',
    0x78, 0x9C, 0x63, 0xF8, 0xCF, 0xC0, 0xF0, 0x1F, 0, 5, 0, 1, 0xFF, 0x56, 0xC7, 0x2F, 0x0D, 0, 0,
    0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82,
];

pub(super) async fn populated() -> TestServer {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    rooms(&alice, &bob, &carol).await;
    settings(&alice, &bob).await;
    keys(&alice, &bob).await;
    media(&alice).await;
    gone(&server).await;
    deleted(&server, (&alice, &bob)).await;
    // Searching waits until everything is in the index.
    let body = json!({ "search_categories": { "room_events": { "search_term": "hello" } } });
    alice.post(&format!("{V3}/search"), body).await.ok();
    server
}

fn id(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_owned()
}

async fn send(client: &Client, room: &str, txn: &str, content: Value) -> String {
    let path = format!("{V3}/rooms/{room}/send/m.room.message/{txn}");
    id(&client.put(&path, content).await.ok(), "event_id")
}

async fn rooms(alice: &Client, bob: &Client, carol: &Client) {
    for version in ["1", "10", "12"] {
        let body = json!({
            "room_version": version,
            "name": format!("Room {version}"),
            "room_alias_name": format!("room-{version}"),
            "preset": "public_chat",
            "visibility": "public",
            "invite": [&carol.user_id],
        });
        let room = alice.post(&format!("{V3}/createRoom"), body).await.ok();
        let room = id(&room, "room_id");
        bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
        talk(alice, bob, &room).await;
        // Members come and go, and forget.
        let rooms = format!("{V3}/rooms/{room}");
        carol.post(&format!("{rooms}/join"), json!({})).await.ok();
        carol.post(&format!("{rooms}/leave"), json!({})).await.ok();
        carol.post(&format!("{rooms}/forget"), json!({})).await.ok();
        for topic in ["first", "second"] {
            let path = format!("{rooms}/state/m.room.topic");
            alice.put(&path, json!({ "topic": topic })).await.ok();
        }
    }
    let name = json!({ "displayname": "Bob" });
    let path = format!("{V3}/profile/{}/displayname", bob.user_id);
    bob.put(&path, name).await.ok();
}

async fn talk(alice: &Client, bob: &Client, room: &str) {
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let rooms = format!("{V3}/rooms/{room}");
    let first = send(alice, room, "1", text("hello everybody")).await;
    let mut mention = text("hello alice");
    mention["m.mentions"] = json!({ "user_ids": [&alice.user_id] });
    let mention = send(bob, room, "1", mention).await;
    let mut loud = text("hello room");
    loud["m.mentions"] = json!({ "room": true });
    let loud = send(alice, room, "2", loud).await;
    let relates = |kind: &str, to: &str| json!({ "rel_type": kind, "event_id": to });
    let mut reply = text("in a thread");
    reply["m.relates_to"] = relates("m.thread", &first);
    let reply = send(bob, room, "2", reply).await;
    let mut edit = text("* hello all");
    edit["m.new_content"] = text("hello all");
    edit["m.relates_to"] = relates("m.replace", &first);
    send(alice, room, "3", edit).await;
    let mut reaction = relates("m.annotation", &first);
    reaction["key"] = json!("👍");
    let path = format!("{rooms}/send/m.reaction/4");
    let content = json!({ "m.relates_to": reaction });
    let reaction = bob.put(&path, content.clone()).await.ok();
    alice.put(&path, content).await.ok();
    let spoken = send(bob, room, "5", text("hello and goodbye")).await;
    for (number, gone) in [&spoken, &reply, &loud, &id(&reaction, "event_id")]
        .into_iter()
        .enumerate()
    {
        let path = format!("{rooms}/redact/{gone}/{number}");
        alice.put(&path, json!({ "reason": "no" })).await.ok();
    }
    // Only the redacted form of a thread's reply is left; this one stays.
    let mut reply = text("in a thread again");
    reply["m.relates_to"] = relates("m.thread", &first);
    send(bob, room, "6", reply).await;
    let receipt = format!("{rooms}/receipt/m.read/{mention}");
    alice.post(&receipt, json!({})).await.ok();
    let receipt = format!("{rooms}/receipt/m.read.private/{first}");
    bob.post(&receipt, json!({ "thread_id": "main" }))
        .await
        .ok();
}

async fn settings(alice: &Client, bob: &Client) {
    let user = format!("{V3}/user/{}", alice.user_id);
    for (name, content) in [
        ("org.example.one", json!({ "a": 1 })),
        ("org.example.two", json!({})),
    ] {
        let path = format!("{user}/account_data/{name}");
        alice.put(&path, content).await.ok();
    }
    let filter = json!({ "room": { "timeline": { "limit": 5 } } });
    alice.post(&format!("{user}/filter"), filter).await.ok();
    let pusher = json!({
        "app_id": "com.example.app",
        "pushkey": "phone",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": { "url": "https://push.example.org/_matrix/push/v1/notify" },
    });
    alice.post(&format!("{V3}/pushers/set"), pusher).await.ok();
    let path = format!("{V3}/users/{}/report", bob.user_id);
    alice.post(&path, json!({ "reason": "loud" })).await.ok();
    let path = format!("{user}/openid/request_token");
    alice.post(&path, json!({})).await.ok();
    // A session with a refresh token.
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "bob" },
        "password": "password-of-bob",
        "refresh_token": true,
    });
    bob.post(&format!("{V3}/login"), login).await.ok();
}

/// The key pair of a seed.
fn pair(seed: &str) -> Ed25519KeyPair {
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
    Ed25519KeyPair::from_der(&document, seed.to_owned()).unwrap()
}

fn public(seed: &str) -> String {
    let key: Base64 = Base64::new(pair(seed).public_key().to_vec());
    key.encode()
}

async fn keys(alice: &Client, bob: &Client) {
    for client in [alice, bob] {
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
        let mut object: CanonicalJsonObject = serde_json::from_value(keys).unwrap();
        sign_json(user_id, &pair(device_id), &mut object).unwrap();
        let one_time = |id: u32| (format!("signed_curve25519:{id}"), json!({ "key": "a2V5" }));
        let body = json!({
            "device_keys": object,
            "one_time_keys": (0..3).map(one_time).collect::<serde_json::Map<_, _>>(),
            "fallback_keys": { "signed_curve25519:f": { "key": "a2V5", "fallback": true } },
        });
        client.post(&format!("{V3}/keys/upload"), body).await.ok();
    }
    let claim = json!({
        "one_time_keys": { &alice.user_id: { &alice.device_id: "signed_curve25519" } },
    });
    bob.post(&format!("{V3}/keys/claim"), claim).await.ok();
    let message = json!({
        "messages": { &alice.user_id: { &alice.device_id: { "body": "for you" } } },
    });
    let path = format!("{V3}/sendToDevice/org.example.message/1");
    bob.put(&path, message).await.ok();
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "cHVibGlj", "signatures": {} },
    });
    let path = format!("{V3}/room_keys/version");
    let version = id(&alice.post(&path, backup).await.ok(), "version");
    let key = json!({
        "first_message_index": 0,
        "forwarded_count": 0,
        "is_verified": true,
        "session_data": { "ephemeral": "ZQ", "ciphertext": "Yw", "mac": "bQ" },
    });
    for session in ["one", "two"] {
        let path = format!("{V3}/room_keys/keys/!room:localhost/{session}?version={version}");
        alice.put(&path, key.clone()).await.ok();
    }
}

async fn media(alice: &Client) {
    let upload = "/_matrix/media/v3/upload?filename=a.png";
    let headers = [("content-type", "image/png")];
    for bytes in [PNG, PNG, b"some text"] {
        let body = bytes.to_vec();
        let reply = alice.send_with(Method::POST, upload, &headers, body).await;
        reply.ok();
    }
    let announced = alice.post("/_matrix/media/v1/create", json!({})).await;
    announced.ok();
}

/// A room that an administrator has deleted, with all that was in it; and one that nobody may enter.
async fn deleted(server: &TestServer, (alice, bob): (&Client, &Client)) {
    let admin = server.register("admin").await;
    let admin_id = ruma::UserId::parse(&admin.user_id).unwrap();
    let users = &server.services.users;
    let (number, _) = users.account(&admin_id).await.unwrap().unwrap();
    users.set_admin(number, true).await.unwrap();
    let body = json!({
        "name": "Doomed",
        "room_alias_name": "doomed",
        "preset": "public_chat",
        "visibility": "public",
    });
    let room = alice.post(&format!("{V3}/createRoom"), body).await.ok();
    let room = id(&room, "room_id");
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    talk(alice, bob, &room).await;
    let path = format!("{V3}/user/{}/rooms/{room}/tags/u.work", alice.user_id);
    alice.put(&path, json!({ "order": 0.5 })).await.ok();
    let path = format!("/_synapse/admin/v1/rooms/{room}");
    let deleted = admin.delete(&path, json!({ "block": true })).await.ok();
    assert_eq!(deleted["failed_to_kick_users"], json!([]));
    let path = "/_synapse/admin/v1/rooms/!elsewhere:localhost/block";
    admin.put(path, json!({ "block": true })).await.ok();
    purged(server, &admin, (alice, bob)).await;
}

/// A room whose past an administrator has removed, and that lives on.
async fn purged(server: &TestServer, admin: &Client, (alice, bob): (&Client, &Client)) {
    let body = json!({ "name": "Forgetful", "preset": "public_chat" });
    let room = alice.post(&format!("{V3}/createRoom"), body).await.ok();
    let room = id(&room, "room_id");
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
    talk(alice, bob, &room).await;
    let topic = format!("{V3}/rooms/{room}/state/m.room.topic");
    let redacted = alice.put(&topic, json!({ "topic": "bad" })).await.ok();
    let redacted = id(&redacted, "event_id");
    let path = format!("{V3}/rooms/{room}/redact/{redacted}/r");
    alice.put(&path, json!({})).await.ok();
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let point = send(alice, &room, "50", text("from here on")).await;
    let path = format!("/_synapse/admin/v1/purge_history/{room}/{point}");
    let body = json!({ "delete_local_events": true });
    let started = admin.post(&path, body).await.ok();
    let task = store::Pos(id(&started, "purge_id").parse().unwrap());
    let ended = server.services.administration.ended(task).await.unwrap();
    assert!(ended.result["removed"].as_u64().unwrap() >= 6, "{ended:?}");
    talk_again(alice, bob, &room).await;
}

async fn talk_again(alice: &Client, bob: &Client, room: &str) {
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let said = send(bob, room, "51", text("what was that?")).await;
    let mut reply = text("nothing");
    reply["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": said });
    let reply = send(alice, room, "52", reply).await;
    let path = format!("{V3}/rooms/{room}/redact/{reply}/53");
    alice.put(&path, json!({})).await.ok();
}

/// Somebody who has left again, with all that they had.
async fn gone(server: &TestServer) {
    let dave = server.register("dave").await;
    let other = server.login("dave").await;
    other.post(&format!("{V3}/logout"), json!({})).await.ok();
    let body = json!({
        "auth": {
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": "dave" },
            "password": "password-of-dave",
        },
        "erase": true,
    });
    let path = format!("{V3}/account/deactivate");
    dave.post(&path, body).await.ok();
}
