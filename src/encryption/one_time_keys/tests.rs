use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Claim, ClaimedKey, KeyUpload, KeysError,
    tests::{Fixture, Person, identity, raw},
};

const ALGORITHM: &str = "signed_curve25519";

fn one_time(ids: impl IntoIterator<Item = u32>) -> KeyUpload {
    let keys = ids.into_iter().map(|id| {
        let key = raw(&json!({ "key": format!("key {id}") }));
        (format!("{ALGORITHM}:{id:04}"), key)
    });
    KeyUpload {
        one_time_keys: keys.collect(),
        ..KeyUpload::default()
    }
}

fn fallback(id: &str) -> KeyUpload {
    let key = raw(&json!({ "key": id, "fallback": true }));
    KeyUpload {
        fallback_keys: vec![(format!("{ALGORITHM}:{id}"), key)],
        ..KeyUpload::default()
    }
}

fn claim(person: &Person, device_id: &str) -> Claim {
    Claim {
        user: person.user,
        device_id: device_id.to_owned(),
        algorithm: ALGORITHM.to_owned(),
    }
}

impl Fixture {
    async fn upload(&self, person: &Person, upload: KeyUpload) -> Result<u32, KeysError> {
        let encryption = &self.encryption;
        let counts = encryption.upload_keys(person.owner(), "A", upload).await?;
        Ok(counts.one_time_keys.get(ALGORITHM).copied().unwrap_or(0))
    }

    async fn claim(&self, person: &Person) -> Option<ClaimedKey> {
        let claims = [claim(person, "A")];
        let mut given = self.encryption.claim_keys(&claims).await.unwrap();
        given.remove(0)
    }

    async fn unused(&self, person: &Person) -> Vec<String> {
        let counts = self.encryption.key_counts(person.user, "A").await.unwrap();
        counts.unused_fallback_keys.clone()
    }

    async fn count(&self, person: &Person) -> u32 {
        let counts = self.encryption.key_counts(person.user, "A").await.unwrap();
        counts.one_time_keys.get(ALGORITHM).copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn keys_are_counted_and_given_out_in_the_order_of_their_uploads() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    assert_eq!(fixture.upload(&alice, one_time([7])).await.unwrap(), 1);
    assert_eq!(fixture.upload(&alice, one_time([3, 4])).await.unwrap(), 3);
    let mut ids = Vec::new();
    for left in [2, 1, 0] {
        ids.push(fixture.claim(&alice).await.unwrap().id);
        assert_eq!(fixture.count(&alice).await, left);
    }
    assert_eq!(ids[0], "signed_curve25519:0007");
    assert!(fixture.claim(&alice).await.is_none());
    let bob = fixture.person("bob", &["A"]).await;
    assert!(
        fixture.claim(&bob).await.is_none(),
        "who has uploaded nothing"
    );
}

#[tokio::test]
async fn an_upload_that_comes_again_changes_nothing_and_brings_nothing_back() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    for _ in 0..2 {
        assert_eq!(fixture.upload(&alice, one_time([1, 2])).await.unwrap(), 2);
    }
    let given = fixture.claim(&alice).await.unwrap();
    assert_eq!(fixture.upload(&alice, one_time([1, 2])).await.unwrap(), 1);
    let other = fixture.claim(&alice).await.unwrap();
    assert_ne!(given.id, other.id);
    assert!(fixture.claim(&alice).await.is_none());
}

#[tokio::test]
async fn another_key_under_a_known_id_is_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload(&alice, one_time([1])).await.unwrap();
    let mut upload = one_time([1, 2]);
    upload.one_time_keys[0].1 = raw(&json!({ "key": "another" }));
    let refused = fixture.upload(&alice, upload).await;
    assert!(matches!(refused, Err(KeysError::Invalid(_))), "{refused:?}");
    assert_eq!(fixture.count(&alice).await, 1, "nothing of it is kept");
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    for (id, key) in [
        ("signed_curve25519", json!({})),
        (":1", json!({})),
        ("signed_curve25519:", json!({})),
        ("signed_curve25519:1", json!(5)),
        ("signed_curve25519:1", json!([])),
        ("signed_curve25519:1", json!("x".repeat(20_000))),
    ] {
        for fallback in [false, true] {
            let keys = vec![(id.to_owned(), raw(&key))];
            let (one_time_keys, fallback_keys) = if fallback {
                (vec![], keys)
            } else {
                (keys, vec![])
            };
            let upload = KeyUpload {
                device_keys: None,
                one_time_keys,
                fallback_keys,
            };
            assert!(fixture.upload(&alice, upload).await.is_err(), "{id}");
        }
    }
    let too_many = fixture.upload(&alice, one_time(0..1_001)).await;
    assert!(matches!(too_many, Err(KeysError::TooLarge(_))));
    assert_eq!(
        fixture.upload(&alice, one_time(0..1_000)).await.unwrap(),
        1_000
    );
}

#[tokio::test]
async fn a_fallback_key_is_given_again_and_again_and_marked_used() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload(&alice, one_time([1])).await.unwrap();
    fixture.upload(&alice, fallback("f1")).await.unwrap();
    assert_eq!(fixture.unused(&alice).await, [ALGORITHM]);
    assert_eq!(
        fixture.claim(&alice).await.unwrap().id,
        "signed_curve25519:0001"
    );
    assert_eq!(fixture.unused(&alice).await, [ALGORITHM]);
    for _ in 0..2 {
        assert_eq!(
            fixture.claim(&alice).await.unwrap().id,
            "signed_curve25519:f1"
        );
        assert!(fixture.unused(&alice).await.is_empty());
    }
    // The same key is as used as before, another one is not.
    fixture.upload(&alice, fallback("f1")).await.unwrap();
    assert!(fixture.unused(&alice).await.is_empty());
    fixture.upload(&alice, fallback("f2")).await.unwrap();
    assert_eq!(fixture.unused(&alice).await, [ALGORITHM]);
}

#[tokio::test]
async fn a_new_identity_has_none_of_the_old_ones_keys() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload_identity(&alice, "A").await;
    fixture.upload(&alice, one_time([1, 2])).await.unwrap();
    fixture.upload(&alice, fallback("f")).await.unwrap();
    let upload = KeyUpload {
        device_keys: Some(identity(&alice, "A", "another")),
        ..one_time([2, 3])
    };
    assert_eq!(fixture.upload(&alice, upload).await.unwrap(), 2);
    assert!(fixture.unused(&alice).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_key_is_given_twice_whoever_claims_at_once_and_over_crashes() {
    let mut fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload(&alice, one_time(0..50)).await.unwrap();
    let mut given = BTreeSet::new();
    for round in 0..3 {
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            let encryption = fixture.encryption.clone();
            let claims = [claim(&alice, "A")];
            tasks.spawn(async move { encryption.claim_keys(&claims).await });
        }
        for claimed in tasks.join_all().await {
            let key = claimed.unwrap().remove(0).unwrap();
            assert!(given.insert(key.id.clone()), "{} in round {round}", key.id);
        }
        fixture = fixture.crashed();
        let left = u32::try_from(50 - given.len()).unwrap();
        assert_eq!(fixture.count(&alice).await, left);
    }
    // Two are left: whoever comes later gets none.
    for _ in 0..2 {
        assert!(given.insert(fixture.claim(&alice).await.unwrap().id));
    }
    assert!(fixture.claim(&alice).await.is_none());
    assert_eq!(given.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_of_several_devices_do_not_wait_for_each_other_forever() {
    let fixture = Fixture::new();
    let mut people = Vec::new();
    for number in 0..20 {
        let person = fixture.person(&format!("user{number}"), &["A"]).await;
        fixture.upload(&person, one_time(0..10)).await.unwrap();
        people.push(person);
    }
    let mut tasks = JoinSet::new();
    for turn in 0..10 {
        let mut claims: Vec<_> = people.iter().map(|person| claim(person, "A")).collect();
        claims.rotate_left(turn);
        let encryption = fixture.encryption.clone();
        tasks.spawn(async move { encryption.claim_keys(&claims).await });
    }
    for given in tasks.join_all().await {
        let given = given.unwrap();
        assert!(given.iter().all(Option::is_some));
    }
    for person in &people {
        assert_eq!(fixture.count(person).await, 0);
    }
}
