//! Modules of one or two endpoints: third-party networks, voice over IP, OpenID, mutual rooms.

use serde_json::json;
use spec_tests::{encode, room_path, user};

#[test]
fn there_are_no_third_party_networks() {
    let alice = user("alice");
    assert!(alice.get("/v3/thirdparty/protocols").ok().is_object());
    alice
        .get("/v3/thirdparty/protocol/nonsense")
        .fails(404, "M_NOT_FOUND");
    for rest in [
        "location?alias=%23a:b",
        "location/nonsense?channel=x",
        "user?userid=@a:b",
        "user/nonsense?name=x",
    ] {
        let answer = alice.get(&format!("/v3/thirdparty/{rest}")).ok();
        assert_eq!(answer, json!([]), "{rest}");
    }
}

#[test]
fn nobody_is_invited_by_email() {
    let alice = user("alice");
    let invite = json!({
        "id_server": "example.org", "id_access_token": "t",
        "medium": "email", "address": "bob@example.org",
    });
    alice
        .post(&room_path(&alice.public_room(), "invite"), invite)
        .fails(403, "M_THREEPID_DENIED");
}

#[test]
fn the_relay_servers_are_an_object() {
    assert!(user("alice").get("/v3/voip/turnServer").ok().is_object());
}

#[test]
fn an_openid_token_names_its_server() {
    let (alice, bob) = (user("alice"), user("bob"));
    let path = format!("/v3/user/{}/openid/request_token", encode(&alice.id));
    let answer = alice.post(&path, json!({})).ok();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["matrix_server_name"], alice.server_name());
    assert!(answer["access_token"].is_string() && answer["expires_in"].is_u64());
    bob.post(&path, json!({})).fails(403, "M_FORBIDDEN");
}

#[test]
fn mutual_rooms_are_listed() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    let path = format!("/v1/mutual_rooms?user_id={}", encode(&bob.id));
    let answer = alice.get(&path).ok();
    assert_eq!(
        (&answer["joined"], &answer["count"]),
        (&json!([room]), &json!(1))
    );
}
