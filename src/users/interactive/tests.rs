use config::RegistrationMode;

use crate::{
    Attempt, Challenge, Credential, Failure, InteractiveError, NewSession, Proof, Purpose, Session,
    Stage, UserName, Users,
    tests::{Fixture, PASSWORD, config, token},
};

#[expect(clippy::unnecessary_wraps, reason = "as `interact` takes it")]
fn attempt(session: Option<&str>, credential: Credential) -> Option<Attempt> {
    Some(Attempt {
        session: session.map(str::to_owned),
        credential: Some(credential),
    })
}

fn password(name: &str, password: &str) -> Credential {
    Credential::Password {
        user: Some(UserName(name.to_owned())),
        password: password.to_owned(),
    }
}

fn challenge(result: Result<Proof, InteractiveError>) -> Challenge {
    match result {
        Err(InteractiveError::Challenge(challenge)) => challenge,
        other => panic!("{other:?}"),
    }
}

async fn delete(
    users: &Users,
    session: &Session,
    attempt: Option<Attempt>,
) -> Result<Proof, InteractiveError> {
    users
        .interact(
            Purpose::Account {
                session,
                operation: "DELETE /devices/X",
            },
            attempt,
        )
        .await
}

#[tokio::test]
async fn in_open_mode_the_dummy_is_taken_at_once() {
    let fixture = Fixture::new();
    let asked = challenge(fixture.users.interact(Purpose::Register, None).await);
    assert!(asked.flows.contains(&vec![Stage::Dummy]));
    assert_eq!((asked.completed, asked.failure), (vec![], None));
    fixture
        .users
        .interact(Purpose::Register, attempt(None, Credential::Dummy))
        .await
        .unwrap();
    fixture
        .users
        .interact(
            Purpose::Register,
            attempt(Some(&asked.session), Credential::Dummy),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn in_token_mode_only_a_token_opens() {
    let mut config = config();
    config.registration.mode = RegistrationMode::Token;
    let fixture = Fixture::with(&config);
    let asked = challenge(fixture.users.interact(Purpose::Register, None).await);
    assert_eq!(asked.flows, [vec![Stage::RegistrationToken]]);
    let session = Some(asked.session.as_str());
    for (credential, failure) in [
        (Credential::Dummy, Failure::NotOffered),
        (Credential::Unknown, Failure::NotOffered),
        (password("alice", PASSWORD), Failure::NotOffered),
        (
            Credential::RegistrationToken("wrong".to_owned()),
            Failure::WrongRegistrationToken,
        ),
        (
            Credential::RegistrationToken("x".repeat(100_000)),
            Failure::WrongRegistrationToken,
        ),
    ] {
        let refused = challenge(
            fixture
                .users
                .interact(Purpose::Register, attempt(session, credential))
                .await,
        );
        assert_eq!(
            (refused.failure, refused.session),
            (Some(failure), asked.session.clone())
        );
    }
    let token = token(&fixture.users, None, None).await;
    let credential = Credential::RegistrationToken(token);
    fixture
        .users
        .interact(Purpose::Register, attempt(session, credential))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_account_is_changed_with_its_own_password_only() {
    let fixture = Fixture::new();
    let alice = fixture.session("alice").await;
    fixture.session("bob").await;
    let users = &fixture.users;
    let asked = challenge(delete(users, &alice, None).await);
    assert_eq!(asked.flows, [vec![Stage::Password]]);
    let session = Some(asked.session.as_str());
    for credential in [
        password("alice", "wrong password"),
        password("bob", PASSWORD),
        Credential::Password {
            user: None,
            password: PASSWORD.to_owned(),
        },
    ] {
        let refused = challenge(delete(users, &alice, attempt(session, credential)).await);
        assert_eq!(refused.failure, Some(Failure::WrongPassword));
    }
    let refused = challenge(delete(users, &alice, attempt(session, Credential::Dummy)).await);
    assert_eq!(refused.failure, Some(Failure::NotOffered));
    delete(
        users,
        &alice,
        attempt(session, password("@alice:localhost", PASSWORD)),
    )
    .await
    .unwrap();
    // Done is done: the next request is asked again.
    let only_session = Some(Attempt {
        session: Some(asked.session.clone()),
        credential: None,
    });
    let refused = challenge(delete(users, &alice, only_session).await);
    assert_eq!(refused.failure, Some(Failure::UnknownSession));
}

#[tokio::test]
async fn a_session_counts_for_its_purpose_and_its_user_only() {
    let fixture = Fixture::new();
    let alice = fixture.session("alice").await;
    let bob = fixture.session("bob").await;
    let asked = challenge(delete(&fixture.users, &alice, None).await);
    let session = Some(asked.session.as_str());
    let other = Purpose::Account {
        session: &alice,
        operation: "DELETE /devices/Y",
    };
    let results = [
        fixture
            .users
            .interact(other, attempt(session, password("alice", PASSWORD)))
            .await,
        fixture
            .users
            .interact(Purpose::Register, attempt(session, Credential::Dummy))
            .await,
        delete(
            &fixture.users,
            &bob,
            attempt(session, password("bob", PASSWORD)),
        )
        .await,
    ];
    for result in results {
        assert!(matches!(result, Err(InteractiveError::OtherPurpose)));
    }
}

#[tokio::test]
async fn sessions_expire_and_are_bounded() {
    let fixture = Fixture::new();
    let only = |session: &str| {
        Some(Attempt {
            session: Some(session.to_owned()),
            credential: None,
        })
    };
    let first = challenge(fixture.users.interact(Purpose::Register, None).await);
    fixture.clock.advance(15 * 60_000 - 1);
    let same = challenge(
        fixture
            .users
            .interact(Purpose::Register, only(&first.session))
            .await,
    );
    assert_eq!((&same.session, same.failure), (&first.session, None));
    fixture.clock.advance(1);
    let new = challenge(
        fixture
            .users
            .interact(Purpose::Register, only(&first.session))
            .await,
    );
    assert_eq!(new.failure, Some(Failure::UnknownSession));
    assert_ne!(new.session, first.session);
    for _ in 0..10_001 {
        let _ = fixture.users.interact(Purpose::Register, None).await;
    }
    let newer = challenge(
        fixture
            .users
            .interact(Purpose::Register, only(&new.session))
            .await,
    );
    assert_eq!(newer.failure, Some(Failure::UnknownSession));
}

#[tokio::test]
async fn whoever_has_no_password_shows_a_json_web_token() {
    let mut config = config();
    config.jwt.enabled = true;
    config.jwt.key = Some(config::Secret::new("secret"));
    let fixture = Fixture::with(&config);
    let jwt = |name: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
        let claims = serde_json::json!({ "sub": name });
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let issued = fixture
        .users
        .login_with_jwt(&jwt("alice"), &NewSession::default())
        .await
        .unwrap();
    let alice = fixture
        .users
        .authenticate(&issued.access_token, None)
        .await
        .unwrap();
    fixture
        .users
        .login_with_jwt(&jwt("bob"), &NewSession::default())
        .await
        .unwrap();
    let asked = challenge(delete(&fixture.users, &alice, None).await);
    assert_eq!(asked.flows, [vec![Stage::Jwt]]);
    let refused = challenge(
        delete(
            &fixture.users,
            &alice,
            attempt(None, Credential::Jwt(jwt("bob"))),
        )
        .await,
    );
    assert_eq!(refused.failure, Some(Failure::WrongJwt));
    delete(
        &fixture.users,
        &alice,
        attempt(None, Credential::Jwt(jwt("alice"))),
    )
    .await
    .unwrap();
}
