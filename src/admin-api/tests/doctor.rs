//! How requests arrive is told to those who hold a key, and to nobody else.

use http::Method;
use serde_json::json;
use test_support::TestServer;

use crate::administrator;

const BEGIN: &str = "/_myelin/admin/v1/doctor";
const ARRIVED: &str = "/_matrix/client/unstable/org.myelin.doctor";

/// A key, as an administrator gets it.
async fn key(server: &TestServer) -> String {
    let admin = administrator(server).await;
    let given = admin.post(BEGIN, json!({})).await.ok();
    assert!(given["open_files"].as_u64().is_none_or(|limit| limit > 0));
    given["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_has_a_key_is_told_how_requests_arrive() {
    let server = TestServer::new().await;
    let key = key(&server).await;
    let path = format!("{ARRIVED}/{key}/a%2Fb//c%252F?wait_ms=0");
    let told = server.anyone().send(Method::PUT, &path, "four").await.ok();
    assert_eq!(told["method"], "PUT");
    assert_eq!(told["path"], format!("{ARRIVED}/{key}/a%2Fb//c%252F"));
    assert_eq!(told["body_bytes"], 4);
    assert!(told["headers"].is_array());
    let refused = format!("{ARRIVED}/{key}/x?wait_ms=long");
    server
        .anyone()
        .get(&refused)
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn without_a_key_that_holds_nothing_is_there() {
    let server = TestServer::new().await;
    let anyone = server.anyone();
    let elsewhere = anyone.get("/_matrix/client/unstable/org.other/x/y").await;
    let elsewhere = elsewhere.is(404, "M_UNRECOGNIZED");
    let key = key(&server).await;
    let gone = |path: String| {
        let (server, elsewhere) = (&server, &elsewhere);
        async move {
            let answer = server.anyone().get(&path).await.is(404, "M_UNRECOGNIZED");
            assert_eq!(&answer, elsewhere, "{path}");
        }
    };
    gone(format!("{ARRIVED}/{}/x", "k".repeat(32))).await;
    gone(format!("{ARRIVED}/{}/x", &key[..31])).await;
    gone(format!("{ARRIVED}/%FF/x?wait_ms=long")).await;
    gone(format!("{ARRIVED}/{key}")).await;
    // After its time.
    server
        .anyone()
        .get(&format!("{ARRIVED}/{key}/x"))
        .await
        .ok();
    server.clock.advance(5 * 60_000);
    gone(format!("{ARRIVED}/{key}/x")).await;
}

#[tokio::test]
async fn a_key_does_not_hold_for_ever_however_fast_one_asks() {
    let server = TestServer::new().await;
    let key = key(&server).await;
    let path = format!("{ARRIVED}/{key}/x");
    for _ in 0..100 {
        server.anyone().get(&path).await.ok();
    }
    server.anyone().get(&path).await.is(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn bodies_are_counted_up_to_the_largest_upload() {
    let server = TestServer::with(|config| config.media.max_upload_bytes = 10).await;
    let key = key(&server).await;
    let path = format!("{ARRIVED}/{key}/x");
    let anyone = server.anyone();
    let told = anyone.send(Method::POST, &path, "0123456789").await.ok();
    assert_eq!(told["body_bytes"], 10);
    let longer = anyone.send(Method::POST, &path, "0123456789!").await;
    longer.is(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn of_too_many_keys_the_oldest_ends() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let mut keys = Vec::new();
    for _ in 0..9 {
        let given = admin.post(BEGIN, json!({})).await.ok();
        keys.push(given["key"].as_str().unwrap().to_owned());
        server.clock.advance(1);
    }
    let answer = async |key: &String| server.anyone().get(&format!("{ARRIVED}/{key}/x")).await;
    answer(&keys[0]).await.is(404, "M_UNRECOGNIZED");
    for key in &keys[1..] {
        answer(key).await.ok();
    }
}
