//! [Leaving rooms](https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms).

use serde_json::json;

use super::Cast;
use crate::rooms::{act, content, create, path, timeline};

#[tokio::test]
async fn who_may_leave_and_forget() {
    let cast = Cast::new().await;
    // What bob is; whether he may leave; what forgetting without leaving answers.
    for (prior, leave, forget) in [
        ("none", 403, (404, "M_NOT_FOUND")),
        ("invite", 200, (400, "M_UNKNOWN")),
        ("join", 200, (400, "M_UNKNOWN")),
        ("knock", 200, (400, "M_UNKNOWN")),
        ("leave", 200, (200, "")),
        ("ban", 403, (200, "")),
    ] {
        let room = cast.room("invite", prior).await;
        let answer = cast.bob.post(&path(&room, "forget"), json!({})).await;
        let errcode = answer.json["errcode"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!((answer.status, &*errcode), forget, "{prior}");

        let room = cast.room("invite", prior).await;
        let answer = cast
            .bob
            .post(&path(&room, "leave"), json!({ "reason": "tired" }))
            .await;
        assert_eq!(answer.status, leave, "{prior}: {}", answer.json);
        if leave != 200 {
            continue;
        }
        assert_eq!(cast.membership(&room).await, "leave");
        let events = timeline(&cast.alice, &room).await.len();
        // Twice is once.
        act(&cast.bob, &room, "leave", json!({})).await;
        assert_eq!(timeline(&cast.alice, &room).await.len(), events);
        act(&cast.bob, &room, "forget", json!({})).await;
        act(&cast.bob, &room, "forget", json!({})).await;
        // Forgetting is not being gone for good.
        act(
            &cast.alice,
            &room,
            "invite",
            json!({ "user_id": cast.bob.user_id }),
        )
        .await;
        act(&cast.bob, &room, "join", json!({})).await;
        cast.bob
            .post(&path(&room, "forget"), json!({}))
            .await
            .is(400, "M_UNKNOWN");
    }
    for action in ["leave", "forget"] {
        let status = if action == "leave" {
            (403, "M_FORBIDDEN")
        } else {
            (404, "M_NOT_FOUND")
        };
        let nothing = cast.bob.post(&path("!nothing", action), json!({})).await;
        nothing.is(status.0, status.1);
        let malformed = cast.bob.post(&path("nothing", action), json!({})).await;
        malformed.is(400, "M_INVALID_PARAM");
        let nobody = cast
            .server
            .anyone()
            .post(&path("!nothing", action), json!({}))
            .await;
        nobody.is(401, "M_MISSING_TOKEN");
    }
}

#[tokio::test]
async fn who_may_kick_ban_and_unban() {
    let cast = Cast::new().await;
    for (action, result, possible) in [
        ("kick", "leave", &["invite", "join", "knock"][..]),
        (
            "ban",
            "ban",
            &["none", "invite", "join", "leave", "knock", "ban"],
        ),
        ("unban", "leave", &["ban"]),
    ] {
        for prior in ["none", "invite", "join", "leave", "ban", "knock"] {
            let shown = format!("{action}, {prior}");
            let room = cast.room("invite", prior).await;
            let body = json!({ "user_id": cast.bob.user_id, "reason": "because" });
            for powerless in [&cast.carol, &cast.dave] {
                let answer = powerless.post(&path(&room, action), body.clone()).await;
                assert_eq!(answer.status, 403, "{shown}: {}", answer.json);
            }
            assert_eq!(cast.membership(&room).await, prior, "{shown}");
            let answer = cast.alice.post(&path(&room, action), body).await;
            if possible.contains(&prior) {
                assert_eq!((answer.status, answer.json), (200, json!({})), "{shown}");
                let member = content(&cast.alice, &room, "m.room.member", &cast.bob.user_id).await;
                assert_eq!(member["membership"], result, "{shown}");
                assert_eq!(member["reason"], "because", "{shown}");
            } else {
                assert_eq!(answer.status, 403, "{shown}: {}", answer.json);
                assert_eq!(cast.membership(&room).await, prior, "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_removes_their_equals() {
    let cast = Cast::new().await;
    let body = json!({
        "preset": "public_chat",
        "room_version": "11",
        "power_level_content_override": {
            "users": { "@alice:localhost": 100, "@bob:localhost": 50, "@carol:localhost": 50 },
        },
    });
    let room = create(&cast.alice, body).await;
    for member in [&cast.bob, &cast.carol, &cast.dave] {
        act(member, &room, "join", json!({})).await;
    }
    for action in ["kick", "ban"] {
        for (target, status) in [(&cast.carol, 403), (&cast.alice, 403), (&cast.dave, 200)] {
            let body = json!({ "user_id": target.user_id });
            let answer = cast.bob.post(&path(&room, action), body).await;
            assert_eq!(answer.status, status, "{action}: {}", answer.json);
        }
        if action == "kick" {
            act(&cast.dave, &room, "join", json!({})).await;
        }
    }
    // A ban outlives the wish to return, an unban does not bring back.
    cast.dave
        .post(&path(&room, "join"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    act(
        &cast.bob,
        &room,
        "unban",
        json!({ "user_id": cast.dave.user_id }),
    )
    .await;
    act(&cast.dave, &room, "join", json!({})).await;
}

#[tokio::test]
async fn removing_needs_a_user_and_a_sender() {
    let cast = Cast::new().await;
    let room = cast.room("invite", "join").await;
    for action in ["kick", "ban", "unban"] {
        let target = json!({ "user_id": cast.bob.user_id });
        let path = |room: &str| path(room, action);
        cast.server
            .anyone()
            .post(&path(&room), target.clone())
            .await
            .is(401, "M_MISSING_TOKEN");
        cast.alice
            .post(&path("!nothing"), target)
            .await
            .is(403, "M_FORBIDDEN");
        for body in [
            json!({}),
            json!({ "user_id": "bob" }),
            json!({ "user_id": cast.bob.user_id, "reason": {} }),
        ] {
            cast.alice
                .post(&path(&room), body)
                .await
                .is(400, "M_BAD_JSON");
        }
    }
    assert_eq!(cast.membership(&room).await, "join");
}
