use serde_json::json;
use store::Pos;

use crate::{
    KeyUpload, KeysError, Messages, NewDehydratedDevice, Recipient,
    tests::{Fixture, Person, identity, parsed, raw},
};

fn device(person: &Person, device_id: &str) -> NewDehydratedDevice {
    let key = raw(&json!({ "key": device_id }));
    NewDehydratedDevice {
        device_id: device_id.to_owned(),
        display_name: Some("Dehydrated".to_owned()),
        device_data: raw(&json!({ "algorithm": "x", "device_pickle": device_id })),
        keys: KeyUpload {
            device_keys: Some(identity(person, device_id, device_id)),
            one_time_keys: vec![("signed_curve25519:1".to_owned(), key.clone())],
            fallback_keys: vec![("signed_curve25519:f".to_owned(), key)],
        },
    }
}

async fn send(fixture: &Fixture, person: &Person, txn_id: &str) {
    let contents = [(Recipient::All, raw(&json!({})))];
    let messages = Messages::from([(person.user, contents.into())]);
    fixture
        .encryption
        .send_to_devices(person.sending("A", txn_id), &messages)
        .await
        .unwrap();
}

async fn waiting(fixture: &Fixture, person: &Person, device_id: &str) -> usize {
    let inbox = (person.user, device_id);
    let page = fixture
        .encryption
        .inbox(inbox, Pos::ZERO, Pos::MAX, 10)
        .await
        .unwrap();
    page.events.len()
}

#[tokio::test]
async fn a_dehydrated_device_is_a_device_to_others() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let encryption = &fixture.encryption;
    encryption
        .put_dehydrated_device(alice.owner(), device(&alice, "D"))
        .await
        .unwrap();
    assert_eq!(fixture.told.lists(), [(alice.user, None)]);
    let kept = encryption
        .dehydrated_device(alice.user)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.device_id, "D");
    assert_eq!(parsed(&kept.device_data)["device_pickle"], "D");
    let keys = encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    let shown = parsed(&keys.devices["D"]);
    assert_eq!(shown["unsigned"]["device_display_name"], "Dehydrated");
    send(&fixture, &alice, "1").await;
    assert_eq!(waiting(&fixture, &alice, "D").await, 1);
    let counts = encryption.key_counts(alice.user, "D").await.unwrap();
    assert_eq!(counts.one_time_keys["signed_curve25519"], 1);

    let gone = encryption
        .delete_dehydrated_device(alice.user)
        .await
        .unwrap();
    assert_eq!(gone.as_deref(), Some("D"));
    assert_eq!(
        encryption
            .delete_dehydrated_device(alice.user)
            .await
            .unwrap(),
        None
    );
    assert_eq!(waiting(&fixture, &alice, "D").await, 0);
    let counts = encryption.key_counts(alice.user, "D").await.unwrap();
    assert!(counts.one_time_keys.is_empty());
}

#[tokio::test]
async fn a_new_one_takes_the_place_of_the_one_before() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let encryption = &fixture.encryption;
    for device_id in ["D", "E", "E"] {
        encryption
            .put_dehydrated_device(alice.owner(), device(&alice, device_id))
            .await
            .unwrap();
        assert_eq!(waiting(&fixture, &alice, device_id).await, 0);
        send(&fixture, &alice, &fixture.store.visible().to_string()).await;
        let counts = encryption.key_counts(alice.user, device_id).await.unwrap();
        assert_eq!(counts.one_time_keys["signed_curve25519"], 1);
    }
    let keys = encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert_eq!(keys.devices.keys().collect::<Vec<_>>(), ["E"]);
}

#[tokio::test]
async fn what_is_no_dehydrated_device_is_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let bob = fixture.person("bob", &[]).await;
    let mut no_data = device(&alice, "D");
    no_data.device_data = raw(&json!(5));
    let mut other_keys = device(&alice, "D");
    other_keys.keys.device_keys = Some(identity(&bob, "D", "D"));
    for bad in [device(&alice, "A"), device(&alice, ""), no_data, other_keys] {
        let refused = fixture
            .encryption
            .put_dehydrated_device(alice.owner(), bad)
            .await;
        assert!(matches!(
            refused,
            Err(KeysError::Invalid(_) | KeysError::BadJson(_))
        ));
    }
    let none = fixture.encryption.dehydrated_device(alice.user).await;
    assert!(none.unwrap().is_none());
}
