use crate::{
    FilterError,
    tests::{Fixture, config},
};

#[tokio::test]
async fn the_same_filter_has_the_same_number() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    let json = r#"{"room":{"timeline":{"limit":5}},"org.example.unknown":1}"#;
    let first = users.define_filter(user, json.into()).await.unwrap();
    let other = users.define_filter(user, "{}".into()).await.unwrap();
    assert_ne!(first, other);
    assert_eq!(users.define_filter(user, json.into()).await.unwrap(), first);
    for users in [users.clone(), fixture.restarted(&config())] {
        assert_eq!(
            users.filter_json(user, first).await.unwrap(),
            Some(json.into())
        );
        let filter = users.filter(user, first).await.unwrap().unwrap();
        assert_eq!(filter.room.timeline.limit.map(u64::from), Some(5));
    }
}

#[tokio::test]
async fn filters_belong_to_their_user() {
    let fixture = Fixture::new();
    let (alice, bob) = (
        fixture.session("alice").await.user,
        fixture.session("bob").await.user,
    );
    let number = fixture
        .users
        .define_filter(alice, "{}".into())
        .await
        .unwrap();
    assert_eq!(fixture.users.filter_json(bob, number).await.unwrap(), None);
    assert!(fixture.users.filter(bob, number).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_no_filter_is_refused() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    for json in [
        "",
        "[]",
        r#"{"room":1}"#,
        r#"{"event_fields":"type"}"#,
        r#"{"room":{"timeline":{"limit":-1}}}"#,
    ] {
        let refused = fixture.users.define_filter(user, json.into()).await;
        assert!(matches!(refused, Err(FilterError::Invalid(_))), "{json}");
    }
    let large = format!(r#"{{"event_fields":["{}"]}}"#, "x".repeat(64 * 1024));
    let refused = fixture.users.define_filter(user, large.into()).await;
    assert!(matches!(refused, Err(FilterError::TooLarge { .. })));
}

#[tokio::test]
async fn the_oldest_of_too_many_goes() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    for limit in 1..=1001 {
        let json = format!(r#"{{"room":{{"timeline":{{"limit":{limit}}}}}}}"#);
        users.define_filter(user, json.into()).await.unwrap();
    }
    assert_eq!(users.filter_json(user, 1).await.unwrap(), None);
    assert!(users.filter_json(user, 2).await.unwrap().is_some());
    // Its JSON gets a new number.
    let again = users
        .define_filter(user, r#"{"room":{"timeline":{"limit":1}}}"#.into())
        .await
        .unwrap();
    assert_eq!(again, 1002);
}
