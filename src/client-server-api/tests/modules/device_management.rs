use serde_json::{Value, json};
use test_support::TestServer;

const DEVICES: &str = "/_matrix/client/v3/devices";
const DELETE_DEVICES: &str = "/_matrix/client/v3/delete_devices";

fn auth(user: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": format!("password-of-{user}"),
    })
}

#[tokio::test]
async fn devices_are_listed_with_their_last_use() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    server.register("bob").await;
    let listed = alice.get(DEVICES).await.ok();
    let mut ids: Vec<_> = listed["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["device_id"].clone())
        .collect();
    ids.sort_by_key(Value::to_string);
    let mut expected = [json!(alice.device_id), json!(other.device_id)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(ids, expected);
    // Last-seen is kept with the next commit that somebody waits for.
    alice
        .put(
            &format!("{DEVICES}/{}", alice.device_id),
            json!({ "display_name": "Mine" }),
        )
        .await
        .ok();
    let mine = alice
        .get(&format!("{DEVICES}/{}", alice.device_id))
        .await
        .ok();
    assert_eq!(mine["display_name"], "Mine");
    assert_eq!(mine["last_seen_ts"], test_support::START_MS);
    server
        .anyone()
        .get(DEVICES)
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn what_is_not_known_of_a_device_is_left_out() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let path = format!("{DEVICES}/{}", alice.device_id);
    let listed = alice.get(DEVICES).await.ok()["devices"][0].clone();
    for device in [listed, alice.get(&path).await.ok()] {
        let device = device.as_object().unwrap();
        assert_eq!(device["device_id"], alice.device_id);
        assert!(device.values().all(|value| !value.is_null()), "{device:?}");
        assert!(!device.contains_key("display_name"));
    }
}

#[tokio::test]
async fn devices_of_others_do_not_exist() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!("{DEVICES}/{}", bob.device_id);
    alice.get(&path).await.is(404, "M_NOT_FOUND");
    alice
        .put(&path, json!({ "display_name": "Mine" }))
        .await
        .is(404, "M_NOT_FOUND");
    alice
        .delete(&path, json!({ "auth": auth("alice") }))
        .await
        .ok();
    bob.get(&path).await.ok();
}

#[tokio::test]
async fn a_device_is_renamed() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let path = format!("{DEVICES}/{}", alice.device_id);
    alice
        .put(&path, json!({ "display_name": "Mine" }))
        .await
        .ok();
    alice.put(&path, json!({})).await.ok();
    assert_eq!(alice.get(&path).await.ok()["display_name"], "Mine");
    alice
        .put(&path, json!({ "display_name": "x".repeat(101) }))
        .await
        .is(400, "M_TOO_LARGE");
    alice
        .put(&path, json!({ "display_name": 7 }))
        .await
        .is(400, "M_BAD_JSON");
    server
        .anyone()
        .put(&path, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_device_is_deleted_with_the_password() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    let path = format!("{DEVICES}/{}", other.device_id);
    let asked = alice.send(http::Method::DELETE, &path, "").await;
    assert_eq!(asked.status, 401);
    let mut auth = auth("alice");
    auth["session"] = asked.json["session"].clone();
    alice.delete(&path, json!({ "auth": auth })).await.ok();
    other.get(DEVICES).await.is(401, "M_UNKNOWN_TOKEN");
    alice.get(&path).await.is(404, "M_NOT_FOUND");
    // Twice: "or had been removed previously".
    auth["session"] = Value::Null;
    alice.delete(&path, json!({ "auth": auth })).await.ok();
    server
        .anyone()
        .delete(&path, json!({}))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn several_devices_are_deleted_at_once() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let (second, third) = (server.login("alice").await, server.login("alice").await);
    let devices = json!([second.device_id, third.device_id, "UNKNOWN"]);
    let body = json!({ "devices": devices });
    assert_eq!(alice.post(DELETE_DEVICES, body).await.status, 401);
    let body = json!({ "devices": devices, "auth": auth("alice") });
    alice.post(DELETE_DEVICES, body).await.ok();
    assert_eq!(
        alice.get(DEVICES).await.ok()["devices"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    alice
        .post(DELETE_DEVICES, json!({ "auth": auth("alice") }))
        .await
        .is(400, "M_BAD_JSON");
    server
        .anyone()
        .post(DELETE_DEVICES, json!({ "devices": [] }))
        .await
        .is(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_user_has_so_many_devices_and_no_more() {
    let server = TestServer::with(|config| config.sessions.max_devices = 2).await;
    let alice = server.register("alice").await;
    let login = |device_id: Option<&str>| {
        let mut body = auth("alice");
        if let Some(device_id) = device_id {
            body["device_id"] = json!(device_id);
        }
        body
    };
    let anyone = server.anyone();
    let place = "/_matrix/client/v3/login";
    anyone.post(place, login(Some("SECOND"))).await.ok();
    for device_id in [None, Some("THIRD")] {
        let refused = anyone.post(place, login(device_id)).await;
        let error = refused.is(403, "M_USER_LIMIT_EXCEEDED");
        assert!(error["info_uri"].is_string(), "{error}");
    }
    // With a device that is there it is no further one.
    anyone.post(place, login(Some("SECOND"))).await.ok();
    server.register("bob").await;
    alice
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    anyone.post(place, login(Some("THIRD"))).await.ok();
}
