use serde_json::json;
use store::{Scan, tables::OneTimeKeys};

use super::{Renewed, renew};
use crate::{
    BackupError, Claim, KeyUpload, RoomKey,
    tests::{Fixture, raw},
};

const ALGORITHM: &str = "signed_curve25519";

fn upload(ids: &[&str], fallback: &str) -> KeyUpload {
    let key = |id: &str| (format!("{ALGORITHM}:{id}"), raw(&json!({ "key": id })));
    KeyUpload {
        device_keys: None,
        one_time_keys: ids.iter().map(|id| key(id)).collect(),
        fallback_keys: vec![key(fallback)],
    }
}

async fn renewed(fixture: &Fixture) -> Renewed {
    let store = fixture.store.clone();
    tokio::task::spawn_blocking(move || renew(&store))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn no_key_is_given_that_may_have_been_given() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload_identity(&alice, "A").await;
    let keys = upload(&["one", "two"], "fallback");
    let uploaded = fixture.encryption.upload_keys(alice.owner(), "A", keys);
    uploaded.await.unwrap();
    assert_eq!(renewed(&fixture).await.one_time_keys, 2);

    let fixture = fixture.crashed();
    let left = fixture
        .store
        .scan::<OneTimeKeys>(Scan::prefix::<OneTimeKeys>(&()));
    assert!(left.await.unwrap().is_empty());
    let counts = fixture
        .encryption
        .key_counts(alice.user, "A")
        .await
        .unwrap();
    assert!(counts.one_time_keys.is_empty() && counts.unused_fallback_keys.is_empty());
    let claim = [Claim {
        user: alice.user,
        device_id: "A".to_owned(),
        algorithm: ALGORITHM.to_owned(),
    }];
    let given = fixture.encryption.claim_keys(&claim).await.unwrap();
    assert_eq!(
        given[0].as_ref().unwrap().id,
        format!("{ALGORITHM}:fallback")
    );
    // An upload from before that comes once more brings nothing back.
    let again = upload(&["one", "three"], "fallback");
    let encryption = &fixture.encryption;
    let uploaded = encryption.upload_keys(alice.owner(), "A", again);
    assert_eq!(uploaded.await.unwrap().one_time_keys[ALGORITHM], 1);
}

#[tokio::test]
async fn a_key_backup_goes_on_under_another_version() {
    let fixture = Fixture::new();
    let encryption = &fixture.encryption;
    let alice = fixture.person("alice", &["A"]).await.user;
    let bob = fixture.person("bob", &["B"]).await.user;
    for user in [alice, bob] {
        for _ in 0..2 {
            let data = raw(&json!({ "public_key": "a" }));
            encryption
                .create_backup(user, "m.megolm_backup.v1.curve25519-aes-sha2", data)
                .await
                .unwrap();
        }
    }
    let key = || RoomKey {
        room_id: "!room:localhost".to_owned(),
        session_id: "session".to_owned(),
        data: raw(&json!({
            "is_verified": true,
            "first_message_index": 0,
            "forwarded_count": 0,
            "session_data": {},
        })),
    };
    encryption
        .put_room_keys(alice, "2", vec![key()])
        .await
        .unwrap();
    for version in ["1", "2"] {
        encryption.delete_backup(bob, version).await.unwrap();
    }
    assert_eq!(renewed(&fixture).await.key_backups, 1);

    let fixture = fixture.crashed();
    let encryption = &fixture.encryption;
    let current = encryption.current_backup(alice).await.unwrap();
    assert_eq!((&*current.version, current.state.count), ("1002", 1));
    let place = ("!room:localhost", "session");
    encryption.room_key(alice, "1002", place).await.unwrap();
    let gone = encryption.room_key(alice, "2", place).await;
    assert!(matches!(gone, Err(BackupError::NotFound(_))));
    // A client that goes on with the old one is told.
    let stale = encryption.put_room_keys(alice, "2", vec![key()]).await;
    assert!(matches!(stale, Err(BackupError::WrongVersion { current }) if current == "1002"));
    let data = raw(&json!({}));
    let next = encryption.create_backup(bob, "m.other", data).await;
    assert_eq!(next.unwrap(), "1003");
}
