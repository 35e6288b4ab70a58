use serde_json::{Value, json};

use crate::{ProfileError, UserNews, tests::Fixture};

#[tokio::test]
async fn fields_are_checked() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let long = "x".repeat(257);
    for (field, value, holds) in [
        ("displayname", json!("Alice"), true),
        ("displayname", json!(""), true),
        ("displayname", json!(7), false),
        ("displayname", json!(long), false),
        ("avatar_url", json!("mxc://localhost/abc"), true),
        ("avatar_url", json!("https://localhost/abc.png"), false),
        ("avatar_url", json!(""), true),
        ("avatar_url", Value::Null, true),
        ("m.tz", json!("Europe/Berlin"), true),
        ("m.tz", json!(["Europe/Berlin"]), false),
        ("org.example.mood", json!({ "happy": true }), true),
        ("org.example.nothing", Value::Null, true),
        ("mood", json!("happy"), false),
        ("Org.example", json!(1), false),
        ("org.exämple", json!(1), false),
        ("", json!(1), false),
        (".a", json!(1), false),
    ] {
        let result = fixture
            .users
            .set_profile_field(user, field, value.clone())
            .await;
        assert_eq!(result.is_ok(), holds, "{field} {value}");
    }
    let profile = fixture.users.profile(user).await.unwrap();
    let expected = json!({
        "m.tz": "Europe/Berlin",
        "org.example.mood": { "happy": true },
        "org.example.nothing": null,
    });
    assert_eq!(Value::Object(profile.0), expected);
}

#[tokio::test]
async fn names_and_profiles_are_bounded() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let name = format!("a.{}", "x".repeat(254));
    let refused = fixture.users.set_profile_field(user, &name, json!(1)).await;
    assert!(matches!(refused, Err(ProfileError::KeyTooLarge)));
    assert!(matches!(
        fixture.users.delete_profile_field(user, &name).await,
        Err(ProfileError::KeyTooLarge)
    ));
    fixture
        .users
        .set_profile_field(user, "a.a", json!("x".repeat(40_000)))
        .await
        .unwrap();
    let refused = fixture
        .users
        .set_profile_field(user, "a.b", json!("x".repeat(40_000)))
        .await;
    assert!(matches!(refused, Err(ProfileError::ProfileTooLarge)));
}

#[tokio::test]
async fn a_change_is_told_once() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    let changed = users
        .set_profile_field(user, "displayname", json!("Alice"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.displayname(), Some("Alice"));
    assert_eq!(
        users
            .set_profile_field(user, "displayname", json!("Alice"))
            .await
            .unwrap(),
        None
    );
    assert!(
        users
            .delete_profile_field(user, "displayname")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        users
            .delete_profile_field(user, "displayname")
            .await
            .unwrap(),
        None
    );
    assert_eq!(fixture.news.take(), [UserNews::Profile, UserNews::Profile]);
}
