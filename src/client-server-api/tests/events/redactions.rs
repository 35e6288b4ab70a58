//! [Redactions](https://spec.matrix.org/v1.19/client-server-api/#redactions).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, content, create, path, public, say, set_state, timeline};

async fn redact(client: &Client, room: &str, event: &str, txn: &str) -> test_support::Reply {
    let redact = path(room, &format!("redact/{event}/{txn}"));
    client.put(&redact, json!({ "reason": "spam" })).await
}

async fn event(client: &Client, room: &str, event: &str) -> Value {
    client
        .get(&path(room, &format!("event/{event}")))
        .await
        .ok()
}

#[tokio::test]
async fn a_redacted_message_is_empty_in_every_version() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for version in 1..=12 {
        let room = create(&alice, json!({ "room_version": version.to_string() })).await;
        let said = say(&alice, &room, "oh no", "1").await;
        let answer = redact(&alice, &room, &said, "1").await.ok();
        let redaction = answer["event_id"].as_str().unwrap();
        let redacted = event(&alice, &room, &said).await;
        assert_eq!(redacted["content"], json!({}), "version {version}");
        assert_eq!(redacted["event_id"], json!(said));
        assert_eq!(redacted["sender"], json!(alice.user_id));
        let because = &redacted["unsigned"]["redacted_because"];
        assert_eq!(because["event_id"], json!(redaction), "version {version}");
        assert_eq!(because["content"]["reason"], "spam");

        let by = event(&alice, &room, redaction).await;
        assert_eq!(by["type"], "m.room.redaction");
        // Wherever the version has it, clients of any age find it.
        assert_eq!(by["content"]["redacts"], json!(said), "version {version}");
        assert_eq!(by["redacts"], json!(said), "version {version}");
        let messages = timeline(&alice, &room).await;
        assert!(
            !json!(messages).to_string().contains("oh no"),
            "version {version}"
        );
    }
}

#[tokio::test]
async fn who_may_redact_what() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    for version in ["1", "11", "12"] {
        let room = create(
            &alice,
            json!({ "preset": "public_chat", "room_version": version }),
        )
        .await;
        act(&bob, &room, "join", json!({})).await;
        let of_alice = say(&alice, &room, "hers", "1").await;
        let of_bob = say(&bob, &room, "his", "1").await;
        let also_of_bob = say(&bob, &room, "his too", "2").await;
        redact(&bob, &room, &of_alice, "1")
            .await
            .is(403, "M_FORBIDDEN");
        redact(&carol, &room, &of_alice, "1")
            .await
            .is(403, "M_FORBIDDEN");
        assert_eq!(
            event(&bob, &room, &of_alice).await["content"]["body"],
            "hers"
        );
        redact(&bob, &room, &of_bob, "2").await.ok();
        redact(&alice, &room, &also_of_bob, "1").await.ok();
        assert_eq!(event(&bob, &room, &of_bob).await["content"], json!({}));
        assert_eq!(event(&bob, &room, &also_of_bob).await["content"], json!({}));
        // Who has left cannot even redact what was theirs.
        let last = say(&bob, &room, "last words", "3").await;
        act(&bob, &room, "leave", json!({})).await;
        redact(&bob, &room, &last, "3").await.is(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn redactions_take_power_where_the_room_says_so() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let body = json!({
        "preset": "public_chat",
        "power_level_content_override": { "redact": 0, "events": { "m.room.redaction": 10 } },
    });
    let room = create(&alice, body).await;
    act(&bob, &room, "join", json!({})).await;
    let of_bob = say(&bob, &room, "his", "1").await;
    redact(&bob, &room, &of_bob, "1")
        .await
        .is(403, "M_FORBIDDEN");
    let body = json!({ "preset": "public_chat", "power_level_content_override": { "redact": 0 } });
    let room = create(&alice, body).await;
    act(&bob, &room, "join", json!({})).await;
    let of_alice = say(&alice, &room, "hers", "1").await;
    redact(&bob, &room, &of_alice, "1").await.ok();
}

#[tokio::test]
async fn what_is_not_there_is_not_redacted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let other = public(&alice).await;
    let elsewhere = say(&alice, &other, "elsewhere", "1").await;
    let unknown = "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    redact(&alice, &room, unknown, "1")
        .await
        .is(404, "M_NOT_FOUND");
    redact(&alice, &room, &elsewhere, "2")
        .await
        .is(404, "M_NOT_FOUND");
    redact(&alice, "!nothing", &elsewhere, "3")
        .await
        .is(403, "M_FORBIDDEN");
    redact(&alice, &room, "nonsense", "4")
        .await
        .is(400, "M_INVALID_PARAM");
    redact(&server.anyone(), &room, &elsewhere, "5")
        .await
        .is(401, "M_MISSING_TOKEN");
    let bad = path(&room, &format!("redact/{elsewhere}/6"));
    alice
        .put(&bad, json!({ "reason": 5 }))
        .await
        .is(400, "M_BAD_JSON");
    assert_eq!(
        event(&alice, &other, &elsewhere).await["content"]["body"],
        "elsewhere"
    );
}

#[tokio::test]
async fn redacting_twice_keeps_it_redacted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let said = say(&alice, &room, "oh no", "1").await;
    let first = redact(&alice, &room, &said, "1").await.ok();
    assert_eq!(redact(&alice, &room, &said, "1").await.ok(), first);
    let second = redact(&alice, &room, &said, "2").await.ok();
    assert_ne!(first, second);
    assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
    // A redaction can be redacted; what it took does not come back.
    redact(&alice, &room, first["event_id"].as_str().unwrap(), "3")
        .await
        .ok();
    assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
    // It stays so after a restart.
    let server = server.restart().await;
    let alice = server
        .anyone()
        .with_token(alice.access_token.as_deref().unwrap());
    assert_eq!(event(&alice, &room, &said).await["content"], json!({}));
}

#[tokio::test]
async fn redacted_state_still_decides() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for version in ["1", "10", "12"] {
        let room = create(
            &alice,
            json!({ "room_version": version, "preset": "public_chat" }),
        )
        .await;
        act(&bob, &room, "join", json!({})).await;
        let name = set_state(&alice, &room, "m.room.name", json!({ "name": "oh no" })).await;
        redact(&alice, &room, &name, "1").await.ok();
        assert_eq!(content(&bob, &room, "m.room.name", "").await, json!({}));

        // Redaction leaves the levels of power levels and the rule of join rules.
        let rules = json!({ "join_rule": "invite", "org.example": "gone" });
        let rules = set_state(&alice, &room, "m.room.join_rules", rules).await;
        redact(&alice, &room, &rules, "2").await.ok();
        let kept = content(&bob, &room, "m.room.join_rules", "").await;
        assert_eq!(kept, json!({ "join_rule": "invite" }), "version {version}");
        let carol = server.login("alice").await;
        act(&bob, &room, "leave", json!({})).await;
        bob.post(&path(&room, "join"), json!({}))
            .await
            .is(403, "M_FORBIDDEN");
        say(&carol, &room, "still here", "1").await;
        act(&alice, &room, "invite", json!({ "user_id": bob.user_id })).await;
        act(&bob, &room, "join", json!({})).await;

        // A redacted membership is still one.
        let member = path(
            &room,
            &format!("state/m.room.member/{}?format=event", bob.user_id),
        );
        let member = alice.get(&member).await.ok()["event_id"].clone();
        redact(&alice, &room, member.as_str().unwrap(), "3")
            .await
            .ok();
        let member = content(&alice, &room, "m.room.member", &bob.user_id).await;
        assert_eq!(member, json!({ "membership": "join" }), "version {version}");
        say(&bob, &room, "me too", "2").await;

        let create = timeline(&alice, &room).await[0]["event_id"].clone();
        let create = redact(&alice, &room, create.as_str().unwrap(), "4").await;
        create.is(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn a_redaction_can_be_sent_as_an_event() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for version in ["10", "11", "12"] {
        let room = create(&alice, json!({ "room_version": version })).await;
        let said = say(&alice, &room, "oh no", "1").await;
        let send = path(&room, "send/m.room.redaction/2");
        alice
            .put(&send, json!({ "redacts": said, "reason": "spam" }))
            .await
            .ok();
        assert_eq!(
            event(&alice, &room, &said).await["content"],
            json!({}),
            "{version}"
        );
        alice
            .put(&path(&room, "send/m.room.redaction/3"), json!({}))
            .await
            .is(400, "M_BAD_JSON");
    }
}
