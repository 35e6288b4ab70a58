//! [Published room directory](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{act, create, path, public, set_state};

const PUBLIC_ROOMS: &str = "/_matrix/client/v3/publicRooms";

fn listed(room: &str) -> String {
    format!("/_matrix/client/v3/directory/list/room/{room}")
}

/// A published room with a name.
async fn published(creator: &Client, name: &str) -> String {
    create(creator, json!({ "visibility": "public", "name": name })).await
}

/// The names of a page.
fn names(page: &Value) -> Vec<&str> {
    let chunk = page["chunk"].as_array().into_iter().flatten();
    chunk
        .map(|entry| entry["name"].as_str().unwrap_or("none"))
        .collect()
}

async fn search(client: &Client, filter: Value) -> Vec<String> {
    let page = client
        .post(PUBLIC_ROOMS, json!({ "filter": filter }))
        .await
        .ok();
    let mut found: Vec<_> = names(&page).into_iter().map(str::to_owned).collect();
    assert_eq!(page["total_room_count_estimate"], found.len());
    found.sort_unstable();
    found
}

#[tokio::test]
async fn an_entry_tells_what_the_state_says() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let empty = server.anyone().get(PUBLIC_ROOMS).await.ok();
    assert_eq!(
        empty,
        json!({ "chunk": [], "total_room_count_estimate": 0 })
    );

    let plain = create(&alice, json!({ "visibility": "public" })).await;
    let entry = server.anyone().get(PUBLIC_ROOMS).await.ok()["chunk"][0].clone();
    assert_eq!(
        entry,
        json!({
            "room_id": plain, "num_joined_members": 1, "world_readable": false,
            "guest_can_join": false,
        })
    );

    let space = create(
        &alice,
        json!({
            "visibility": "public", "preset": "private_chat", "room_alias_name": "s",
            "name": "Space", "topic": "All of it", "creation_content": { "type": "m.space" },
            "initial_state": [
                { "type": "m.room.join_rules", "content": { "join_rule": "knock" } },
                { "type": "m.room.avatar", "content": { "url": "mxc://localhost/a" } },
                { "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } },
            ],
        }),
    )
    .await;
    let bob = server.register("bob").await;
    act(&alice, &space, "invite", json!({ "user_id": bob.user_id })).await;
    act(&bob, &space, "join", json!({})).await;
    let page = server.anyone().get(PUBLIC_ROOMS).await.ok();
    assert_eq!(page["total_room_count_estimate"], 2);
    assert_eq!(
        page["chunk"][0],
        json!({
            "room_id": space, "num_joined_members": 2, "world_readable": true,
            "guest_can_join": true, "name": "Space", "topic": "All of it",
            "canonical_alias": "#s:localhost", "avatar_url": "mxc://localhost/a",
            "join_rule": "knock", "room_type": "m.space",
        })
    );
}

#[tokio::test]
async fn an_entry_follows_its_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = published(&alice, "Before").await;
    let anyone = server.anyone();
    let entry = async || anyone.get(PUBLIC_ROOMS).await.ok()["chunk"][0].clone();
    assert_eq!(entry().await["name"], "Before");
    let renamed = set_state(&alice, &room, "m.room.name", json!({ "name": "After" })).await;
    assert_eq!(entry().await["name"], "After");
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(entry().await["num_joined_members"], 2);
    act(&bob, &room, "leave", json!({})).await;
    assert_eq!(entry().await["num_joined_members"], 1);
    let redact = path(&room, &format!("redact/{renamed}/1"));
    alice.put(&redact, json!({})).await.ok();
    assert_eq!(entry().await.get("name"), None);
    // Contents of any shape do no harm.
    for content in [
        json!({ "topic": 5 }),
        json!({ "m.topic": [] }),
        json!({ "topic": "" }),
    ] {
        set_state(&alice, &room, "m.room.topic", content).await;
        assert_eq!(entry().await.get("topic"), None);
    }
    let topic = json!({
        "topic": "older",
        "m.topic": { "m.text": [
            { "mimetype": "text/html", "body": "<b>bold</b>" }, { "body": "plain" },
        ] },
    });
    set_state(&alice, &room, "m.room.topic", topic).await;
    assert_eq!(entry().await["topic"], "plain");
    set_state(
        &alice,
        &room,
        "m.room.topic",
        json!({ "topic": "ü".repeat(2_000) }),
    )
    .await;
    assert_eq!(entry().await["topic"], "ü".repeat(500));
    set_state(
        &alice,
        &room,
        "m.room.avatar",
        json!({ "url": "javascript:1" }),
    )
    .await;
    assert_eq!(entry().await.get("avatar_url"), None);
    // A room without anybody is not shown.
    act(&alice, &room, "leave", json!({})).await;
    assert_eq!(anyone.get(PUBLIC_ROOMS).await.ok()["chunk"], json!([]));
}

#[tokio::test]
async fn pages_follow_each_other_both_ways() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    for number in 0..7 {
        published(&alice, &format!("room {number}")).await;
    }
    let popular = published(&alice, "popular").await;
    act(&bob, &popular, "join", json!({})).await;
    let anyone = server.anyone();
    let get = async |query: &str| anyone.get(&format!("{PUBLIC_ROOMS}?{query}")).await.ok();

    let all = get("").await;
    assert_eq!(names(&all).len(), 8);
    assert_eq!(names(&all)[0], "popular");
    assert!(all.get("next_batch").is_none() && all.get("prev_batch").is_none());

    let first = get("limit=3").await;
    assert!(first.get("prev_batch").is_none());
    let second = get(&format!(
        "limit=3&since={}",
        first["next_batch"].as_str().unwrap()
    ))
    .await;
    let third = get(&format!(
        "limit=3&since={}",
        second["next_batch"].as_str().unwrap()
    ))
    .await;
    assert!(third.get("next_batch").is_none());
    let mut seen = names(&first);
    seen.extend(names(&second));
    seen.extend(names(&third));
    assert_eq!(seen, names(&all));

    let back = get(&format!(
        "limit=3&since={}",
        third["prev_batch"].as_str().unwrap()
    ))
    .await;
    assert_eq!(back["chunk"], second["chunk"]);
    let start = get(&format!(
        "limit=3&since={}",
        back["prev_batch"].as_str().unwrap()
    ))
    .await;
    assert_eq!(start["chunk"], first["chunk"]);
    assert!(start.get("prev_batch").is_none());

    // A room that went away takes nothing else with it.
    let last = first["chunk"][2]["room_id"].as_str().unwrap();
    alice
        .put(&listed(last), json!({ "visibility": "private" }))
        .await
        .ok();
    let again = get(&format!(
        "limit=3&since={}",
        first["next_batch"].as_str().unwrap()
    ))
    .await;
    assert_eq!(again["chunk"], second["chunk"]);
    assert_eq!(again["total_room_count_estimate"], 7);
    assert_eq!(get("limit=0").await["chunk"].as_array().unwrap().len(), 7);
    assert_eq!(
        get("limit=9007199254740991").await["chunk"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
}

#[tokio::test]
async fn rooms_are_found_by_words_and_type() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let body = |name: &str, topic: &str, alias: &str, room_type: Option<&str>| {
        json!({
            "visibility": "public", "name": name, "topic": topic, "room_alias_name": alias,
            "creation_content": { "type": room_type },
        })
    };
    create(&alice, body("Häuser", "Building", "houses", None)).await;
    create(
        &alice,
        body("Space", "Buildings in space", "orbit", Some("m.space")),
    )
    .await;
    create(
        &alice,
        body("Calls", "Talk", "calls", Some("org.example.call")),
    )
    .await;
    for (term, found) in [
        ("HÄUS", &["Häuser"][..]),
        ("building", &["Häuser", "Space"]),
        ("#calls:local", &["Calls"]),
        ("orbit", &["Space"]),
        ("", &["Calls", "Häuser", "Space"]),
        ("nothing", &[]),
    ] {
        let filter = json!({ "generic_search_term": term });
        assert_eq!(search(&alice, filter).await, found, "{term}");
    }
    for (room_types, found) in [
        (json!([null]), &["Häuser"][..]),
        (json!(["m.space"]), &["Space"]),
        (json!([null, "org.example.call"]), &["Calls", "Häuser"]),
        (json!(["none"]), &[]),
        (json!([]), &["Calls", "Häuser", "Space"]),
    ] {
        let filter = json!({ "room_types": room_types });
        assert_eq!(search(&alice, filter).await, found, "{room_types}");
    }
    let filter = json!({ "generic_search_term": "build", "room_types": ["m.space"] });
    assert_eq!(search(&alice, filter).await, ["Space"]);

    let page = json!({ "filter": { "generic_search_term": "buil" }, "limit": 1 });
    let first = alice.post(PUBLIC_ROOMS, page.clone()).await.ok();
    let mut page = page;
    page["since"] = first["next_batch"].clone();
    let second = alice.post(PUBLIC_ROOMS, page).await.ok();
    let mut both = [names(&first), names(&second)].concat();
    both.sort_unstable();
    assert_eq!(both, ["Häuser", "Space"]);
    let bridged = json!({ "third_party_instance_id": "irc" });
    assert_eq!(
        alice.post(PUBLIC_ROOMS, bridged).await.ok()["chunk"],
        json!([])
    );
    let all = json!({ "include_all_networks": true });
    assert_eq!(names(&alice.post(PUBLIC_ROOMS, all).await.ok()).len(), 3);
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let anyone = server.anyone();
    published(&alice, "a").await;
    for query in ["since=x", "since=", "limit=-1", "limit=x", "server=a%20b"] {
        let answer = anyone.get(&format!("{PUBLIC_ROOMS}?{query}")).await;
        if query == "since=" {
            // Left empty is left out.
            answer.ok();
        } else {
            answer.is(400, "M_INVALID_PARAM");
        }
    }
    anyone
        .get(&format!("{PUBLIC_ROOMS}?server=elsewhere"))
        .await
        .is(404, "M_NOT_FOUND");
    let own = anyone
        .get(&format!("{PUBLIC_ROOMS}?server=localhost"))
        .await
        .ok();
    assert_eq!(names(&own), ["a"]);
    anyone
        .post(PUBLIC_ROOMS, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    for (body, errcode) in [
        (json!({ "limit": "5" }), "M_BAD_JSON"),
        (json!({ "filter": [] }), "M_BAD_JSON"),
        (
            json!({ "filter": { "room_types": "m.space" } }),
            "M_BAD_JSON",
        ),
        (json!({ "since": "nonsense" }), "M_INVALID_PARAM"),
    ] {
        alice.post(PUBLIC_ROOMS, body).await.is(400, errcode);
    }
    let elsewhere = format!("{PUBLIC_ROOMS}?server=elsewhere");
    alice
        .post(&elsewhere, json!({}))
        .await
        .is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn moderators_publish_their_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let anyone = server.anyone();
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let visibility = async || anyone.get(&listed(&room)).await.ok()["visibility"].clone();
    let count = async || anyone.get(PUBLIC_ROOMS).await.ok()["total_room_count_estimate"].clone();
    assert_eq!(
        (visibility().await, count().await),
        (json!("private"), json!(0))
    );
    let public = json!({ "visibility": "public" });
    bob.put(&listed(&room), public.clone())
        .await
        .is(403, "M_FORBIDDEN");
    anyone
        .put(&listed(&room), public.clone())
        .await
        .is(401, "M_MISSING_TOKEN");
    for _ in 0..2 {
        assert_eq!(
            alice.put(&listed(&room), public.clone()).await.ok(),
            json!({})
        );
        assert_eq!(
            (visibility().await, count().await),
            (json!("public"), json!(1))
        );
    }
    for _ in 0..2 {
        alice
            .put(&listed(&room), json!({ "visibility": "private" }))
            .await
            .ok();
        assert_eq!(
            (visibility().await, count().await),
            (json!("private"), json!(0))
        );
    }
    // The spec's default.
    alice.put(&listed(&room), json!({})).await.ok();
    assert_eq!(visibility().await, "public");
    alice
        .put(&listed(&room), json!({ "visibility": "private" }))
        .await
        .ok();
    alice.send(http::Method::PUT, &listed(&room), "").await.ok();
    assert_eq!(visibility().await, "public");

    let answer = alice
        .put(&listed(&room), json!({ "visibility": "secret" }))
        .await;
    answer.is(400, "M_INVALID_PARAM");
    let answer = alice.put(&listed(&room), json!({ "visibility": 5 })).await;
    answer.is(400, "M_BAD_JSON");
    anyone.get(&listed("!nothing")).await.is(404, "M_NOT_FOUND");
    alice
        .put(&listed("!nothing"), public)
        .await
        .is(404, "M_NOT_FOUND");
    anyone
        .get(&listed("nothing"))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn the_directory_survives_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    published(&alice, "stays").await;
    let gone = published(&alice, "gone").await;
    alice
        .put(&listed(&gone), json!({ "visibility": "private" }))
        .await
        .ok();
    let server = server.restart().await;
    let page = server.anyone().get(PUBLIC_ROOMS).await.ok();
    assert_eq!(names(&page), ["stays"]);
}
