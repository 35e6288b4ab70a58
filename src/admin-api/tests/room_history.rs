use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::administrator;

const ROOMS: &str = "/_synapse/admin/v1/rooms";
const PURGE: &str = "/_synapse/admin/v1/purge_history";
const V3: &str = "/_matrix/client/v3";

async fn create(client: &Client, body: Value) -> String {
    let made = client.post(&format!("{V3}/createRoom"), body).await.ok();
    made["room_id"].as_str().unwrap().to_owned()
}

async fn send(client: &Client, room: &str, txn: &str, content: Value) -> String {
    let path = format!("{V3}/rooms/{room}/send/m.room.message/{txn}");
    let sent = client.put(&path, content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

fn bodies(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// Starts a purge, waits for its end, and gives how many events went.
async fn purge(server: &TestServer, admin: &Client, path: &str, body: Value) -> u64 {
    let started = admin.post(path, body).await.ok();
    let id = started["purge_id"].as_str().unwrap();
    let number = store::Pos(id.parse().unwrap());
    let task = server.services.administration.ended(number).await.unwrap();
    let status = admin.get(&format!("{PURGE}_status/{id}")).await.ok();
    assert_eq!(status, json!({ "status": "complete" }), "{task:?}");
    task.result["removed"].as_u64().unwrap()
}

async fn unread(client: &Client, room: &str) -> u64 {
    let synced = client.get(&format!("{V3}/sync")).await.ok();
    let counts = &synced["rooms"]["join"][room]["unread_notifications"];
    counts["notification_count"].as_u64().unwrap()
}

#[tokio::test]
async fn an_administrator_reads_a_room_without_being_in_it() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = create(&bob, json!({ "name": "Cats" })).await;
    let first = send(&bob, &room, "1", text("one")).await;
    server.clock.advance(60_000);
    let second = send(&bob, &room, "2", text("two")).await;
    let third = send(&bob, &room, "3", text("three")).await;
    let path = format!("{ROOMS}/{room}");
    let page = admin
        .get(&format!("{path}/messages?dir=b&limit=2"))
        .await
        .ok();
    assert_eq!(bodies(&page["chunk"]), ["three", "two"]);
    assert_eq!(page["chunk"][0]["room_id"], room.as_str());
    let end = page["end"].as_str().unwrap();
    let rest = format!("{path}/messages?dir=b&limit=1&from={end}");
    assert_eq!(bodies(&admin.get(&rest).await.ok()["chunk"]), ["one"]);
    let only = "%7B%22types%22%3A%5B%22m.room.name%22%5D%7D";
    let named = admin
        .get(&format!("{path}/messages?limit=50&filter={only}"))
        .await
        .ok();
    assert_eq!(named["chunk"].as_array().unwrap().len(), 1);

    let around = admin
        .get(&format!("{path}/context/{second}?limit=2"))
        .await
        .ok();
    assert_eq!(around["event"]["event_id"], second.as_str());
    assert_eq!(around["events_before"][0]["event_id"], first.as_str());
    assert_eq!(around["events_after"][0]["event_id"], third.as_str());
    assert!(around["state"].as_array().unwrap().len() > 4);

    let ts = test_support::START_MS + 30_000;
    for (dir, event) in [("f", &second), ("b", &first)] {
        let path = format!("{path}/timestamp_to_event?ts={ts}&dir={dir}");
        assert_eq!(admin.get(&path).await.ok()["event_id"], event.as_str());
    }
    let extremities = admin.get(&format!("{path}/forward_extremities")).await.ok();
    assert_eq!(extremities["count"], 1);
    assert_eq!(extremities["results"][0]["event_id"], third.as_str());

    for (what, status, code) in [
        ("messages?from=nonsense", 400, "M_INVALID_PARAM"),
        ("messages?filter=nonsense", 400, "M_BAD_JSON"),
        ("context/$none", 404, "M_NOT_FOUND"),
        ("timestamp_to_event", 400, "M_INVALID_PARAM"),
        ("timestamp_to_event?ts=1&dir=b", 404, "M_NOT_FOUND"),
    ] {
        let reply = admin.get(&format!("{path}/{what}")).await;
        reply.is(status, code);
    }
    for what in [
        "messages",
        "context/$none",
        "timestamp_to_event?ts=1",
        "forward_extremities",
        "hierarchy",
    ] {
        let reply = admin.get(&format!("{ROOMS}/!none:localhost/{what}")).await;
        reply.is(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn the_tree_of_a_space_is_told_whoever_may_see_it() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let space = json!({ "name": "Home", "creation_content": { "type": "m.space" } });
    let space = create(&bob, space).await;
    let room = create(&bob, json!({ "name": "Kitchen" })).await;
    let child = format!("{V3}/rooms/{space}/state/m.space.child/{room}");
    bob.put(&child, json!({ "via": ["localhost"] })).await.ok();
    let path = format!("{ROOMS}/{space}/hierarchy");
    let tree = admin.get(&path).await.ok();
    let names: Vec<_> = tree["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Home", "Kitchen"]);
    let child = &tree["rooms"][0]["children_state"][0];
    assert_eq!(child["state_key"], room.as_str());
    let first = admin.get(&format!("{path}?limit=1")).await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let rest = admin.get(&format!("{path}?limit=1&from={next}")).await.ok();
    assert_eq!(rest["rooms"][0]["name"], "Kitchen");
    let reply = admin.get(&format!("{path}?from=nonsense")).await;
    reply.is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_was_said_goes_and_what_is_state_stays() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = create(&alice, json!({ "preset": "public_chat", "name": "Cats" })).await;
    let path = format!("{V3}/join/{room}");
    bob.post(&path, json!({})).await.ok();
    let since = bob.get(&format!("{V3}/sync")).await.ok();
    let since = since["next_batch"].as_str().unwrap().to_owned();
    let first = send(&alice, &room, "1", text("first")).await;
    let mut reply = text("in a thread");
    reply["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": first });
    send(&bob, &room, "1", reply).await;
    let topic = format!("{V3}/rooms/{room}/state/m.room.topic");
    alice.put(&topic, json!({ "topic": "old" })).await.ok();
    alice.put(&topic, json!({ "topic": "new" })).await.ok();
    for number in 2..20 {
        send(&alice, &room, &number.to_string(), text("noise")).await;
    }
    let mut late = text("late reply");
    late["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": first });
    let point = send(&alice, &room, "20", late).await;
    let last = send(&alice, &room, "21", text("the last")).await;
    assert_eq!(unread(&bob, &room).await, 21);
    let before = alice
        .get(&format!("{V3}/rooms/{room}/messages?dir=b&limit=5"))
        .await
        .ok();
    let old_token = before["end"].as_str().unwrap();

    let body = json!({ "delete_local_events": true });
    let path = format!("{PURGE}/{room}/{point}");
    assert_eq!(purge(&server, &admin, &path, body.clone()).await, 20);
    // Nothing of it is found by any way.
    let gone = format!("{V3}/rooms/{room}/event/{first}");
    alice.get(&gone).await.is(404, "M_NOT_FOUND");
    let page = format!("{V3}/rooms/{room}/messages?dir=b&limit=100");
    let page = alice.get(&page).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["the last", "late reply"]);
    let told = page.to_string();
    assert!(
        told.contains("\"old\"") && told.contains("\"new\""),
        "{told}"
    );
    let page = format!("{V3}/rooms/{room}/messages?dir=b&limit=100&from={old_token}");
    assert_eq!(bodies(&alice.get(&page).await.ok()["chunk"]), [""; 0]);
    for (term, found) in [("noise", 0), ("first", 0), ("last", 1)] {
        let body = json!({ "search_categories": { "room_events": { "search_term": term } } });
        let answer = alice.post(&format!("{V3}/search"), body).await.ok();
        let count = &answer["search_categories"]["room_events"]["count"];
        assert_eq!(count, found, "{term}");
    }
    let threads = format!("/_matrix/client/v1/rooms/{room}/threads");
    assert_eq!(alice.get(&threads).await.ok()["chunk"], json!([]));
    // What is left counts.
    assert_eq!(unread(&bob, &room).await, 2);
    let told = bob.get(&format!("{V3}/sync?since={since}")).await.ok();
    let timeline = &told["rooms"]["join"][&room]["timeline"]["events"];
    let ids: Vec<_> = timeline.as_array().unwrap().iter().collect();
    assert_eq!(ids.last().unwrap()["event_id"], last.as_str());
    // Old transaction ids are forgotten with their events, new events go on.
    send(&alice, &room, "2", text("and on it goes")).await;
    assert_eq!(unread(&bob, &room).await, 3);
    // Once more there is nothing to do.
    assert_eq!(purge(&server, &admin, &path, body).await, 0);
}

#[tokio::test]
async fn a_time_will_do_and_local_events_stay_unless_asked_for() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = create(&bob, json!({})).await;
    send(&bob, &room, "1", text("long ago")).await;
    server.clock.advance(60_000);
    send(&bob, &room, "2", text("just now")).await;
    let ts = test_support::START_MS + 30_000;
    let path = format!("{PURGE}/{room}");
    let body = json!({ "purge_up_to_ts": ts });
    assert_eq!(purge(&server, &admin, &path, body).await, 0);
    let body = json!({ "purge_up_to_ts": ts, "delete_local_events": true });
    assert_eq!(purge(&server, &admin, &path, body).await, 1);
    let path = format!("{V3}/rooms/{room}/messages?dir=b&limit=50");
    let page = bob.get(&path).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["just now"]);
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok().to_string();
    assert!(audit.contains("room.purge_history"), "{audit}");
}

#[tokio::test]
async fn a_purge_that_makes_no_sense_is_refused() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let room = create(&admin, json!({})).await;
    let elsewhere = create(&admin, json!({})).await;
    let elsewhere = send(&admin, &elsewhere, "1", text("elsewhere")).await;
    let path = format!("{PURGE}/{room}");
    for (path, body, status, code) in [
        (&path, json!({}), 400, "M_BAD_JSON"),
        (&path, json!({ "purge_up_to_ts": "now" }), 400, "M_BAD_JSON"),
        (&path, json!({ "purge_up_to_ts": 5 }), 404, "M_NOT_FOUND"),
        (&format!("{path}/$none"), json!({}), 404, "M_NOT_FOUND"),
        (
            &format!("{path}/{elsewhere}"),
            json!({}),
            404,
            "M_NOT_FOUND",
        ),
        (
            &format!("{PURGE}/!none:localhost/$none"),
            json!({}),
            404,
            "M_NOT_FOUND",
        ),
    ] {
        admin.post(path, body).await.is(status, code);
    }
    for id in ["x", "17"] {
        let status = admin.get(&format!("{PURGE}_status/{id}")).await;
        status.is(404, "M_NOT_FOUND");
    }
}
