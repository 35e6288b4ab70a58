use config::{Config, JwtAlgorithm, Secret};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    LoginError, NewSession, UserName,
    tests::{Fixture, PASSWORD, config},
};

fn named(name: &str) -> UserName {
    UserName(name.to_owned())
}

#[tokio::test]
async fn a_user_is_found_by_id_localpart_and_case() {
    let fixture = Fixture::new();
    fixture.user("alice", NewSession::default()).await;
    for (name, right) in [
        ("alice", true),
        ("Alice", true),
        ("@alice:localhost", true),
        ("@ALICE:localhost", true),
        ("@alice:elsewhere", false),
        ("bob", false),
        ("", false),
        ("@", false),
        ("alice:localhost", false),
    ] {
        let result = fixture
            .users
            .login_with_password(&named(name), PASSWORD, &NewSession::default())
            .await;
        assert_eq!(result.is_ok(), right, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike() {
    let fixture = Fixture::new();
    fixture.user("alice", NewSession::default()).await;
    for (name, password) in [
        ("alice", "wrong password"),
        ("bob", PASSWORD),
        ("alice", ""),
    ] {
        let result = fixture
            .users
            .login_with_password(&named(name), password, &NewSession::default())
            .await;
        assert!(matches!(result, Err(LoginError::Forbidden)), "{name}");
    }
}

#[tokio::test]
async fn a_login_token_is_good_for_one_login() {
    let fixture = Fixture::new();
    let session = fixture.session("alice").await;
    let token = fixture
        .users
        .generate_login_token(&session)
        .await
        .unwrap()
        .token;
    let new = NewSession::default();
    let (one, other) = tokio::join!(
        fixture.users.login_with_token(&token, &new),
        fixture.users.login_with_token(&token, &new)
    );
    assert!(one.is_ok() != other.is_ok());
    let third = fixture.users.login_with_token(&token, &new).await;
    assert!(matches!(third, Err(LoginError::Forbidden)));
}

#[tokio::test]
async fn a_login_token_holds_two_minutes() {
    let fixture = Fixture::new();
    let session = fixture.session("alice").await;
    let late = fixture.users.generate_login_token(&session).await.unwrap();
    assert_eq!(late.expires_in_ms, 120_000);
    fixture.clock.advance(119_999);
    let in_time = fixture.users.generate_login_token(&session).await.unwrap();
    fixture.clock.advance(1);
    let refused = fixture
        .users
        .login_with_token(&late.token, &NewSession::default())
        .await;
    assert!(matches!(refused, Err(LoginError::Forbidden)));
    fixture
        .users
        .login_with_token(&in_time.token, &NewSession::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_login_token_does_not_open_a_closed_account() {
    let fixture = Fixture::new();
    let session = fixture.session("alice").await;
    let token = fixture
        .users
        .generate_login_token(&session)
        .await
        .unwrap()
        .token;
    fixture.users.deactivate(session.user, false).await.unwrap();
    let refused = fixture
        .users
        .login_with_token(&token, &NewSession::default())
        .await;
    assert!(matches!(refused, Err(LoginError::Deactivated)));
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with_jwt() -> Config {
    let mut config = config();
    config.jwt.enabled = true;
    config.jwt.key = Some(Secret::new(SECRET));
    config.jwt.issuer = Some("idp".to_owned());
    config.jwt.audiences = vec!["matrix".to_owned()];
    config
}

fn jwt(claims: &Value, secret: &str) -> String {
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

#[tokio::test]
async fn json_web_tokens_are_checked() {
    let fixture = Fixture::with(&with_jwt());
    let good = json!({ "sub": "Alice", "iss": "idp", "aud": "matrix", "exp": 1_700_000_100 });
    let changed = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    for (claims, secret, holds) in [
        (good.clone(), SECRET, true),
        (good.clone(), "another secret", false),
        (changed("iss", json!("other")), SECRET, false),
        (changed("iss", Value::Null), SECRET, false),
        (changed("aud", json!(["other", "matrix"])), SECRET, true),
        (changed("aud", json!("other")), SECRET, false),
        (changed("exp", json!(1_699_999_900)), SECRET, false),
        (changed("exp", json!(1_699_999_950.5)), SECRET, true),
        (changed("nbf", json!(1_700_000_100)), SECRET, false),
        (changed("sub", json!("")), SECRET, false),
        (changed("sub", json!(7)), SECRET, false),
        (changed("sub", json!("no such name")), SECRET, false),
    ] {
        let result = fixture
            .users
            .login_with_jwt(&jwt(&claims, secret), &NewSession::default())
            .await;
        assert_eq!(result.is_ok(), holds, "{claims}");
        if let Ok(issued) = result {
            assert_eq!(issued.user_id.as_str(), "@alice:localhost");
        }
    }
    for rubbish in ["", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."] {
        fixture
            .users
            .login_with_jwt(rubbish, &NewSession::default())
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn an_unknown_user_of_a_json_web_token_is_created_only_if_wanted() {
    let mut config = with_jwt();
    config.jwt.create_users = false;
    let fixture = Fixture::with(&config);
    let token = jwt(
        &json!({ "sub": "alice", "iss": "idp", "aud": "matrix" }),
        SECRET,
    );
    let refused = fixture
        .users
        .login_with_jwt(&token, &NewSession::default())
        .await;
    assert!(matches!(refused, Err(LoginError::Forbidden)));
    let session = fixture.session("alice").await;
    fixture
        .users
        .login_with_jwt(&token, &NewSession::default())
        .await
        .unwrap();
    fixture.users.deactivate(session.user, false).await.unwrap();
    let refused = fixture
        .users
        .login_with_jwt(&token, &NewSession::default())
        .await;
    assert!(matches!(refused, Err(LoginError::Deactivated)));
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused_at_the_start() {
    for (algorithm, key) in [
        (JwtAlgorithm::HS256, None),
        (JwtAlgorithm::HS256, Some("")),
        (JwtAlgorithm::RS256, Some("no PEM")),
        (
            JwtAlgorithm::ES256,
            Some("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"),
        ),
    ] {
        let fixture = Fixture::new();
        let mut config = with_jwt();
        config.jwt.algorithm = algorithm;
        config.jwt.key = key.map(Secret::new);
        assert!(
            crate::Users::new(fixture.store, fixture.host, &config).is_err(),
            "{algorithm:?}"
        );
    }
}

#[tokio::test]
async fn without_configuration_no_json_web_token_is_taken() {
    let fixture = Fixture::new();
    let token = jwt(&json!({ "sub": "alice" }), SECRET);
    let refused = fixture
        .users
        .login_with_jwt(&token, &NewSession::default())
        .await;
    assert!(matches!(refused, Err(LoginError::NotOffered)));
}
