use crate::{
    CrossSigningUpload, KeyUpload, KeysError,
    tests::{Fixture, Person, cross_signing_key, identity, public},
};

impl Fixture {
    /// Uploads the keys of the seeds `master`, `self` and `user`.
    pub(crate) async fn upload_cross_signing(&self, person: &Person) {
        self.encryption
            .upload_cross_signing_keys(person.owner(), all(person, "master"), false)
            .await
            .unwrap();
    }

    async fn set(
        &self,
        person: &Person,
        upload: CrossSigningUpload,
        confirmed: bool,
    ) -> Result<(), KeysError> {
        self.encryption
            .upload_cross_signing_keys(person.owner(), upload, confirmed)
            .await
    }
}

fn all(person: &Person, master: &str) -> CrossSigningUpload {
    let key = |usage, seed, by| Some(cross_signing_key(person, (usage, seed), by));
    CrossSigningUpload {
        master: key("master", master, None),
        self_signing: key("self_signing", "self", Some(master)),
        user_signing: key("user_signing", "user", Some(master)),
    }
}

#[tokio::test]
async fn the_first_keys_and_the_same_keys_need_no_confirmation_and_others_do() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    fixture
        .set(&alice, all(&alice, "master"), false)
        .await
        .unwrap();
    assert_eq!(fixture.told.lists(), [(alice.user, None)]);
    fixture
        .set(&alice, all(&alice, "master"), false)
        .await
        .unwrap();
    let part = CrossSigningUpload {
        master: None,
        ..all(&alice, "master")
    };
    fixture.set(&alice, part, false).await.unwrap();
    assert!(fixture.told.lists().is_empty());

    let refused = fixture.set(&alice, all(&alice, "other"), false).await;
    assert!(matches!(refused, Err(KeysError::Unconfirmed)));
    fixture
        .set(&alice, all(&alice, "other"), true)
        .await
        .unwrap();
    assert_eq!(fixture.told.lists(), [(alice.user, None)]);
    let keys = fixture
        .encryption
        .user_keys(bob.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert!(keys.master.unwrap().get().contains(&public("other")));
    assert!(keys.self_signing.is_some());
    assert!(keys.user_signing.is_none(), "it is for alice alone");
    let keys = fixture
        .encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert!(keys.user_signing.is_some());
}

#[tokio::test]
async fn a_new_master_key_takes_away_what_the_old_one_signed() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    fixture.upload_cross_signing(&alice).await;
    let master = CrossSigningUpload {
        self_signing: None,
        user_signing: None,
        ..all(&alice, "other")
    };
    fixture.set(&alice, master, true).await.unwrap();
    let keys = fixture
        .encryption
        .user_keys(alice.reader(), alice.owner(), &[])
        .await
        .unwrap();
    assert!(keys.master.is_some());
    assert!(keys.self_signing.is_none() && keys.user_signing.is_none());
}

#[tokio::test]
async fn the_master_key_must_have_signed_the_others() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let without = CrossSigningUpload {
        master: None,
        ..all(&alice, "master")
    };
    let refused = fixture.set(&alice, without, false).await;
    assert!(matches!(refused, Err(KeysError::NoMasterKey)));
    for signer in [None, Some("other")] {
        let mut upload = all(&alice, "master");
        upload.user_signing = Some(cross_signing_key(&alice, ("user_signing", "user"), signer));
        let refused = fixture.set(&alice, upload, false).await;
        assert!(matches!(refused, Err(KeysError::InvalidSignature(_))));
    }
    assert!(fixture.told.lists().is_empty());
}

#[tokio::test]
async fn what_is_no_key_of_the_user_is_refused() {
    let fixture = Fixture::new();
    let alice = fixture.person("alice", &["A"]).await;
    let bob = fixture.person("bob", &["A"]).await;
    let with_master = |master| CrossSigningUpload {
        master: Some(master),
        ..CrossSigningUpload::default()
    };
    let good = cross_signing_key(&alice, ("master", "master"), None);
    let other_name = good.get().replacen(&public("master"), &public("other"), 1);
    for bad in [
        cross_signing_key(&bob, ("master", "master"), None),
        cross_signing_key(&alice, ("self_signing", "master"), None),
        serde_json::value::RawValue::from_string(other_name).unwrap(),
        serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
        serde_json::value::RawValue::from_string("5".to_owned()).unwrap(),
    ] {
        let refused = fixture.set(&alice, with_master(bad.clone()), false).await;
        assert!(
            matches!(refused, Err(KeysError::Invalid(_) | KeysError::BadJson(_))),
            "{bad}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_key_and_a_device_have_different_names() {
    let fixture = Fixture::new();
    let name = public("master");
    let alice = fixture.person("alice", &[&name]).await;
    let refused = fixture.set(&alice, all(&alice, "master"), false).await;
    assert!(matches!(refused, Err(KeysError::Forbidden(_))));

    let bob = fixture.person("bob", &["A"]).await;
    fixture.upload_cross_signing(&bob).await;
    let bob = fixture.person("bob", &["A", &name]).await;
    let upload = KeyUpload {
        device_keys: Some(identity(&bob, &name, "x")),
        ..KeyUpload::default()
    };
    let refused = fixture
        .encryption
        .upload_keys(bob.owner(), &name, upload)
        .await;
    assert!(matches!(refused, Err(KeysError::Forbidden(_))));
}
