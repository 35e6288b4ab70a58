use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/pushrules/";
const GLOBAL: &str = "/_matrix/client/v3/pushrules/global";

#[tokio::test]
async fn the_predefined_rules_are_there_with_every_kind() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let rules = alice.get(PATH).await.ok();
    assert_eq!(alice.get(PATH.trim_end_matches('/')).await.ok(), rules);
    let global = alice.get(&format!("{GLOBAL}/")).await.ok();
    assert_eq!(rules, json!({ "global": global }));
    for kind in ["override", "underride", "sender", "room", "content"] {
        assert!(global[kind].is_array(), "{kind}");
    }
    let mention = &global["override"][4];
    assert_eq!(mention["rule_id"], ".m.rule.is_user_mention");
    assert_eq!(mention["conditions"][0]["value"], "@alice:localhost");
    let highlight = json!([
        "notify",
        { "set_tweak": "sound", "value": "default" },
        { "set_tweak": "highlight" },
    ]);
    assert_eq!(mention["actions"], highlight);
    server.anyone().get(PATH).await.is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_rule_is_set_read_changed_and_deleted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let path = format!("{GLOBAL}/content/cake");
    let actions = json!(["notify", { "set_tweak": "sound", "value": "cakealarm.wav" }]);
    alice
        .put(&path, json!({ "pattern": "cake*lie", "actions": actions }))
        .await
        .ok();
    let rule = json!({
        "rule_id": "cake",
        "pattern": "cake*lie",
        "actions": actions,
        "enabled": true,
        "default": false,
    });
    assert_eq!(alice.get(&path).await.ok(), rule);
    assert_eq!(
        alice.get(&format!("{path}/enabled")).await.ok(),
        json!({ "enabled": true })
    );
    assert_eq!(
        alice.get(&format!("{path}/actions")).await.ok(),
        json!({ "actions": actions })
    );
    alice
        .put(&format!("{path}/enabled"), json!({ "enabled": false }))
        .await
        .ok();
    alice
        .put(
            &format!("{path}/actions"),
            json!({ "actions": ["dont_notify"] }),
        )
        .await
        .ok();
    let changed = alice.get(&path).await.ok();
    assert_eq!(
        (&changed["enabled"], &changed["actions"]),
        (&json!(false), &json!([]))
    );
    alice.delete(&path, json!({})).await.ok();
    alice.delete(&path, json!({})).await.is(404, "M_NOT_FOUND");
    alice.get(&path).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn every_kind_of_rule_is_taken() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let condition = json!({ "kind": "event_match", "key": "type", "pattern": "m.*" });
    for (kind, rule_id, body) in [
        (
            "override",
            "a",
            json!({ "conditions": [condition], "actions": [] }),
        ),
        (
            "underride",
            "a",
            json!({ "conditions": [], "actions": ["notify"] }),
        ),
        ("sender", "@bob:localhost", json!({ "actions": [] })),
        ("room", "!room:localhost", json!({ "actions": [] })),
        ("content", "a", json!({ "pattern": "cake", "actions": [] })),
    ] {
        alice
            .put(&format!("{GLOBAL}/{kind}/{rule_id}"), body)
            .await
            .ok();
        assert_eq!(
            alice.get(&format!("{GLOBAL}/{kind}/{rule_id}")).await.ok()["rule_id"],
            rule_id
        );
    }
}

#[tokio::test]
async fn rules_are_placed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let body = json!({ "pattern": "x", "actions": [] });
    for (rule, order) in [
        ("a", vec!["a"]),
        ("b", vec!["b", "a"]),
        ("c?before=a", vec!["b", "c", "a"]),
        ("b?after=a", vec!["c", "a", "b"]),
    ] {
        alice
            .put(&format!("{GLOBAL}/content/{rule}"), body.clone())
            .await
            .ok();
        let rules = alice.get(&format!("{GLOBAL}/")).await.ok();
        let found: Vec<_> = rules["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["rule_id"].as_str().unwrap())
            .collect();
        assert_eq!(found, order, "{rule}");
    }
    for place in ["before=x", "after=x", "before=d", "after=.m.rule.master"] {
        alice
            .put(&format!("{GLOBAL}/content/d?{place}"), body.clone())
            .await
            .is(400, "M_UNKNOWN");
    }
}

#[tokio::test]
async fn bad_rules_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for (path, body, errcode) in [
        ("content/a", json!({ "actions": [] }), "M_BAD_JSON"),
        ("content/a", json!({ "pattern": "x" }), "M_BAD_JSON"),
        (
            "content/a",
            json!({ "pattern": 7, "actions": [] }),
            "M_BAD_JSON",
        ),
        (
            "content/a",
            json!({ "pattern": "x", "actions": [7] }),
            "M_BAD_JSON",
        ),
        (
            "content/.a",
            json!({ "pattern": "x", "actions": [] }),
            "M_INVALID_PARAM",
        ),
        (
            "content/a%2Fb",
            json!({ "pattern": "x", "actions": [] }),
            "M_INVALID_PARAM",
        ),
        (
            "content/a%5Cb",
            json!({ "pattern": "x", "actions": [] }),
            "M_INVALID_PARAM",
        ),
        (
            "override/.m.rule.master",
            json!({ "conditions": [], "actions": [] }),
            "M_INVALID_PARAM",
        ),
        ("sender/bob", json!({ "actions": [] }), "M_INVALID_PARAM"),
        ("nonsense/a", json!({ "actions": [] }), "M_INVALID_PARAM"),
    ] {
        alice
            .put(&format!("{GLOBAL}/{path}"), body.clone())
            .await
            .is(400, errcode);
    }
    let large = json!({ "pattern": "x".repeat(600 * 1024), "actions": [] });
    alice
        .put(&format!("{GLOBAL}/content/a"), large)
        .await
        .is(413, "M_TOO_LARGE");
    for path in ["content/nope", "nonsense/nope", "override/.m.rule.nope"] {
        let path = format!("{GLOBAL}/{path}");
        alice.get(&path).await.is(404, "M_NOT_FOUND");
        alice.delete(&path, json!({})).await.is(404, "M_NOT_FOUND");
        alice
            .get(&format!("{path}/enabled"))
            .await
            .is(404, "M_NOT_FOUND");
        alice
            .get(&format!("{path}/actions"))
            .await
            .is(404, "M_NOT_FOUND");
        alice
            .put(&format!("{path}/enabled"), json!({ "enabled": true }))
            .await
            .is(404, "M_NOT_FOUND");
        alice
            .put(&format!("{path}/actions"), json!({ "actions": [] }))
            .await
            .is(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn the_servers_rules_are_switched_but_not_deleted() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!("{GLOBAL}/override/.m.rule.master");
    alice
        .put(&format!("{path}/enabled"), json!({ "enabled": true }))
        .await
        .ok();
    assert_eq!(alice.get(&path).await.ok()["enabled"], true);
    assert_eq!(bob.get(&path).await.ok()["enabled"], false);
    alice
        .delete(&path, json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn nobody_changes_nothing() {
    let server = TestServer::new().await;
    let path = format!("{GLOBAL}/content/a");
    let anyone = server.anyone();
    anyone.get(&path).await.is(401, "M_MISSING_TOKEN");
    anyone
        .put(&path, json!({ "pattern": "x", "actions": [] }))
        .await
        .is(401, "M_MISSING_TOKEN");
    anyone
        .delete(&path, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    anyone
        .put(&format!("{path}/enabled"), json!({ "enabled": true }))
        .await
        .is(401, "M_MISSING_TOKEN");
    anyone
        .put(&format!("{path}/actions"), json!({ "actions": [] }))
        .await
        .is(401, "M_MISSING_TOKEN");
    anyone
        .get(&format!("{path}/enabled"))
        .await
        .is(401, "M_MISSING_TOKEN");
    anyone
        .get(&format!("{path}/actions"))
        .await
        .is(401, "M_MISSING_TOKEN");
}
