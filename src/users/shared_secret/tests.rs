use config::Secret;

use crate::{
    SharedSecretError, SharedSecretRegistration, shared_secret_mac,
    tests::{Fixture, PASSWORD, config},
};

fn fixture() -> Fixture {
    let mut config = config();
    config.registration.shared_secret = Some(Secret::new("shared"));
    Fixture::with(&config)
}

fn request(fixture: &Fixture, username: &str) -> SharedSecretRegistration {
    SharedSecretRegistration {
        nonce: fixture.users.nonce().unwrap(),
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
        ..SharedSecretRegistration::default()
    }
}

#[test]
fn the_mac_is_the_one_of_synapses_documentation() {
    // HMAC-SHA1 of "nonce\0alice\0pw\0admin\0bot" with "key", computed with Python's hmac.
    let request = SharedSecretRegistration {
        nonce: "nonce".to_owned(),
        username: "alice".to_owned(),
        password: "pw".to_owned(),
        admin: true,
        user_type: Some("bot".to_owned()),
        ..SharedSecretRegistration::default()
    };
    assert_eq!(
        shared_secret_mac("key", &request),
        "69054eae5aaa342435f3f0e2c06f62054534b29f"
    );
    let request = SharedSecretRegistration {
        admin: false,
        user_type: None,
        ..request
    };
    assert_eq!(
        shared_secret_mac("key", &request),
        "6d0323e4e6aa2089b1902b9533f9c6903cc3f32e"
    );
}

#[tokio::test]
async fn whoever_knows_the_secret_creates_accounts() {
    let fixture = fixture();
    let mut root = request(&fixture, "Root");
    root.admin = true;
    root.mac = shared_secret_mac("shared", &root);
    let (user_id, issued) = fixture
        .users
        .register_with_shared_secret(root.clone())
        .await
        .unwrap();
    assert_eq!(user_id.as_str(), "@root:localhost");
    assert!(issued.is_none());
    let user = fixture.users.number(&user_id).await.unwrap().unwrap();
    assert!(fixture.users.is_admin(user).await.unwrap());
    let twice = fixture.users.register_with_shared_secret(root).await;
    assert!(matches!(twice, Err(SharedSecretError::UnknownNonce)));
}

#[tokio::test]
async fn what_was_not_signed_is_refused() {
    let fixture = fixture();
    let sign = |change: fn(&mut SharedSecretRegistration)| {
        let mut request = request(&fixture, "alice");
        request.mac = shared_secret_mac("shared", &request);
        change(&mut request);
        request
    };
    for changed in [
        sign(|request| request.admin = true),
        sign(|request| request.username = "bob".to_owned()),
        sign(|request| request.user_type = Some("bot".to_owned())),
        sign(|request| request.mac = shared_secret_mac("guessed", request)),
        sign(|request| request.mac = String::new()),
        sign(|request| request.mac = "ä".repeat(20)),
        sign(|request| request.mac = "zz".repeat(20)),
    ] {
        let refused = fixture.users.register_with_shared_secret(changed).await;
        assert!(matches!(refused, Err(SharedSecretError::WrongMac)));
    }
    assert!(fixture.users.nobody_registered().await.unwrap());
}

#[tokio::test]
async fn nonces_hold_a_minute() {
    let fixture = fixture();
    let mut late = request(&fixture, "alice");
    late.mac = shared_secret_mac("shared", &late);
    fixture.clock.advance(60_000);
    let refused = fixture.users.register_with_shared_secret(late).await;
    assert!(matches!(refused, Err(SharedSecretError::UnknownNonce)));
}

#[tokio::test]
async fn without_a_secret_it_is_off() {
    let fixture = Fixture::new();
    assert!(matches!(
        fixture.users.nonce(),
        Err(SharedSecretError::Disabled)
    ));
    let refused = fixture
        .users
        .register_with_shared_secret(SharedSecretRegistration::default())
        .await;
    assert!(matches!(refused, Err(SharedSecretError::Disabled)));
}
