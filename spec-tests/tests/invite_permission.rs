//! [Invite permission](https://spec.matrix.org/v1.19/client-server-api/#invite-permission).

use serde_json::{Value, json};
use spec_tests::{User, anonymous, encode, room_path, user};

fn configure(user: &User, content: Value) {
    let place = format!(
        "/v3/user/{}/account_data/m.invite_permission_config",
        encode(&user.id)
    );
    user.put(&place, content).ok();
}

#[test]
fn blocked_invitations_are_refused_until_they_are_wanted_again() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.create_room(json!({}));
    let (place, body) = (room_path(&room, "invite"), json!({"user_id": bob.id}));
    configure(&bob, json!({"default_action": "block"}));
    alice
        .post(&place, body.clone())
        .fails(403, "M_INVITE_BLOCKED");
    let member = room_path(&room, &format!("state/m.room.member/{}", encode(&bob.id)));
    alice
        .put(&member, json!({"membership": "invite"}))
        .fails(403, "M_INVITE_BLOCKED");
    anonymous()
        .post(&place, body.clone())
        .fails(401, "M_MISSING_TOKEN");
    configure(&bob, json!({}));
    alice.post(&place, body).ok();
    assert_eq!(alice.membership_of(&room, &bob), "invite");
    let invited = |user: &User| {
        let answer = user.get("/v3/sync").ok();
        answer["rooms"]["invite"].get(&room).is_some()
    };
    assert!(invited(&bob));
    configure(&bob, json!({"default_action": "block"}));
    assert!(!invited(&bob));
}
