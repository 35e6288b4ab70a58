use http::Method;
use serde_json::json;
use test_support::{Client, TestServer};

use crate::administrator;

async fn upload(client: &Client, bytes: &'static str) -> String {
    let path = "/_matrix/media/v3/upload?filename=a.txt";
    let headers = [("content-type", "text/plain")];
    let reply = client.send_with(Method::POST, path, &headers, bytes).await;
    let uri = reply.ok()["content_uri"].as_str().unwrap().to_owned();
    uri.trim_start_matches("mxc://localhost/").to_owned()
}

#[tokio::test]
async fn files_are_listed_and_deleted() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(upload(&bob, text).await);
        server.clock.advance(1_000);
    }
    let path = "/_synapse/admin/v1/users/@bob:localhost/media";
    let page = admin.get(&format!("{path}?limit=2")).await.ok();
    assert_eq!(
        (&page["total"], &page["next_token"]),
        (&json!(3), &json!(2))
    );
    let latest = &page["media"][0];
    assert_eq!(
        (
            &latest["media_id"],
            &latest["media_length"],
            &latest["media_type"],
            &latest["upload_name"]
        ),
        (
            &json!(ids[2]),
            &json!(5),
            &json!("text/plain"),
            &json!("a.txt")
        )
    );
    let download = |id: &str| format!("/_matrix/client/v1/media/download/localhost/{id}");
    bob.get(&download(&ids[0])).await;
    let one = format!("/_synapse/admin/v1/media/localhost/{}", ids[0]);
    let deleted = admin.delete(&one, json!({})).await.ok();
    assert_eq!(deleted, json!({ "total": 1, "deleted_media": [ids[0]] }));
    bob.get(&download(&ids[0])).await.is(404, "M_NOT_FOUND");
    admin.delete(&one, json!({})).await.is(404, "M_NOT_FOUND");
    let elsewhere = "/_synapse/admin/v1/media/elsewhere.org/x";
    admin
        .delete(elsewhere, json!({}))
        .await
        .is(400, "M_INVALID_PARAM");
    let rest = admin.delete(path, json!({})).await.ok();
    assert_eq!(rest["total"], 2);
    assert_eq!(admin.get(path).await.ok()["total"], 0);
}

const FILE: &str = "/_synapse/admin/v1/media/localhost";

fn download(id: &str) -> String {
    format!("/_matrix/client/v1/media/download/localhost/{id}")
}

async fn post(admin: &Client, path: &str) -> serde_json::Value {
    admin.post(path, json!({})).await.ok()
}

/// A room where `client` shows a file.
async fn shown(client: &Client, media_id: &str) -> String {
    let room = client
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let content = json!({ "msgtype": "m.file", "body": "a", "url": format!("mxc://localhost/{media_id}"),
        "info": { "thumbnail_url": "mxc://elsewhere.org/b" } });
    client.put(&path, content).await.ok();
    room
}

#[tokio::test]
async fn a_file_in_quarantine_is_found_by_nobody_on_no_path() {
    let server = TestServer::with(|config| config.media.unauthenticated_downloads = true).await;
    let admin = administrator(&server).await;
    let (bob, carol) = (server.register("bob").await, server.register("carol").await);
    let id = upload(&bob, "bad").await;
    let same = upload(&carol, "bad").await;
    bob.get(&download(&id)).await;
    let quarantine = format!("/_synapse/admin/v1/media/quarantine/localhost/{id}");
    assert_eq!(post(&admin, &quarantine).await, json!({}));
    assert_eq!(post(&admin, &quarantine).await, json!({}));
    let later = upload(&carol, "bad").await;
    for id in [&id, &same, &later] {
        for path in [
            download(id),
            format!("{}/other-name.txt", download(id)),
            format!("/_matrix/client/v1/media/thumbnail/localhost/{id}?width=32&height=32"),
            format!("/_matrix/media/v3/download/localhost/{id}"),
            format!("/_matrix/media/v3/download/localhost/{id}/name"),
            format!("/_matrix/media/v3/thumbnail/localhost/{id}?width=32&height=32"),
            format!("{}?admin_unsafely_bypass_quarantine=true", download(id)),
        ] {
            for client in [&bob, &carol, &admin] {
                client.get(&path).await.is(404, "M_NOT_FOUND");
            }
        }
    }
    let server = server.restart().await;
    let admin = server.login("admin").await;
    admin.get(&download(&same)).await.is(404, "M_NOT_FOUND");
    let info = admin.get(&format!("{FILE}/{same}")).await.ok();
    assert_eq!(info["media_info"]["quarantined_by"], "@admin:localhost");
    assert_eq!(info["media_info"]["user_id"], "@carol:localhost");
    let release = format!("/_synapse/admin/v1/media/unquarantine/localhost/{id}");
    assert_eq!(post(&admin, &release).await, json!({}));
    for id in [&id, &same, &later] {
        assert_eq!(admin.get(&download(id)).await.status, 200);
    }
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok();
    assert_eq!(audit["deeds"][0]["action"], "media.unquarantine");
    assert_eq!(audit["deeds"][1]["action"], "media.quarantine");
}

#[tokio::test]
async fn unknown_files_are_told_apart_from_those_in_quarantine() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    for path in [
        "/_synapse/admin/v1/media/quarantine/localhost/none",
        "/_synapse/admin/v1/media/quarantine/elsewhere.org/none",
        "/_synapse/admin/v1/media/unquarantine/localhost/none",
        "/_synapse/admin/v1/media/protect/none",
        "/_synapse/admin/v1/media/unprotect/none",
        "/_synapse/admin/v1/room/!none:localhost/media/quarantine",
        "/_synapse/admin/v1/user/@none:localhost/media/quarantine",
    ] {
        admin.post(path, json!({})).await.is(404, "M_NOT_FOUND");
    }
    for path in [
        "/_synapse/admin/v1/media/localhost/none",
        "/_synapse/admin/v1/media/elsewhere.org/none",
    ] {
        admin.get(path).await.is(404, "M_NOT_FOUND");
    }
    for path in [
        "/_synapse/admin/v1/media/quarantine/not a server/none",
        "/_synapse/admin/v1/room/nothing/media/quarantine",
        "/_synapse/admin/v1/media/delete",
        "/_synapse/admin/v1/media/delete?before_ts=soon",
        "/_synapse/admin/v1/purge_media_cache",
    ] {
        let path = path.replace(' ', "%20");
        admin
            .post(&path, json!({}))
            .await
            .is(400, "M_INVALID_PARAM");
    }
    let path = "/_synapse/admin/v1/users/@admin:localhost/media?order_by=smell";
    admin.get(path).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_a_room_shows_is_listed_and_put_into_quarantine() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let (bad, good) = (upload(&bob, "bad").await, upload(&bob, "good").await);
    let room = shown(&bob, &bad).await;
    let path = format!("/_synapse/admin/v1/room/{room}/media");
    let listed = admin.get(&path).await.ok();
    assert_eq!(
        listed,
        json!({ "local": [format!("mxc://localhost/{bad}")], "remote": ["mxc://elsewhere.org/b"], "total": 1 })
    );
    let path = format!("{path}/quarantine");
    assert_eq!(post(&admin, &path).await, json!({ "num_quarantined": 1 }));
    let legacy = format!("/_synapse/admin/v1/quarantine_media/{room}");
    assert_eq!(post(&admin, &legacy).await, json!({ "num_quarantined": 0 }));
    bob.get(&download(&bad)).await.is(404, "M_NOT_FOUND");
    assert_eq!(bob.get(&download(&good)).await.status, 200);
    let path = "/_synapse/admin/v1/user/@bob:localhost/media/quarantine";
    assert_eq!(post(&admin, path).await, json!({ "num_quarantined": 1 }));
    bob.get(&download(&good)).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_protected_file_is_left_alone() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let id = upload(&bob, "sticker").await;
    post(&admin, &format!("/_synapse/admin/v1/media/protect/{id}")).await;
    let path = "/_synapse/admin/v1/user/@bob:localhost/media/quarantine";
    assert_eq!(post(&admin, path).await, json!({ "num_quarantined": 0 }));
    let files = admin.get("/_synapse/admin/v1/users/@bob:localhost/media");
    assert_eq!(files.await.ok()["media"][0]["safe_from_quarantine"], true);
    let old = "/_synapse/admin/v1/media/delete?before_ts=2000000000000";
    assert_eq!(post(&admin, old).await["total"], 0);
    post(&admin, &format!("/_synapse/admin/v1/media/unprotect/{id}")).await;
    assert_eq!(post(&admin, path).await, json!({ "num_quarantined": 1 }));
}

#[tokio::test]
async fn old_and_large_files_are_deleted_but_for_pictures() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let (small, large) = (upload(&bob, "s").await, upload(&bob, "larger").await);
    let (face, seat) = (
        upload(&bob, "my face").await,
        upload(&bob, "our seat").await,
    );
    let avatar = json!({ "avatar_url": format!("mxc://localhost/{face}") });
    bob.put(
        "/_matrix/client/v3/profile/@bob:localhost/avatar_url",
        avatar,
    )
    .await
    .ok();
    let room = shown(&bob, &small).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.avatar");
    let avatar = json!({ "url": format!("mxc://localhost/{seat}") });
    bob.put(&path, avatar).await.ok();
    server.clock.advance(1_000);
    let new = upload(&bob, "the newest of all").await;
    let before = test_support::START_MS + 1_000;
    let path = format!("/_synapse/admin/v1/media/delete?before_ts={before}");
    let gone = post(&admin, &format!("{path}&size_gt=1")).await;
    assert_eq!(gone, json!({ "total": 1, "deleted_media": [large] }));
    let gone = post(&admin, &path).await;
    assert_eq!(gone, json!({ "total": 1, "deleted_media": [small] }));
    let gone = post(&admin, &format!("{path}&keep_profiles=false&limit=1")).await;
    assert_eq!(gone["total"], 1);
    let gone = post(&admin, &format!("{path}&keep_profiles=false")).await;
    assert_eq!(gone["total"], 1);
    assert_eq!(bob.get(&download(&new)).await.status, 200);
    let cache = post(&admin, "/_synapse/admin/v1/purge_media_cache?before_ts=1").await;
    assert_eq!(cache, json!({ "deleted": 0 }));
}

#[tokio::test]
async fn a_users_files_are_sorted() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    for text in ["two.", "one", "three"] {
        upload(&bob, text).await;
        server.clock.advance(1_000);
    }
    let sizes = async |query: &str| -> Vec<u64> {
        let path = format!("/_synapse/admin/v1/users/@bob:localhost/media?{query}");
        let page = admin.get(&path).await.ok();
        let media = page["media"].as_array().unwrap().clone();
        media
            .iter()
            .map(|file| file["media_length"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sizes("").await, [5, 3, 4]);
    assert_eq!(sizes("order_by=media_length").await, [3, 4, 5]);
    assert_eq!(sizes("order_by=media_length&dir=b&limit=2").await, [5, 4]);
    assert_eq!(sizes("dir=f&from=1").await, [3, 5]);
}
