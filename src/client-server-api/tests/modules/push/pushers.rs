//! [Pushers](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers).

use serde_json::{Value, json};
use test_support::{Client, TestServer};

const GET: &str = "/_matrix/client/v3/pushers";
const SET: &str = "/_matrix/client/v3/pushers/set";

fn pusher(pushkey: &str) -> Value {
    json!({
        "app_id": "com.example.app",
        "pushkey": pushkey,
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": { "url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only", "own": 1 },
    })
}

async fn keys(client: &Client) -> Vec<Value> {
    let answer = client.get(GET).await.ok();
    let pushers = answer["pushers"].as_array().unwrap().iter();
    pushers.map(|pusher| pusher["pushkey"].clone()).collect()
}

#[tokio::test]
async fn a_pusher_is_set_changed_kept_and_deleted() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.get(GET).await.ok(), json!({ "pushers": [] }));
    alice.post(SET, pusher("one")).await.ok();
    assert_eq!(
        alice.get(GET).await.ok(),
        json!({ "pushers": [pusher("one")] })
    );
    let mut changed = pusher("one");
    changed["lang"] = json!("de");
    changed["profile_tag"] = json!("xyz");
    for _ in 0..2 {
        assert_eq!(alice.post(SET, changed.clone()).await.ok(), json!({}));
    }
    let (token, server) = (alice.access_token.clone().unwrap(), server.restart().await);
    let alice = server.anyone().with_token(&token);
    assert_eq!(alice.get(GET).await.ok(), json!({ "pushers": [changed] }));
    let gone = json!({ "app_id": "com.example.app", "pushkey": "one", "kind": null });
    for _ in 0..2 {
        alice.post(SET, gone.clone()).await.ok();
    }
    assert_eq!(keys(&alice).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_push_key_belongs_to_one_user_unless_they_say_otherwise() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    alice.post(SET, pusher("phone")).await.ok();
    let mut shared = pusher("phone");
    shared["append"] = json!(true);
    bob.post(SET, shared).await.ok();
    assert_eq!((keys(&alice).await.len(), keys(&bob).await.len()), (1, 1));
    bob.post(SET, pusher("phone")).await.ok();
    assert_eq!((keys(&alice).await.len(), keys(&bob).await.len()), (0, 1));
}

#[tokio::test]
async fn a_pusher_ends_with_its_session() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let phone = server.login("alice").await;
    alice.post(SET, pusher("desk")).await.ok();
    phone.post(SET, pusher("phone")).await.ok();
    assert_eq!(keys(&alice).await, ["desk", "phone"]);
    phone
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    assert_eq!(keys(&alice).await, ["desk"]);
}

#[tokio::test]
async fn gateways_in_allowed_networks_may_speak_http() {
    let server = TestServer::with(|config| {
        let allowed = ["10.1.0.0/16", "::1"].map(|network| network.parse().unwrap());
        config.outbound.allowed_networks = allowed.to_vec();
    })
    .await;
    let alice = server.register("alice").await;
    for (host, taken) in [
        ("10.1.2.3", true),
        ("10.1.2.3:5000", true),
        ("[::1]", true),
        ("[::1]:5000", true),
        ("10.2.0.1", false),
        ("push.intranet", false),
        ("10.1.2.3@10.2.0.1", false),
    ] {
        let mut pusher = pusher(host);
        pusher["data"]["url"] = json!(format!("http://{host}/_matrix/push/v1/notify"));
        let reply = alice.post(SET, pusher).await;
        if taken {
            reply.ok();
        } else {
            reply.is(400, "M_INVALID_PARAM");
        }
    }
}

#[tokio::test]
async fn what_is_no_pusher_is_refused() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    server.anyone().get(GET).await.is(401, "M_MISSING_TOKEN");
    let reply = server.anyone().post(SET, pusher("one")).await;
    reply.is(401, "M_MISSING_TOKEN");
    let mut missing = pusher("one");
    missing.as_object_mut().unwrap().remove("lang");
    missing.as_object_mut().unwrap().remove("data");
    let error = alice.post(SET, missing).await.is(400, "M_MISSING_PARAM");
    assert!(
        error["error"].as_str().unwrap().contains("lang, data"),
        "{error}"
    );
    let with = |key: &str, value: Value| {
        let mut pusher = pusher("one");
        pusher[key] = value;
        pusher
    };
    for wrong in [
        with("app_id", json!("x".repeat(65))),
        with("pushkey", json!("x".repeat(513))),
        with("pushkey", json!("")),
        with("kind", json!("email")),
        with(
            "data",
            json!({ "url": "https://push.example.org/elsewhere" }),
        ),
        with(
            "data",
            json!({ "url": "ftp://push.example.org/_matrix/push/v1/notify" }),
        ),
        with(
            "data",
            json!({ "url": "http://push.example.org/_matrix/push/v1/notify" }),
        ),
        with(
            "data",
            json!({ "url": "http://127.0.0.1:5000/_matrix/push/v1/notify" }),
        ),
        with(
            "data",
            json!({ "url": "https://me:secret@push.example.org/_matrix/push/v1/notify" }),
        ),
        with("data", json!({ "url": "https:///_matrix/push/v1/notify" })),
    ] {
        alice.post(SET, wrong).await.is(400, "M_INVALID_PARAM");
    }
    alice
        .post(SET, with("data", json!({})))
        .await
        .is(400, "M_MISSING_PARAM");
    alice
        .post(SET, with("lang", json!(7)))
        .await
        .is(400, "M_BAD_JSON");
    assert_eq!(keys(&alice).await, [] as [Value; 0]);
}
