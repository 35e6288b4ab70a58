//! [Send-to-device messaging](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging).

use serde_json::{Value, json};
use spec_tests::{Feed, Server, User, encode, fresh, user};

fn send(sender: &User, txn: &str, to: (&str, &str), n: u32) {
    let path = format!("/v3/sendToDevice/org.example.test/{}", encode(txn));
    let body = json!({"messages": {to.0: {to.1: {"n": n}}}});
    sender.put(&path, body).ok();
}

const NONE: [u64; 0] = [];

fn told(sync: &Value) -> Vec<u64> {
    let events = sync["to_device"]["events"].as_array();
    let events = events.map(Vec::as_slice).unwrap_or_default();
    let numbers = events.iter().map(|event| event["content"]["n"].as_u64());
    numbers.map(Option::unwrap).collect()
}

#[test]
fn a_message_wakes_its_device_and_is_told_once() {
    let alice = user("alice");
    let bob = user("bob");
    let other = bob.log_in_again();
    let mut feed = Feed::from_now(&bob);
    send(&alice, &fresh("txn"), (&bob.id, &bob.device_id), 1);
    let event = feed.until("the message", |sync| {
        sync["to_device"]["events"].get(0).cloned()
    });
    assert_eq!(event["sender"], alice.id);
    assert_eq!(event["type"], "org.example.test");
    assert_eq!(told(&feed.next(0)), NONE);
    // Nobody waits for the deletion; whoever waits for a later commit has waited for it too.
    send(&alice, &fresh("txn"), (&alice.id, &alice.device_id), 2);
    assert_eq!(told(&bob.sync(&[])), NONE, "it was acknowledged");
    assert_eq!(told(&other.sync(&[])), NONE);
}

#[test]
fn a_message_is_told_again_until_it_is_acknowledged() {
    let alice = user("alice");
    let since = alice.now();
    send(&alice, &fresh("txn"), (&alice.id, &alice.device_id), 1);
    for _ in 0..2 {
        assert_eq!(told(&alice.sync_since(&since)), [1]);
    }
}

#[test]
fn a_star_reaches_every_device() {
    let alice = user("alice");
    let bob = user("bob");
    let other = bob.log_in_again();
    let txn = fresh("txn");
    for _ in 0..2 {
        send(&alice, &txn, (&bob.id, "*"), 1);
    }
    assert_eq!(told(&bob.sync(&[])), [1]);
    assert_eq!(told(&other.sync(&[])), [1]);
}

#[test]
fn a_long_queue_comes_in_order_and_in_parts() {
    let alice = user("alice");
    let mut feed = Feed::from_now(&alice);
    for n in 0..120 {
        send(&alice, &fresh("txn"), (&alice.id, &alice.device_id), n);
    }
    let mut all = Vec::new();
    while all.len() < 120 {
        let some = told(&feed.next(0));
        assert!((1..=100).contains(&some.len()), "{} messages", some.len());
        all.extend(some);
    }
    assert_eq!(all, (0..120).collect::<Vec<_>>());
}

#[test]
fn messages_and_transactions_survive_kill_9() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    send(&alice, "txn", (&bob.id, &bob.device_id), 1);
    server.kill();
    server.start_again();
    let (alice, bob) = (alice.reconnected(), bob.reconnected());
    send(&alice, "txn", (&bob.id, &bob.device_id), 1);
    assert_eq!(told(&bob.sync(&[])), [1]);
}

#[test]
fn users_and_devices_that_do_not_exist_are_passed_over() {
    let alice = user("alice");
    send(&alice, &fresh("txn"), (&alice.id, "NOSUCHDEVICE"), 1);
    let nobody = format!("@{}:{}", fresh("nobody"), alice.server_name());
    send(&alice, &fresh("txn"), (&nobody, "*"), 1);
    assert_eq!(told(&alice.sync(&[])), NONE);
}
