use bytes::Bytes;
use store::{Pos, RoomNid};

use crate::{
    AccountDataError, AccountDataEvent, UserNews,
    tests::{Fixture, config},
};

const ROOM: RoomNid = RoomNid(7);

fn event(room: Option<RoomNid>, event_type: &str, content: &'static str) -> AccountDataEvent {
    AccountDataEvent {
        room,
        event_type: event_type.to_owned(),
        content: content.into(),
    }
}

#[tokio::test]
async fn the_feed_tells_each_piece_once_as_it_is_now() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    let start = fixture.store.visible();
    let first = users
        .set_account_data(user, None, "a", r#"{"n":1}"#.into())
        .await
        .unwrap();
    users
        .set_account_data(user, Some(ROOM), "a", r#"{"n":2}"#.into())
        .await
        .unwrap();
    let third = users
        .set_account_data(user, None, "a", r#"{"n":3}"#.into())
        .await
        .unwrap();
    let in_room = event(Some(ROOM), "a", r#"{"n":2}"#);
    let global = event(None, "a", r#"{"n":3}"#);
    let all = users.account_data_since(user, start, third).await.unwrap();
    assert_eq!(all, [in_room.clone(), global.clone()]);
    assert_eq!(
        users.account_data_since(user, first, third).await.unwrap(),
        [in_room.clone(), global.clone()]
    );
    // What changed again later is told later.
    assert_eq!(
        users
            .account_data_since(user, start, third.prev())
            .await
            .unwrap(),
        std::slice::from_ref(&in_room)
    );
    assert_eq!(
        users
            .account_data_since(user, third, Pos::MAX.prev())
            .await
            .unwrap(),
        []
    );
    let everything = users.account_data_all(user).await.unwrap();
    assert!(everything.contains(&in_room) && everything.contains(&global));
    assert!(
        everything
            .iter()
            .any(|event| event.event_type == "m.push_rules")
    );
    assert_eq!(everything.len(), 3);
}

#[tokio::test]
async fn the_same_content_twice_is_told_twice() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let first = fixture
        .users
        .set_account_data(user, None, "a", "{}".into())
        .await
        .unwrap();
    let second = fixture
        .users
        .set_account_data(user, None, "a", "{}".into())
        .await
        .unwrap();
    assert_eq!(
        fixture
            .users
            .account_data_since(user, first, second)
            .await
            .unwrap()
            .len(),
        1
    );
    let news = UserNews::AccountData { room: None };
    assert_eq!(fixture.news.take(), [news.clone(), news]);
}

#[tokio::test]
async fn what_cannot_be_set_is_refused() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    let set = async |event_type: &str, content: Bytes| {
        fixture
            .users
            .set_account_data(user, Some(ROOM), event_type, content)
            .await
            .unwrap_err()
    };
    assert!(matches!(
        set("m.fully_read", "{}".into()).await,
        AccountDataError::Managed(_)
    ));
    assert!(matches!(
        set("m.push_rules", "{}".into()).await,
        AccountDataError::Managed(_)
    ));
    for content in ["[]", "1", "\"x\"", "null", "", "{", "{}x"] {
        assert!(
            matches!(
                set("a", content.into()).await,
                AccountDataError::NotAnObject
            ),
            "{content}"
        );
    }
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(512 * 1024));
    assert!(matches!(
        set("a", large.into()).await,
        AccountDataError::TooLarge { .. }
    ));
    assert!(matches!(
        set(&"a".repeat(256), "{}".into()).await,
        AccountDataError::NameTooLong { .. }
    ));
    // The server itself may.
    fixture
        .users
        .put_account_data(
            user,
            Some(ROOM),
            "m.fully_read",
            r#"{"event_id":"$1"}"#.into(),
        )
        .await
        .unwrap();
    let read = fixture
        .users
        .account_data(user, Some(ROOM), "m.fully_read")
        .await
        .unwrap();
    assert_eq!(read, Some(r#"{"event_id":"$1"}"#.into()));
    assert_eq!(
        fixture
            .users
            .account_data(user, None, "m.fully_read")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn account_data_survives_a_restart() {
    let fixture = Fixture::new();
    let user = fixture.session("alice").await.user;
    fixture
        .users
        .set_account_data(user, None, "a", r#"{"n":1}"#.into())
        .await
        .unwrap();
    let read = fixture
        .restarted(&config())
        .account_data(user, None, "a")
        .await
        .unwrap();
    assert_eq!(read, Some(r#"{"n":1}"#.into()));
}

#[tokio::test]
async fn tags_are_the_account_data_of_their_room() {
    let fixture = Fixture::new();
    let (user, users) = (fixture.session("alice").await.user, &fixture.users);
    let info = |order: f64| serde_json::Map::from_iter([("order".to_owned(), order.into())]);
    users
        .set_tag(user, ROOM, "m.favourite", info(0.5))
        .await
        .unwrap();
    users
        .set_tag(user, ROOM, "u.work", serde_json::Map::new())
        .await
        .unwrap();
    users
        .set_tag(user, ROOM, "m.favourite", info(0.25))
        .await
        .unwrap();
    let content = users
        .account_data(user, Some(ROOM), "m.tag")
        .await
        .unwrap()
        .unwrap();
    let expected =
        serde_json::json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.work": {} } });
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&content).unwrap(),
        expected
    );
    users.delete_tag(user, ROOM, "u.work").await.unwrap();
    assert_eq!(users.tags(user, ROOM).await.unwrap().len(), 1);
    fixture.news.take();
    users.delete_tag(user, ROOM, "u.work").await.unwrap();
    assert!(fixture.news.take().is_empty());
    let refused = users
        .set_tag(user, ROOM, &"x".repeat(256), serde_json::Map::new())
        .await;
    assert!(matches!(
        refused,
        Err(AccountDataError::NameTooLong { limit: 255 })
    ));
    for number in 0..99 {
        users
            .set_tag(user, ROOM, &format!("u.{number}"), serde_json::Map::new())
            .await
            .unwrap();
    }
    let refused = users
        .set_tag(user, ROOM, "u.last", serde_json::Map::new())
        .await;
    assert!(matches!(refused, Err(AccountDataError::TooLarge { .. })));
    assert!(users.tags(user, RoomNid(8)).await.unwrap().is_empty());
}
