//! [Room aliases](https://spec.matrix.org/v1.19/client-server-api/#room-aliases) and the
//! [published room directory](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory).

use serde_json::{Value, json};
use spec_tests::{Server, User, anonymous, encode, fresh, room_path, user};

fn alias_of(alice: &User, name: &str) -> String {
    format!("#{}:{}", fresh(name), alice.server_name())
}

fn path(alias: &str) -> String {
    format!("/v3/directory/room/{}", encode(alias))
}

#[test]
fn an_alias_is_made_resolved_and_deleted() {
    let alice = user("alice");
    let room = alice.public_room();
    let alias = alias_of(&alice, "tavern");
    assert_eq!(
        alice.put(&path(&alias), json!({"room_id": room})).ok(),
        json!({})
    );
    let answer = anonymous().get(&path(&alias)).ok();
    assert_eq!(answer["room_id"], room);
    assert_eq!(answer["servers"], json!([alice.server_name()]));
    let listed = alice.get(&room_path(&room, "aliases")).ok();
    assert_eq!(listed["aliases"], json!([alias]));
    assert_eq!(alice.delete(&path(&alias)).ok(), json!({}));
    anonymous().get(&path(&alias)).fails(404, "M_NOT_FOUND");
    assert_eq!(
        alice.get(&room_path(&room, "aliases")).ok()["aliases"],
        json!([])
    );
}

#[test]
fn a_taken_alias_is_a_conflict() {
    let alice = user("alice");
    let alias = alias_of(&alice, "tavern");
    let rooms = [alice.public_room(), alice.public_room()];
    alice.put(&path(&alias), json!({"room_id": rooms[0]})).ok();
    let answer = alice.put(&path(&alias), json!({"room_id": rooms[1]}));
    // The spec names M_UNKNOWN by way of example.
    answer.fails_with_one_of(409, &["M_UNKNOWN", "M_ROOM_IN_USE"]);
    assert_eq!(anonymous().get(&path(&alias)).ok()["room_id"], rooms[0]);
}

#[test]
fn unknown_and_malformed_aliases() {
    let alice = user("alice");
    let room = alice.public_room();
    anonymous()
        .get(&path(&alias_of(&alice, "none")))
        .fails(404, "M_NOT_FOUND");
    anonymous()
        .get(&path("no alias"))
        .fails(400, "M_INVALID_PARAM");
    alice
        .put(&path("no alias"), json!({"room_id": room}))
        .fails(400, "M_INVALID_PARAM");
    alice
        .delete(&path(&alias_of(&alice, "none")))
        .fails(404, "M_NOT_FOUND");
    let answer = alice.put(&path(&alias_of(&alice, "bad")), json!({"room_id": 3}));
    answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM"]);
}

#[test]
fn aliases_of_other_servers_are_not_made_here() {
    let alice = user("alice");
    let room = alice.public_room();
    let answer = alice.put(&path("#tavern:elsewhere.example"), json!({"room_id": room}));
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
}

#[test]
fn strangers_do_not_delete_aliases() {
    let alice = user("alice");
    let room = alice.public_room();
    let alias = alias_of(&alice, "tavern");
    alice.put(&path(&alias), json!({"room_id": room})).ok();
    user("mallory")
        .delete(&path(&alias))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .delete(&path(&alias))
        .fails(401, "M_MISSING_TOKEN");
    anonymous()
        .put(&path(&alias), json!({"room_id": room}))
        .fails(401, "M_MISSING_TOKEN");
    assert_eq!(anonymous().get(&path(&alias)).ok()["room_id"], room);
}

#[test]
fn the_list_of_aliases_is_for_members() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.get(&room_path(&room, "aliases"))
        .fails(403, "M_FORBIDDEN");
    let world = json!({"history_visibility": "world_readable"});
    alice.set_state(&room, "m.room.history_visibility", "", world);
    bob.get(&room_path(&room, "aliases")).ok();
}

#[test]
fn a_canonical_alias_must_point_to_the_room() {
    let alice = user("alice");
    let rooms = [alice.public_room(), alice.public_room()];
    let alias = alias_of(&alice, "tavern");
    let set = |room: &str, content: Value| {
        alice.put(&room_path(room, "state/m.room.canonical_alias"), content)
    };
    set(&rooms[0], json!({"alias": alias})).fails(400, "M_BAD_ALIAS");
    alice.put(&path(&alias), json!({"room_id": rooms[0]})).ok();
    set(&rooms[0], json!({"alias": alias, "alt_aliases": [alias]})).ok();
    set(&rooms[1], json!({"alias": alias})).fails(400, "M_BAD_ALIAS");
    set(&rooms[1], json!({"alt_aliases": [alias]})).fails(400, "M_BAD_ALIAS");
    let answer = set(&rooms[0], json!({"alias": "not an alias"}));
    answer.fails_with_one_of(400, &["M_BAD_ALIAS", "M_INVALID_PARAM", "M_BAD_JSON"]);
}

#[test]
fn a_room_is_published_and_withdrawn() {
    let alice = user("alice");
    let room = alice.public_room();
    let path = format!("/v3/directory/list/room/{}", encode(&room));
    assert_eq!(anonymous().get(&path).ok()["visibility"], "private");
    alice.put(&path, json!({"visibility": "public"})).ok();
    assert_eq!(anonymous().get(&path).ok()["visibility"], "public");
    alice.put(&path, json!({"visibility": "private"})).ok();
    assert_eq!(anonymous().get(&path).ok()["visibility"], "private");
    user("mallory")
        .put(&path, json!({"visibility": "public"}))
        .fails(403, "M_FORBIDDEN");
    let none = format!("/v3/directory/list/room/{}", encode("!none:localhost"));
    anonymous().get(&none).fails(404, "M_NOT_FOUND");
    alice
        .put(&none, json!({"visibility": "public"}))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn the_directory_lists_searches_and_pages() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let named = |name: &str, topic: &str| {
        let body = json!({"visibility": "public", "name": name, "topic": topic});
        alice.create_room(body)
    };
    let tavern = named("The Tavern", "beer");
    let library = named("The Library", "quiet BEERlessness");
    let garden = named("The Garden", "flowers");
    alice.create_room(json!({"name": "The Cellar", "topic": "beer"}));
    bob.join(&garden);

    let all = server.client().get("/v3/publicRooms").ok();
    assert_eq!(ids(&all).len(), 3, "{all}");
    assert_eq!(ids(&all)[0], garden, "the largest first: {all}");
    let first = &all["chunk"][0];
    assert_eq!(first["name"], "The Garden");
    assert_eq!(first["topic"], "flowers");
    assert_eq!(first["num_joined_members"], 2);
    assert_eq!(first["world_readable"], false);
    assert_eq!(first["guest_can_join"], false);
    assert!(first["join_rule"].is_null() || first["join_rule"] == "public");

    let search = |term: &str| {
        let body = json!({"filter": {"generic_search_term": term}});
        alice.post("/v3/publicRooms", body).ok()
    };
    let found = search("beer");
    let mut found = ids(&found);
    found.sort_unstable();
    let mut wanted = [tavern.as_str(), &library];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert_eq!(ids(&search("garden")), [garden.as_str()]);
    assert!(ids(&search("nothing like it")).is_empty());

    let mut seen = Vec::new();
    let mut page = alice.get("/v3/publicRooms?limit=1").ok();
    loop {
        assert!(page["chunk"].as_array().unwrap().len() <= 1);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_batch"].as_str() else {
            break;
        };
        assert!(seen.len() < 10, "paging does not end");
        page = alice
            .get(&format!("/v3/publicRooms?limit=1&since={}", encode(next)))
            .ok();
    }
    let everything: Vec<_> = ids(&all).into_iter().map(str::to_owned).collect();
    assert_eq!(seen, everything);

    let body = json!({"filter": {"room_types": ["m.space"]}});
    let spaces = alice.post("/v3/publicRooms", body).ok();
    assert!(ids(&spaces).is_empty(), "{spaces}");
    let body = json!({"filter": {"room_types": [null]}});
    let ordinary = alice.post("/v3/publicRooms", body).ok();
    assert_eq!(ids(&ordinary).len(), 3, "{ordinary}");
}

fn ids(page: &Value) -> Vec<&str> {
    page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room["room_id"].as_str().unwrap())
        .collect()
}

#[test]
fn searching_needs_a_login_and_listing_does_not() {
    anonymous()
        .post("/v3/publicRooms", json!({}))
        .fails(401, "M_MISSING_TOKEN");
    anonymous().get("/v3/publicRooms?limit=1").ok();
}

#[test]
fn malformed_directory_requests_are_refused() {
    let alice = user("alice");
    for body in [json!({"limit": "many"}), json!({"filter": 3}), json!([])] {
        let answer = alice.post("/v3/publicRooms", body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    let answer = alice.get("/v3/publicRooms?limit=many");
    answer.fails_with_one_of(400, &["M_INVALID_PARAM", "M_BAD_JSON"]);
}
