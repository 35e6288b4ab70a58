use serde_json::{Value, json};
use store::{Batch, Pos};
use tokio::task::JoinSet;

use super::{MAX_WAITING, MEASURED_EVERY};
use crate::{
    InboxError, Messages, Recipient,
    tests::{Fixture, Person, raw},
};

fn to(person: &Person, contents: &[(&str, Value)]) -> Messages {
    let contents = contents.iter().map(|(device_id, content)| {
        let recipient = match *device_id {
            "*" => Recipient::All,
            device_id => Recipient::Device(device_id.to_owned()),
        };
        (recipient, raw(content))
    });
    Messages::from([(person.user, contents.collect())])
}

impl Fixture {
    async fn send(&self, sender: &Person, txn_id: &str, messages: &Messages) {
        self.encryption
            .send_to_devices(sender.sending("S", txn_id), messages)
            .await
            .unwrap();
    }

    /// The contents that wait for a device, behind `since`.
    async fn waiting(&self, person: &Person, device_id: &str, since: Pos) -> Vec<(Pos, Value)> {
        let inbox = (person.user, device_id);
        let page = self
            .encryption
            .inbox(inbox, since, Pos::MAX, usize::MAX - 1)
            .await
            .unwrap();
        let events = page.events.into_iter().map(|(pos, event)| {
            let event: Value = serde_json::from_slice(&event).unwrap();
            (pos, event["content"]["n"].clone())
        });
        events.collect()
    }

    async fn contents(&self, person: &Person, device_id: &str) -> Vec<Value> {
        let waiting = self.waiting(person, device_id, Pos::ZERO).await;
        waiting.into_iter().map(|(_, content)| content).collect()
    }
}

#[tokio::test]
async fn messages_wait_in_order_until_they_are_acknowledged() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A", "B"]).await;
    for n in 0..5 {
        let messages = to(&bob, &[("A", json!({ "n": n }))]);
        fixture.send(&alice, &n.to_string(), &messages).await;
    }
    assert_eq!(fixture.contents(&bob, "A").await, [0, 1, 2, 3, 4]);
    assert!(fixture.contents(&bob, "B").await.is_empty());
    assert_eq!(fixture.told.messages.lock().len(), 5);
    let page = fixture
        .encryption
        .inbox((bob.user, "A"), Pos::ZERO, Pos::MAX, 2)
        .await
        .unwrap();
    assert!(page.more);
    let event: Value = serde_json::from_slice(&page.events[0].1).unwrap();
    assert_eq!(
        event,
        json!({ "type": "m.test", "sender": "@alice:localhost", "content": { "n": 0 } })
    );
    let second = page.events[1].0;
    assert_eq!(fixture.waiting(&bob, "A", second).await.len(), 3);
    fixture
        .encryption
        .acknowledge(bob.user, "A", second)
        .await
        .unwrap();
    let messages = to(&bob, &[("A", json!({ "n": 5 }))]);
    fixture.send(&alice, "5", &messages).await;
    let fixture = fixture.crashed();
    assert_eq!(fixture.contents(&bob, "A").await, [2, 3, 4, 5]);
}

#[tokio::test]
async fn a_call_that_comes_again_sends_nothing() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let messages = to(&bob, &[("A", json!({ "n": 1 }))]);
    fixture.send(&alice, "txn", &messages).await;
    fixture.send(&alice, "txn", &messages).await;
    let fixture = fixture.crashed();
    fixture.send(&alice, "txn", &messages).await;
    assert_eq!(fixture.contents(&bob, "A").await, [1]);
    // Another device's, type's or user's call of the same name is another call.
    let other_device = alice.sending("T", "txn");
    let mut other_type = alice.sending("S", "txn");
    other_type.event_type = "m.other";
    for sending in [other_device, other_type, bob.sending("S", "txn")] {
        fixture
            .encryption
            .send_to_devices(sending, &messages)
            .await
            .unwrap();
    }
    assert_eq!(fixture.contents(&bob, "A").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_comes_twice_at_once_sends_once() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let encryption = fixture.encryption.clone();
        let messages = to(&bob, &[("A", json!({ "n": 1 }))]);
        let (user, user_id) = (alice.user, alice.user_id.clone());
        calls.spawn(async move {
            let alice = Person { user, user_id };
            encryption
                .send_to_devices(alice.sending("S", "txn"), &messages)
                .await
        });
    }
    for call in calls.join_all().await {
        call.unwrap();
    }
    assert_eq!(fixture.contents(&bob, "A").await, [1]);
}

#[tokio::test]
async fn a_star_means_all_devices_that_have_no_message_of_their_own() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A", "B", "C"]).await;
    let messages = to(&bob, &[("*", json!({ "n": 1 })), ("B", json!({ "n": 2 }))]);
    fixture.send(&alice, "1", &messages).await;
    let unknown = to(&bob, &[("X", json!({ "n": 3 }))]);
    fixture.send(&alice, "2", &unknown).await;
    for (device_id, n) in [("A", 1), ("B", 2), ("C", 1)] {
        assert_eq!(fixture.contents(&bob, device_id).await, [n]);
    }
    assert!(fixture.contents(&bob, "X").await.is_empty());
}

#[tokio::test]
async fn what_is_too_large_or_no_object_is_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    for content in [json!(5), json!([]), json!("x")] {
        let messages = to(&bob, &[("A", content)]);
        let refused = fixture
            .encryption
            .send_to_devices(alice.sending("S", "1"), &messages)
            .await;
        assert!(matches!(refused, Err(InboxError::NotAnObject)));
    }
    let messages = to(&bob, &[("A", json!({ "n": "x".repeat(70_000) }))]);
    let refused = fixture
        .encryption
        .send_to_devices(alice.sending("S", "1"), &messages)
        .await;
    assert!(matches!(refused, Err(InboxError::TooLarge(_))));
    let messages = to(&bob, &[("A", json!({ "n": 1 }))]);
    let refused = fixture
        .encryption
        .send_to_devices(alice.sending("S", &"x".repeat(300)), &messages)
        .await;
    assert!(matches!(refused, Err(InboxError::Invalid(_))));
    assert!(fixture.contents(&bob, "A").await.is_empty());
}

#[tokio::test]
async fn a_device_that_never_comes_keeps_the_latest_messages() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["S"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let sent = MAX_WAITING + 2 * MEASURED_EVERY as usize;
    for n in 0..sent {
        let messages = to(&bob, &[("A", json!({ "n": n }))]);
        fixture.send(&alice, &n.to_string(), &messages).await;
    }
    // Nobody waits for what is deleted: it goes with the next commit at the latest.
    fixture.store.commit(Batch::new()).await.unwrap();
    let contents = fixture.contents(&bob, "A").await;
    assert!(contents.len() <= MAX_WAITING, "{}", contents.len());
    assert_eq!(contents.last(), Some(&json!(sent - 1)));
}
