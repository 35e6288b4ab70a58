use ruma::OwnedDeviceId;

use crate::{
    AuthenticationError, CreateError, IssuedSession, NewSession, Proof, Session, Users,
    tests::{Fixture, PASSWORD, config, registration},
};

async fn guest(users: &Users) -> (IssuedSession, Session) {
    let issued = users.register_guest(None).await.unwrap();
    let session = users.authenticate(&issued.access_token, None).await;
    (issued, session.unwrap())
}

async fn upgrade(
    users: &Users,
    guest: &Session,
    session: Option<NewSession>,
) -> Result<Option<IssuedSession>, CreateError> {
    let mut registration = registration(guest.user_id.localpart());
    registration.guest = Some(guest.clone());
    registration.session = session;
    let (user_id, issued) = users.register(registration, Proof::default()).await?;
    assert_eq!(user_id, guest.user_id);
    Ok(issued)
}

#[tokio::test]
async fn a_guest_has_a_number_and_no_password() {
    let fixture = Fixture::new();
    let (issued, session) = guest(&fixture.users).await;
    let name = issued.user_id.localpart();
    assert!(name.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    assert!(session.guest);
    let account = fixture
        .users
        .account_of(session.user)
        .await
        .unwrap()
        .unwrap();
    assert!(account.guest && !account.has_password() && !account.admin);
    // Nobody else can have such a name.
    let taken = fixture.users.new_user_id(name);
    assert!(matches!(taken, Err(CreateError::InvalidName(_))));
    assert!(!fixture.session("alice").await.guest);
}

#[tokio::test]
async fn guests_are_told_from_users_and_are_not_found() {
    let fixture = Fixture::new();
    let (issued, guest) = guest(&fixture.users).await;
    let alice = fixture.session("alice").await;
    let unknown = store::UserNid(u32::MAX);
    let among = [alice.user, guest.user, unknown];
    let guests = fixture.users.guests_among(&among).await.unwrap();
    assert_eq!(guests, std::slice::from_ref(&issued.user_id));
    let found = async |name: &str| fixture.users.find_users(name).await.unwrap().0.len();
    assert_eq!(found(issued.user_id.localpart()).await, 0);
    assert_eq!(found("alice").await, 1);
    upgrade(&fixture.users, &guest, None).await.unwrap();
    assert_eq!(found(issued.user_id.localpart()).await, 1);
}

#[tokio::test]
async fn a_server_with_guests_alone_still_waits_for_its_first_account() {
    let mut config = config();
    config.registration.mode = config::RegistrationMode::Token;
    let fixture = Fixture::with(&config);
    for _ in 0..40 {
        guest(&fixture.users).await;
    }
    assert!(fixture.users.bootstrap_token().await.unwrap().is_some());
    fixture.session("alice").await;
    assert_eq!(fixture.users.bootstrap_token().await.unwrap(), None);
}

#[tokio::test]
async fn a_guest_becomes_a_user_once() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let (issued, guest) = guest(users).await;
    let name = guest.user_id.localpart();
    let shown = users.guest_to_upgrade(&issued.access_token, name).await;
    assert_eq!(shown.unwrap(), guest);
    for (token, name) in [(&*issued.access_token, "1"), ("nonsense", name)] {
        let refused = users.guest_to_upgrade(token, name).await;
        assert!(matches!(refused, Err(CreateError::NotThatGuest)));
    }
    let session = Some(NewSession::default());
    let new = upgrade(users, &guest, session.clone())
        .await
        .unwrap()
        .unwrap();
    let user = users.authenticate(&new.access_token, None).await.unwrap();
    assert!(!user.guest && user.user == guest.user);
    // What the guest had is gone, and so is the way back.
    let old = users.authenticate(&issued.access_token, None).await;
    assert!(matches!(old, Err(AuthenticationError::UnknownToken)));
    assert_eq!(users.devices(user.user).await.unwrap().len(), 1);
    let again = upgrade(users, &guest, session).await;
    assert!(matches!(again, Err(CreateError::NotThatGuest)));
    let account = users.account_of(user.user).await.unwrap().unwrap();
    assert!(account.has_password());
    let stays_a_user = users.guest_to_upgrade(&new.access_token, name).await;
    assert!(matches!(stays_a_user, Err(CreateError::NotThatGuest)));
}

#[tokio::test]
async fn the_device_of_a_guest_can_be_taken_along() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let (issued, guest) = guest(users).await;
    let session = NewSession {
        device_id: Some(guest.device_id.clone()),
        ..NewSession::default()
    };
    fixture.news.take();
    let new = upgrade(users, &guest, Some(session))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(new.device_id, guest.device_id);
    let removed = fixture.news.take().into_iter();
    let removed = removed.filter(|news| matches!(news, crate::UserNews::DeviceRemoved { .. }));
    assert_eq!(removed.count(), 0);
    let old = users.authenticate(&issued.access_token, None).await;
    assert!(matches!(old, Err(AuthenticationError::UnknownToken)));
}

#[tokio::test]
async fn a_guest_who_becomes_a_user_takes_a_use_of_the_token() {
    let fixture = Fixture::new();
    let token = crate::tests::token(&fixture.users, Some(1), None).await;
    let (_, one) = guest(&fixture.users).await;
    let (_, other) = guest(&fixture.users).await;
    let spend = async |guest: &Session| {
        let users = &fixture.users;
        users
            .upgrade_guest(guest, PASSWORD, Some(&token), None)
            .await
    };
    spend(&one).await.unwrap();
    assert!(matches!(
        spend(&other).await,
        Err(CreateError::InvalidToken)
    ));
    let account = fixture.users.account_of(other.user).await.unwrap().unwrap();
    assert!(account.guest);
    let long = NewSession {
        device_id: Some(OwnedDeviceId::from("x".repeat(300))),
        ..NewSession::default()
    };
    let refused = upgrade(&fixture.users, &other, Some(long)).await;
    assert!(matches!(refused, Err(CreateError::InvalidDevice(_))));
}
