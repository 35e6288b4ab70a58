use serde_json::{Value, json};
use store::{Batch, Pos};

use crate::{
    KeyUpload, KeysError, Signed,
    tests::{Fixture, identity, parsed, raw, signed},
};

fn upload(keys: &Value) -> KeyUpload {
    KeyUpload {
        device_keys: Some(raw(keys)),
        ..KeyUpload::default()
    }
}

#[tokio::test]
async fn keys_are_served_as_they_were_sent_with_the_devices_name() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A", "B"]).await;
    let bob = fixture.person("bob", &[]).await;
    let sent = fixture.upload_identity(&alice, "A").await;
    let keys = fixture
        .encryption
        .user_keys(bob.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert_eq!(keys.devices.len(), 1, "a device without keys is left out");
    let mut expected = parsed(&sent);
    expected["unsigned"] = json!({ "device_display_name": "alice's A" });
    assert_eq!(parsed(&keys.devices["A"]), expected);
    for (asked, found) in [(vec!["A"], 1), (vec!["B"], 0), (vec!["C", "A"], 1)] {
        let keys = fixture
            .encryption
            .user_keys(bob.reader(), alice.owner(), &asked)
            .await
            .unwrap();
        assert_eq!(keys.devices.len(), found, "{asked:?}");
    }
}

#[tokio::test]
async fn keys_of_another_device_are_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A", "B"]).await;
    let bob = fixture.person("bob", &[]).await;
    let good = parsed(&identity(&alice, "A", "A"));
    let mut floats = good.clone();
    floats["x"] = json!(0.5);
    let mut formless = good.clone();
    formless["keys"] = json!([]);
    let mut large = good.clone();
    large["x"] = json!("x".repeat(40_000));
    for bad in [
        parsed(&identity(&alice, "B", "A")),
        parsed(&identity(&bob, "A", "A")),
        floats,
        formless,
        large,
        json!({}),
        json!("keys"),
    ] {
        let result = fixture
            .encryption
            .upload_keys(alice.owner(), "A", upload(&bad))
            .await;
        assert!(result.is_err(), "{bad}");
    }
    assert!(fixture.told.lists().is_empty());
}

#[tokio::test]
async fn a_device_that_is_gone_uploads_nothing() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.forget_device(&alice, "A");
    let keys = parsed(&identity(&alice, "A", "A"));
    let result = fixture
        .encryption
        .upload_keys(alice.owner(), "A", upload(&keys))
        .await;
    assert!(matches!(result, Err(KeysError::UnknownDevice)));
}

#[tokio::test]
async fn each_change_is_one_row_and_what_comes_again_is_none() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A", "B"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let start = fixture.store.visible();
    fixture.upload_identity(&alice, "A").await;
    let first = fixture.store.visible();
    fixture.upload_identity(&alice, "A").await;
    assert_eq!(fixture.told.lists(), [(alice.user, None)]);
    assert_eq!(fixture.changes(&bob, start).await, [alice.user]);
    assert!(fixture.changes(&bob, first).await.is_empty());
    fixture.upload_identity(&bob, "A").await;
    fixture.upload_identity(&alice, "B").await;
    let both = [alice.user, bob.user];
    assert_eq!(fixture.changes(&bob, start).await, both);
    assert_eq!(fixture.changes(&bob, first).await, both);
    let upto = first;
    let changes = fixture
        .encryption
        .device_list_changes(bob.user, start, upto)
        .await
        .unwrap();
    assert!(changes.is_empty(), "the later change has replaced it");
    let fixture = fixture.crashed();
    assert_eq!(fixture.changes(&bob, first).await, both);
    assert_eq!(fixture.changes(&bob, Pos::ZERO).await, both);
}

#[tokio::test]
async fn what_goes_with_a_device_goes_in_the_same_commit() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A", "B"]).await;
    fixture.upload_identity(&alice, "A").await;
    fixture.upload_identity(&alice, "B").await;
    fixture.told.lists();
    let mut batch = Batch::new();
    let held = fixture
        .encryption
        .devices_change(&mut batch, alice.user, &["A"], &[])
        .await
        .unwrap();
    fixture.forget_device(&alice, "A");
    batch.after(move |_| drop(held));
    fixture.store.commit(batch).await.unwrap();
    assert_eq!(fixture.told.lists(), [(alice.user, None)]);
    // The name is taken up again: nothing of the old device shows.
    let alice = fixture.person("alice", &["A", "B"]).await;
    let keys = fixture
        .encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert_eq!(keys.devices.keys().collect::<Vec<_>>(), ["B"]);
}

#[tokio::test]
async fn a_device_without_keys_comes_and_goes_untold() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A", "B"]).await;
    for (removed, renamed) in [(&["A"][..], &[][..]), (&[], &["B"])] {
        let mut batch = Batch::new();
        let held = fixture
            .encryption
            .devices_change(&mut batch, alice.user, removed, renamed)
            .await
            .unwrap();
        drop(held);
        fixture.store.commit(batch).await.unwrap();
    }
    assert!(fixture.told.lists().is_empty());
    fixture.upload_identity(&alice, "B").await;
    fixture.told.lists();
    let mut batch = Batch::new();
    let held = fixture
        .encryption
        .devices_change(&mut batch, alice.user, &[], &["B"])
        .await
        .unwrap();
    drop(held);
    fixture.store.commit(batch).await.unwrap();
    assert_eq!(
        fixture.told.lists(),
        [(alice.user, None)],
        "a new name is told"
    );
}

#[tokio::test]
async fn a_closed_account_leaves_nothing() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload_identity(&alice, "A").await;
    let auth_data = raw(&json!({}));
    let backup = fixture.encryption.create_backup(alice.user, "x", auth_data);
    let version = backup.await.unwrap();
    let mut batch = Batch::new();
    let held = fixture
        .encryption
        .account_closes(&mut batch, alice.user)
        .await
        .unwrap();
    drop(held);
    fixture.store.commit(batch).await.unwrap();
    let keys = fixture
        .encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert!(keys.devices.is_empty());
    let backup = fixture.encryption.backup(alice.user, &version).await;
    assert!(backup.is_err());
}

#[tokio::test]
async fn signatures_of_keys_that_changed_are_dropped() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload_cross_signing(&alice).await;
    let sent = fixture.upload_identity(&alice, "A").await;
    let self_signing = crate::tests::public("self");
    let json = signed(&parsed(&sent), &alice.user_id, ("self", &self_signing));
    let key = Signed {
        user: Some(alice.user),
        key_id: "A".to_owned(),
        json: raw(&json),
    };
    let failures = fixture
        .encryption
        .upload_signatures(alice.reader(), &[key])
        .await
        .unwrap();
    assert_eq!(failures, [None]);
    let signatures = || async {
        let keys = fixture
            .encryption
            .user_keys(alice.reader(), alice.owner(), &[])
            .await
            .unwrap();
        let keys = parsed(&keys.devices["A"]);
        let signatures = keys["signatures"][alice.user_id.as_str()].as_object();
        signatures.unwrap().len()
    };
    assert_eq!(signatures().await, 2);
    let other = parsed(&identity(&alice, "A", "other"));
    fixture
        .encryption
        .upload_keys(alice.owner(), "A", upload(&other))
        .await
        .unwrap();
    assert_eq!(signatures().await, 1);
}
