//! [Refreshing access tokens](https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens).

use serde_json::{Value, json};
use spec_tests::{User, anonymous, fresh, user};

fn with_refresh_token() -> User {
    user("alice").log_in_with(json!({"refresh_token": true}))
}

fn refresh(token: &Value) -> spec_tests::Response {
    anonymous().post("/v3/refresh", json!({"refresh_token": token}))
}

#[test]
fn logins_get_a_refresh_token_only_if_they_ask() {
    assert!(user("alice").refresh_token.is_none());
    assert!(with_refresh_token().refresh_token.is_some());
}

#[test]
fn registrations_get_a_refresh_token_if_they_ask() {
    let body = json!({
        "username": fresh("alice"),
        "password": "long enough secret",
        "auth": {"type": "m.login.dummy"},
        "refresh_token": true,
    });
    let answer = anonymous().post("/v3/register", body).ok();
    assert!(answer["refresh_token"].is_string());
    assert!(answer["expires_in_ms"].as_u64().unwrap() > 0);
}

#[test]
fn refreshing_gives_tokens_that_work() {
    let alice = with_refresh_token();
    let answer = refresh(&json!(alice.refresh_token)).ok();
    let token = answer["access_token"].as_str().unwrap();
    assert_ne!(token, alice.access_token);
    let whoami = anonymous().with_token(token).get("/v3/account/whoami").ok();
    assert_eq!(whoami["user_id"], alice.id);
    assert_eq!(whoami["device_id"], alice.device_id);
}

#[test]
fn the_old_access_token_ends_with_the_refresh() {
    let alice = with_refresh_token();
    let answer = refresh(&json!(alice.refresh_token)).ok();
    anonymous()
        .with_token(answer["access_token"].as_str().unwrap())
        .get("/v3/account/whoami")
        .ok();
    alice
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_refresh_can_be_repeated_until_the_new_token_is_used() {
    let alice = with_refresh_token();
    refresh(&json!(alice.refresh_token)).ok();
    // The answer was lost on its way: the same request again must work.
    let second = refresh(&json!(alice.refresh_token)).ok();
    let token = second["access_token"].as_str().unwrap();
    anonymous().with_token(token).get("/v3/account/whoami").ok();
}

#[test]
fn an_old_refresh_token_is_refused_once_the_new_one_was_used() {
    let alice = with_refresh_token();
    let second = refresh(&json!(alice.refresh_token)).ok();
    anonymous()
        .with_token(second["access_token"].as_str().unwrap())
        .get("/v3/account/whoami")
        .ok();
    if second["refresh_token"].is_string() {
        refresh(&second["refresh_token"]).ok();
        refresh(&json!(alice.refresh_token)).fails_with_one_of(401, &["M_UNKNOWN_TOKEN"]);
    }
}

#[test]
fn an_unknown_refresh_token_is_unknown() {
    refresh(&json!("no such token")).fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn an_access_token_is_no_refresh_token_and_the_other_way_round() {
    let alice = with_refresh_token();
    refresh(&json!(alice.access_token)).fails(401, "M_UNKNOWN_TOKEN");
    let backwards = anonymous().with_token(alice.refresh_token.as_deref().unwrap());
    backwards
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn logout_ends_the_refresh_token_too() {
    let alice = with_refresh_token();
    alice.post("/v3/logout", json!({})).ok();
    refresh(&json!(alice.refresh_token)).fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn malformed_refreshes_are_bad_json() {
    for body in [json!({}), json!({"refresh_token": 7})] {
        let answer = anonymous().post("/v3/refresh", body);
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_MISSING_PARAM", "M_INVALID_PARAM"]);
    }
}
