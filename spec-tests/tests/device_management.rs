//! [Device management](https://spec.matrix.org/v1.19/client-server-api/#device-management).

use serde_json::json;
use spec_tests::{Response, User, anonymous, encode, user};

fn path(device_id: &str) -> String {
    format!("/v3/devices/{}", encode(device_id))
}

/// Sends `body` and, if asked to authenticate, once more with the password.
fn with_password(alice: &User, method: &str, path: &str, body: &serde_json::Value) -> Response {
    let first = alice.send_json(method, path, body.clone());
    if first.status != 401 || first.json().get("errcode").is_some() {
        return first;
    }
    let mut body = body.clone();
    body["auth"] = alice.password_auth(&first.json()["session"]);
    alice.send_json(method, path, body)
}

#[test]
fn devices_are_listed_with_what_is_known_of_them() {
    let alice = user("alice");
    let other = alice.log_in_with(json!({"initial_device_display_name": "Tablet"}));
    let answer = alice.get("/v3/devices").ok();
    let devices = answer["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    let tablet = devices
        .iter()
        .find(|device| device["device_id"] == other.device_id)
        .unwrap();
    assert_eq!(tablet["display_name"], "Tablet");
    assert!(tablet["last_seen_ts"].is_null() || tablet["last_seen_ts"].is_u64());
}

#[test]
fn one_device_is_told() {
    let alice = user("alice");
    assert_eq!(
        alice.get(&path(&alice.device_id)).ok()["device_id"],
        alice.device_id
    );
}

#[test]
fn an_unknown_device_is_not_found() {
    let alice = user("alice");
    let bob = user("bob");
    alice.get(&path("NOSUCHDEVICE")).fails(404, "M_NOT_FOUND");
    alice
        .put(&path("NOSUCHDEVICE"), json!({"display_name": "x"}))
        .fails(404, "M_NOT_FOUND");
    // Another user's devices are nobody's business.
    alice.get(&path(&bob.device_id)).fails(404, "M_NOT_FOUND");
    alice
        .put(&path(&bob.device_id), json!({"display_name": "x"}))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn a_device_is_renamed() {
    let alice = user("alice");
    assert_eq!(
        alice
            .put(&path(&alice.device_id), json!({"display_name": "Laptop"}))
            .ok(),
        json!({})
    );
    assert_eq!(
        alice.get(&path(&alice.device_id)).ok()["display_name"],
        "Laptop"
    );
    // An absent name leaves the name alone.
    alice.put(&path(&alice.device_id), json!({})).ok();
    assert_eq!(
        alice.get(&path(&alice.device_id)).ok()["display_name"],
        "Laptop"
    );
}

#[test]
fn a_name_of_the_wrong_type_is_bad_json() {
    let alice = user("alice");
    let answer = alice.put(&path(&alice.device_id), json!({"display_name": 4}));
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
}

#[test]
fn deleting_a_device_asks_for_the_password_and_ends_its_token() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let first = alice.delete(&path(&other.device_id));
    assert_eq!(first.status, 401, "{}", first.text());
    let first = first.json();
    assert!(
        first["flows"].is_array() && first["session"].is_string(),
        "{first}"
    );
    other.get("/v3/account/whoami").ok();

    let wrong = json!({"auth": {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": alice.id},
        "password": "wrong",
        "session": first["session"],
    }});
    let refused = alice.send_json("DELETE", &path(&other.device_id), wrong);
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(refused.json()["errcode"], "M_FORBIDDEN");

    let right = json!({"auth": alice.password_auth(&first["session"])});
    alice
        .send_json("DELETE", &path(&other.device_id), right)
        .ok();
    other
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    alice.get(&path(&other.device_id)).fails(404, "M_NOT_FOUND");
}

#[test]
fn somebody_elses_password_does_not_delete_a_device() {
    let alice = user("alice");
    let bob = user("bob");
    let other = alice.log_in_again();
    let session = alice.delete(&path(&other.device_id)).json()["session"].clone();
    let auth = json!({"auth": bob.password_auth(&session)});
    let answer = alice.send_json("DELETE", &path(&other.device_id), auth);
    assert!([401, 403].contains(&answer.status), "{}", answer.text());
    other.get("/v3/account/whoami").ok();
}

#[test]
fn several_devices_are_deleted_at_once() {
    let alice = user("alice");
    let others = [alice.log_in_again(), alice.log_in_again()];
    let body = json!({"devices": [others[0].device_id, others[1].device_id]});
    with_password(&alice, "POST", "/v3/delete_devices", &body).ok();
    for other in &others {
        other
            .get("/v3/account/whoami")
            .fails(401, "M_UNKNOWN_TOKEN");
    }
    alice.get("/v3/account/whoami").ok();
}

#[test]
fn deleting_unknown_devices_succeeds() {
    let alice = user("alice");
    with_password(
        &alice,
        "POST",
        "/v3/delete_devices",
        &json!({"devices": ["NOSUCHDEVICE"]}),
    )
    .ok();
}

#[test]
fn deleting_a_list_of_wrong_shape_is_refused() {
    let alice = user("alice");
    let answer = with_password(
        &alice,
        "POST",
        "/v3/delete_devices",
        &json!({"devices": "all"}),
    );
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
}

#[test]
fn devices_need_a_login() {
    anonymous().get("/v3/devices").fails(401, "M_MISSING_TOKEN");
    anonymous().delete(&path("X")).fails(401, "M_MISSING_TOKEN");
}
