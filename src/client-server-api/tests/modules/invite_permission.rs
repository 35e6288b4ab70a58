//! [Invite permission](https://spec.matrix.org/v1.19/client-server-api/#invite-permission).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, path, public};

const STABLE: &str = "m.invite_permission_config";
const UNSTABLE: &str = "org.matrix.msc4380.invite_permission_config";
const LISTS: &str = "org.matrix.msc4155.invite_permission_config";

async fn configure(client: &Client, event_type: &str, content: Value) {
    let user_id = &client.user_id;
    let place = format!("/_matrix/client/v3/user/{user_id}/account_data/{event_type}");
    client.put(&place, content).await.ok();
}

async fn three() -> (TestServer, Client, Client, Client) {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    (server, alice, bob, carol)
}

/// The status of an invitation, and its errcode.
async fn invite(inviter: &Client, room: &str, invitee: &Client) -> (u16, Value) {
    let body = json!({ "user_id": invitee.user_id });
    let answer = inviter.post(&path(room, "invite"), body).await;
    (answer.status, answer.json["errcode"].clone())
}

async fn invitations(client: &Client) -> usize {
    let answer = client.get("/_matrix/client/v3/sync").await.ok();
    answer["rooms"]["invite"]
        .as_object()
        .map_or(0, serde_json::Map::len)
}

#[tokio::test]
async fn what_blocks_invitations() {
    let (_server, alice, bob, _) = three().await;
    for (event_type, content, blocked) in [
        (STABLE, json!({ "default_action": "block" }), true),
        (STABLE, json!({}), false),
        (STABLE, json!({ "default_action": "whatever" }), false),
        (STABLE, json!({ "default_action": ["block"] }), false),
        (
            STABLE,
            json!({ "default_action": "block", "other": 1 }),
            true,
        ),
        // The name that clients used before counts only for those who never set the other.
        (UNSTABLE, json!({ "default_action": "allow" }), true),
        (STABLE, json!({ "default_action": "allow" }), false),
        (UNSTABLE, json!({ "default_action": "block" }), false),
        (LISTS, json!({ "blocked_users": ["*"] }), true),
        (LISTS, json!({ "blocked_users": "*" }), false),
        (LISTS, json!({ "blocked_users": ["@carol:*"] }), false),
        (LISTS, json!({ "blocked_servers": ["local*"] }), true),
        (
            LISTS,
            json!({ "blocked_servers": ["*"], "allowed_users": ["@alice:localhost"] }),
            false,
        ),
    ] {
        let shown = format!("{event_type} {content}");
        configure(&bob, event_type, content).await;
        let room = public(&alice).await;
        let expected = if blocked {
            (403, json!("M_INVITE_BLOCKED"))
        } else {
            (200, Value::Null)
        };
        assert_eq!(invite(&alice, &room, &bob).await, expected, "{shown}");
    }
}

#[tokio::test]
async fn the_earlier_name_blocks_for_who_never_set_the_other() {
    let (_server, alice, bob, _) = three().await;
    configure(&bob, UNSTABLE, json!({ "default_action": "block" })).await;
    let room = public(&alice).await;
    let refused = (403, json!("M_INVITE_BLOCKED"));
    assert_eq!(invite(&alice, &room, &bob).await, refused);
}

#[tokio::test]
async fn every_way_to_invite_is_blocked() {
    let (_server, alice, bob, carol) = three().await;
    configure(&bob, STABLE, json!({ "default_action": "block" })).await;
    let room = public(&alice).await;
    let refused = (403, json!("M_INVITE_BLOCKED"));
    assert_eq!(invite(&alice, &room, &bob).await, refused);
    let member = path(&room, &format!("state/m.room.member/{}", bob.user_id));
    alice
        .put(&member, json!({ "membership": "invite" }))
        .await
        .is(403, "M_INVITE_BLOCKED");
    alice.get(&member).await.is(404, "M_NOT_FOUND");

    // A room whose invitations are refused is not made.
    let joined = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    for body in [
        json!({ "invite": [carol.user_id, bob.user_id] }),
        json!({ "invite": [bob.user_id], "is_direct": true, "preset": "trusted_private_chat", "room_alias_name": "ours" }),
    ] {
        let answer = alice.post("/_matrix/client/v3/createRoom", body).await;
        answer.is(403, "M_INVITE_BLOCKED");
    }
    assert_eq!(
        alice.get("/_matrix/client/v3/joined_rooms").await.ok(),
        joined
    );
    assert_eq!(invitations(&carol).await, 0);

    // Whoever may not invite anyway is not told.
    assert_eq!(
        invite(&carol, &room, &bob).await,
        (403, json!("M_FORBIDDEN"))
    );
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(
        invite(&alice, &room, &bob).await,
        (403, json!("M_FORBIDDEN"))
    );
    assert_eq!(invite(&bob, &room, &carol).await, (200, Value::Null));
}

#[tokio::test]
async fn earlier_invitations_are_not_told_while_they_are_blocked() {
    let (_server, alice, bob, carol) = three().await;
    let room = create(&alice, json!({ "invite": [bob.user_id] })).await;
    let carols = create(&carol, json!({ "invite": [bob.user_id] })).await;
    assert_eq!(invitations(&bob).await, 2);
    configure(&bob, LISTS, json!({ "ignored_users": [carol.user_id] })).await;
    assert_eq!(invitations(&bob).await, 1);
    configure(&bob, STABLE, json!({ "default_action": "block" })).await;
    assert_eq!(invitations(&bob).await, 0);
    // "Other endpoints … are not affected".
    let state = alice.get(&path(&room, "state")).await.ok();
    let invited = state.as_array().unwrap().iter().any(|event| {
        event["state_key"] == bob.user_id.as_str() && event["content"]["membership"] == "invite"
    });
    assert!(invited);
    act(&bob, &carols, "join", json!({})).await;
    configure(&bob, STABLE, json!({})).await;
    assert_eq!(invitations(&bob).await, 1);
}

#[tokio::test]
async fn who_is_ignored_invites_unheard() {
    let (_server, alice, bob, _) = three().await;
    configure(&bob, LISTS, json!({ "ignored_servers": ["*"] })).await;
    let room = public(&alice).await;
    assert_eq!(invite(&alice, &room, &bob).await, (200, Value::Null));
    assert_eq!(invitations(&bob).await, 0);
}

#[tokio::test]
async fn clients_are_told_that_it_works() {
    let (_server, alice, _, _) = three().await;
    let answer = alice.get("/_matrix/client/versions").await.ok();
    assert_eq!(
        answer["unstable_features"]["org.matrix.msc4380.stable"],
        true
    );
}
