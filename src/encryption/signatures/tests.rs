use serde_json::{Value, json};

use super::{SignatureFailure, Signed};
use crate::tests::{Fixture, Person, cross_signing_key, identity, parsed, public, raw, signed};

fn key(person: &Person, key_id: &str, json: &Value) -> Signed {
    Signed {
        user: Some(person.user),
        key_id: key_id.to_owned(),
        json: raw(json),
    }
}

impl Fixture {
    async fn sign(&self, signer: &Person, key: Signed) -> Option<SignatureFailure> {
        let mut failures = self
            .encryption
            .upload_signatures(signer.reader(), &[key])
            .await
            .unwrap();
        failures.remove(0)
    }

    async fn signers(&self, reader: &Person, person: &Person) -> (Vec<String>, Vec<String>) {
        let keys = self
            .encryption
            .user_keys(reader.reader(), person.owner(), &[])
            .await
            .unwrap();
        let names = |json: &Value| -> Vec<String> {
            let signatures = json["signatures"].as_object().cloned().unwrap_or_default();
            let by_user = signatures.iter().flat_map(|(user, keys)| {
                let keys = keys.as_object().unwrap().keys();
                keys.map(move |key| format!("{user} {key}"))
            });
            by_user.collect()
        };
        let master = keys.master.map(|key| names(&parsed(&key)));
        let device = keys.devices.get("A").map(|key| names(&parsed(key)));
        (master.unwrap_or_default(), device.unwrap_or_default())
    }
}

#[tokio::test]
async fn signatures_that_hold_are_shown_to_whom_they_concern() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let carol = fixture.person("carol", &["A"]).await;
    let device = parsed(&fixture.upload_identity(&alice, "A").await);
    for person in [&alice, &bob] {
        fixture.upload_cross_signing(person).await;
    }
    let master = parsed(&cross_signing_key(&alice, ("master", "master"), None));
    fixture.told.lists();

    let by_self = signed(&device, &alice.user_id, ("self", &public("self")));
    assert_eq!(fixture.sign(&alice, key(&alice, "A", &by_self)).await, None);
    let by_device = signed(&master, &alice.user_id, ("A", "A"));
    let name = public("master");
    assert_eq!(
        fixture.sign(&alice, key(&alice, &name, &by_device)).await,
        None
    );
    assert_eq!(
        fixture.told.lists(),
        [(alice.user, None), (alice.user, None)]
    );
    let by_bob = signed(&master, &bob.user_id, ("user", &public("user")));
    let start = fixture.store.visible();
    assert_eq!(fixture.sign(&bob, key(&alice, &name, &by_bob)).await, None);
    assert_eq!(fixture.told.lists(), [(alice.user, Some(bob.user))]);
    assert_eq!(fixture.changes(&bob, start).await, [alice.user]);
    assert!(fixture.changes(&carol, start).await.is_empty());
    // Once more changes nothing.
    assert_eq!(fixture.sign(&bob, key(&alice, &name, &by_bob)).await, None);
    assert!(fixture.told.lists().is_empty());

    let own = |key: &str| format!("@alice:localhost ed25519:{key}");
    let bobs = format!("@bob:localhost ed25519:{}", public("user"));
    let (of_master, of_device) = fixture.signers(&alice, &alice).await;
    assert_eq!(of_master, [own("A")]);
    assert_eq!(of_device.len(), 2);
    assert!(of_device.contains(&own(&public("self"))));
    assert_eq!(fixture.signers(&carol, &alice).await.0, [own("A")]);
    assert_eq!(fixture.signers(&bob, &alice).await.0, [own("A"), bobs]);
}

#[tokio::test]
async fn other_signatures_fail_one_by_one() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let device = parsed(&fixture.upload_identity(&alice, "A").await);
    for person in [&alice, &bob] {
        fixture.upload_cross_signing(person).await;
    }
    let master = parsed(&cross_signing_key(&alice, ("master", "master"), None));
    let name = public("master");
    let (own, others) = (("self", &*public("self")), ("user", &*public("user")));
    let mut changed = signed(&device, &alice.user_id, own);
    changed["algorithms"] = json!([]);
    let wrong_key = signed(&device, &alice.user_id, ("other", own.1));
    let mut broken = signed(&device, &alice.user_id, own);
    broken["signatures"]["@alice:localhost"][format!("ed25519:{}", own.1)] = json!(5);
    fixture.told.lists();
    for (signer, key, failure) in [
        (&alice, key(&alice, "A", &changed), "invalid"),
        (&alice, key(&alice, "A", &wrong_key), "invalid"),
        (&alice, key(&alice, "A", &broken), "invalid"),
        (&alice, key(&alice, "A", &device), "invalid"),
        (&alice, key(&alice, "A", &json!({})), "invalid"),
        (&alice, key(&alice, "B", &device), "not found"),
        (&alice, key(&bob, "A", &device), "not found"),
        // Bob's user-signing key signs nobody's devices, and his self-signing key nobody's master key.
        (
            &bob,
            key(&alice, "A", &signed(&device, &bob.user_id, others)),
            "not found",
        ),
        (
            &bob,
            key(&alice, &name, &signed(&master, &bob.user_id, own)),
            "invalid",
        ),
        (
            &bob,
            key(&alice, &name, &signed(&master, &alice.user_id, others)),
            "invalid",
        ),
    ] {
        let found = match fixture.sign(signer, key).await {
            None => "none",
            Some(SignatureFailure::NotFound) => "not found",
            Some(SignatureFailure::Invalid(_)) => "invalid",
        };
        assert_eq!(found, failure);
    }
    assert!(fixture.told.lists().is_empty());
    // The good ones of a call are kept beside the bad ones.
    let calls = [
        key(&alice, "A", &wrong_key),
        key(&alice, "A", &signed(&device, &alice.user_id, own)),
        Signed {
            user: None,
            key_id: "A".to_owned(),
            json: identity(&alice, "A", "A"),
        },
    ];
    let failures = fixture
        .encryption
        .upload_signatures(alice.reader(), &calls)
        .await
        .unwrap();
    assert!(matches!(failures[0], Some(SignatureFailure::Invalid(_))));
    assert_eq!(failures[1..], [None, Some(SignatureFailure::NotFound)]);
}
