//! [Standard error response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response),
//! [web browser clients](https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients) and
//! [using access tokens](https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens).

use serde_json::json;
use spec_tests::{anonymous, encode, user};

#[test]
fn unknown_paths_are_unrecognized() {
    for path in [
        "/v3/no/such/endpoint",
        "/unstable/org.example/thing",
        "/_matrix/nothing",
        "/v9/sync",
    ] {
        anonymous().get(path).fails(404, "M_UNRECOGNIZED");
    }
}

#[test]
fn unknown_paths_are_unrecognized_when_logged_in_too() {
    user("alice")
        .post("/v3/no/such/endpoint", json!({}))
        .fails(404, "M_UNRECOGNIZED");
}

#[test]
fn wrong_methods_are_unrecognized() {
    let alice = user("alice");
    alice.delete("/v3/sync").fails(405, "M_UNRECOGNIZED");
    alice.get("/v3/createRoom").fails(405, "M_UNRECOGNIZED");
    alice
        .put("/_matrix/client/versions", json!({}))
        .fails(405, "M_UNRECOGNIZED");
}

#[test]
fn requests_without_a_token_get_missing_token() {
    let room = encode("!room:localhost");
    for path in [
        "/v3/sync".to_owned(),
        "/v3/account/whoami".to_owned(),
        "/v3/joined_rooms".to_owned(),
        "/v3/devices".to_owned(),
        "/v3/capabilities".to_owned(),
        "/v3/pushrules/".to_owned(),
        format!("/v3/rooms/{room}/state"),
        format!("/v3/rooms/{room}/messages?dir=b"),
    ] {
        anonymous().get(&path).fails(401, "M_MISSING_TOKEN");
    }
}

#[test]
fn the_token_is_asked_for_before_the_body_is_looked_at() {
    let body = Some(&b"this is not JSON"[..]);
    anonymous()
        .send("POST", "/v3/createRoom", &[], body)
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn bogus_tokens_get_unknown_token() {
    let long = "x".repeat(4_000);
    for token in ["nonsense", "syt_a_b_c", "'; DROP TABLE users", &long] {
        let answer = anonymous().with_token(token).get("/v3/account/whoami");
        answer.fails(401, "M_UNKNOWN_TOKEN");
    }
}

#[test]
fn a_token_in_the_query_works() {
    let alice = user("alice");
    let path = format!(
        "/v3/account/whoami?access_token={}",
        encode(&alice.access_token)
    );
    assert_eq!(anonymous().get(&path).ok()["user_id"], alice.id);
}

#[test]
fn other_authorization_schemes_are_no_token() {
    let headers = [("authorization", "Basic YWxpY2U6c2VjcmV0")];
    let answer = anonymous().send("GET", "/v3/account/whoami", &headers, None);
    answer.fails_with_one_of(401, &["M_MISSING_TOKEN", "M_UNKNOWN_TOKEN"]);
}

#[test]
fn every_answer_carries_the_cors_headers() {
    let origin = [("origin", "https://app.example.org")];
    let alice = user("alice");
    for (path, status) in [
        ("/_matrix/client/versions", 200),
        ("/v3/account/whoami", 200),
        ("/v3/no/such/endpoint", 404),
        ("/v3/createRoom", 405),
    ] {
        let answer = alice.send("GET", path, &origin, None);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
    let refused = anonymous().send("GET", "/v3/account/whoami", &origin, None);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), "*");
}

#[test]
fn preflight_requests_need_no_token() {
    let headers = [
        ("origin", "https://app.example.org"),
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization, content-type",
        ),
    ];
    let room = encode("!room:localhost");
    let path = format!("/v3/rooms/{room}/send/m.room.message/1");
    let answer = anonymous().send("OPTIONS", &path, &headers, None);
    assert!([200, 204].contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let methods = answer.header("access-control-allow-methods").to_uppercase();
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(
            methods.contains(method) || methods == "*",
            "{method} not in {methods}"
        );
    }
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    for header in ["authorization", "content-type", "x-requested-with"] {
        assert!(allowed.contains(header), "{header} not in {allowed}");
    }
}

#[test]
fn preflight_of_an_unknown_path_succeeds_too() {
    let headers = [
        ("origin", "https://app.example.org"),
        ("access-control-request-method", "GET"),
    ];
    let answer = anonymous().send("OPTIONS", "/v3/no/such/endpoint", &headers, None);
    assert!([200, 204].contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[test]
fn errors_are_json() {
    let answer = anonymous().get("/v3/no/such/endpoint");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
}

#[test]
fn old_versions_of_the_paths_answer_too() {
    let alice = user("alice");
    let room = alice.public_room();
    assert_eq!(alice.get("/r0/account/whoami").ok()["user_id"], alice.id);
    assert!(alice.get("/r0/sync").ok()["next_batch"].is_string());
    let path = format!("/r0/rooms/{}/send/m.room.message/1", encode(&room));
    alice
        .put(&path, json!({"msgtype": "m.text", "body": "hello"}))
        .ok();
    let joined = alice.get("/r0/joined_rooms").ok();
    assert_eq!(joined["joined_rooms"], json!([room]));
}
