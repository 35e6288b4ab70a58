//! [Room aliases](https://spec.matrix.org/v1.19/client-server-api/#room-aliases).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{act, content, create, path, public, set_state};

/// The path of `#name:localhost`.
fn alias(name: &str) -> String {
    format!("/_matrix/client/v3/directory/room/%23{name}:localhost")
}

async fn point(client: &Client, name: &str, room: &str) {
    let answer = client.put(&alias(name), json!({ "room_id": room })).await;
    assert_eq!(answer.ok(), json!({}));
}

async fn aliases(client: &Client, room: &str) -> Value {
    client.get(&path(room, "aliases")).await.ok()["aliases"].clone()
}

#[tokio::test]
async fn an_alias_leads_to_its_room_until_it_is_deleted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    point(&alice, "one", &room).await;
    point(&alice, "zwei-%C3%BC", &room).await;
    let found = server.anyone().get(&alias("one")).await.ok();
    assert_eq!(found, json!({ "room_id": room, "servers": ["localhost"] }));
    assert_eq!(
        aliases(&alice, &room).await,
        json!(["#one:localhost", "#zwei-ü:localhost"])
    );

    let again = json!({ "room_id": room });
    alice
        .put(&alias("one"), again)
        .await
        .is(409, "M_ROOM_IN_USE");
    bob.delete(&alias("one"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    assert_eq!(alice.delete(&alias("one"), json!({})).await.ok(), json!({}));
    alice
        .delete(&alias("one"), json!({}))
        .await
        .is(404, "M_NOT_FOUND");
    server
        .anyone()
        .get(&alias("one"))
        .await
        .is(404, "M_NOT_FOUND");
    assert_eq!(aliases(&alice, &room).await, json!(["#zwei-ü:localhost"]));
    // A name that is free again can be anybody's.
    point(&bob, "one", &public(&bob).await).await;
}

#[tokio::test]
async fn only_those_in_the_room_name_it() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    let to = |room: &str| json!({ "room_id": room });
    bob.put(&alias("a"), to(&room)).await.is(403, "M_FORBIDDEN");
    alice
        .put(&alias("a"), to("!nothing"))
        .await
        .is(403, "M_FORBIDDEN");
    server
        .anyone()
        .put(&alias("a"), to(&room))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .delete(&alias("a"), json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
    server
        .anyone()
        .get(&path(&room, "aliases"))
        .await
        .is(401, "M_MISSING_TOKEN");
    alice
        .put(&alias("a"), json!({}))
        .await
        .is(400, "M_BAD_JSON");
    alice
        .put(&alias("a"), to("nothing"))
        .await
        .is(400, "M_BAD_JSON");
    for malformed in ["a%3Ab", "a%00", "a%20b", "", &"x".repeat(250)] {
        let answer = alice.put(&alias(malformed), to(&room)).await;
        answer.is(400, "M_INVALID_PARAM");
    }
    let not_ours = "/_matrix/client/v3/directory/room/%23a:elsewhere";
    alice
        .put(not_ours, to(&room))
        .await
        .is(400, "M_INVALID_PARAM");
    alice.get(not_ours).await.is(404, "M_NOT_FOUND");
    alice
        .get("/_matrix/client/v3/directory/room/nonsense")
        .await
        .is(400, "M_INVALID_PARAM");

    act(&bob, &room, "join", json!({})).await;
    point(&bob, "a", &room).await;
    // Moderators may take away what others made; members only their own.
    point(&bob, "b", &room).await;
    point(&alice, "c", &room).await;
    bob.delete(&alias("c"), json!({}))
        .await
        .is(403, "M_FORBIDDEN");
    bob.delete(&alias("b"), json!({})).await.ok();
    alice.delete(&alias("a"), json!({})).await.ok();
    assert_eq!(aliases(&bob, &room).await, json!(["#c:localhost"]));
}

#[tokio::test]
async fn one_name_asked_for_at_once_is_given_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let (one, two) = (public(&alice).await, public(&alice).await);
    let name = alias("race");
    let (first, second) = tokio::join!(
        alice.put(&name, json!({ "room_id": one })),
        alice.put(&name, json!({ "room_id": two })),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn the_aliases_of_a_room_are_for_its_members() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    point(&alice, "a", &room).await;
    bob.get(&path(&room, "aliases"))
        .await
        .is(403, "M_FORBIDDEN");
    bob.get(&path("!nothing", "aliases"))
        .await
        .is(403, "M_FORBIDDEN");
    let world = json!({ "history_visibility": "world_readable" });
    set_state(&alice, &room, "m.room.history_visibility", world).await;
    assert_eq!(aliases(&bob, &room).await, json!(["#a:localhost"]));
}

#[tokio::test]
async fn a_canonical_alias_leads_to_its_room() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = public(&alice).await;
    let other = public(&alice).await;
    point(&alice, "here", &room).await;
    point(&alice, "too", &room).await;
    point(&alice, "there", &other).await;
    let canonical = path(&room, "state/m.room.canonical_alias");
    for (content, errcode) in [
        (json!({ "alias": "#there:localhost" }), "M_BAD_ALIAS"),
        (json!({ "alias": "#nowhere:localhost" }), "M_BAD_ALIAS"),
        (json!({ "alias": "#here:elsewhere" }), "M_BAD_ALIAS"),
        (
            json!({ "alt_aliases": ["#here:localhost", "#there:localhost"] }),
            "M_BAD_ALIAS",
        ),
        (json!({ "alias": "here" }), "M_INVALID_PARAM"),
        (json!({ "alias": "@here:localhost" }), "M_INVALID_PARAM"),
        (json!({ "alias": 5 }), "M_INVALID_PARAM"),
        (
            json!({ "alt_aliases": "#here:localhost" }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "alt_aliases": [["#here:localhost"]] }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "alt_aliases": (0..201).map(|n| format!("#a{n}:localhost")).collect::<Vec<_>>() }),
            "M_INVALID_PARAM",
        ),
    ] {
        alice.put(&canonical, content).await.is(400, errcode);
    }
    for content in [
        json!({ "alias": "#here:localhost", "alt_aliases": ["#too:localhost"] }),
        json!({ "alias": "#too:localhost", "alt_aliases": ["#here:localhost", "#here:localhost"] }),
    ] {
        alice.put(&canonical, content).await.ok();
    }
    // What is there already is not asked about again.
    set_state(&alice, &other, "m.room.name", json!({ "name": "x" })).await;
    alice.delete(&alias("too"), json!({})).await.ok();
    assert_eq!(
        content(&alice, &room, "m.room.canonical_alias", "").await,
        json!({ "alt_aliases": ["#here:localhost", "#here:localhost"] })
    );
    alice.put(&canonical, json!({ "alias": "" })).await.ok();
    alice.put(&canonical, json!({ "alias": null })).await.ok();
    alice.put(&canonical, json!({})).await.ok();
}

#[tokio::test]
async fn an_alias_goes_even_if_the_state_stays() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    point(&bob, "his", &room).await;
    let canonical = json!({ "alias": "#his:localhost" });
    set_state(&alice, &room, "m.room.canonical_alias", canonical.clone()).await;
    bob.delete(&alias("his"), json!({})).await.ok();
    assert_eq!(
        content(&alice, &room, "m.room.canonical_alias", "").await,
        canonical
    );
    server
        .anyone()
        .get(&alias("his"))
        .await
        .is(404, "M_NOT_FOUND");
    // A dead alias may stay while others come.
    point(&alice, "hers", &room).await;
    let both = json!({ "alias": "#hers:localhost", "alt_aliases": ["#his:localhost"] });
    set_state(&alice, &room, "m.room.canonical_alias", both).await;
}

#[tokio::test]
async fn aliases_survive_a_restart() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let room = create(&alice, json!({ "room_alias_name": "made" })).await;
    point(&alice, "set", &room).await;
    point(&alice, "gone", &room).await;
    alice.delete(&alias("gone"), json!({})).await.ok();
    let server = server.restart().await;
    for name in ["made", "set"] {
        assert_eq!(
            server.anyone().get(&alias(name)).await.ok()["room_id"],
            json!(room)
        );
    }
    server
        .anyone()
        .get(&alias("gone"))
        .await
        .is(404, "M_NOT_FOUND");
}
