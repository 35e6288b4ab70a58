use serde_json::json;
use test_support::TestServer;

const PATH: &str = "/_matrix/client/v3/profile/@alice:localhost";

#[tokio::test]
async fn everybody_reads_what_a_user_shows() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(
        server.anyone().get(PATH).await.ok(),
        json!({ "displayname": "alice" })
    );
    for (field, value) in [
        ("displayname", json!("Alice")),
        ("avatar_url", json!("mxc://localhost/picture")),
        ("m.tz", json!("Europe/Berlin")),
        ("org.example.mood", json!({ "happy": true })),
    ] {
        let path = format!("{PATH}/{field}");
        assert_eq!(
            alice.put(&path, json!({ field: value })).await.ok(),
            json!({})
        );
        assert_eq!(
            server.anyone().get(&path).await.ok(),
            json!({ field: value })
        );
    }
    let profile = json!({
        "displayname": "Alice",
        "avatar_url": "mxc://localhost/picture",
        "m.tz": "Europe/Berlin",
        "org.example.mood": { "happy": true },
    });
    assert_eq!(server.anyone().get(PATH).await.ok(), profile);
}

#[tokio::test]
async fn fields_are_removed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let name = format!("{PATH}/displayname");
    for _ in 0..2 {
        alice.delete(&name, json!({})).await.ok();
    }
    alice.get(&name).await.is(404, "M_NOT_FOUND");
    for empty in [json!(""), json!(null)] {
        alice
            .put(&name, json!({ "displayname": "Alice" }))
            .await
            .ok();
        alice.put(&name, json!({ "displayname": empty })).await.ok();
        alice.get(&name).await.is(404, "M_NOT_FOUND");
    }
    assert_eq!(alice.get(PATH).await.ok(), json!({}));
}

#[tokio::test]
async fn only_the_user_changes_their_profile() {
    let server = TestServer::new().await;
    server.register("alice").await;
    let bob = server.register("bob").await;
    let name = format!("{PATH}/displayname");
    let body = json!({ "displayname": "Bob" });
    bob.put(&name, body.clone()).await.is(403, "M_FORBIDDEN");
    bob.delete(&name, json!({})).await.is(403, "M_FORBIDDEN");
    server
        .anyone()
        .put(&name, body)
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .delete(&name, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn bad_fields_are_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let long = format!("a.{}", "x".repeat(260));
    for (field, body, errcode) in [
        ("displayname", json!({}), "M_MISSING_PARAM"),
        (
            "displayname",
            json!({ "avatar_url": "x" }),
            "M_MISSING_PARAM",
        ),
        (
            "displayname",
            json!({ "displayname": 7 }),
            "M_INVALID_PARAM",
        ),
        (
            "displayname",
            json!({ "displayname": "x".repeat(300) }),
            "M_INVALID_PARAM",
        ),
        ("displayname", json!([]), "M_BAD_JSON"),
        (
            "avatar_url",
            json!({ "avatar_url": "https://x.org/y" }),
            "M_INVALID_PARAM",
        ),
        ("mood", json!({ "mood": 1 }), "M_INVALID_PARAM"),
        (&long, json!({ &long: 1 }), "M_KEY_TOO_LARGE"),
        (
            "a.b",
            json!({ "a.b": "x".repeat(70_000) }),
            "M_PROFILE_TOO_LARGE",
        ),
    ] {
        alice
            .put(&format!("{PATH}/{field}"), body)
            .await
            .is(400, errcode);
    }
    alice
        .send(
            http::Method::PUT,
            &format!("{PATH}/displayname"),
            "nonsense",
        )
        .await
        .is(400, "M_NOT_JSON");
    alice
        .delete(&format!("{PATH}/mood"), json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn unknown_users_have_no_profile() {
    let server = TestServer::new().await;
    for path in [
        "@bob:localhost",
        "@alice:elsewhere.org",
        "@bob:localhost/displayname",
    ] {
        let path = format!("/_matrix/client/v3/profile/{path}");
        server.anyone().get(&path).await.is(404, "M_NOT_FOUND");
    }
    server
        .anyone()
        .get("/_matrix/client/v3/profile/nonsense")
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_new_name_reaches_the_rooms() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = alice
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap();
    alice
        .put(
            &format!("{PATH}/displayname"),
            json!({ "displayname": "Alice" }),
        )
        .await
        .ok();
    let member = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@alice:localhost");
    assert_eq!(alice.get(&member).await.ok()["displayname"], "Alice");
}
