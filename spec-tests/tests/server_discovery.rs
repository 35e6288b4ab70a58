//! [Server discovery](https://spec.matrix.org/v1.19/client-server-api/#server-discovery).

use serde_json::Value;
use spec_tests::{Server, anonymous, user};

#[test]
fn versions_name_released_versions_of_the_spec() {
    let answer = anonymous().get("/_matrix/client/versions").ok();
    let versions = answer["versions"].as_array().unwrap();
    assert!(!versions.is_empty());
    for version in versions {
        let version = version.as_str().unwrap();
        let known = version.starts_with("v1.") || version.starts_with("r0.");
        assert!(known, "{version} is no version of the client-server API");
    }
    let features = &answer["unstable_features"];
    assert!(
        features.is_null()
            || features
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_boolean)
    );
}

#[test]
fn versions_are_old_enough_and_new_enough_for_clients() {
    let answer = anonymous().get("/_matrix/client/versions").ok();
    // Element Web asks for v1.5 or an r0 version, and refuses to start without.
    let versions = answer["versions"].as_array().unwrap();
    assert!(
        versions.iter().any(|version| version == "v1.5"),
        "{versions:?}"
    );
}

#[test]
fn versions_may_be_asked_with_a_login() {
    let alice = user("alice");
    assert!(alice.get("/_matrix/client/versions").ok()["versions"].is_array());
}

#[test]
fn well_known_client_names_the_base_url() {
    let server = Server::with(&[("public_base_url", "\"https://matrix.example.org\"")]);
    let answer = server.client().get("/.well-known/matrix/client");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let base_url = answer.ok()["m.homeserver"]["base_url"].clone();
    let base_url = base_url.as_str().unwrap().trim_end_matches('/');
    assert_eq!(base_url, "https://matrix.example.org");
}

#[test]
fn well_known_files_are_json_or_absent() {
    for name in ["client", "server", "support"] {
        let answer = anonymous().get(&format!("/.well-known/matrix/{name}"));
        assert!(
            [200, 404].contains(&answer.status),
            "{name}: {}",
            answer.status
        );
        if answer.status == 200 {
            assert!(answer.json().is_object(), "{name}: {}", answer.text());
        }
    }
}

#[test]
fn well_known_support_names_the_contacts() {
    let server = Server::with(&[
        ("well_known.support_email", "\"help@example.org\""),
        ("well_known.support_page", "\"https://example.org/help\""),
    ]);
    let answer = server.client().get("/.well-known/matrix/support").ok();
    assert_eq!(answer["support_page"], "https://example.org/help");
    assert_eq!(answer["contacts"][0]["email_address"], "help@example.org");
}
