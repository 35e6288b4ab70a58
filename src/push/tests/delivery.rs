//! What gateways are told, and what follows from what they answer.

use std::time::Duration;

use serde_json::json;

use super::fixture::{Fixture, events};
use crate::lane::Next;

#[tokio::test]
async fn a_notification_says_all_that_the_spec_names() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let data = json!({ "brand": "x", "default_payload": { "aps": {} } });
    it.pusher_with(&bob, "phone", data.clone()).await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    it.clock.advance(5_000);
    it.badges.set(7);
    let event = it.say(&alice, &room, "hello").await;
    let told = it.deliver().await;
    let alias = told[0]["room_alias"].as_str().unwrap();
    assert!(alias.starts_with("#lounge-"), "{alias}");
    let expected = json!({
        "event_id": event,
        "room_id": room,
        "type": "m.room.message",
        "sender": "@alice:localhost",
        "sender_display_name": "The alice",
        "room_name": "Lounge",
        "room_alias": alias,
        "prio": "high",
        "content": { "msgtype": "m.text", "body": "hello" },
        "counts": { "unread": 7 },
        "devices": [{
            "app_id": "app",
            "pushkey": "phone",
            "pushkey_ts": 1_700_000_000,
            "data": data,
            "tweaks": told[0]["devices"][0]["tweaks"],
        }],
    });
    assert_eq!(told, [expected]);
    assert_eq!(told[0]["devices"][0]["tweaks"]["sound"], "default");
}

#[tokio::test]
async fn who_wants_the_event_id_only_gets_nothing_else() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let data = json!({ "format": "event_id_only" });
    it.pusher_with(&bob, "phone", data.clone()).await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    it.badges.set(1);
    let event = it.say(&alice, &room, "secret").await;
    let expected = json!({
        "event_id": event,
        "room_id": room,
        "prio": "high",
        "counts": { "unread": 1 },
        "devices": [{ "app_id": "app", "pushkey": "phone", "pushkey_ts": 1_700_000_000, "data": data }],
    });
    assert_eq!(it.deliver().await, [expected]);
}

#[tokio::test]
async fn contents_can_be_kept_from_gateways() {
    let mut it = Fixture::with(|options| options.include_content = false).await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    it.say(&alice, &room, "secret").await;
    let told = it.deliver().await;
    assert_eq!(told[0]["type"], "m.room.message");
    assert_eq!(told[0].get("content"), None);
}

#[tokio::test]
async fn a_gateway_that_fails_is_asked_again_later_in_order() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    let one = it.say(&alice, &room, "one").await;
    let two = it.say(&alice, &room, "two").await;
    it.follow().await;
    it.answers([Err(500), Err(429), Err(503)]);
    let mut least = Duration::from_millis(500);
    for _ in 0..3 {
        let Next::After(pause) = it.drain(&phone).await else {
            panic!("it does not wait");
        };
        assert!(pause >= least && pause <= least * 2, "{pause:?}");
        least *= 2;
    }
    assert_eq!(it.queued(&phone).await, 2);
    assert_eq!(it.drain(&phone).await, Next::Rest);
    assert_eq!(
        events(&it.told()),
        [&*one, &*one, &*one, &*one, &*two].map(ruma::EventId::as_str)
    );
    // The next failure is the first of its row again.
    it.say(&alice, &room, "three").await;
    it.follow().await;
    it.answers([Err(500)]);
    let Next::After(pause) = it.drain(&phone).await else {
        panic!("it does not wait");
    };
    assert!(pause <= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn what_is_no_news_any_more_is_not_told() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let (room, left) = (
        it.room(&alice, &[&bob]).await,
        it.room(&alice, &[&bob]).await,
    );
    it.follow().await;
    let read = it.say(&alice, &room, "read").await;
    let redacted = it.say(&alice, &room, "redacted").await;
    it.say(&alice, &left, "of a room that was left").await;
    let told = it.say(&alice, &room, "told").await;
    it.follow().await;
    assert_eq!(it.queued(&phone).await, 4);
    it.read(&bob, &room, &read).await;
    it.rooms
        .redact(&room, &alice.user_id, &redacted, None, None)
        .await
        .unwrap();
    it.rooms.leave(&left, &bob.user_id, None).await.unwrap();
    it.drain(&phone).await;
    assert_eq!(events(&it.told()), [told.as_str()]);
    assert_eq!(it.queued(&phone).await, 0);
}

#[tokio::test]
async fn a_notification_is_given_up_when_it_is_old() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    it.say(&alice, &room, "old").await;
    it.follow().await;
    it.answers([Err(500)]);
    it.drain(&phone).await;
    it.told();
    let day_ms = 24 * 60 * 60_000;
    it.clock.advance(day_ms);
    let young = it.say(&alice, &room, "young").await;
    it.follow().await;
    it.clock.advance(1);
    assert_eq!(it.drain(&phone).await, Next::Rest);
    assert_eq!(events(&it.told()), [young.as_str()]);
}

#[tokio::test]
async fn a_rejected_push_key_loses_its_pusher_alone() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let tablet = it.pusher(&bob, "tablet").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    it.say(&alice, &room, "one").await;
    it.say(&alice, &room, "two").await;
    it.follow().await;
    let keys = async |it: &Fixture| {
        let pushers = it.users.pushers(bob.user).await.unwrap();
        let keys = pushers.into_iter().map(|pusher| pusher.key.pushkey);
        keys.collect::<Vec<_>>()
    };
    // Others' keys are not this gateway's to reject.
    it.answers([Ok(vec!["tablet".to_owned(), "unknown".to_owned()])]);
    assert_eq!(it.push.turn(&phone).await.unwrap(), Next::Turn);
    assert_eq!(keys(&it).await, ["phone", "tablet"]);
    it.answers([Ok(vec!["phone".to_owned()])]);
    assert_eq!(it.drain(&phone).await, Next::Rest);
    assert_eq!(keys(&it).await, ["tablet"]);
    assert_eq!(it.told().len(), 2);
    it.drain(&tablet).await;
    assert_eq!(it.told().len(), 2);
    // A pusher set anew meanwhile is another one.
    it.pusher(&bob, "phone").await;
    let key = super::fixture::pusher("phone", json!({})).key;
    let before = it.users.kept_pusher(bob.user, &key).await.unwrap().unwrap();
    it.clock.advance(1);
    it.pusher_with(&bob, "phone", json!({ "own": 1 })).await;
    it.users.reject_pusher(bob.user, &before).await.unwrap();
    assert_eq!(keys(&it).await, ["phone", "tablet"]);
}

#[tokio::test]
async fn a_badge_is_told_when_the_number_is_another() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    it.pusher_with(&bob, "phone", json!({ "own": 1 })).await;
    let room = it.room(&alice, &[&bob]).await;
    it.deliver().await;
    it.badges.set(2);
    let one = it.say(&alice, &room, "one").await;
    let two = it.say(&alice, &room, "two").await;
    assert_eq!(it.deliver().await.len(), 2);
    it.badges.set(1);
    it.read(&bob, &room, &one).await;
    let badge = |unread: u64| {
        json!({
            "counts": { "unread": unread },
            "devices": [{ "app_id": "app", "pushkey": "phone", "pushkey_ts": 1_700_000_000, "data": { "own": 1 } }],
        })
    };
    assert_eq!(it.deliver().await, [badge(1)]);
    // Another receipt, the same number.
    it.read(&alice, &room, &two).await;
    it.read(&bob, &room, &two).await;
    assert_eq!(it.deliver().await, [] as [serde_json::Value; 0]);
    // What clears the icon is said out loud.
    it.badges.set(0);
    it.say(&bob, &room, "I have read all").await;
    it.answers([Err(502)]);
    assert_eq!(it.deliver().await, [badge(0)]);
    it.drain(&super::fixture::lane(&bob, "phone")).await;
    assert_eq!(it.told(), [badge(0)]);
}
