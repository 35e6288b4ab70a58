use serde_json::{Value, json};

use crate::{
    BackupError, RoomKey,
    tests::{Fixture, parsed, raw},
};

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

fn data(verified: bool, first: u32, forwarded: u32, name: &str) -> Value {
    json!({
        "is_verified": verified,
        "first_message_index": first,
        "forwarded_count": forwarded,
        "session_data": { "ciphertext": name },
    })
}

fn key(room_id: &str, session_id: &str, data: &Value) -> RoomKey {
    RoomKey {
        room_id: room_id.to_owned(),
        session_id: session_id.to_owned(),
        data: raw(data),
    }
}

#[tokio::test]
async fn versions_are_counted_up_and_never_come_back() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await.user;
    let encryption = &fixture.encryption;
    let none = encryption.current_backup(alice).await;
    assert!(matches!(none, Err(BackupError::NotFound(_))));
    for version in ["1", "2", "3"] {
        let auth_data = raw(&json!({ "of": version }));
        let made = encryption.create_backup(alice, ALGORITHM, auth_data).await;
        assert_eq!(made.unwrap(), version);
    }
    encryption.delete_backup(alice, "3").await.unwrap();
    let current = encryption.current_backup(alice).await.unwrap();
    assert_eq!(current.version, "2");
    assert_eq!(parsed(&current.auth_data), json!({ "of": "2" }));
    let gone = encryption.backup(alice, "3").await;
    assert!(matches!(gone, Err(BackupError::NotFound(_))));
    let again = encryption.delete_backup(alice, "3").await;
    assert!(matches!(again, Err(BackupError::NotFound(_))));
    let auth_data = raw(&json!({}));
    let made = encryption.create_backup(alice, ALGORITHM, auth_data).await;
    assert_eq!(made.unwrap(), "4");

    let auth_data = raw(&json!({ "new": true }));
    let other = ("m.other", auth_data.clone());
    let refused = encryption.update_backup(alice, "4", other).await;
    assert!(matches!(refused, Err(BackupError::Invalid(_))));
    let same = (ALGORITHM, auth_data);
    encryption.update_backup(alice, "4", same).await.unwrap();
    let backup = encryption.backup(alice, "4").await.unwrap();
    assert_eq!(parsed(&backup.auth_data), json!({ "new": true }));
}

#[tokio::test]
async fn the_better_key_of_a_session_stays() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await.user;
    let encryption = &fixture.encryption;
    let version = encryption
        .create_backup(alice, ALGORITHM, raw(&json!({})))
        .await
        .unwrap();
    let kept = data(false, 5, 5, "kept");
    for (session, (sent, replaces)) in [
        (data(true, 9, 9, "sent"), true),
        (data(false, 4, 9, "sent"), true),
        (data(false, 5, 4, "sent"), true),
        (data(false, 5, 5, "sent"), false),
        (data(false, 6, 0, "sent"), false),
        (data(false, 5, 6, "sent"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let session = session.to_string();
        for data in [&kept, &sent] {
            let keys = vec![key("!r", &session, data)];
            encryption
                .put_room_keys(alice, &version, keys)
                .await
                .unwrap();
        }
        let which = ("!r", session.as_str());
        let found = encryption.room_key(alice, &version, which).await.unwrap();
        let expected = if replaces { &sent } else { &kept };
        assert_eq!(parsed(&found), *expected, "{sent}");
    }
    let verified = vec![key("!r", "0", &data(false, 0, 0, "later"))];
    encryption
        .put_room_keys(alice, &version, verified)
        .await
        .unwrap();
    let found = encryption.room_key(alice, &version, ("!r", "0")).await;
    assert_eq!(
        parsed(&found.unwrap()),
        data(true, 9, 9, "sent"),
        "verified wins"
    );
}

#[tokio::test]
async fn count_and_etag_follow_the_keys() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await.user;
    let encryption = &fixture.encryption;
    let version = encryption
        .create_backup(alice, ALGORITHM, raw(&json!({})))
        .await
        .unwrap();
    let one = data(false, 1, 1, "x");
    let put = |keys: Vec<RoomKey>| encryption.put_room_keys(alice, &version, keys);
    let first = put(vec![
        key("!a", "1", &one),
        key("!a", "2", &one),
        key("!b", "1", &one),
    ])
    .await
    .unwrap();
    assert_eq!(first.count, 3);
    let same = put(vec![key("!a", "1", &one)]).await.unwrap();
    assert_eq!(same, first, "nothing has changed");
    let better = put(vec![key("!a", "1", &data(true, 1, 1, "x"))])
        .await
        .unwrap();
    assert_eq!(better.count, 3);
    assert_ne!(better.etag, first.etag);

    let rooms = encryption.room_keys(alice, &version, None).await.unwrap();
    assert_eq!(rooms["!a"].len(), 2);
    assert_eq!(rooms["!b"].len(), 1);
    let rooms = encryption.room_keys(alice, &version, Some("!b")).await;
    assert_eq!(rooms.unwrap().len(), 1);
    let rooms = encryption.room_keys(alice, &version, Some("!c")).await;
    assert!(rooms.unwrap().is_empty());

    let delete = |which| encryption.delete_room_keys(alice, &version, which);
    let state = delete(Some(("!a", Some("2")))).await.unwrap();
    assert_eq!(state.count, 2);
    let again = delete(Some(("!a", Some("2")))).await.unwrap();
    assert_eq!(again, state);
    assert_eq!(delete(Some(("!a", None))).await.unwrap().count, 1);
    assert_eq!(delete(None).await.unwrap().count, 0);
    let rooms = encryption.room_keys(alice, &version, None).await.unwrap();
    assert!(rooms.is_empty());
    let gone = encryption.room_key(alice, &version, ("!b", "1")).await;
    assert!(matches!(gone, Err(BackupError::NotFound(_))));
    let fixture = fixture.crashed();
    let backup = fixture.encryption.backup(alice, &version).await.unwrap();
    assert_eq!(backup.state.count, 0);
}

#[tokio::test]
async fn keys_go_to_the_current_backup_only() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await.user;
    let encryption = &fixture.encryption;
    let put = |version: &'static str, data: Value| async move {
        let keys = vec![key("!r", "1", &data)];
        encryption.put_room_keys(alice, version, keys).await
    };
    let good = data(false, 1, 1, "x");
    let none = put("1", good.clone()).await;
    assert!(matches!(none, Err(BackupError::NotFound(_))));
    for _ in 0..2 {
        let auth_data = raw(&json!({}));
        let made = encryption.create_backup(alice, ALGORITHM, auth_data).await;
        made.unwrap();
    }
    match put("1", good.clone()).await {
        Err(BackupError::WrongVersion { current }) => assert_eq!(current, "2"),
        other => panic!("{other:?}"),
    }
    for field in [
        "is_verified",
        "first_message_index",
        "forwarded_count",
        "session_data",
    ] {
        for bad in [Value::Null, json!("x"), json!(-1)] {
            let mut data = good.clone();
            data[field] = bad;
            let refused = put("2", data.clone()).await;
            assert!(matches!(refused, Err(BackupError::BadJson(_))), "{data}");
        }
    }
    put("2", good).await.unwrap();
    for version in ["3", "0", "x", "-1", ""] {
        let unknown = encryption.room_keys(alice, version, None).await;
        assert!(
            matches!(unknown, Err(BackupError::NotFound(_))),
            "{version}"
        );
    }
}

#[tokio::test]
async fn a_room_of_several_pages_is_counted_when_it_is_deleted() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await.user;
    let encryption = &fixture.encryption;
    let version = encryption
        .create_backup(alice, ALGORITHM, raw(&json!({})))
        .await
        .unwrap();
    let one = data(false, 1, 1, "x");
    let mut keys: Vec<_> = (0..2_500)
        .map(|session| key("!a", &session.to_string(), &one))
        .collect();
    keys.push(key("!b", "1", &one));
    encryption
        .put_room_keys(alice, &version, keys)
        .await
        .unwrap();
    let which = Some(("!a", None));
    let state = encryption.delete_room_keys(alice, &version, which).await;
    assert_eq!(state.unwrap().count, 1);
}
