use crate::{
    AuthenticationError, NewSession, UserName, UserNews, Users,
    tests::{Fixture, PASSWORD, config},
};

fn refreshable() -> NewSession {
    NewSession {
        refreshable: true,
        ..NewSession::default()
    }
}

async fn holds(users: &Users, token: &str) -> bool {
    users.authenticate(token, None).await.is_ok()
}

#[tokio::test]
async fn a_token_names_its_user_and_device() {
    let fixture = Fixture::new();
    let new = NewSession {
        device_id: Some("PHONE".into()),
        ..NewSession::default()
    };
    let issued = fixture.user("alice", new).await;
    assert_eq!(issued.expires_in_ms, None);
    assert_eq!(issued.refresh_token, None);
    for users in [fixture.users.clone(), fixture.restarted(&config())] {
        let session = users
            .authenticate(&issued.access_token, None)
            .await
            .unwrap();
        assert_eq!(
            (session.user_id.as_str(), session.device_id.as_str()),
            ("@alice:localhost", "PHONE")
        );
    }
}

#[tokio::test]
async fn tokens_of_nobody_are_unknown() {
    let fixture = Fixture::new();
    fixture.user("alice", NewSession::default()).await;
    for token in ["", "mya_", "x", &"x".repeat(100_000)] {
        let error = fixture.users.authenticate(token, None).await.unwrap_err();
        assert!(
            matches!(error, AuthenticationError::UnknownToken),
            "{token:.9}"
        );
    }
}

#[tokio::test]
async fn logout_ends_the_session_and_removes_the_device() {
    let fixture = Fixture::new();
    let issued = fixture.user("alice", NewSession::default()).await;
    let session = fixture
        .users
        .authenticate(&issued.access_token, None)
        .await
        .unwrap();
    fixture.users.logout(&session).await.unwrap();
    let removed = UserNews::DeviceRemoved {
        device_id: issued.device_id,
    };
    assert_eq!(fixture.news.take(), [removed]);
    assert!(!holds(&fixture.users, &issued.access_token).await);
    assert!(!holds(&fixture.restarted(&config()), &issued.access_token).await);
    assert!(
        fixture
            .users
            .devices(session.user)
            .await
            .unwrap()
            .is_empty()
    );
    // Twice is no change.
    fixture.users.logout(&session).await.unwrap();
    assert!(fixture.news.take().is_empty());
}

#[tokio::test]
async fn an_expired_token_is_soft_logged_out() {
    let fixture = Fixture::new();
    let issued = fixture.user("alice", refreshable()).await;
    assert_eq!(issued.expires_in_ms, Some(300_000));
    fixture.clock.advance(299_999);
    assert!(holds(&fixture.users, &issued.access_token).await);
    fixture.clock.advance(1);
    for users in [fixture.users.clone(), fixture.restarted(&config())] {
        let error = users
            .authenticate(&issued.access_token, None)
            .await
            .unwrap_err();
        assert!(matches!(error, AuthenticationError::SoftLoggedOut));
    }
}

#[tokio::test]
async fn the_old_pair_holds_until_the_new_access_token_is_used() {
    let fixture = Fixture::new();
    let first = fixture.user("alice", refreshable()).await;
    let refresh = first.refresh_token.unwrap();
    let second = fixture.users.refresh(&refresh).await.unwrap();
    assert!(holds(&fixture.users, &first.access_token).await);
    assert!(holds(&fixture.users, &second.access_token).await);
    assert!(!holds(&fixture.users, &first.access_token).await);
    // And the first refresh token is spent now: showing it ends the session.
    let error = fixture.users.refresh(&refresh).await.unwrap_err();
    assert!(matches!(error, AuthenticationError::SoftLoggedOut));
    assert!(!holds(&fixture.users, &second.access_token).await);
    assert!(
        fixture
            .users
            .refresh(second.refresh_token.as_ref().unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_can_be_asked_for_again() {
    let fixture = Fixture::new();
    let first = fixture.user("alice", refreshable()).await;
    let refresh = first.refresh_token.unwrap();
    let lost = fixture.users.refresh(&refresh).await.unwrap();
    let second = fixture.users.refresh(&refresh).await.unwrap();
    assert!(!holds(&fixture.users, &lost.access_token).await);
    assert!(
        fixture
            .users
            .refresh(&lost.refresh_token.unwrap())
            .await
            .is_err()
    );
    assert!(holds(&fixture.users, &second.access_token).await);
}

#[tokio::test]
async fn a_chain_of_refreshes_ends_when_an_old_token_returns() {
    let fixture = Fixture::new();
    let first = fixture.user("alice", refreshable()).await;
    let mut spent = Vec::new();
    let mut latest = first;
    for _ in 0..20 {
        let refresh = latest.refresh_token.clone().unwrap();
        latest = fixture.users.refresh(&refresh).await.unwrap();
        spent.push(refresh);
    }
    assert!(holds(&fixture.users, &latest.access_token).await);
    // The earliest are forgotten: unknown, and harmless.
    let error = fixture.users.refresh(&spent[0]).await.unwrap_err();
    assert!(matches!(error, AuthenticationError::UnknownToken));
    assert!(holds(&fixture.users, &latest.access_token).await);
    fixture.news.take();
    let error = fixture
        .restarted(&config())
        .refresh(&spent[18])
        .await
        .unwrap_err();
    assert!(matches!(error, AuthenticationError::SoftLoggedOut));
    let fresh = fixture.restarted(&config());
    assert!(!holds(&fresh, &latest.access_token).await);
    // The device stays, so that its owner can log in again with it.
    let user = fixture
        .users
        .number(&latest.user_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fixture.users.devices(user).await.unwrap().len(), 1);
}

#[tokio::test]
async fn logging_in_with_a_device_ends_its_earlier_tokens() {
    let fixture = Fixture::new();
    let new = NewSession {
        device_id: Some("PHONE".into()),
        initial_device_display_name: Some("Old".to_owned()),
        ..refreshable()
    };
    let first = fixture.user("alice", new).await;
    assert!(holds(&fixture.users, &first.access_token).await);
    let again = NewSession {
        device_id: Some("PHONE".into()),
        initial_device_display_name: Some("New".to_owned()),
        ..NewSession::default()
    };
    let name = UserName("alice".to_owned());
    let second = fixture
        .users
        .login_with_password(&name, PASSWORD, &again)
        .await
        .unwrap();
    assert_eq!(
        fixture.news.take(),
        [UserNews::LoggedOut {
            device_id: "PHONE".into()
        }]
    );
    assert!(!holds(&fixture.users, &first.access_token).await);
    assert!(
        fixture
            .users
            .refresh(&first.refresh_token.unwrap())
            .await
            .is_err()
    );
    let session = fixture
        .users
        .authenticate(&second.access_token, None)
        .await
        .unwrap();
    let devices = fixture.users.devices(session.user).await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].display_name.as_deref(), Some("Old"));
}

#[tokio::test]
async fn last_seen_is_written_once_a_minute() {
    let fixture = Fixture::new();
    let issued = fixture.user("alice", NewSession::default()).await;
    let seen = async |ip: &str| {
        let session = fixture
            .users
            .authenticate(&issued.access_token, Some(ip.parse().unwrap()))
            .await
            .unwrap();
        // Relaxed writes are kept with the next commit that somebody waits for.
        fixture
            .users
            .put_account_data(session.user, None, "x", "{}".into())
            .await
            .unwrap();
        fixture
            .users
            .device(session.user, &session.device_id)
            .await
            .unwrap()
            .unwrap()
            .last_seen_ip
    };
    assert_eq!(seen("192.0.2.1").await.as_deref(), Some("192.0.2.1"));
    fixture.clock.advance(59_999);
    assert_eq!(seen("192.0.2.2").await.as_deref(), Some("192.0.2.1"));
    fixture.clock.advance(1);
    assert_eq!(seen("192.0.2.3").await.as_deref(), Some("192.0.2.3"));
}

#[tokio::test]
async fn device_ids_are_bounded() {
    let fixture = Fixture::new();
    fixture.user("alice", NewSession::default()).await;
    let new = NewSession {
        device_id: Some("x".repeat(256).into()),
        ..NewSession::default()
    };
    fixture
        .users
        .login_with_password(&UserName("alice".to_owned()), PASSWORD, &new)
        .await
        .unwrap_err();
    let empty = NewSession {
        device_id: Some("".into()),
        ..NewSession::default()
    };
    let issued = fixture
        .users
        .login_with_password(&UserName("alice".to_owned()), PASSWORD, &empty)
        .await
        .unwrap();
    assert_eq!(issued.device_id.as_str().len(), 10);
}
