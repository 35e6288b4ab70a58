//! `device_lists` of a sync, and `/keys/changes`: who has changed, whom one has met, and whom one has left.

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{CROSS_SIGNING, cross_signing, public, query, signed, upload_identity};
use crate::{
    events::syncing::Syncer,
    rooms::{act, create, public as public_room},
};

/// `(changed, left)`, sorted.
fn lists(answer: &Value) -> (Vec<String>, Vec<String>) {
    let names = |key: &str| {
        let names = answer["device_lists"][key]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut names: Vec<_> = names
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    (names("changed"), names("left"))
}

async fn changes(client: &Client, from: &str, to: &str) -> (Vec<String>, Vec<String>) {
    let path = format!("/_matrix/client/v3/keys/changes?from={from}&to={to}");
    let answer = client.get(&path).await.ok();
    assert!(answer["changed"].is_array() && answer["left"].is_array());
    lists(&json!({ "device_lists": answer }))
}

fn only(client: &Client) -> Vec<String> {
    vec![client.user_id.clone()]
}

const NOBODY: Vec<String> = Vec::new();

#[tokio::test]
async fn who_shares_a_room_is_told_of_each_change() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    let room = public_room(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let mut alices = Syncer::started(&alice).await;
    let mut bobs = Syncer::started(&bob).await;
    let mut carols = Syncer::started(&carol).await;
    let from = bobs.since.clone().unwrap();

    upload_identity(&alice).await;
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    assert_eq!(
        lists(&alices.next().await),
        (only(&alice), NOBODY),
        "her other devices"
    );
    assert_eq!(lists(&carols.next().await), (NOBODY, NOBODY));
    assert_eq!(lists(&bobs.next().await), (NOBODY, NOBODY));

    alice
        .post(CROSS_SIGNING, cross_signing(&alice, "master"))
        .await
        .ok();
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    let path = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    alice
        .put(&path, json!({ "display_name": "New" }))
        .await
        .ok();
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    alice
        .post("/_matrix/client/v3/logout", json!({}))
        .await
        .ok();
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    let to = bobs.since.clone().unwrap();
    assert_eq!(changes(&bob, &from, &to).await, (only(&alice), NOBODY));
    assert_eq!(changes(&bob, &to, &to).await, (NOBODY, NOBODY));
    let server = server.restart().await;
    let bob = server.anyone().with_token(&bob.access_token.unwrap());
    assert_eq!(changes(&bob, &from, &to).await, (only(&alice), NOBODY));
    assert_eq!(changes(&bob, &to, &to).await, (NOBODY, NOBODY));
}

#[tokio::test]
async fn a_change_wakes_who_waits() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = public_room(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    let mut bobs = Syncer::started(&bob).await;
    let began = tokio::time::Instant::now();
    let (answer, _) = tokio::join!(bobs.within(60_000), upload_identity(&alice));
    assert!(began.elapsed().as_secs() < 30);
    assert_eq!(lists(&answer), (only(&alice), NOBODY));
}

#[tokio::test]
async fn those_who_meet_and_part_are_told_of_each_other() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let one = public_room(&alice).await;
    let two = public_room(&alice).await;
    let mut alices = Syncer::started(&alice).await;
    let mut bobs = Syncer::started(&bob).await;
    act(&bob, &one, "join", json!({})).await;
    assert_eq!(lists(&alices.next().await), (only(&bob), NOBODY));
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    act(&bob, &two, "join", json!({})).await;
    alices.next().await;
    bobs.next().await;
    // They still share the other room.
    act(&bob, &one, "leave", json!({})).await;
    assert_eq!(lists(&alices.next().await), (NOBODY, NOBODY));
    assert_eq!(lists(&bobs.next().await), (NOBODY, NOBODY));
    let from = alices.since.clone().unwrap();
    act(&bob, &two, "leave", json!({})).await;
    assert_eq!(lists(&alices.next().await), (NOBODY, only(&bob)));
    assert_eq!(lists(&bobs.next().await), (NOBODY, only(&alice)));
    // Who is gone is not told of what changes.
    upload_identity(&bob).await;
    assert_eq!(lists(&alices.next().await), (NOBODY, NOBODY));
    let to = alices.since.clone().unwrap();
    assert_eq!(changes(&alice, &from, &to).await, (NOBODY, only(&bob)));
    // They meet again, and Alice asks anew.
    act(&bob, &one, "join", json!({})).await;
    assert_eq!(lists(&alices.next().await), (only(&bob), NOBODY));
    assert_eq!(changes(&alice, &from, &to).await, (only(&bob), NOBODY));
}

#[tokio::test]
async fn a_gap_tells_what_came_of_it() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    let (bob, carol) = (server.register("bob").await, server.register("carol").await);
    let (dan, erin) = (server.register("dan").await, server.register("erin").await);
    let room = public_room(&alice).await;
    let other = public_room(&dan).await;
    for client in [&bob, &erin] {
        act(client, &room, "join", json!({})).await;
    }
    act(&alice, &other, "join", json!({})).await;
    let mut alices = Syncer::started(&alice).await;
    // Bob leaves, Carol comes and goes, Erin goes and comes back, and Alice leaves Dan, who leaves too.
    act(&bob, &room, "leave", json!({})).await;
    for action in ["join", "leave"] {
        act(&carol, &room, action, json!({})).await;
    }
    for action in ["leave", "join"] {
        act(&erin, &room, action, json!({})).await;
    }
    for number in 0..60 {
        crate::rooms::say(&alice, &room, "text", &number.to_string()).await;
    }
    act(&alice, &other, "leave", json!({})).await;
    act(&dan, &other, "leave", json!({})).await;
    let since = alices.since.clone().unwrap();
    let mut parted = [bob.user_id.clone(), dan.user_id.clone()].to_vec();
    parted.sort();
    assert_eq!(lists(&alices.next().await), (NOBODY, parted.clone()));
    let server = server.restart().await;
    let alice = server.anyone().with_token(&alice.access_token.unwrap());
    assert_eq!(changes(&alice, &since, &since).await, (NOBODY, parted));
}

#[tokio::test]
async fn whom_one_has_verified_is_told_to_oneself_alone() {
    let server = TestServer::new().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    let room = create(&alice, json!({ "preset": "public_chat" })).await;
    for client in [&bob, &carol] {
        act(client, &room, "join", json!({})).await;
    }
    for client in [&alice, &bob] {
        client
            .post(CROSS_SIGNING, cross_signing(client, &client.user_id))
            .await
            .ok();
    }
    let mut bobs = Syncer::started(&bob).await;
    let mut carols = Syncer::started(&carol).await;
    let master = cross_signing(&alice, &alice.user_id)["master_key"].clone();
    let user_signing = format!("{} user", bob.user_id);
    let by_bob = signed(
        &master,
        &bob.user_id,
        (&user_signing, &public(&user_signing)),
    );
    let body = json!({ &alice.user_id: { public(&alice.user_id): by_bob } });
    let path = "/_matrix/client/v3/keys/signatures/upload";
    assert_eq!(bob.post(path, body).await.ok(), json!({}));
    assert_eq!(lists(&bobs.next().await), (only(&alice), NOBODY));
    assert_eq!(lists(&carols.next().await), (NOBODY, NOBODY));
    for (client, signers) in [(&bob, 1), (&carol, 0), (&alice, 0)] {
        let answer = query(client, &alice.user_id).await;
        let signatures = answer["master_keys"][&alice.user_id]["signatures"].as_object();
        assert_eq!(signatures.map_or(0, serde_json::Map::len), signers);
    }
}
