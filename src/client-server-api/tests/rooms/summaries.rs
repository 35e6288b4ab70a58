//! [Room summaries](https://spec.matrix.org/v1.19/client-server-api/#room-summaries).

use serde_json::json;
use test_support::TestServer;

use super::{create, set_state};

#[tokio::test]
async fn a_room_is_summed_up_for_those_who_may_join() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = create(
        &alice,
        json!({ "preset": "public_chat", "name": "Cheese", "topic": "Tasty", "room_alias_name": "cheese" }),
    )
    .await;
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    set_state(&alice, &room, "m.room.encryption/", encryption).await;
    let path = format!("/_matrix/client/v1/room_summary/{room}");
    let answer = bob.get(&path).await.ok();
    assert_eq!(
        answer,
        json!({
            "room_id": room,
            "name": "Cheese",
            "topic": "Tasty",
            "canonical_alias": "#cheese:localhost",
            "num_joined_members": 1,
            "join_rule": "public",
            "world_readable": false,
            "guest_can_join": false,
            "encryption": "m.megolm.v1.aes-sha2",
            "im.nheko.summary.encryption": "m.megolm.v1.aes-sha2",
            "room_version": "12",
            "im.nheko.summary.version": "12",
        })
    );
    assert_eq!(server.anyone().get(&path).await.ok(), answer);
    assert_eq!(alice.get(&path).await.ok()["membership"], "join");
    for other in [
        "/_matrix/client/v1/room_summary/%23cheese:localhost".to_owned(),
        format!("/_matrix/client/unstable/im.nheko.summary/summary/{room}"),
        format!("/_matrix/client/unstable/im.nheko.summary/rooms/{room}/summary"),
    ] {
        assert_eq!(bob.get(&other).await.ok(), answer, "{other}");
    }
}

#[tokio::test]
async fn a_room_that_is_not_theirs_is_not_found() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = create(&alice, json!({ "preset": "private_chat" })).await;
    let path = |room: &str| format!("/_matrix/client/v1/room_summary/{room}");
    bob.get(&path(&room)).await.is(404, "M_NOT_FOUND");
    server
        .anyone()
        .get(&path(&room))
        .await
        .is(404, "M_NOT_FOUND");
    for nothing in ["!none:localhost", "%23none:localhost"] {
        bob.get(&path(nothing)).await.is(404, "M_NOT_FOUND");
    }
    bob.get(&path("nonsense")).await.is(400, "M_INVALID_PARAM");
    let stranger = bob.with_token("nonsense");
    stranger.get(&path(&room)).await.is(401, "M_UNKNOWN_TOKEN");
    let invite = json!({ "user_id": bob.user_id });
    super::act(&alice, &room, "invite", invite).await;
    assert_eq!(bob.get(&path(&room)).await.ok()["membership"], "invite");
}
