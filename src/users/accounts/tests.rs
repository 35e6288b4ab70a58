use store::StoreError;

use crate::{
    CreateError, NewSession, PasswordError, UserName, UserNews,
    tests::{Fixture, PASSWORD, registration},
};

#[tokio::test]
async fn user_names_follow_the_grammar_and_are_lower_cased() {
    let fixture = Fixture::new();
    for (given, expected) in [
        ("alice", Some("@alice:localhost")),
        ("Alice", Some("@alice:localhost")),
        ("a.b_c=d-e/f+9", Some("@a.b_c=d-e/f+9:localhost")),
        ("", None),
        ("_bridge", None),
        ("1234", None),
        ("4you", Some("@4you:localhost")),
        ("älice", None),
        ("a b", None),
        ("@alice:localhost", None),
        ("a\0", None),
        (
            &"a".repeat(244),
            Some(&*format!("@{}:localhost", "a".repeat(244))),
        ),
        (&"a".repeat(245), None),
    ] {
        let found = fixture.users.new_user_id(given).ok();
        assert_eq!(found.as_ref().map(|id| id.as_str()), expected, "{given}");
    }
}

#[tokio::test]
async fn a_name_is_claimed_once() {
    let fixture = Fixture::new();
    fixture.users.check_available("alice").await.unwrap();
    fixture
        .users
        .register(registration("alice"), crate::Proof::default())
        .await
        .unwrap();
    assert!(matches!(
        fixture.users.check_available("ALICE").await,
        Err(CreateError::InUse)
    ));
    let again = fixture
        .users
        .register(registration("Alice"), crate::Proof::default())
        .await;
    assert!(matches!(again, Err(CreateError::InUse)));
}

#[tokio::test]
async fn of_two_who_register_a_name_at_once_one_has_it() {
    let fixture = Fixture::new();
    let one = fixture
        .users
        .register(registration("alice"), crate::Proof::default());
    let other = fixture
        .users
        .register(registration("alice"), crate::Proof::default());
    let (one, other) = tokio::join!(one, other);
    assert!(one.is_ok() != other.is_ok());
}

#[tokio::test]
async fn a_new_user_is_shown_by_the_localpart() {
    let fixture = Fixture::new();
    let session = fixture.session("alice").await;
    assert_eq!(
        fixture
            .users
            .profile(session.user)
            .await
            .unwrap()
            .displayname(),
        Some("alice")
    );
}

#[tokio::test]
async fn a_changed_password_ends_the_other_devices() {
    let fixture = Fixture::new();
    let session = fixture.session("alice").await;
    let name = UserName("alice".to_owned());
    let other = fixture
        .users
        .login_with_password(&name, PASSWORD, &NewSession::default())
        .await
        .unwrap();
    fixture.news.take();
    fixture
        .users
        .change_password(&session, "battery staple", true)
        .await
        .unwrap();
    let removed = UserNews::DeviceRemoved {
        device_id: other.device_id,
    };
    assert_eq!(fixture.news.take(), [removed]);
    assert!(
        fixture
            .users
            .authenticate(&other.access_token, None)
            .await
            .is_err()
    );
    assert_eq!(fixture.users.devices(session.user).await.unwrap().len(), 1);
    fixture
        .users
        .login_with_password(&name, PASSWORD, &NewSession::default())
        .await
        .unwrap_err();
    fixture
        .users
        .login_with_password(&name, "battery staple", &NewSession::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_closed_account_is_closed_for_good() {
    let fixture = Fixture::new();
    let issued = fixture.user("alice", NewSession::default()).await;
    let session = fixture
        .users
        .authenticate(&issued.access_token, None)
        .await
        .unwrap();
    fixture
        .users
        .put_account_data(session.user, None, "m.direct", "{}".into())
        .await
        .unwrap();
    fixture
        .users
        .define_filter(session.user, "{}".into())
        .await
        .unwrap();
    fixture.users.deactivate(session.user, true).await.unwrap();
    assert!(
        fixture
            .users
            .authenticate(&issued.access_token, None)
            .await
            .is_err()
    );
    assert!(
        fixture
            .users
            .devices(session.user)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        fixture.users.profile(session.user).await.unwrap(),
        crate::Profile::default()
    );
    assert_eq!(
        fixture
            .users
            .account_data(session.user, None, "m.direct")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        fixture.users.filter_json(session.user, 1).await.unwrap(),
        None
    );
    let account = fixture
        .users
        .account_of(session.user)
        .await
        .unwrap()
        .unwrap();
    assert!(account.deactivated && account.erased && !account.has_password());
    let name = UserName("alice".to_owned());
    fixture
        .users
        .login_with_password(&name, PASSWORD, &NewSession::default())
        .await
        .unwrap_err();
    assert!(matches!(
        fixture.users.check_available("alice").await,
        Err(CreateError::InUse)
    ));
}

#[tokio::test]
async fn passwords_too_short_and_too_long_are_refused() {
    let fixture = Fixture::new();
    assert!(matches!(
        fixture.users.check_password("short"),
        Err(PasswordError::TooShort { limit: 8 })
    ));
    assert!(matches!(
        fixture.users.check_password(&"x".repeat(513)),
        Err(PasswordError::TooLong { limit: 512 })
    ));
    let mut request = registration("alice");
    request.password = "short".to_owned();
    let refused = fixture
        .users
        .register(request, crate::Proof::default())
        .await;
    assert!(matches!(refused, Err(CreateError::Password(_))));
}

#[tokio::test]
async fn nothing_is_left_of_a_registration_that_fails() {
    let fixture = Fixture::new();
    fixture.store.close().await;
    let failed = fixture
        .users
        .register(registration("alice"), crate::Proof::default())
        .await;
    assert!(matches!(
        failed,
        Err(CreateError::Store(StoreError::Closed))
    ));
    assert!(fixture.users.nobody_registered().await.unwrap());
}
