//! [Server administration](https://spec.matrix.org/v1.19/client-server-api/#server-administration) and
//! [reports](https://spec.matrix.org/v1.19/client-server-api/#reporting-content) to those who do it.

use serde_json::json;
use spec_tests::{Server, encode, room_path, user};

use crate::admin_command_line::admin;

#[test]
fn events_rooms_and_users_are_reported() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    let event = alice.say(&room, "rude");
    let report = room_path(&room, &format!("report/{}", encode(&event)));
    let reason = json!({"reason": "rude"});
    bob.post(&report, reason.clone()).fails(404, "M_NOT_FOUND");
    bob.join(&room);
    assert_eq!(bob.post(&report, reason.clone()).ok(), json!({}));
    bob.post(&room_path(&room, "report"), reason.clone()).ok();
    bob.post(&format!("/v3/users/{}/report", encode(&alice.id)), reason)
        .ok();
}

#[test]
fn users_see_their_own_connections_and_nobody_elses() {
    let (alice, bob) = (user("alice"), user("bob"));
    let path = format!("/v3/admin/whois/{}", encode(&alice.id));
    let answer = alice.get(&path).ok();
    assert_eq!(answer["user_id"], alice.id.as_str());
    assert!(answer["devices"].is_object());
    bob.get(&path).fails(403, "M_FORBIDDEN");
    for what in ["lock", "suspend"] {
        let path = format!("/v1/admin/{what}/{}", encode(&alice.id));
        bob.get(&path).fails(403, "M_FORBIDDEN");
    }
}

#[test]
fn an_administrator_suspends_and_locks() {
    let server = Server::start();
    let (alice, bob) = (
        server.client().register("alice"),
        server.client().register("bob"),
    );
    admin(&server, &["user", "promote", &alice.id], "").ok();
    let room = bob.public_room();
    for (what, key, errcode) in [
        ("suspend", "suspended", "M_USER_SUSPENDED"),
        ("lock", "locked", "M_USER_LOCKED"),
    ] {
        let path = format!("/v1/admin/{what}/{}", encode(&bob.id));
        assert_eq!(alice.get(&path).ok(), json!({ key: false }));
        bob.put(&path, json!({ key: true }))
            .fails(403, "M_FORBIDDEN");
        assert_eq!(
            alice.put(&path, json!({ key: true })).ok(),
            json!({ key: true })
        );
        assert_eq!(alice.get(&path).ok(), json!({ key: true }));
        let message = json!({"msgtype": "m.text", "body": "may I?"});
        let sent = bob.put(
            &room_path(&room, &format!("send/m.room.message/{what}")),
            message,
        );
        sent.fails_with_one_of(if what == "lock" { 401 } else { 403 }, &[errcode]);
        alice.put(&path, json!({ key: false })).ok();
        bob.say(&room, "thank you");
    }
}
