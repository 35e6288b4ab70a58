use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::administrator;

const ROOMS: &str = "/_synapse/admin/v1/rooms";

async fn create(client: &Client, body: Value) -> String {
    let made = client
        .post("/_matrix/client/v3/createRoom", body)
        .await
        .ok();
    made["room_id"].as_str().unwrap().to_owned()
}

fn names(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_array().unwrap();
    rooms
        .iter()
        .map(|room| room["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn rooms_are_listed_in_pages_and_found() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    for name in ["Cats", "ants", "Bees"] {
        create(&bob, json!({ "name": name, "preset": "public_chat" })).await;
    }
    let big = create(&bob, json!({ "name": "Dogs", "preset": "public_chat" })).await;
    admin
        .post(&format!("/_matrix/client/v3/join/{big}"), json!({}))
        .await
        .ok();
    let all = admin.get(ROOMS).await.ok();
    assert_eq!(names(&all), ["ants", "Bees", "Cats", "Dogs"]);
    assert_eq!(
        (&all["total_rooms"], &all["offset"]),
        (&json!(4), &json!(0))
    );
    let first = &all["rooms"][0];
    assert_eq!(
        (
            &first["version"],
            &first["creator"],
            &first["join_rules"],
            &first["federatable"]
        ),
        (
            &json!("12"),
            &json!("@bob:localhost"),
            &json!("public"),
            &json!(true)
        )
    );
    let page = admin.get(&format!("{ROOMS}?from=1&limit=2")).await.ok();
    assert_eq!(names(&page), ["Bees", "Cats"]);
    assert_eq!(
        (&page["next_batch"], &page["prev_batch"]),
        (&json!(3), &json!(0))
    );
    let by_size = admin
        .get(&format!("{ROOMS}?order_by=joined_members&limit=1"))
        .await
        .ok();
    assert_eq!(names(&by_size), ["Dogs"]);
    let found = admin.get(&format!("{ROOMS}?search_term=BEE")).await.ok();
    assert_eq!(names(&found), ["Bees"]);
    for wrong in ["order_by=luck", "dir=up", "search_term=", "limit=-1"] {
        admin
            .get(&format!("{ROOMS}?{wrong}"))
            .await
            .is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_room_is_shown_with_its_members_and_state() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = create(&bob, json!({ "name": "Cats", "room_alias_name": "cats" })).await;
    for name in [room.as_str(), "%23cats:localhost"] {
        let shown = admin.get(&format!("{ROOMS}/{name}")).await.ok();
        assert_eq!(
            (
                &shown["room_id"],
                &shown["joined_members"],
                &shown["forgotten"]
            ),
            (&json!(room), &json!(1), &json!(false))
        );
    }
    let members = admin.get(&format!("{ROOMS}/{room}/members")).await.ok();
    assert_eq!(
        members,
        json!({ "total": 1, "members": ["@bob:localhost"] })
    );
    let state = admin
        .get(&format!("{ROOMS}/{room}/state?type=m.room.name"))
        .await
        .ok();
    let state = state["state"].as_array().unwrap();
    assert_eq!(state.len(), 1);
    assert_eq!(state[0]["content"]["name"], "Cats");
    assert_eq!(state[0]["room_id"], room.as_str());
    admin
        .get(&format!("{ROOMS}/!none:localhost"))
        .await
        .is(404, "M_NOT_FOUND");
    admin
        .get(&format!("{ROOMS}/nonsense"))
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn it_is_explained_who_changed_what() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = create(&bob, json!({ "name": "Cats" })).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.name");
    bob.put(&path, json!({ "name": "Dogs" })).await.ok();
    let explain = format!("/_myelin/admin/v1/rooms/{room}/explain");
    let told = admin.get(&format!("{explain}?type=m.room.name")).await.ok();
    let changes = told["changes"].as_array().unwrap();
    let names: Vec<&Value> = changes
        .iter()
        .map(|change| &change["event"]["content"]["name"])
        .collect();
    assert_eq!(names, ["Dogs", "Cats"]);
    assert_eq!(changes[0]["by_resolution"], false);
    assert_eq!(changes[0]["event"]["sender"], "@bob:localhost");
    let never = admin
        .get(&format!("{explain}?type=m.room.never"))
        .await
        .ok();
    assert_eq!(never, json!({ "changes": [] }));
    admin.get(&explain).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn rooms_are_told_apart_by_whether_they_are_published_and_empty() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let mut rooms = Vec::new();
    for visibility in ["public", "private"] {
        let body = json!({ "visibility": visibility });
        let room = admin.post("/_matrix/client/v3/createRoom", body).await.ok();
        rooms.push(room["room_id"].as_str().unwrap().to_owned());
    }
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", rooms[1]);
    admin.post(&leave, json!({})).await.ok();
    for (query, found) in [
        ("public_rooms=true", &rooms[..1]),
        ("public_rooms=false", &rooms[1..]),
        ("empty_rooms=true", &rooms[1..]),
        ("empty_rooms=false", &rooms[..1]),
        ("empty_rooms=true&public_rooms=true", &[]),
    ] {
        let path = format!("/_synapse/admin/v1/rooms?{query}");
        let listed = admin.get(&path).await.ok();
        assert_eq!(listed["total_rooms"], found.len(), "{query}");
        let listed = listed["rooms"].as_array().unwrap();
        let ids: Vec<_> = listed
            .iter()
            .map(|room| room["room_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, found, "{query}");
    }
}
