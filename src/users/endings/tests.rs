use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use crate::{AuthenticationError, NewSession, Session, Users, tests::Fixture};

/// Longer than any machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The session ends while `what` is done, or soon after.
async fn ends(users: &Users, session: &Session, what: impl Future<Output = ()>) -> bool {
    let both = async { tokio::join!(users.ended(session), what) };
    tokio::time::timeout(PATIENCE, both).await.is_ok()
}

/// The session goes on when `what` is done.
async fn goes_on(users: &Users, session: &Session, what: impl Future<Output = ()>) -> bool {
    let mut waiting = pin!(users.ended(session));
    tokio::select! {
        biased;
        _ = &mut waiting => return false,
        () = what => {}
    }
    // Whoever is told of an end is told before `what` is answered.
    poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn logging_out_ends_a_wait_and_no_other() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let alice = fixture.session("alice").await;
    let bob = fixture.session("bob").await;
    let logout = async { users.logout(&bob).await.unwrap() };
    assert!(goes_on(users, &alice, logout).await);
    let again = async { users.logout(&bob).await.unwrap() };
    assert!(ends(users, &bob, again).await, "it had ended before");
    let all = async { users.logout_all(alice.user).await.unwrap() };
    assert!(ends(users, &alice, all).await);
}

#[tokio::test]
async fn logging_in_with_the_same_device_ends_its_earlier_wait() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let phone = NewSession {
        device_id: Some("PHONE".into()),
        ..NewSession::default()
    };
    let issued = fixture.user("alice", phone.clone()).await;
    let session = users
        .authenticate(&issued.access_token, None)
        .await
        .unwrap();
    let token = users.generate_login_token(&session).await.unwrap();
    let login = async {
        users.login_with_token(&token.token, &phone).await.unwrap();
    };
    assert!(ends(users, &session, login).await);
}

#[tokio::test]
async fn locking_ends_a_wait_and_says_so_but_renewing_does_not() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let refreshable = NewSession {
        refreshable: true,
        ..NewSession::default()
    };
    let issued = fixture.user("alice", refreshable).await;
    let session = users
        .authenticate(&issued.access_token, None)
        .await
        .unwrap();
    let refresh = async {
        let token = issued.refresh_token.as_deref().unwrap();
        users.refresh(token).await.unwrap();
    };
    assert!(goes_on(users, &session, refresh).await);
    let lock = async { users.set_locked(session.user, true).await.unwrap() };
    let (why, ()) = tokio::join!(users.ended(&session), lock);
    assert!(matches!(why, AuthenticationError::Locked));
}
