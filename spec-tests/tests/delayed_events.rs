//! Delayed events ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140)).

use std::time::Instant;

use serde_json::json;
use spec_tests::{Feed, PATIENCE_SECONDS, Server, find_event, room_path, user};

const WAITING: &str = "/unstable/org.matrix.msc4140/delayed_events";

#[test]
fn a_delayed_event_comes_later_or_not_at_all() {
    let alice = user("alice");
    let room = alice.public_room();
    let mut feed = Feed::from_now(&alice);
    let put_off = |txn: &str, delay_ms: u64| {
        let rest = format!("send/m.room.message/{txn}?org.matrix.msc4140.delay={delay_ms}");
        let content = json!({"msgtype": "m.text", "body": txn});
        let answer = alice.put(&room_path(&room, &rest), content).ok();
        answer["delay_id"].as_str().unwrap().to_owned()
    };
    let cancelled = put_off("cancelled", 3_600_000);
    put_off("sent", 300);
    let path = format!("{WAITING}/{cancelled}");
    alice.post(&path, json!({"action": "restart"})).ok();
    alice.post(&path, json!({"action": "cancel"})).ok();
    alice
        .post(&path, json!({"action": "cancel"}))
        .fails(404, "M_NOT_FOUND");
    feed.until("the delayed event", |sync| {
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        find_event(events, |event| event["content"]["body"] == "sent").cloned()
    });
    let messages = alice.messages(&room, "dir=b").to_string();
    assert!(!messages.contains("cancelled"), "{messages}");
    // It is sent first and forgotten afterwards.
    let patience = Instant::now();
    while alice.get(WAITING).ok()["delayed_events"] != json!([]) {
        assert!(
            patience.elapsed().as_secs() < PATIENCE_SECONDS,
            "it still waits"
        );
    }
}

#[test]
fn a_delayed_event_survives_kill_9() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let rest = "send/m.room.message/late?org.matrix.msc4140.delay=500";
    let content = json!({"msgtype": "m.text", "body": "late"});
    let since = alice.now();
    alice.put(&room_path(&room, rest), content).ok();
    server.kill();
    server.start_again();
    let alice = alice.reconnected();
    let mut feed = Feed::since(&alice, &since);
    feed.until("the delayed event", |sync| {
        let events = &sync["rooms"]["join"][&room]["timeline"]["events"];
        find_event(events, |event| event["content"]["body"] == "late").cloned()
    });
}
