//! [Filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering): keeping filters. What they do to `/sync` is in `syncing_filters`.

use serde_json::json;
use spec_tests::{User, anonymous, encode, user};

fn path(alice: &User) -> String {
    format!("/v3/user/{}/filter", encode(&alice.id))
}

#[test]
fn a_filter_is_kept() {
    let alice = user("alice");
    let filter = json!({
        "room": {"timeline": {"limit": 5, "types": ["m.room.message"]}, "state": {"lazy_load_members": true}},
        "event_fields": ["type", "content"],
    });
    let answer = alice.post(&path(&alice), filter.clone()).ok();
    let id = answer["filter_id"].as_str().unwrap();
    assert!(!id.starts_with('{'));
    let kept = alice.get(&format!("{}/{}", path(&alice), encode(id))).ok();
    assert_eq!(kept["room"]["timeline"], filter["room"]["timeline"]);
    assert_eq!(kept["room"]["state"]["lazy_load_members"], true);
    assert_eq!(kept["event_fields"], filter["event_fields"]);
}

#[test]
fn a_kept_filter_is_used_by_sync() {
    let alice = user("alice");
    let room = alice.public_room();
    alice.say(&room, "hello");
    let filter = json!({"room": {"timeline": {"types": ["m.room.message"]}}});
    let id = alice.post(&path(&alice), filter).ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let sync = alice.sync(&[("filter", &id)]);
    let events = sync["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event["type"] == "m.room.message"));
}

#[test]
fn an_unknown_filter_is_not_found() {
    let alice = user("alice");
    alice
        .get(&format!("{}/no-such-filter", path(&alice)))
        .fails_with_one_of(404, &["M_NOT_FOUND"]);
    alice
        .get(&format!("{}/999999", path(&alice)))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn sync_with_an_unknown_filter_is_refused() {
    let alice = user("alice");
    let answer = alice.get("/v3/sync?filter=999999");
    assert!(
        [400, 404].contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text()
    );
}

#[test]
fn filters_are_the_users_own() {
    let alice = user("alice");
    let bob = user("bob");
    let id = alice.post(&path(&alice), json!({})).ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.post(&path(&alice), json!({})).fails(403, "M_FORBIDDEN");
    let answer = bob.get(&format!("{}/{}", path(&alice), encode(&id)));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
    anonymous()
        .post(&path(&alice), json!({}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn malformed_filters_are_refused() {
    let alice = user("alice");
    for filter in [
        json!([]),
        json!({"room": 3}),
        json!({"room": {"timeline": {"limit": "many"}}}),
        json!({"room": {"timeline": {"types": "m.room.message"}}}),
        json!({"event_fields": {}}),
    ] {
        let answer = alice.post(&path(&alice), filter.clone());
        assert_eq!(answer.status, 400, "{filter}: {}", answer.text());
    }
    let answer = alice.get(&format!("/v3/sync?filter={}", encode("{not json")));
    assert_eq!(answer.status, 400, "{}", answer.text());
}
