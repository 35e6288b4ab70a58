use serde_json::{Value, json};
use test_support::TestServer;

use crate::administrator;

fn names(answer: &Value) -> Vec<&str> {
    let users = answer["users"].as_array().unwrap();
    users
        .iter()
        .map(|user| user["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn users_are_listed_in_pages_and_picked() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    for name in ["carol", "bob", "dan"] {
        server.register(name).await;
    }
    let all = admin.get("/_synapse/admin/v2/users").await.ok();
    assert_eq!(all["total"], 4);
    assert_eq!(all.get("next_token"), None);
    assert_eq!(
        names(&all),
        [
            "@admin:localhost",
            "@bob:localhost",
            "@carol:localhost",
            "@dan:localhost"
        ]
    );
    assert_eq!(all["users"][0]["admin"], true);
    assert_eq!(all["users"][1]["displayname"], "bob");
    let page = admin
        .get("/_synapse/admin/v2/users?from=1&limit=2&dir=b")
        .await
        .ok();
    assert_eq!(names(&page), ["@carol:localhost", "@bob:localhost"]);
    assert_eq!(page["next_token"], "3");
    for (query, expected) in [
        ("name=CAR", vec!["@carol:localhost"]),
        ("user_id=dan", vec!["@dan:localhost"]),
        ("admins=true", vec!["@admin:localhost"]),
    ] {
        let found = admin
            .get(&format!("/_synapse/admin/v2/users?{query}"))
            .await
            .ok();
        assert_eq!(names(&found), expected, "{query}");
    }
    for wrong in ["order_by=luck", "dir=x", "from=-1", "limit=100000"] {
        let reply = admin
            .get(&format!("/_synapse/admin/v2/users?{wrong}"))
            .await;
        reply.is(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn closed_accounts_are_shown_where_asked_for() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    server.register("bob").await;
    admin
        .post("/_synapse/admin/v1/deactivate/@bob:localhost", json!({}))
        .await
        .ok();
    for (path, expected) in [
        ("v2/users", vec!["@admin:localhost"]),
        (
            "v2/users?deactivated=true",
            vec!["@admin:localhost", "@bob:localhost"],
        ),
        ("v3/users", vec!["@admin:localhost", "@bob:localhost"]),
        ("v3/users?deactivated=true", vec!["@bob:localhost"]),
        ("v3/users?deactivated=false", vec!["@admin:localhost"]),
    ] {
        let found = admin.get(&format!("/_synapse/admin/{path}")).await.ok();
        assert_eq!(names(&found), expected, "{path}");
    }
}

#[tokio::test]
async fn an_account_is_made_changed_closed_and_opened() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let path = "/_synapse/admin/v2/users/@bob:localhost";
    admin.get(path).await.is(404, "M_NOT_FOUND");
    let new = json!({ "password": "password-of-bob", "displayname": "Bob", "admin": false });
    let made = admin.put(path, new.clone()).await;
    assert_eq!(made.status, 201);
    let bob = server.login("bob").await;
    let changed = admin
        .put(path, json!({ "displayname": "Bobby", "avatar_url": "mxc://localhost/x", "user_type": "bot" }))
        .await
        .ok();
    assert_eq!(
        (
            &changed["displayname"],
            &changed["avatar_url"],
            &changed["user_type"]
        ),
        (&json!("Bobby"), &json!("mxc://localhost/x"), &json!("bot"))
    );
    bob.get("/_matrix/client/v3/account/whoami").await.ok();
    let shown = admin.get(path).await.ok();
    assert_eq!(shown["creation_ts"], test_support::START_MS / 1_000);
    // Closed, and opened again with a password alone.
    let closed = admin.put(path, json!({ "deactivated": true })).await.ok();
    assert_eq!(closed["deactivated"], true);
    bob.get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    admin
        .put(path, json!({ "deactivated": false }))
        .await
        .is(400, "M_INVALID_PARAM");
    admin
        .put(path, json!({ "password": "password-of-bob" }))
        .await
        .is(400, "M_INVALID_PARAM");
    admin
        .put(
            path,
            json!({ "deactivated": false, "password": "password-of-bob" }),
        )
        .await
        .ok();
    server.login("bob").await;
    for wrong in [
        json!({ "threepids": [{ "medium": "email", "address": "bob@example.org" }] }),
        json!({ "user_type": "emperor" }),
        json!({ "avatar_url": "https://example.org/x.png" }),
    ] {
        admin.put(path, wrong).await.is(400, "M_INVALID_PARAM");
    }
    admin
        .put("/_synapse/admin/v2/users/@bob:elsewhere.org", new.clone())
        .await
        .is(400, "M_INVALID_PARAM");
    admin
        .put("/_synapse/admin/v2/users/@b%20b:localhost", new)
        .await
        .is(400, "M_INVALID_USERNAME");
    admin
        .put(
            "/_synapse/admin/v2/users/@admin:localhost",
            json!({ "admin": false }),
        )
        .await
        .is(403, "M_FORBIDDEN");
    let available = |name: &str| format!("/_synapse/admin/v1/username_available?username={name}");
    assert_eq!(admin.get(&available("eve")).await.ok()["available"], true);
    admin.get(&available("bob")).await.is(400, "M_USER_IN_USE");
}
