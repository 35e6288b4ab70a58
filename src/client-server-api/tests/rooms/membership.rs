//! [Room membership](https://spec.matrix.org/v1.19/client-server-api/#room-membership).

use serde_json::json;
use test_support::{Client, TestServer};

use super::{act, create, path, set_state};

mod joining;
mod leaving;

/// A room of alice's with everybody that a membership can concern.
pub(crate) struct Cast {
    pub(crate) server: TestServer,
    /// Creator.
    pub(crate) alice: Client,
    /// Whose membership it is about.
    pub(crate) bob: Client,
    /// A member without power.
    pub(crate) carol: Client,
    /// Not in the room.
    pub(crate) dave: Client,
}

impl Cast {
    pub(crate) async fn new() -> Self {
        let server = TestServer::new().await;
        Self {
            alice: server.register("alice").await,
            bob: server.register("bob").await,
            carol: server.register("carol").await,
            dave: server.register("dave").await,
            server,
        }
    }

    /// A room with `join_rule` in which bob is what `prior` says, and where inviting takes power.
    pub(crate) async fn room(&self, join_rule: &str, prior: &str) -> String {
        let room = create(
            &self.alice,
            json!({
                "invite": [self.carol.user_id],
                "power_level_content_override": { "invite": 50 },
                "initial_state": [
                    { "type": "m.room.join_rules", "content": { "join_rule": "knock" } },
                ],
            }),
        )
        .await;
        act(&self.carol, &room, "join", json!({})).await;
        let bob = json!({ "user_id": self.bob.user_id });
        match prior {
            "none" => {}
            "invite" => act(&self.alice, &room, "invite", bob).await,
            "knock" => self.knock(&room).await,
            "ban" => act(&self.alice, &room, "ban", bob).await,
            "join" | "leave" => {
                act(&self.alice, &room, "invite", bob).await;
                act(&self.bob, &room, "join", json!({})).await;
                if prior == "leave" {
                    act(&self.bob, &room, "leave", json!({})).await;
                }
            }
            other => panic!("{other}"),
        }
        if join_rule != "knock" {
            let content = json!({ "join_rule": join_rule });
            set_state(&self.alice, &room, "m.room.join_rules", content).await;
        }
        room
    }

    pub(crate) async fn knock(&self, room: &str) {
        let path = format!("/_matrix/client/v3/knock/{room}");
        self.bob.post(&path, json!({})).await.ok();
    }

    /// What bob is in the room.
    pub(crate) async fn membership(&self, room: &str) -> String {
        let rest = format!("state/m.room.member/{}", self.bob.user_id);
        let answer = self.alice.get(&path(room, &rest)).await;
        let membership = answer.json["membership"].as_str();
        membership.unwrap_or("none").to_owned()
    }
}

#[tokio::test]
async fn joined_rooms_are_those_joined_now() {
    let cast = Cast::new().await;
    let joined = cast.room("invite", "join").await;
    for prior in ["none", "invite", "knock", "leave", "ban"] {
        cast.room("invite", prior).await;
    }
    let answer = cast.bob.get("/_matrix/client/v3/joined_rooms").await;
    assert_eq!(answer.ok(), json!({ "joined_rooms": [joined] }));
    let nobody = cast
        .server
        .anyone()
        .get("/_matrix/client/v3/joined_rooms")
        .await;
    nobody.is(401, "M_MISSING_TOKEN");
}
