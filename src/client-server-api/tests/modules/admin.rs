//! [Server administration](https://spec.matrix.org/v1.19/client-server-api/#server-administration).

use config::Secret;
use serde_json::{Value, json};
use test_support::{Client, TestServer};
use users::{SharedSecretRegistration, shared_secret_mac};

use crate::rooms::{act, path, public, say};

const REGISTER: &str = "/_synapse/admin/v1/register";

async fn server() -> (TestServer, Client) {
    let server = TestServer::with(|config| {
        config.registration.shared_secret = Some(Secret::new("shared"));
    })
    .await;
    let nonce = server.anyone().get(REGISTER).await.ok()["nonce"]
        .as_str()
        .unwrap()
        .to_owned();
    let request = SharedSecretRegistration {
        nonce: nonce.clone(),
        username: "root".to_owned(),
        password: "password-of-root".to_owned(),
        admin: true,
        ..SharedSecretRegistration::default()
    };
    let body = json!({ "nonce": nonce, "username": "root", "password": "password-of-root", "admin": true,
        "mac": shared_secret_mac("shared", &request) });
    server.anyone().post(REGISTER, body).await.ok();
    let root = server.login("root").await;
    (server, root)
}

fn admin(what: &str, user: &str) -> String {
    format!("/_matrix/client/v1/admin/{what}/{user}")
}

#[tokio::test]
async fn a_locked_account_can_only_log_out() {
    let (server, root) = server().await;
    let alice = server.register("alice").await;
    let (lock, whoami) = (
        admin("lock", &alice.user_id),
        "/_matrix/client/v3/account/whoami",
    );
    assert_eq!(root.get(&lock).await.ok(), json!({ "locked": false }));
    alice.get(whoami).await.ok();
    for _ in 0..2 {
        assert_eq!(
            root.put(&lock, json!({ "locked": true })).await.ok(),
            json!({ "locked": true })
        );
    }
    assert_eq!(root.get(&lock).await.ok(), json!({ "locked": true }));
    let audit = root.get("/_myelin/admin/v1/audit").await.ok();
    let deed = &audit["deeds"][0];
    assert_eq!(
        (&deed["action"], &deed["target"]),
        (&json!("user.lock"), &json!(alice.user_id))
    );
    let error = alice.get(whoami).await.is(401, "M_USER_LOCKED");
    assert_eq!(error["soft_logout"], true);
    alice
        .get("/_matrix/client/v3/sync")
        .await
        .is(401, "M_USER_LOCKED");
    root.put(&lock, json!({ "locked": false })).await.ok();
    // The session was kept.
    alice.get(whoami).await.ok();
    root.put(&lock, json!({ "locked": true })).await.ok();
    alice
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    alice.get(whoami).await.is(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_suspended_account_reads_and_leaves() {
    let (server, root) = server().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, other) = (public(&alice).await, public(&bob).await);
    act(&bob, &room, "join", json!({})).await;
    let own = say(&bob, &room, "own", "1").await;
    let suspend = admin("suspend", &bob.user_id);
    assert_eq!(
        root.put(&suspend, json!({ "suspended": true })).await.ok(),
        json!({ "suspended": true })
    );
    assert_eq!(root.get(&suspend).await.ok(), json!({ "suspended": true }));
    let (token, server) = (bob.access_token.clone().unwrap(), server.restart().await);
    let bob = server.anyone().with_token(&token);
    let content = json!({ "msgtype": "m.text", "body": "hi" });
    let refused = [
        bob.put(&path(&room, "send/m.room.message/2"), content)
            .await,
        bob.put(
            &path(&other, "state/m.room.topic/"),
            json!({ "topic": "x" }),
        )
        .await,
        bob.post(&path("!any:localhost", "join"), json!({})).await,
        bob.post("/_matrix/client/v3/knock/!any:localhost", json!({}))
            .await,
        bob.post(&path(&other, "invite"), json!({ "user_id": alice.user_id }))
            .await,
        bob.post("/_matrix/client/v3/createRoom", json!({})).await,
        bob.put(
            "/_matrix/client/v3/profile/@bob:localhost/displayname",
            json!({ "displayname": "B" }),
        )
        .await,
    ];
    for reply in refused {
        reply.is(403, "M_USER_SUSPENDED");
    }
    bob.get("/_matrix/client/v3/sync").await.ok();
    bob.get(&path(&room, "messages?dir=b")).await.ok();
    bob.put(&path(&room, &format!("redact/{own}/3")), json!({}))
        .await
        .ok();
    act(&bob, &room, "leave", json!({})).await;
    // New sessions are suspended too.
    let second = server.login("bob").await;
    second
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .is(403, "M_USER_SUSPENDED");
    let root = server.login("root").await;
    root.put(&suspend, json!({ "suspended": false })).await.ok();
    second
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
}

#[tokio::test]
async fn only_administrators_lock_and_suspend() {
    let (server, root) = server().await;
    let alice = server.register("alice").await;
    for (what, body) in [
        ("lock", json!({ "locked": true })),
        ("suspend", json!({ "suspended": true })),
    ] {
        let of_alice = admin(what, &alice.user_id);
        server
            .anyone()
            .put(&of_alice, body.clone())
            .await
            .is(401, "M_MISSING_TOKEN");
        alice
            .put(&of_alice, body.clone())
            .await
            .is(403, "M_FORBIDDEN");
        alice
            .get(&admin(what, "@nobody:localhost"))
            .await
            .is(403, "M_FORBIDDEN");
        root.get(&admin(what, "@nobody:localhost"))
            .await
            .is(404, "M_NOT_FOUND");
        root.get(&admin(what, "@bob:elsewhere.org"))
            .await
            .is(400, "M_INVALID_PARAM");
        root.put(&admin(what, &root.user_id), body)
            .await
            .is(403, "M_FORBIDDEN");
        root.put(&of_alice, json!({})).await.is(400, "M_BAD_JSON");
    }
}

#[tokio::test]
async fn administrators_see_where_somebody_is_logged_in() {
    let (server, root) = server().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!("/_matrix/client/v3/admin/whois/{}", alice.user_id);
    // Last-seen times are kept with the next commit that somebody waits for.
    public(&alice).await;
    let expected: Value = json!({
        "user_id": alice.user_id,
        "devices": { &alice.device_id: { "sessions": [{ "connections": [
            { "last_seen": test_support::START_MS }
        ] }] } },
    });
    assert_eq!(alice.get(&path).await.ok(), expected);
    assert_eq!(root.get(&path).await.ok(), expected);
    bob.get(&path).await.is(403, "M_FORBIDDEN");
    server.anyone().get(&path).await.is(401, "M_MISSING_TOKEN");
    root.get("/_matrix/client/v3/admin/whois/@nobody:localhost")
        .await
        .is(404, "M_NOT_FOUND");
    root.get("/_matrix/client/v3/admin/whois/nobody")
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn administrators_are_told_what_they_can_do() {
    let (server, root) = server().await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v3/capabilities";
    let capability = json!({ "suspend": true, "lock": true });
    let of = async |client: &Client| {
        let answer = client.get(path).await.ok();
        answer["capabilities"].get("m.account_moderation").cloned()
    };
    assert_eq!(of(&root).await, Some(capability));
    assert_eq!(of(&alice).await, None);
}

#[tokio::test]
async fn an_administrator_sees_the_aliases_of_every_room() {
    let (server, root) = server().await;
    let alice = server.register("alice").await;
    let room = alice
        .post(
            "/_matrix/client/v3/createRoom",
            json!({ "room_alias_name": "harbour" }),
        )
        .await
        .ok();
    let aliases = path(room["room_id"].as_str().unwrap(), "aliases");
    let seen = root.get(&aliases).await.ok();
    assert_eq!(seen, json!({ "aliases": ["#harbour:localhost"] }));
    let bob = server.register("bob").await;
    bob.get(&aliases).await.is(403, "M_FORBIDDEN");
    root.get(&path("!nothing:localhost", "aliases"))
        .await
        .is(404, "M_NOT_FOUND");
}
