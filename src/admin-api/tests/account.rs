use serde_json::json;
use test_support::TestServer;

use crate::administrator;

#[tokio::test]
async fn an_account_is_taken_out_of_its_rooms_when_it_is_closed() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = bob
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let joined = admin
        .get("/_synapse/admin/v1/users/@bob:localhost/joined_rooms")
        .await
        .ok();
    assert_eq!(
        joined,
        json!({ "total": 1, "joined_rooms": [room["room_id"]] })
    );
    admin
        .post(
            "/_synapse/admin/v1/deactivate/@bob:localhost",
            json!({ "erase": true }),
        )
        .await
        .ok();
    bob.get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let joined = admin
        .get("/_synapse/admin/v1/users/@bob:localhost/joined_rooms")
        .await
        .ok();
    assert_eq!(joined["total"], 0);
    admin
        .post("/_synapse/admin/v1/deactivate/@admin:localhost", json!({}))
        .await
        .is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_password_is_reset() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let path = "/_synapse/admin/v1/reset_password/@bob:localhost";
    admin.post(path, json!({})).await.is(400, "M_BAD_JSON");
    admin
        .post(path, json!({ "new_password": "x" }))
        .await
        .is(400, "M_WEAK_PASSWORD");
    admin
        .post(
            path,
            json!({ "new_password": "battery staple", "logout_devices": false }),
        )
        .await
        .ok();
    bob.get("/_matrix/client/v3/account/whoami").await.ok();
    admin
        .post(path, json!({ "new_password": "password-of-bob" }))
        .await
        .ok();
    bob.get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    server.login("bob").await;
}

#[tokio::test]
async fn administrators_are_made_and_unmade() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let path = "/_synapse/admin/v1/users/@bob:localhost/admin";
    assert_eq!(admin.get(path).await.ok(), json!({ "admin": false }));
    admin.put(path, json!({ "admin": true })).await.ok();
    bob.get(path).await.ok();
    bob.put(
        "/_synapse/admin/v1/users/@admin:localhost/admin",
        json!({ "admin": false }),
    )
    .await
    .ok();
    admin.get(path).await.is(403, "M_FORBIDDEN");
    bob.put(path, json!({ "admin": false }))
        .await
        .is(400, "M_UNKNOWN");
}

#[tokio::test]
async fn accounts_are_suspended_and_locked() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let whoami = "/_matrix/client/v3/account/whoami";
    let suspended = admin
        .put(
            "/_synapse/admin/v1/suspend/@bob:localhost",
            json!({ "suspend": true }),
        )
        .await
        .ok();
    assert_eq!(suspended, json!({ "user_@bob:localhost_suspended": true }));
    bob.post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .is(403, "M_USER_SUSPENDED");
    let lock = "/_myelin/admin/v1/lock/@bob:localhost";
    admin.put(lock, json!({ "locked": true })).await.ok();
    bob.get(whoami).await.is(401, "M_USER_LOCKED");
    admin.put(lock, json!({ "locked": false })).await.ok();
    bob.get(whoami).await.ok();
}

#[tokio::test]
async fn an_administrator_logs_in_as_somebody_and_it_is_written_down() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let path = "/_synapse/admin/v1/users/@bob:localhost/login";
    let until_ms = test_support::START_MS + 60_000;
    let answer = admin
        .post(path, json!({ "valid_until_ms": until_ms }))
        .await
        .ok();
    let as_bob = bob.with_token(answer["access_token"].as_str().unwrap());
    let who = as_bob.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!(who["user_id"], "@bob:localhost");
    // The user sees it.
    let devices = bob.get("/_matrix/client/v3/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2);
    server.clock.advance(60_000);
    as_bob
        .get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok();
    let deed = &audit["deeds"][0];
    assert_eq!(
        (&deed["by"], &deed["action"], &deed["target"]),
        (
            &json!("@admin:localhost"),
            &json!("user.login_as"),
            &json!("@bob:localhost")
        )
    );
    let own = "/_synapse/admin/v1/users/@admin:localhost/login";
    admin.post(own, json!({})).await.is(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn devices_are_seen_renamed_and_removed() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let second = server.login("bob").await;
    let path = "/_synapse/admin/v2/users/@bob:localhost/devices";
    let listed = admin.get(path).await.ok();
    assert_eq!(listed["total"], 2);
    let one = format!("{path}/{}", bob.device_id);
    admin
        .put(&one, json!({ "display_name": "telephone" }))
        .await
        .ok();
    assert_eq!(admin.get(&one).await.ok()["display_name"], "telephone");
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok();
    let deed = &audit["deeds"][0];
    assert_eq!(
        (&deed["action"], &deed["target"], &deed["details"]),
        (
            &json!("user.rename_device"),
            &json!("@bob:localhost"),
            &json!({ "device": bob.device_id })
        )
    );
    admin.delete(&one, json!({})).await.ok();
    admin.get(&one).await.is(404, "M_NOT_FOUND");
    bob.get("/_matrix/client/v3/account/whoami")
        .await
        .is(401, "M_UNKNOWN_TOKEN");
    let whois = admin
        .get("/_synapse/admin/v1/whois/@bob:localhost")
        .await
        .ok();
    assert!(whois["devices"][&second.device_id].is_object(), "{whois}");
    let own = second.get("/_matrix/client/v3/admin/whois/@bob:localhost");
    assert_eq!(own.await.ok()["user_id"], whois["user_id"]);
    admin
        .post("/_myelin/admin/v1/users/@bob:localhost/logout", json!({}))
        .await
        .ok();
    assert_eq!(admin.get(path).await.ok()["total"], 0);
}

#[tokio::test]
async fn account_data_and_pushers_are_shown() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = bob
        .post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap();
    let user = "/_matrix/client/v3/user/@bob:localhost";
    bob.put(
        &format!("{user}/account_data/org.example"),
        json!({ "a": 1 }),
    )
    .await
    .ok();
    bob.put(
        &format!("{user}/rooms/{room}/account_data/org.example"),
        json!({ "b": 2 }),
    )
    .await
    .ok();
    let data = admin
        .get("/_synapse/admin/v1/users/@bob:localhost/accountdata")
        .await
        .ok();
    assert_eq!(
        data["account_data"]["global"]["org.example"],
        json!({ "a": 1 })
    );
    assert_eq!(
        data["account_data"]["rooms"][room]["org.example"],
        json!({ "b": 2 })
    );
    let pushers = admin
        .get("/_synapse/admin/v1/users/@bob:localhost/pushers")
        .await
        .ok();
    assert_eq!(pushers, json!({ "total": 0, "pushers": [] }));
}

#[tokio::test]
async fn a_device_is_made_for_somebody() {
    let server = TestServer::with(|config| config.sessions.max_devices = 2).await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let path = "/_synapse/admin/v2/users/@bob:localhost/devices";
    let robot = json!({ "device_id": "ROBOT", "display_name": "the robot" });
    for status in [201, 200] {
        let reply = admin.post(path, robot.clone()).await;
        assert_eq!((reply.status, reply.json), (status, json!({})));
    }
    let seen = bob.get("/_matrix/client/v3/devices/ROBOT").await.ok();
    assert_eq!(seen["display_name"], "the robot");
    let third = json!({ "device_id": "THIRD" });
    admin
        .post(path, third)
        .await
        .is(403, "M_USER_LIMIT_EXCEEDED");
    admin.post(path, json!({})).await.is(400, "M_BAD_JSON");
    for wrong in [String::new(), "x".repeat(256)] {
        let body = json!({ "device_id": wrong });
        admin.post(path, body).await.is(400, "M_INVALID_PARAM");
    }
    let close = "/_synapse/admin/v1/deactivate/@bob:localhost";
    admin.post(close, json!({})).await.ok();
    admin.post(path, robot).await.is(403, "M_USER_DEACTIVATED");
}

#[tokio::test]
async fn memberships_and_how_many_rooms_were_joined_are_told() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room = bob.post("/_matrix/client/v3/createRoom", json!({}));
        rooms.push(room.await.ok()["room_id"].as_str().unwrap().to_owned());
        server.clock.advance(1_000);
    }
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", rooms[1]);
    bob.post(&leave, json!({})).await.ok();
    let name = json!({ "displayname": "Robert" });
    bob.put(
        "/_matrix/client/v3/profile/@bob:localhost/displayname",
        name,
    )
    .await
    .ok();
    let user = "/_synapse/admin/v1/users/@bob:localhost";
    let memberships = admin.get(&format!("{user}/memberships")).await.ok();
    assert_eq!(
        memberships,
        json!({ "total": 2, "memberships": { (rooms[0].as_str()): "join", (rooms[1].as_str()): "leave" } })
    );
    let path = format!("{user}/cumulative_joined_room_count");
    for (from_ms, count) in [(0, 2), (1_000, 1), (2_000, 0)] {
        let from_ts = test_support::START_MS + from_ms;
        let answer = admin.get(&format!("{path}?from_ts={from_ts}")).await.ok();
        assert_eq!(answer, json!({ "cumulative_joined_room_count": count }));
    }
    admin.get(&path).await.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn nobody_is_found_by_an_address() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    for path in [
        "/_synapse/admin/v1/threepid/email/users/bob@example.org",
        "/_synapse/admin/v1/auth_providers/oidc/users/bob",
    ] {
        admin.get(path).await.is(404, "M_NOT_FOUND");
    }
    let shadow = "/_synapse/admin/v1/users/@admin:localhost/shadow_ban";
    admin
        .post(shadow, json!({}))
        .await
        .is(404, "M_UNRECOGNIZED");
}
