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
