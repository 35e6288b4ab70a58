use crate::{
    AccountToCreate, CreateError, LoginError, UserName, UserNews,
    tests::{Fixture, PASSWORD, registration},
};

fn new(localpart: &str) -> AccountToCreate {
    AccountToCreate {
        localpart: localpart.to_owned(),
        password: Some(PASSWORD.to_owned()),
        ..AccountToCreate::default()
    }
}

#[tokio::test]
async fn accounts_are_found_and_described() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    users
        .register(registration("alice"), crate::Proof::default())
        .await
        .unwrap();
    users
        .create_account(AccountToCreate {
            admin: true,
            displayname: Some("Bob".to_owned()),
            ..new("bob")
        })
        .await
        .unwrap();
    let mut all = users.accounts(|_, _| true).await.unwrap();
    users.describe(&mut all).await.unwrap();
    let names: Vec<_> = all
        .iter()
        .map(|listed| (listed.user_id.as_str(), listed.displayname.as_deref()))
        .collect();
    assert_eq!(
        names,
        [
            ("@alice:localhost", Some("alice")),
            ("@bob:localhost", Some("Bob"))
        ]
    );
    let admins = users.accounts(|_, account| account.admin).await.unwrap();
    assert_eq!(admins.len(), 1);
    let counts = users.account_counts().await.unwrap();
    assert_eq!(
        (counts["all"], counts["admin"], counts["locked"]),
        (2, 1, 0)
    );
    assert!(matches!(
        users.create_account(new("bob")).await,
        Err(CreateError::InUse)
    ));
}

#[tokio::test]
async fn a_reset_password_opens_a_closed_account_and_ends_devices() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let user_id = users.create_account(new("alice")).await.unwrap();
    let (user, _) = users.account(&user_id).await.unwrap().unwrap();
    let name = UserName("alice".to_owned());
    let login = async |password: &str| {
        let new = crate::NewSession::default();
        users.login_with_password(&name, password, &new).await
    };
    let before = login(PASSWORD).await.unwrap();
    users
        .reset_password(user, "battery staple", true)
        .await
        .unwrap();
    assert!(
        users
            .authenticate(&before.access_token, None)
            .await
            .is_err()
    );
    assert!(login(PASSWORD).await.is_err());
    users.deactivate(user, false).await.unwrap();
    assert!(login("battery staple").await.is_err());
    fixture.news.take();
    users.reset_password(user, PASSWORD, true).await.unwrap();
    assert_eq!(fixture.news.take(), [UserNews::Profile]);
    login(PASSWORD).await.unwrap();
    assert!(matches!(
        users.reset_password(user, "x", true).await,
        Err(LoginError::Password(_))
    ));
}

#[tokio::test]
async fn an_administrators_session_is_a_device_that_ends_in_time() {
    let fixture = Fixture::new();
    let users = &fixture.users;
    let user_id = users.create_account(new("alice")).await.unwrap();
    let (user, _) = users.account(&user_id).await.unwrap().unwrap();
    let until_ms = fixture.host.now_ms() + 1_000;
    let token = users.login_as(user, Some(until_ms)).await.unwrap();
    assert_eq!(users.authenticate(&token, None).await.unwrap().user, user);
    let devices = users.devices(user).await.unwrap();
    let name = devices[0].display_name.as_deref();
    assert_eq!(name, Some("Opened by an administrator"));
    fixture.clock.advance(1_000);
    assert!(users.authenticate(&token, None).await.is_err());
    users.deactivate(user, false).await.unwrap();
    assert!(matches!(
        users.login_as(user, None).await,
        Err(LoginError::Deactivated)
    ));
}
