use serde_json::json;
use test_support::{Client, TestServer};

use crate::administrator;

const PATH: &str = "/_synapse/admin/v1/users/@bot:localhost/override_ratelimit";

async fn server() -> TestServer {
    TestServer::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.message.burst = 2;
        config.rate_limits.message.per_second = 0.1;
    })
    .await
}

/// How many of `count` messages sent at once are taken.
async fn sent(client: &Client, room: &str, count: usize, round: &str) -> usize {
    let mut taken = 0;
    for n in 0..count {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{round}{n}");
        let body = json!({ "msgtype": "m.text", "body": "beep" });
        let reply = client.put(&path, body).await;
        if reply.status == 429 {
            reply.is(429, "M_LIMIT_EXCEEDED");
        } else {
            reply.ok();
            taken += 1;
        }
    }
    taken
}

#[tokio::test]
async fn one_user_may_send_more_over_a_restart_and_until_it_is_taken_back() {
    let server = server().await;
    let admin = administrator(&server).await;
    let bot = server.register("bot").await;
    let room = bot
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap().to_owned();
    assert_eq!(admin.get(PATH).await.ok(), json!({}));
    assert_eq!(sent(&bot, &room, 5, "a").await, 2);
    let five = json!({ "messages_per_second": 1, "burst_count": 5 });
    assert_eq!(admin.post(PATH, five.clone()).await.ok(), five);
    assert_eq!(admin.get(PATH).await.ok(), five);
    server.clock.advance(60_000);
    assert_eq!(sent(&bot, &room, 7, "b").await, 5);
    let nothing = json!({ "messages_per_second": 0, "burst_count": 0 });
    assert_eq!(admin.post(PATH, json!({})).await.ok(), nothing);
    assert_eq!(sent(&bot, &room, 20, "c").await, 20);
    let server = server.restart().await;
    let (admin, bot) = (server.login("admin").await, server.login("bot").await);
    assert_eq!(sent(&bot, &room, 20, "d").await, 20);
    for _ in 0..2 {
        assert_eq!(admin.delete(PATH, json!({})).await.ok(), json!({}));
    }
    assert_eq!(admin.get(PATH).await.ok(), json!({}));
    assert_eq!(sent(&bot, &room, 5, "e").await, 2);
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok();
    assert_eq!(audit["deeds"][2]["details"], nothing);
}

#[tokio::test]
async fn limits_that_are_none_are_refused() {
    let server = server().await;
    let admin = administrator(&server).await;
    admin.get(PATH).await.is(404, "M_NOT_FOUND");
    server.register("bot").await;
    let negative = json!({ "messages_per_second": -1 });
    admin.post(PATH, negative).await.is(400, "M_BAD_JSON");
    let huge = json!({ "burst_count": 1_000_001 });
    admin.post(PATH, huge).await.is(400, "M_INVALID_PARAM");
    assert_eq!(admin.get(PATH).await.ok(), json!({}));
}
