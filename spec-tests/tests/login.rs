//! [Login](https://spec.matrix.org/v1.19/client-server-api/#login), logout, whoami and soft errors around tokens.

use serde_json::json;
use spec_tests::{anonymous, encode, fresh, user};

#[test]
fn login_flows_offer_the_password() {
    let answer = anonymous().get("/v3/login").ok();
    let flows = answer["flows"].as_array().unwrap();
    assert!(
        flows.iter().any(|flow| flow["type"] == "m.login.password"),
        "{answer}"
    );
}

#[test]
fn login_by_user_id_gives_a_token_that_works() {
    let alice = user("alice");
    let again = alice.log_in_again();
    assert_ne!(again.access_token, alice.access_token);
    assert_ne!(again.device_id, alice.device_id);
    let whoami = again.get("/v3/account/whoami").ok();
    assert_eq!(whoami["user_id"], alice.id);
    assert_eq!(whoami["device_id"], again.device_id);
}

#[test]
fn login_by_localpart_works() {
    let alice = user("alice");
    let identifier = json!({"type": "m.id.user", "user": alice.localpart});
    let again = alice.log_in_with(json!({"identifier": identifier}));
    assert_eq!(again.id, alice.id);
}

#[test]
fn login_by_the_old_user_key_works() {
    let alice = user("alice");
    let body =
        json!({"type": "m.login.password", "user": alice.localpart, "password": alice.password});
    assert_eq!(
        anonymous().post("/v3/login", body).ok()["user_id"],
        alice.id
    );
}

#[test]
fn login_ignores_the_case_of_the_name() {
    let alice = user("alice");
    let identifier = json!({"type": "m.id.user", "user": alice.localpart.to_uppercase()});
    let again = alice.log_in_with(json!({"identifier": identifier}));
    assert_eq!(again.id, alice.id);
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    let alice = user("alice");
    let attempt = |user: &str, password: &str| {
        let identifier = json!({"type": "m.id.user", "user": user});
        let body =
            json!({"type": "m.login.password", "identifier": identifier, "password": password});
        anonymous()
            .post("/v3/login", body)
            .fails(403, "M_FORBIDDEN")
    };
    let wrong = attempt(&alice.id, "wrong");
    let unknown = attempt(&fresh("nobody"), "wrong");
    assert_eq!(wrong["error"], unknown["error"]);
}

#[test]
fn a_user_of_another_server_is_refused() {
    let identifier = json!({"type": "m.id.user", "user": "@alice:elsewhere.example"});
    let body = json!({"type": "m.login.password", "identifier": identifier, "password": "x"});
    anonymous()
        .post("/v3/login", body)
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn an_unknown_login_type_is_unknown() {
    let body = json!({"type": "org.example.magic"});
    let answer = anonymous().post("/v3/login", body);
    answer.fails_with_one_of(400, &["M_UNKNOWN", "M_UNRECOGNIZED", "M_INVALID_PARAM"]);
}

#[test]
fn malformed_logins_are_refused() {
    for body in [
        json!({}),
        json!({"type": "m.login.password"}),
        json!({"type": 3}),
        json!("login"),
    ] {
        let answer = anonymous().post("/v3/login", body);
        let codes = &[
            "M_BAD_JSON",
            "M_MISSING_PARAM",
            "M_INVALID_PARAM",
            "M_UNKNOWN",
        ];
        answer.fails_with_one_of(400, codes);
    }
    let answer = anonymous().send("POST", "/v3/login", &[], Some(b"{not json"));
    answer.fails(400, "M_NOT_JSON");
}

#[test]
fn logging_in_on_a_known_device_replaces_its_token() {
    let alice = user("alice");
    let again = alice.log_in_with(json!({"device_id": alice.device_id}));
    assert_eq!(again.device_id, alice.device_id);
    again.get("/v3/account/whoami").ok();
    alice
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    let devices = again.get("/v3/devices").ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn a_display_name_is_given_to_a_new_device() {
    let alice = user("alice");
    let again = alice.log_in_with(json!({"initial_device_display_name": "Jungle Phone"}));
    let device = again
        .get(&format!("/v3/devices/{}", encode(&again.device_id)))
        .ok();
    assert_eq!(device["display_name"], "Jungle Phone");
}

#[test]
fn logout_ends_this_device_only() {
    let alice = user("alice");
    let other = alice.log_in_again();
    assert_eq!(alice.post("/v3/logout", json!({})).ok(), json!({}));
    alice
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    let devices = other.get("/v3/devices").ok();
    let devices = devices["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["device_id"], other.device_id);
}

#[test]
fn logout_needs_no_body() {
    let alice = user("alice");
    alice.send("POST", "/v3/logout", &[], None).ok();
    alice
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn logout_all_ends_every_device() {
    let alice = user("alice");
    let other = alice.log_in_again();
    alice.post("/v3/logout/all", json!({})).ok();
    for device in [&alice, &other] {
        device
            .get("/v3/account/whoami")
            .fails(401, "M_UNKNOWN_TOKEN");
    }
    alice.log_in_again().get("/v3/account/whoami").ok();
}

#[test]
fn logging_out_twice_is_an_unknown_token() {
    let alice = user("alice");
    alice.post("/v3/logout", json!({})).ok();
    alice
        .post("/v3/logout", json!({}))
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_waiting_sync_ends_when_its_device_logs_out() {
    let alice = user("alice");
    let other = alice.log_in_again();
    let since = alice.now();
    let waiting = std::thread::spawn(move || {
        alice
            .get(&format!("/v3/sync?since={}&timeout=60000", encode(&since)))
            .status
    });
    other.post("/v3/logout/all", json!({})).ok();
    let status = waiting.join().unwrap();
    assert!([200, 401].contains(&status), "{status}");
}

#[test]
fn a_login_token_logs_in_once() {
    let alice = user("alice");
    let first = alice.post("/v1/login/get_token", json!({}));
    if first.status == 404 || first.status == 400 {
        // The feature is off on this server; then it must not be advertised.
        let capabilities = alice.get("/v3/capabilities").ok();
        assert_ne!(
            capabilities["capabilities"]["m.get_login_token"]["enabled"],
            true
        );
        return;
    }
    let token = if first.status == 401 {
        let session = first.json()["session"].clone();
        alice
            .post(
                "/v1/login/get_token",
                json!({"auth": alice.password_auth(&session)}),
            )
            .ok()
    } else {
        first.ok()
    };
    assert!(token["expires_in_ms"].as_u64().unwrap() > 0);
    let body = json!({"type": "m.login.token", "token": token["login_token"]});
    assert_eq!(
        anonymous().post("/v3/login", body.clone()).ok()["user_id"],
        alice.id
    );
    anonymous()
        .post("/v3/login", body)
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn a_made_up_login_token_is_forbidden() {
    let body = json!({"type": "m.login.token", "token": "made up"});
    let answer = anonymous().post("/v3/login", body);
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
}

#[test]
fn whoami_needs_a_login() {
    anonymous()
        .get("/v3/account/whoami")
        .fails(401, "M_MISSING_TOKEN");
}
