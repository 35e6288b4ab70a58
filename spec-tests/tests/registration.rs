//! [Account registration](https://spec.matrix.org/v1.19/client-server-api/#account-registration)
//! and [user-interactive authentication](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api).

use serde_json::{Value, json};
use spec_tests::{Server, anonymous, encode, fresh, user};

fn dummy() -> Value {
    json!({"type": "m.login.dummy"})
}

#[test]
fn registering_logs_in() {
    let localpart = fresh("alice");
    let body = json!({"username": localpart, "password": "long enough secret", "auth": dummy()});
    let answer = anonymous().post("/v3/register", body).ok();
    assert!(
        answer["user_id"]
            .as_str()
            .unwrap()
            .starts_with(&format!("@{localpart}:"))
    );
    assert!(answer["device_id"].is_string());
    let token = answer["access_token"].as_str().unwrap();
    let whoami = anonymous().with_token(token).get("/v3/account/whoami").ok();
    assert_eq!(whoami["user_id"], answer["user_id"]);
    assert_eq!(whoami["device_id"], answer["device_id"]);
    assert_ne!(whoami["is_guest"], true);
}

#[test]
fn the_first_request_without_auth_is_told_the_flows() {
    let body = json!({"username": fresh("alice"), "password": "long enough secret"});
    let answer = anonymous().post("/v3/register", body);
    assert_eq!(answer.status, 401);
    let answer = answer.json();
    assert!(answer["session"].is_string());
    let flows = answer["flows"].as_array().unwrap();
    assert!(
        flows
            .iter()
            .any(|flow| flow["stages"] == json!(["m.login.dummy"])),
        "{answer}"
    );
    assert!(answer["params"].is_null() || answer["params"].is_object());
}

#[test]
fn a_session_is_completed_with_the_dummy_stage() {
    let localpart = fresh("alice");
    let body = json!({"username": localpart, "password": "long enough secret"});
    let session = anonymous().post("/v3/register", body.clone()).json()["session"].clone();
    let mut body = body;
    body["auth"] = json!({"type": "m.login.dummy", "session": session});
    let answer = anonymous().post("/v3/register", body).ok();
    assert!(answer["access_token"].is_string());
}

#[test]
fn a_session_remembers_the_first_request_if_the_second_is_bare() {
    let localpart = fresh("alice");
    let body = json!({"username": localpart, "password": "long enough secret"});
    let session = anonymous().post("/v3/register", body).json()["session"].clone();
    let auth = json!({"auth": {"type": "m.login.dummy", "session": session}});
    let answer = anonymous().post("/v3/register", auth);
    // The spec lets the server require the parameters again; it must not register somebody else.
    if answer.status == 200 {
        let id = answer.ok()["user_id"].clone();
        let id = id.as_str().unwrap();
        assert!(
            id.starts_with(&format!("@{localpart}:")) || !id.contains("alice"),
            "{id}"
        );
    } else {
        assert!([400, 401].contains(&answer.status), "{}", answer.text());
    }
}

#[test]
fn an_unknown_stage_is_refused() {
    let body = json!({
        "username": fresh("alice"),
        "password": "long enough secret",
        "auth": {"type": "org.example.no.such.stage"},
    });
    let answer = anonymous().post("/v3/register", body);
    assert!(
        [400, 401, 403].contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text()
    );
}

#[test]
fn inhibit_login_creates_no_device() {
    let localpart = fresh("alice");
    let body = json!({
        "username": localpart, "password": "long enough secret", "auth": dummy(), "inhibit_login": true,
    });
    let answer = anonymous().post("/v3/register", body).ok();
    assert!(answer["user_id"].is_string());
    assert!(answer.get("access_token").is_none(), "{answer}");
    assert!(answer["device_id"].is_null(), "{answer}");
}

#[test]
fn device_id_and_display_name_are_taken() {
    let body = json!({
        "username": fresh("alice"),
        "password": "long enough secret",
        "auth": dummy(),
        "device_id": "GHTYAJCE",
        "initial_device_display_name": "Jungle Phone",
    });
    let answer = anonymous().post("/v3/register", body).ok();
    assert_eq!(answer["device_id"], "GHTYAJCE");
    let alice = anonymous().with_token(answer["access_token"].as_str().unwrap());
    let device = alice.get("/v3/devices/GHTYAJCE").ok();
    assert_eq!(device["display_name"], "Jungle Phone");
}

#[test]
fn without_a_username_the_server_makes_one() {
    let body = json!({"password": "long enough secret", "auth": dummy()});
    let answer = anonymous().post("/v3/register", body).ok();
    assert!(answer["user_id"].as_str().unwrap().starts_with('@'));
}

#[test]
fn a_taken_username_is_in_use() {
    let alice = user("alice");
    let body =
        json!({"username": alice.localpart, "password": "long enough secret", "auth": dummy()});
    anonymous()
        .post("/v3/register", body)
        .fails(400, "M_USER_IN_USE");
}

#[test]
fn a_taken_username_is_told_before_the_flows() {
    let alice = user("alice");
    let body = json!({"username": alice.localpart, "password": "long enough secret"});
    anonymous()
        .post("/v3/register", body)
        .fails(400, "M_USER_IN_USE");
}

#[test]
fn usernames_outside_the_grammar_are_invalid() {
    let long = "x".repeat(300);
    for username in ["with space", "exclamation!", "ünï", "a:b", "@alice", &long] {
        let body = json!({"username": username, "password": "long enough secret", "auth": dummy()});
        anonymous()
            .post("/v3/register", body)
            .fails(400, "M_INVALID_USERNAME");
    }
}

#[test]
fn upper_case_never_makes_a_second_account() {
    let alice = user("alice");
    let body = json!({
        "username": alice.localpart.to_uppercase(), "password": "long enough secret", "auth": dummy(),
    });
    let answer = anonymous().post("/v3/register", body);
    answer.fails_with_one_of(400, &["M_USER_IN_USE", "M_INVALID_USERNAME"]);
}

#[test]
fn registration_bodies_of_wrong_shape_are_bad_json() {
    for body in [
        json!({"username": 7, "auth": dummy()}),
        json!({"username": "x", "password": []}),
        json!([1]),
    ] {
        anonymous()
            .post("/v3/register", body)
            .fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
    }
}

#[test]
fn guests_are_not_served_unless_the_server_says_so() {
    let answer = anonymous().post("/v3/register?kind=guest", json!({}));
    assert!(
        [200, 403].contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text()
    );
}

#[test]
fn an_unknown_kind_is_refused() {
    let body =
        json!({"username": fresh("alice"), "password": "long enough secret", "auth": dummy()});
    let answer = anonymous().post("/v3/register?kind=robot", body);
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn available_says_who_is_free() {
    let alice = user("alice");
    let path = |name: &str| format!("/v3/register/available?username={}", encode(name));
    assert_eq!(
        anonymous().get(&path(&fresh("nobody"))).ok()["available"],
        true
    );
    anonymous()
        .get(&path(&alice.localpart))
        .fails(400, "M_USER_IN_USE");
    anonymous()
        .get(&path("not a name!"))
        .fails(400, "M_INVALID_USERNAME");
    let answer = anonymous().get("/v3/register/available");
    answer.fails_with_one_of(400, &["M_MISSING_PARAM", "M_INVALID_PARAM"]);
}

#[test]
fn closed_registration_is_forbidden() {
    let server = Server::with(&[("registration.mode", "\"closed\"")]);
    let body = json!({"username": "alice", "password": "long enough secret", "auth": dummy()});
    server
        .client()
        .post("/v3/register", body)
        .fails(403, "M_FORBIDDEN");
}

#[test]
fn token_registration_wants_a_token() {
    let server = Server::with(&[("registration.mode", "\"token\"")]);
    let client = server.client();
    let body = json!({"username": "alice", "password": "long enough secret"});
    let answer = client.post("/v3/register", body.clone());
    assert_eq!(answer.status, 401);
    let answer = answer.json();
    let flows = answer["flows"].as_array().unwrap();
    let stage = "m.login.registration_token";
    assert!(
        flows
            .iter()
            .all(|flow| flow["stages"].as_array().unwrap().contains(&json!(stage)))
    );

    let mut wrong = body.clone();
    wrong["auth"] = json!({"type": stage, "token": "wrong", "session": answer["session"]});
    let refused = client.post("/v3/register", wrong);
    assert!([401, 403].contains(&refused.status), "{}", refused.text());
    let mut dummy_only = body;
    dummy_only["auth"] = dummy();
    assert_ne!(client.post("/v3/register", dummy_only).status, 200);

    let validity = |token: &str| {
        let path = format!("/v1/register/m.login.registration_token/validity?token={token}");
        client.get(&path).ok()["valid"].clone()
    };
    assert_eq!(validity("wrong"), false);
}

#[test]
fn the_first_start_prints_a_token_that_registers_one_account() {
    let server = Server::with(&[("registration.mode", "\"token\"")]);
    let client = server.client();
    let log = server.log();
    // The words of the log are whatever they are; the token is one of them and proves itself.
    let candidates = log
        .split(|c: char| !(c.is_ascii_alphanumeric() || "._~-".contains(c)))
        .filter(|word| (8..=64).contains(&word.len()));
    let token = candidates.into_iter().find(|word| {
        let path = format!("/v1/register/m.login.registration_token/validity?token={word}");
        let answer = client.get(&path);
        answer.status == 200 && answer.json()["valid"] == true
    });
    let token = token.unwrap_or_else(|| panic!("no valid token in: {log}"));

    let body = |name: &str, session: &Value| {
        json!({
            "username": name,
            "password": "long enough secret",
            "auth": {"type": "m.login.registration_token", "token": token, "session": session},
        })
    };
    let session = client
        .post("/v3/register", json!({"username": "alice"}))
        .json()["session"]
        .clone();
    client.post("/v3/register", body("alice", &session)).ok();
    let session = client
        .post("/v3/register", json!({"username": "bob"}))
        .json()["session"]
        .clone();
    let again = client.post("/v3/register", body("bob", &session));
    assert!(
        [401, 403].contains(&again.status),
        "the token works once: {}",
        again.text()
    );
}

#[test]
fn the_shared_secret_registers_without_open_registration() {
    let server = Server::with(&[
        ("registration.mode", "\"closed\""),
        ("registration.shared_secret", "\"a shared secret\""),
    ]);
    let client = server.client();
    let path = "/_synapse/admin/v1/register";
    let nonce = client.get(path).ok()["nonce"].as_str().unwrap().to_owned();
    let mac = hmac_sha1(
        b"a shared secret",
        &[&nonce, "alice", "long enough secret", "notadmin"].join("\0"),
    );
    let body = |mac: &str| {
        json!({
            "nonce": nonce, "username": "alice", "password": "long enough secret", "admin": false, "mac": mac,
        })
    };
    let answer = client.post(path, body(&"0".repeat(40)));
    assert_eq!(answer.status, 403, "{}", answer.text());
    let nonce_again = client.get(path).ok()["nonce"].as_str().unwrap().to_owned();
    let mac_again = hmac_sha1(
        b"a shared secret",
        &[&nonce_again, "alice", "long enough secret", "notadmin"].join("\0"),
    );
    let mut good = body(&mac_again);
    good["nonce"] = json!(nonce_again);
    let answer = client.post(path, good).ok();
    assert_eq!(answer["user_id"], "@alice:localhost");
    let alice = client.with_token(answer["access_token"].as_str().unwrap());
    assert_eq!(
        alice.get("/v3/account/whoami").ok()["user_id"],
        "@alice:localhost"
    );
    // A nonce is for one use.
    assert_eq!(client.post(path, body(&mac)).status, 400);
}

/// HMAC-SHA1 in lower-case hexadecimal, as the endpoint wants it.
fn hmac_sha1(key: &[u8], message: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
