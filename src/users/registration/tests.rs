use config::RegistrationMode;

use crate::{
    Attempt, CreateError, Credential, Proof, Purpose, TokenToCreate, Users,
    tests::{Fixture, config, registration, token},
};

async fn proof(users: &Users, token: &str) -> Proof {
    let credential = Some(Credential::RegistrationToken(token.to_owned()));
    users
        .interact(
            Purpose::Register,
            Some(Attempt {
                session: None,
                credential,
            }),
        )
        .await
        .unwrap()
}

fn token_mode() -> Fixture {
    let mut config = config();
    config.registration.mode = RegistrationMode::Token;
    Fixture::with(&config)
}

#[tokio::test]
async fn the_first_account_with_the_printed_token_administers_the_server() {
    let fixture = token_mode();
    let token = fixture.users.bootstrap_token().await.unwrap().unwrap();
    assert_eq!(
        fixture.users.bootstrap_token().await.unwrap(),
        Some(token.clone())
    );
    let proof = proof(&fixture.users, &token).await;
    let (user_id, _) = fixture
        .users
        .register(registration("alice"), proof)
        .await
        .unwrap();
    let user = fixture.users.number(&user_id).await.unwrap().unwrap();
    assert!(fixture.users.is_admin(user).await.unwrap());
    assert_eq!(fixture.users.bootstrap_token().await.unwrap(), None);
    assert!(
        !fixture
            .users
            .registration_token_holds(&token)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn of_two_who_use_the_last_use_at_once_one_gets_in() {
    let fixture = token_mode();
    let token = token(&fixture.users, Some(1), None).await;
    let (one, other) = (
        proof(&fixture.users, &token).await,
        proof(&fixture.users, &token).await,
    );
    let (one, other) = tokio::join!(
        fixture.users.register(registration("alice"), one),
        fixture.users.register(registration("bob"), other)
    );
    assert!(one.is_ok() != other.is_ok());
    let refused = if one.is_err() { one } else { other };
    assert!(matches!(refused, Err(CreateError::InvalidToken)));
}

#[tokio::test]
async fn a_name_that_is_taken_costs_no_use() {
    let fixture = token_mode();
    let token = token(&fixture.users, Some(2), None).await;
    let first = proof(&fixture.users, &token).await;
    fixture
        .users
        .register(registration("alice"), first)
        .await
        .unwrap();
    let second = proof(&fixture.users, &token).await;
    fixture
        .users
        .register(registration("alice"), second)
        .await
        .unwrap_err();
    assert!(
        fixture
            .users
            .registration_token_holds(&token)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn tokens_expire() {
    let fixture = token_mode();
    let token = token(&fixture.users, None, Some(1_700_000_000_010)).await;
    assert!(
        fixture
            .users
            .registration_token_holds(&token)
            .await
            .unwrap()
    );
    fixture.clock.advance(10);
    assert!(
        !fixture
            .users
            .registration_token_holds(&token)
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .users
            .registration_token_holds("unknown")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn who_gives_no_name_gets_one() {
    let fixture = Fixture::new();
    let mut anonymous = registration("");
    anonymous.username = None;
    let (one, _) = fixture
        .users
        .register(anonymous.clone(), Proof::default())
        .await
        .unwrap();
    let (other, _) = fixture
        .users
        .register(anonymous, Proof::default())
        .await
        .unwrap();
    assert_ne!(one, other);
}

#[tokio::test]
async fn in_closed_mode_no_token_is_printed() {
    let mut config = config();
    config.registration.mode = RegistrationMode::Closed;
    let fixture = Fixture::with(&config);
    assert_eq!(fixture.users.bootstrap_token().await.unwrap(), None);
}

#[tokio::test]
async fn an_administrator_keeps_tokens() {
    let fixture = token_mode();
    let users = &fixture.users;
    let new = |token: &str| TokenToCreate {
        token: Some(token.to_owned()),
        uses_allowed: Some(1),
        ..TokenToCreate::default()
    };
    for wrong in ["", "a b", "ä", &"x".repeat(65)] {
        let made = users.create_registration_token(new(wrong)).await;
        assert!(matches!(made, Err(CreateError::InvalidName(_))), "{wrong}");
    }
    let made = users.create_registration_token(new("open.sesame")).await;
    assert_eq!(made.unwrap().unwrap().completed, 0);
    let twice = users.create_registration_token(new("open.sesame")).await;
    assert_eq!(twice.unwrap(), None);
    let proof = proof(users, "open.sesame").await;
    users.register(registration("alice"), proof).await.unwrap();
    assert!(!users.registration_token_holds("open.sesame").await.unwrap());
    let more = users
        .change_registration_token("open.sesame", |token| token.uses_allowed = Some(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((more.completed, more.uses_allowed), (1, Some(2)));
    assert!(users.registration_token_holds("open.sesame").await.unwrap());
    assert!(
        users
            .delete_registration_token("open.sesame")
            .await
            .unwrap()
    );
    assert!(
        !users
            .delete_registration_token("open.sesame")
            .await
            .unwrap()
    );
    let tokens = users.registration_tokens().await.unwrap();
    assert!(tokens.iter().all(|token| token.token != "open.sesame"));
}
