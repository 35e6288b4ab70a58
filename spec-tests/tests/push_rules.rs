//! [Push rules API](https://spec.matrix.org/v1.19/client-server-api/#push-rules-api).

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, find_event, user};

fn rule(kind: &str, id: &str) -> String {
    format!("/v3/pushrules/global/{kind}/{}", encode(id))
}

fn ids(rules: &Value) -> Vec<&str> {
    rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule_id"].as_str().unwrap())
        .collect()
}

fn content_rule(alice: &User, id: &str, query: &str) {
    let body = json!({"pattern": "cake", "actions": ["notify"]});
    alice
        .put(&format!("{}{query}", rule("content", id)), body)
        .ok();
}

#[test]
fn the_default_rules_are_there() {
    let answer = user("alice").get("/v3/pushrules/").ok();
    let global = &answer["global"];
    for kind in ["override", "content", "room", "sender", "underride"] {
        assert!(global[kind].is_array(), "{kind}: {global}");
    }
    let overrides = ids(&global["override"]);
    assert_eq!(overrides.first(), Some(&".m.rule.master"));
    for id in [
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ] {
        assert!(overrides.contains(&id), "{id} is missing in {overrides:?}");
    }
    let underrides = ids(&global["underride"]);
    for id in [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ] {
        assert!(
            underrides.contains(&id),
            "{id} is missing in {underrides:?}"
        );
    }
    let master = &global["override"][0];
    assert_eq!(master["default"], true);
    assert_eq!(master["enabled"], false);
    assert_eq!(master["actions"], json!([]));
}

#[test]
fn the_rules_are_read_with_and_without_the_slash() {
    let alice = user("alice");
    let all = alice.get("/v3/pushrules/").ok();
    assert_eq!(alice.get("/v3/pushrules/global/").ok(), all["global"]);
    assert_eq!(alice.get("/v3/pushrules").ok(), all);
}

#[test]
fn one_rule_is_read() {
    let alice = user("alice");
    let answer = alice.get(&rule("underride", ".m.rule.message")).ok();
    assert_eq!(answer["rule_id"], ".m.rule.message");
    assert_eq!(answer["default"], true);
    assert_eq!(answer["enabled"], true);
    alice
        .get(&rule("underride", "none"))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn own_rules_are_made_changed_and_deleted() {
    let alice = user("alice");
    content_rule(&alice, "cake", "");
    let made = alice.get(&rule("content", "cake")).ok();
    assert_eq!(made["pattern"], "cake");
    assert_eq!(made["enabled"], true);
    assert_eq!(made["default"], false);
    alice
        .put(
            &rule("content", "cake"),
            json!({"pattern": "lie", "actions": []}),
        )
        .ok();
    assert_eq!(alice.get(&rule("content", "cake")).ok()["pattern"], "lie");
    assert_eq!(alice.delete(&rule("content", "cake")).ok(), json!({}));
    alice
        .get(&rule("content", "cake"))
        .fails(404, "M_NOT_FOUND");
    alice
        .delete(&rule("content", "cake"))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn rules_of_every_kind_are_made() {
    let alice = user("alice");
    let room = alice.public_room();
    let condition = json!([{"kind": "event_match", "key": "type", "pattern": "m.custom"}]);
    for (kind, id, body) in [
        (
            "override",
            "custom",
            json!({"conditions": condition, "actions": ["notify"]}),
        ),
        (
            "underride",
            "custom",
            json!({"conditions": condition, "actions": ["notify"]}),
        ),
        ("sender", "@spam:localhost", json!({"actions": []})),
        ("room", room.as_str(), json!({"actions": []})),
    ] {
        alice.put(&rule(kind, id), body).ok();
        assert_eq!(alice.get(&rule(kind, id)).ok()["rule_id"], id, "{kind}");
    }
}

#[test]
fn a_new_rule_is_the_most_important_of_the_users_own() {
    let alice = user("alice");
    content_rule(&alice, "first", "");
    content_rule(&alice, "second", "");
    let all = alice.get("/v3/pushrules/").ok();
    let content = ids(&all["global"]["content"]);
    let own: Vec<_> = content
        .into_iter()
        .filter(|id| !id.starts_with('.'))
        .collect();
    assert_eq!(own, ["second", "first"]);
}

#[test]
fn before_and_after_place_a_rule() {
    let alice = user("alice");
    content_rule(&alice, "low", "");
    content_rule(&alice, "high", "");
    content_rule(&alice, "middle", "?before=low");
    content_rule(&alice, "bottom", "?after=low");
    let all = alice.get("/v3/pushrules/").ok();
    let content = ids(&all["global"]["content"]);
    let own: Vec<_> = content
        .into_iter()
        .filter(|id| !id.starts_with('.'))
        .collect();
    assert_eq!(own, ["high", "middle", "low", "bottom"]);
}

#[test]
fn own_override_rules_stand_below_master_and_above_the_other_defaults() {
    let alice = user("alice");
    let body = json!({"conditions": [], "actions": []});
    alice.put(&rule("override", "mine"), body).ok();
    let all = alice.get("/v3/pushrules/").ok();
    let overrides = ids(&all["global"]["override"]);
    assert_eq!(overrides[..2], [".m.rule.master", "mine"]);
}

#[test]
fn a_place_relative_to_an_unknown_rule_is_refused() {
    let alice = user("alice");
    let body = json!({"pattern": "cake", "actions": ["notify"]});
    let answer = alice.put(&format!("{}?before=nothing", rule("content", "cake")), body);
    assert!([400, 404].contains(&answer.status), "{}", answer.text());
}

#[test]
fn names_that_start_with_a_dot_are_reserved() {
    let alice = user("alice");
    let body = json!({"pattern": "cake", "actions": ["notify"]});
    for id in [".mine", "with/slash", "with\\backslash"] {
        let answer = alice.put(&rule("content", id), body.clone());
        assert_eq!(answer.status, 400, "{id}: {}", answer.text());
    }
}

#[test]
fn default_rules_are_not_deleted() {
    let alice = user("alice");
    let answer = alice.delete(&rule("underride", ".m.rule.message"));
    assert!(
        [400, 403, 404].contains(&answer.status),
        "{}",
        answer.text()
    );
    alice.get(&rule("underride", ".m.rule.message")).ok();
}

#[test]
fn rules_are_switched_off_and_on() {
    let alice = user("alice");
    let path = rule("underride", ".m.rule.message") + "/enabled";
    assert_eq!(alice.get(&path).ok()["enabled"], true);
    alice.put(&path, json!({"enabled": false})).ok();
    assert_eq!(alice.get(&path).ok()["enabled"], false);
    assert_eq!(
        alice.get(&rule("underride", ".m.rule.message")).ok()["enabled"],
        false
    );
    let none = rule("content", "none") + "/enabled";
    alice.get(&none).fails(404, "M_NOT_FOUND");
    alice
        .put(&none, json!({"enabled": true}))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn actions_are_changed() {
    let alice = user("alice");
    let path = rule("underride", ".m.rule.message") + "/actions";
    let actions = json!(["notify", {"set_tweak": "sound", "value": "ring"}]);
    alice.put(&path, json!({"actions": actions})).ok();
    assert_eq!(alice.get(&path).ok()["actions"], actions);
    let none = rule("content", "none") + "/actions";
    alice.get(&none).fails(404, "M_NOT_FOUND");
    alice
        .put(&none, json!({"actions": []}))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn a_change_comes_down_sync() {
    let alice = user("alice");
    let mut feed = Feed::from_now(&alice);
    content_rule(&alice, "cake", "");
    let event = feed.until("m.push_rules", |sync| {
        find_event(&sync["account_data"]["events"], |event| {
            event["type"] == "m.push_rules"
        })
        .cloned()
    });
    assert!(
        ids(&event["content"]["global"]["content"]).contains(&"cake"),
        "{event}"
    );
}

#[test]
fn the_initial_sync_has_the_rules() {
    let sync = user("alice").sync(&[]);
    let events = &sync["account_data"]["events"];
    let event = find_event(events, |event| event["type"] == "m.push_rules").unwrap();
    assert!(ids(&event["content"]["global"]["override"]).contains(&".m.rule.master"));
}

#[test]
fn malformed_rules_are_refused() {
    let alice = user("alice");
    for (kind, body) in [
        ("content", json!({"actions": ["notify"]})),
        ("content", json!({"pattern": "x"})),
        ("content", json!({"pattern": "x", "actions": "notify"})),
        (
            "override",
            json!({"actions": ["notify"], "conditions": "all"}),
        ),
        ("nonsense", json!({"actions": ["notify"]})),
    ] {
        let answer = alice.put(&rule(kind, "bad"), body.clone());
        assert!(
            [400, 404].contains(&answer.status),
            "{kind} {body}: {}",
            answer.text()
        );
    }
}

#[test]
fn push_rules_need_a_login() {
    anonymous()
        .get("/v3/pushrules/")
        .fails(401, "M_MISSING_TOKEN");
    anonymous()
        .delete(&rule("content", "x"))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn rules_are_not_shared_between_users() {
    let alice = user("alice");
    let bob = user("bob");
    content_rule(&alice, "cake", "");
    bob.get(&rule("content", "cake")).fails(404, "M_NOT_FOUND");
}
