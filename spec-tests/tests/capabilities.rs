//! [Capabilities negotiation](https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation).

use serde_json::json;
use spec_tests::{anonymous, user};

#[test]
fn capabilities_list_all_twelve_room_versions() {
    let answer = user("alice").get("/v3/capabilities").ok();
    let versions = &answer["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "12");
    for version in 1..=12 {
        let stability = &versions["available"][version.to_string()];
        assert!(
            stability == "stable" || stability == "unstable",
            "{version}: {stability}"
        );
    }
    assert_eq!(versions["available"]["12"], "stable");
}

#[test]
fn the_default_room_version_is_the_one_rooms_get() {
    let alice = user("alice");
    let capabilities = alice.get("/v3/capabilities").ok();
    let room = alice.public_room();
    let create = alice.get_state(&room, "m.room.create", "").ok();
    let default = &capabilities["capabilities"]["m.room_versions"]["default"];
    assert_eq!(&create["room_version"], default);
}

#[test]
fn password_change_is_possible_unless_said_otherwise() {
    let answer = user("alice").get("/v3/capabilities").ok();
    let enabled = &answer["capabilities"]["m.change_password"]["enabled"];
    assert!(enabled.is_null() || enabled == &json!(true));
}

#[test]
fn capabilities_need_a_login() {
    anonymous()
        .get("/v3/capabilities")
        .fails(401, "M_MISSING_TOKEN");
}
