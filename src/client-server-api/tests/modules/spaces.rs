//! [Spaces](https://spec.matrix.org/v1.19/client-server-api/#spaces).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, create, path, set_state};

fn hierarchy(space: &str, query: &str) -> String {
    format!("/_matrix/client/v1/rooms/{space}/hierarchy{query}")
}

async fn space(owner: &Client, name: &str) -> String {
    let body =
        json!({ "preset": "public_chat", "name": name, "creation_content": { "type": "m.space" } });
    create(owner, body).await
}

async fn room(owner: &Client, name: &str, preset: &str) -> String {
    create(owner, json!({ "preset": preset, "name": name })).await
}

async fn add(owner: &Client, space: &str, child: &str, order: Option<&str>, suggested: bool) {
    let mut content = json!({ "via": ["localhost"], "suggested": suggested });
    if let Some(order) = order {
        content["order"] = json!(order);
    }
    set_state(owner, space, &format!("m.space.child/{child}"), content).await;
}

fn names(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_array().unwrap().iter();
    rooms.map(|room| room["name"].as_str().unwrap()).collect()
}

/// root: b (order a), a (no order, first), sub (no order, later) → deep → (root again)
async fn tree() -> (TestServer, Client, Client, String) {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let root = space(&alice, "root").await;
    let (a, b) = (
        room(&alice, "a", "public_chat").await,
        room(&alice, "b", "public_chat").await,
    );
    let (sub, deep) = (space(&alice, "sub").await, space(&alice, "deep").await);
    add(&alice, &root, &a, None, true).await;
    server.clock.advance(1);
    add(&alice, &root, &sub, None, false).await;
    add(&alice, &root, &b, Some("a"), false).await;
    add(&alice, &sub, &deep, None, true).await;
    add(&alice, &deep, &root, None, true).await;
    (server, alice, bob, root)
}

#[tokio::test]
async fn the_tree_is_told_depth_first_in_order() {
    let (_server, _alice, bob, root) = tree().await;
    let answer = bob.get(&hierarchy(&root, "")).await.ok();
    assert_eq!(names(&answer), ["root", "b", "a", "sub", "deep"]);
    assert_eq!(answer.get("next_batch"), None);
    let first = &answer["rooms"][0];
    assert_eq!(first["room_type"], "m.space");
    assert_eq!(first["join_rule"], "public");
    assert_eq!(first["num_joined_members"], 1);
    assert_eq!(first["room_version"], "12");
    let children = first["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 3);
    let mut keys: Vec<&String> = children[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["content", "origin_server_ts", "sender", "state_key", "type"]
    );
    assert_eq!(answer["rooms"][1]["children_state"], json!([]));
    for (query, expected) in [
        ("?max_depth=0", &["root"][..]),
        ("?max_depth=1", &["root", "b", "a", "sub"]),
        ("?suggested_only=true", &["root", "a"]),
    ] {
        let answer = bob.get(&hierarchy(&root, query)).await.ok();
        assert_eq!(names(&answer), expected, "{query}");
    }
}

#[tokio::test]
async fn a_tree_comes_in_pages() {
    let (_server, _alice, bob, root) = tree().await;
    let mut told: Vec<String> = Vec::new();
    let mut from = String::new();
    loop {
        let answer = bob
            .get(&hierarchy(&root, &format!("?limit=2{from}")))
            .await
            .ok();
        assert!(names(&answer).len() <= 2);
        told.extend(names(&answer).into_iter().map(str::to_owned));
        let Some(token) = answer["next_batch"].as_str() else {
            break;
        };
        from = format!("&from={token}");
    }
    assert_eq!(told, ["root", "b", "a", "sub", "deep"]);
    let other = hierarchy(&root, &format!("?max_depth=1{from}"));
    bob.get(&other).await.is(400, "M_INVALID_PARAM");
    for query in ["?from=x", "?limit=0", "?limit=x", "?max_depth=-1"] {
        bob.get(&hierarchy(&root, query))
            .await
            .is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_tree_shows_what_its_reader_may_see() {
    let (server, alice, bob, root) = tree().await;
    let private = room(&alice, "private", "private_chat").await;
    let restricted = room(&alice, "restricted", "private_chat").await;
    let allow = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": root }] });
    set_state(&alice, &restricted, "m.room.join_rules/", allow).await;
    let knock = room(&alice, "knock", "private_chat").await;
    set_state(
        &alice,
        &knock,
        "m.room.join_rules/",
        json!({ "join_rule": "knock" }),
    )
    .await;
    for child in [&private, &restricted, &knock] {
        add(&alice, &root, child, Some("z"), false).await;
    }
    set_state(
        &alice,
        &root,
        "m.space.child/!none:localhost",
        json!({ "via": ["localhost"] }),
    )
    .await;
    let seen = async |client: &Client| {
        let answer = client.get(&hierarchy(&root, "?max_depth=1")).await.ok();
        let mut names: Vec<String> = names(&answer).into_iter().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(
        seen(&alice).await,
        ["a", "b", "knock", "private", "restricted", "root", "sub"]
    );
    assert_eq!(seen(&bob).await, ["a", "b", "knock", "root", "sub"]);
    act(&bob, &root, "join", json!({})).await;
    act(
        &alice,
        &private,
        "invite",
        json!({ "user_id": bob.user_id }),
    )
    .await;
    assert_eq!(
        seen(&bob).await,
        ["a", "b", "knock", "private", "restricted", "root", "sub"]
    );

    let carol = server.register("carol").await;
    carol
        .get(&hierarchy(&private, ""))
        .await
        .is(403, "M_FORBIDDEN");
    carol
        .get(&hierarchy("!none:localhost", ""))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .get(&hierarchy(&root, ""))
        .await
        .is(401, "M_MISSING_TOKEN");
    act(&alice, &root, "ban", json!({ "user_id": carol.user_id })).await;
    carol
        .get(&hierarchy(&root, ""))
        .await
        .is(403, "M_FORBIDDEN");
    // A child that was taken out is none.
    alice
        .put(
            &path(&root, &format!("state/m.space.child/{private}")),
            json!({}),
        )
        .await
        .ok();
    assert!(!seen(&alice).await.contains(&"private".to_owned()));
}
