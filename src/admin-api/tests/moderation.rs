use serde_json::{Value, json};
use store::Pos;
use test_support::{Client, TestServer};

use crate::administrator;

const ADMIN: &str = "/_synapse/admin/v1";
const V3: &str = "/_matrix/client/v3";

async fn create(client: &Client, body: Value) -> String {
    let made = client.post(&format!("{V3}/createRoom"), body).await.ok();
    made["room_id"].as_str().unwrap().to_owned()
}

async fn say(client: &Client, room: &str, txn: &str, body: &str) -> String {
    let path = format!("{V3}/rooms/{room}/send/m.room.message/{txn}");
    let content = json!({ "msgtype": "m.text", "body": body });
    let sent = client.put(&path, content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn joined(client: &Client) -> Vec<String> {
    let joined = client.get(&format!("{V3}/joined_rooms")).await.ok();
    let rooms = joined["joined_rooms"].as_array().unwrap().iter();
    rooms
        .map(|room| room.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn users_are_let_into_rooms() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let open = create(
        &alice,
        json!({ "preset": "public_chat", "room_alias_name": "open" }),
    )
    .await;
    let closed = create(&alice, json!({})).await;
    let body = json!({ "user_id": &bob.user_id });
    for (name, room) in [("%23open:localhost", &open), (closed.as_str(), &closed)] {
        let path = format!("{ADMIN}/join/{name}");
        let answer = admin.post(&path, body.clone()).await.ok();
        assert_eq!(answer, json!({ "room_id": room }));
        // Twice is as good.
        admin.post(&path, body.clone()).await.ok();
    }
    let mut rooms = joined(&bob).await;
    rooms.sort();
    let mut wanted = vec![open, closed.clone()];
    wanted.sort();
    assert_eq!(rooms, wanted);
    // Where nobody is left to invite, there is no way in.
    for client in [&alice, &bob] {
        let path = format!("{V3}/rooms/{closed}/leave");
        client.post(&path, json!({})).await.ok();
    }
    let path = format!("{ADMIN}/join/{closed}");
    admin.post(&path, body.clone()).await.is(400, "M_UNKNOWN");
    for (path, body, status, code) in [
        (path.as_str(), json!({}), 400, "M_BAD_JSON"),
        (
            path.as_str(),
            json!({ "user_id": "@x:elsewhere.org" }),
            400,
            "M_INVALID_PARAM",
        ),
        (
            path.as_str(),
            json!({ "user_id": "nobody" }),
            404,
            "M_NOT_FOUND",
        ),
        (
            "/_synapse/admin/v1/join/!none:localhost",
            body.clone(),
            404,
            "M_NOT_FOUND",
        ),
        (
            "/_synapse/admin/v1/join/%23none:localhost",
            body,
            404,
            "M_NOT_FOUND",
        ),
    ] {
        admin.post(path, body).await.is(status, code);
    }
}

#[tokio::test]
async fn power_is_given_by_whoever_has_it() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for version in ["10", "12"] {
        let room = create(&alice, json!({ "room_version": version })).await;
        let path = format!("{ADMIN}/rooms/{room}/make_room_admin");
        // The administrator, if nobody is named, who is invited.
        assert_eq!(admin.post(&path, json!({})).await.ok(), json!({}));
        let join = format!("{V3}/rooms/{room}/join");
        admin.post(&join, json!({})).await.ok();
        let name = format!("{V3}/rooms/{room}/state/m.room.name");
        admin.put(&name, json!({ "name": "Mine" })).await.ok();
        let body = json!({ "user_id": &bob.user_id });
        for _ in 0..2 {
            admin.post(&path, body.clone()).await.ok();
        }
        let levels = format!("{V3}/rooms/{room}/state/m.room.power_levels");
        let levels = alice.get(&levels).await.ok();
        assert_eq!(levels["users"][&bob.user_id], 100, "{levels}");
        // The creator has power already.
        let body = json!({ "user_id": &alice.user_id });
        admin.post(&path, body).await.ok();
        // Nobody is left who could give it.
        for client in [&alice, &admin] {
            let leave = format!("{V3}/rooms/{room}/leave");
            client.post(&leave, json!({})).await.ok();
        }
        let body = json!({ "user_id": &bob.user_id });
        admin.post(&path, body).await.is(400, "M_UNKNOWN");
    }
    let path = format!("{ADMIN}/rooms/!none:localhost/make_room_admin");
    admin.post(&path, json!({})).await.is(404, "M_NOT_FOUND");
    let body = json!({ "user_id": "nobody" });
    admin.post(&path, body).await.is(404, "M_NOT_FOUND");
}

/// Starts a redaction, and gives its status at its end.
async fn redact(server: &TestServer, admin: &Client, user: &Client, body: Value) -> Value {
    let path = format!("{ADMIN}/user/{}/redact", user.user_id);
    let started = admin.post(&path, body).await.ok();
    let id = started["redact_id"].as_str().unwrap();
    let number = Pos(id.parse().unwrap());
    server.services.administration.ended(number).await.unwrap();
    let path = format!("{ADMIN}/user/redact_status/{id}");
    admin.get(&path).await.ok()
}

async fn is_redacted(client: &Client, room: &str, event: &str) -> bool {
    let path = format!("{V3}/rooms/{room}/event/{event}");
    let event = client.get(&path).await.ok();
    event["content"] == json!({})
}

#[tokio::test]
async fn what_somebody_said_is_redacted() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, mallory) = (
        server.register("alice").await,
        server.register("mallory").await,
    );
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let room = create(&alice, json!({ "preset": "public_chat" })).await;
        let join = format!("{V3}/join/{room}");
        mallory.post(&join, json!({})).await.ok();
        let own = say(&alice, &room, "1", "hello").await;
        let mut spam = Vec::new();
        for number in 0..3 {
            spam.push(say(&mallory, &room, &number.to_string(), "spam").await);
        }
        rooms.push((room, own, spam));
    }
    let done = json!({ "status": "complete", "failed_redactions": {} });
    let (first, _, spam) = &rooms[0];
    let body = json!({ "rooms": [first], "limit": 1, "reason": "spam" });
    assert_eq!(redact(&server, &admin, &mallory, body).await, done);
    assert!(is_redacted(&alice, first, &spam[2]).await);
    assert!(!is_redacted(&alice, first, &spam[1]).await);
    for _ in 0..2 {
        let body = json!({ "rooms": [] });
        assert_eq!(redact(&server, &admin, &mallory, body).await, done);
    }
    for (room, own, spam) in &rooms {
        assert!(!is_redacted(&alice, room, own).await);
        for event in spam {
            assert!(is_redacted(&alice, room, event).await);
        }
    }
    // Who is no longer there cannot take back what they said, and who has no power cannot do it for them.
    let (room, ..) = &rooms[2];
    let late = say(&mallory, room, "late", "one more").await;
    let leave = format!("{V3}/rooms/{room}/leave");
    mallory.post(&leave, json!({})).await.ok();
    for body in [
        json!({ "rooms": [room] }),
        json!({ "rooms": [room, "!none:localhost"], "use_admin": true }),
    ] {
        let status = redact(&server, &admin, &mallory, body).await;
        assert_eq!(status["status"], "complete");
        assert!(status["failed_redactions"][&late].is_string(), "{status}");
    }
    let path = format!("{ADMIN}/rooms/{room}/make_room_admin");
    admin.post(&path, json!({})).await.ok();
    let join = format!("{V3}/join/{room}");
    admin.post(&join, json!({})).await.ok();
    let body = json!({ "rooms": [room], "use_admin": true });
    assert_eq!(redact(&server, &admin, &mallory, body).await, done);
    assert!(is_redacted(&alice, room, &late).await);

    let path = format!("{ADMIN}/user/{}/redact", mallory.user_id);
    for (body, code) in [
        (json!({}), "M_BAD_JSON"),
        (json!({ "rooms": ["x"] }), "M_BAD_JSON"),
        (json!({ "rooms": [], "limit": 0 }), "M_INVALID_PARAM"),
    ] {
        admin.post(&path, body).await.is(400, code);
    }
    let path = format!("{ADMIN}/user/@nobody:localhost/redact");
    let reply = admin.post(&path, json!({ "rooms": [] })).await;
    reply.is(404, "M_NOT_FOUND");
    let path = format!("{ADMIN}/user/redact_status/17");
    admin.get(&path).await.is(404, "M_NOT_FOUND");
}

fn notice(to: &Client, text: &str) -> Value {
    json!({ "user_id": &to.user_id, "content": { "msgtype": "m.text", "body": text } })
}

#[tokio::test]
async fn the_server_tells_a_user_something() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let alice = server.register("alice").await;
    let path = format!("{ADMIN}/send_server_notice");
    admin.post(&path, notice(&alice, "first")).await.ok();
    let synced = alice.get(&format!("{V3}/sync")).await.ok();
    let invited = synced["rooms"]["invite"].as_object().unwrap();
    assert_eq!(invited.len(), 1, "{synced}");
    let room = invited.keys().next().unwrap().clone();
    // It is no invitation to reject.
    for _ in 0..2 {
        let leave = format!("{V3}/rooms/{room}/leave");
        let reply = alice.post(&leave, json!({})).await;
        reply.is(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    }
    let member = format!("{V3}/rooms/{room}/state/m.room.member/{}", alice.user_id);
    let reply = alice.put(&member, json!({ "membership": "leave" })).await;
    reply.is(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    alice
        .post(&format!("{V3}/join/{room}"), json!({}))
        .await
        .ok();
    let tags = format!("{V3}/user/{}/rooms/{room}/tags", alice.user_id);
    let tags = alice.get(&tags).await.ok();
    assert!(tags["tags"]["m.server_notice"].is_object(), "{tags}");
    // The same room, and the same request once.
    let put = format!("{path}/t1");
    let one = admin.put(&put, notice(&alice, "second")).await.ok();
    let other = admin.put(&put, notice(&alice, "second")).await.ok();
    assert_eq!(one, other);
    let page = format!("{V3}/rooms/{room}/messages?dir=b&limit=50");
    let page = alice.get(&page).await.ok();
    let said: Vec<_> = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect();
    assert_eq!(said, ["second", "first"]);
    assert_eq!(page["chunk"][0]["sender"], "@notices:localhost");
    let answer = format!("{V3}/rooms/{room}/send/m.room.message/1");
    let content = json!({ "msgtype": "m.text", "body": "?" });
    let reply = alice.put(&answer, content).await;
    reply.is(403, "M_FORBIDDEN");
    // Somebody who has left is asked back.
    let leave = format!("{V3}/rooms/{room}/leave");
    alice.post(&leave, json!({})).await.ok();
    admin.post(&path, notice(&alice, "third")).await.ok();
    let synced = alice.get(&format!("{V3}/sync")).await.ok();
    assert!(synced["rooms"]["invite"][&room].is_object(), "{synced}");
    for (body, status, code) in [
        (json!({ "user_id": &alice.user_id }), 400, "M_BAD_JSON"),
        (
            json!({ "user_id": &alice.user_id, "content": {} }),
            400,
            "M_UNKNOWN",
        ),
        (
            json!({ "user_id": &alice.user_id, "content": { "msgtype": "m.text" } }),
            400,
            "M_UNKNOWN",
        ),
        (
            json!({ "user_id": "nobody", "content": {} }),
            404,
            "M_NOT_FOUND",
        ),
        (
            json!({ "user_id": "@a:elsewhere.org", "content": {} }),
            400,
            "M_INVALID_PARAM",
        ),
    ] {
        admin.post(&path, body.clone()).await.is(status, code);
        admin.put(&put, body).await.is(status, code);
    }
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok().to_string();
    assert!(audit.contains("notice.send"), "{audit}");
}

#[tokio::test]
async fn notices_can_be_off_and_their_name_taken() {
    let server = TestServer::with(|config| config.server_notices.localpart.clear()).await;
    let admin = administrator(&server).await;
    let path = format!("{ADMIN}/send_server_notice");
    let reply = admin.post(&path, notice(&admin, "hello")).await;
    reply.is(400, "M_UNKNOWN");
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    server.register("notices").await;
    let reply = admin.post(&path, notice(&admin, "hello")).await;
    reply.is(400, "M_UNKNOWN");
}
