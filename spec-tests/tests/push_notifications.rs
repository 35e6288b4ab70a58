//! [Push notifications](https://spec.matrix.org/v1.19/client-server-api/#push-notifications): pushers and the list of
//! what notified.

use serde_json::json;
use spec_tests::{anonymous, user};

#[test]
fn a_pusher_is_set_listed_and_deleted() {
    let alice = user("alice");
    let pusher = json!({
        "app_id": "com.example.app",
        "pushkey": alice.id,
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    });
    alice.post("/v3/pushers/set", pusher.clone()).ok();
    let listed = alice.get("/v3/pushers").ok();
    assert_eq!(listed["pushers"][0]["pushkey"], alice.id.as_str());
    assert_eq!(listed["pushers"][0]["data"], pusher["data"]);
    let mut gone = pusher;
    gone["kind"] = json!(null);
    alice.post("/v3/pushers/set", gone).ok();
    assert_eq!(alice.get("/v3/pushers").ok()["pushers"], json!([]));
    alice
        .post(
            "/v3/pushers/set",
            json!({"kind": "http", "app_id": "x", "pushkey": "y"}),
        )
        .fails_with_one_of(400, &["M_MISSING_PARAM", "M_BAD_JSON"]);
    anonymous().get("/v3/pushers").fails(401, "M_MISSING_TOKEN");
}

#[test]
fn what_notified_is_listed() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    let event = alice.say(&room, "hello");
    let listed = bob.get("/v3/notifications?limit=5").ok();
    let first = &listed["notifications"][0];
    assert_eq!(first["event"]["event_id"], event.as_str(), "{listed}");
    assert_eq!(first["room_id"], room.as_str());
    assert_eq!(first["read"], false);
    assert!(first["ts"].is_u64() && first["actions"].is_array());
}
