//! [Account management](https://spec.matrix.org/v1.19/client-server-api/#account-management): password and deactivation.

use serde_json::{Value, json};
use spec_tests::{Response, User, anonymous, encode, user};

fn authenticated(alice: &User, path: &str, mut body: Value) -> Response {
    let first = alice.post(path, body.clone());
    assert_eq!(first.status, 401, "{}", first.text());
    body["auth"] = alice.password_auth(&first.json()["session"]);
    alice.post(path, body)
}

fn log_in(alice: &User, password: &str) -> Response {
    let identifier = json!({"type": "m.id.user", "user": alice.id});
    let body = json!({"type": "m.login.password", "identifier": identifier, "password": password});
    anonymous().post("/v3/login", body)
}

#[test]
fn a_changed_password_replaces_the_old_one() {
    let alice = user("alice");
    authenticated(
        &alice,
        "/v3/account/password",
        json!({"new_password": "another long secret"}),
    )
    .ok();
    log_in(&alice, &alice.password).fails(403, "M_FORBIDDEN");
    log_in(&alice, "another long secret").ok();
}

#[test]
fn a_changed_password_logs_out_the_other_devices() {
    let alice = user("alice");
    let other = alice.log_in_again();
    authenticated(
        &alice,
        "/v3/account/password",
        json!({"new_password": "another long secret"}),
    )
    .ok();
    other
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    alice.get("/v3/account/whoami").ok();
}

#[test]
fn the_other_devices_stay_if_asked() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let body = json!({"new_password": "another long secret", "logout_devices": false});
    authenticated(&alice, "/v3/account/password", body).ok();
    other.get("/v3/account/whoami").ok();
}

#[test]
fn the_password_stays_without_authentication() {
    let alice = user("alice");
    let answer = alice.post(
        "/v3/account/password",
        json!({"new_password": "another long secret"}),
    );
    assert_eq!(answer.status, 401);
    log_in(&alice, "another long secret").fails(403, "M_FORBIDDEN");
    log_in(&alice, &alice.password).ok();
}

#[test]
fn a_deactivated_account_is_gone() {
    let alice = user("alice");
    let answer = authenticated(&alice, "/v3/account/deactivate", json!({})).ok();
    let result = &answer["id_server_unbind_result"];
    assert!(result == "success" || result == "no-support", "{answer}");
    alice
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    log_in(&alice, &alice.password).fails_with_one_of(403, &["M_FORBIDDEN", "M_USER_DEACTIVATED"]);
    // The name is not given to somebody else.
    let path = format!(
        "/v3/register/available?username={}",
        encode(&alice.localpart)
    );
    anonymous().get(&path).fails(400, "M_USER_IN_USE");
}

#[test]
fn a_deactivated_user_leaves_the_rooms() {
    let alice = user("alice");
    let bob = user("bob");
    let room = bob.public_room();
    alice.join(&room);
    authenticated(&alice, "/v3/account/deactivate", json!({})).ok();
    let mut feed = spec_tests::Feed::from_now(&bob);
    if bob.membership_of(&room, &alice) != "leave" {
        feed.until("alice's leave", |_| {
            (bob.membership_of(&room, &alice) == "leave").then_some(())
        });
    }
}

#[test]
fn deactivation_needs_the_password() {
    let alice = user("alice");
    assert_eq!(alice.post("/v3/account/deactivate", json!({})).status, 401);
    alice.get("/v3/account/whoami").ok();
    let answer = anonymous().post(
        "/v3/account/deactivate",
        json!({"auth": {"type": "m.login.dummy"}}),
    );
    assert!(
        (400..500).contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text()
    );
}

#[test]
fn third_party_identifiers_are_an_empty_list() {
    assert_eq!(
        user("alice").get("/v3/account/3pid").ok()["threepids"],
        json!([])
    );
}
