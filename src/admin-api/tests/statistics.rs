use http::Method;
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::administrator;

async fn upload(client: &Client, bytes: usize) {
    let path = "/_matrix/media/v3/upload";
    let reply = client.send_with(Method::POST, path, &[], "x".repeat(bytes));
    reply.await.ok();
}

fn names(answer: &Value) -> Vec<&str> {
    let users = answer["users"].as_array().unwrap();
    users
        .iter()
        .map(|user| user["user_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn files_are_counted_by_user() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (bob, carol) = (server.register("bob").await, server.register("carol").await);
    upload(&bob, 10).await;
    upload(&bob, 20).await;
    server.clock.advance(1_000);
    upload(&carol, 500).await;
    let path = "/_synapse/admin/v1/statistics/users/media";
    let get = async |query: &str| admin.get(&format!("{path}?{query}")).await;
    let all = get("").await.ok();
    assert_eq!(
        all,
        json!({ "total": 2, "users": [
            { "user_id": "@bob:localhost", "displayname": "bob", "media_count": 2, "media_length": 30 },
            { "user_id": "@carol:localhost", "displayname": "carol", "media_count": 1, "media_length": 500 },
        ] })
    );
    let largest = get("order_by=media_length&dir=b&limit=1").await.ok();
    assert_eq!(names(&largest), ["@carol:localhost"]);
    assert_eq!(largest["next_token"], 1);
    let rest = get("order_by=media_length&dir=b&from=1").await.ok();
    assert_eq!(names(&rest), ["@bob:localhost"]);
    let most = get("order_by=media_count&dir=b").await.ok();
    assert_eq!(names(&most)[0], "@bob:localhost");
    let found = get("search_term=CAR").await.ok();
    assert_eq!(names(&found), ["@carol:localhost"]);
    let start = test_support::START_MS;
    let early = get(&format!("until_ts={}", start + 999)).await.ok();
    assert_eq!(names(&early), ["@bob:localhost"]);
    let late = get(&format!("from_ts={}", start + 1_000)).await.ok();
    assert_eq!(names(&late), ["@carol:localhost"]);
    for wrong in [
        "order_by=smell",
        "dir=up",
        "search_term=",
        "from_ts=5&until_ts=5",
        "limit=-1",
    ] {
        get(wrong).await.is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn rooms_and_tables_are_estimated() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let mut rooms = Vec::new();
    for topic in ["x".repeat(10_000), String::new()] {
        let room = admin.post("/_matrix/client/v3/createRoom", json!({ "topic": topic }));
        rooms.push(room.await.ok()["room_id"].clone());
    }
    let path = "/_synapse/admin/v1/statistics/database/rooms";
    let estimated = admin.get(path).await.ok();
    let estimated = estimated["rooms"].as_array().unwrap();
    assert_eq!(
        [&estimated[0]["room_id"], &estimated[1]["room_id"]],
        [&rooms[0], &rooms[1]]
    );
    let size = |n: usize| estimated[n]["estimated_size"].as_u64().unwrap();
    assert!(
        size(0) > size(1) + 10_000 && size(1) > 1_000,
        "{estimated:?}"
    );
    let largest = admin.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!(largest["rooms"].as_array().unwrap().len(), 1);
    let tables = admin.get("/_myelin/admin/v1/storage/tables").await.ok();
    let all = tables["tables"].as_array().unwrap();
    assert_eq!(all[0]["table"], "Events");
    let sum: u64 = all
        .iter()
        .map(|table| table["estimated_size"].as_u64().unwrap())
        .sum();
    assert_eq!(tables["total"], sum);
}
