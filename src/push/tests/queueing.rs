//! Who is notified of what.

use ruma::push::{Action, NewPushRule, NewSimplePushRule};
use serde_json::{Map, json};
use users::RulePlace;

use super::fixture::{Fixture, events, lane};

#[tokio::test]
async fn members_with_a_pusher_are_notified_of_what_others_say() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let (carol, dave) = (it.user("carol").await, it.user("dave").await);
    // Carol has no pusher, Dave is not in the room.
    it.pusher(&alice, "desk").await;
    it.pusher(&bob, "phone").await;
    it.pusher(&bob, "tablet").await;
    it.pusher(&dave, "phone").await;
    let room = it.room(&alice, &[&bob, &carol]).await;
    it.follow().await;
    let event = it.say(&alice, &room, "hello").await;
    let lanes = it.follow().await;
    let expected = [
        lane(&alice, "desk"),
        lane(&bob, "phone"),
        lane(&bob, "tablet"),
    ];
    // Who speaks has read what was before: a new number on the icon, but no notification.
    assert_eq!(lanes, expected);
    assert_eq!(it.queued(&lanes[0]).await, 0);
    for lane in &lanes[1..] {
        assert_eq!(it.queued(lane).await, 1);
        it.drain(lane).await;
        assert_eq!(it.queued(lane).await, 0);
    }
    let told = it.told();
    assert_eq!(events(&told), [event.as_str(); 2]);
    let keys = told.iter().map(|told| &told["devices"][0]["pushkey"]);
    assert_eq!(keys.collect::<Vec<_>>(), ["phone", "tablet"]);
}

#[tokio::test]
async fn rules_say_what_notifies_and_how() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let carol = it.user("carol").await;
    it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob, &carol]).await;
    it.deliver().await;
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    let mut mention = text("you!");
    mention["m.mentions"] = json!({ "user_ids": [bob.user_id] });
    let mut notice = text("beep");
    notice["msgtype"] = json!("m.notice");
    let rows = [
        ("m.room.message", text("hi"), Some(("low", json!({})))),
        (
            "m.room.message",
            mention,
            Some(("high", json!({ "highlight": true, "sound": "default" }))),
        ),
        ("m.room.message", notice, None),
        ("m.reaction", json!({}), None),
        (
            "m.room.encrypted",
            json!({ "algorithm": "m.megolm.v1.aes-sha2" }),
            Some(("high", json!({}))),
        ),
    ];
    for (event_type, content, expected) in rows {
        it.send(&alice, &room, event_type, content.clone()).await;
        let told = it.deliver().await;
        let Some((prio, tweaks)) = expected else {
            assert!(told.is_empty(), "{content}: {told:?}");
            continue;
        };
        assert_eq!(told.len(), 1, "{content}");
        assert_eq!(told[0]["type"], event_type);
        assert_eq!(told[0]["prio"], prio, "{content}");
        let mut told_tweaks = told[0]["devices"][0]["tweaks"].clone();
        // "If no highlight tweak is given at all then the value of highlight is defined to be false."
        if told_tweaks["highlight"] == false {
            told_tweaks.as_object_mut().unwrap().remove("highlight");
        }
        if tweaks.get("highlight").is_none() {
            told_tweaks.as_object_mut().unwrap().remove("highlight");
        }
        assert_eq!(told_tweaks, tweaks, "{content}");
    }
}

#[tokio::test]
async fn the_muted_and_the_ignored_are_not_told() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.deliver().await;
    let mute = NewPushRule::Room(NewSimplePushRule::new(room.clone(), Vec::new()));
    let place = RulePlace::default();
    it.users
        .set_push_rule(bob.user, mute, &place)
        .await
        .unwrap();
    it.say(&alice, &room, "muted").await;
    assert_eq!(it.deliver().await.len(), 0);
    let loud = NewPushRule::Room(NewSimplePushRule::new(room.clone(), vec![Action::Notify]));
    it.users
        .set_push_rule(bob.user, loud, &place)
        .await
        .unwrap();
    let event = it.say(&alice, &room, "loud").await;
    assert_eq!(events(&it.deliver().await), [event.as_str()]);
    it.ignore(&bob, &alice).await;
    it.say(&alice, &room, "ignored").await;
    assert_eq!(it.deliver().await.len(), 0);
}

#[tokio::test]
async fn the_invited_are_told_of_their_invitation_alone() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let carol = it.user("carol").await;
    it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&carol]).await;
    it.deliver().await;
    let invited = it
        .rooms
        .invite(&room, &alice.user_id, &bob.user_id, Map::new());
    invited.await.unwrap();
    it.say(&alice, &room, "where are you?").await;
    let told = it.deliver().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "m.room.member");
    assert_eq!(told[0]["user_is_target"], true);
    assert_eq!(told[0]["content"]["membership"], "invite");
    assert_eq!(told[0]["room_name"], "Lounge");
    // From then on they are told what is said, until they leave.
    it.rooms
        .join(&room, &bob.user_id, Map::new())
        .await
        .unwrap();
    it.deliver().await;
    let event = it.say(&alice, &room, "welcome").await;
    assert_eq!(events(&it.deliver().await), [event.as_str()]);
    it.rooms.leave(&room, &bob.user_id, None).await.unwrap();
    it.deliver().await;
    it.say(&alice, &room, "gone").await;
    assert_eq!(it.deliver().await.len(), 0);
}

#[tokio::test]
async fn what_was_before_the_pusher_is_not_told() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let room = it.room(&alice, &[&bob]).await;
    it.say(&alice, &room, "nobody listens").await;
    it.pusher(&bob, "phone").await;
    assert_eq!(it.deliver().await.len(), 0);
    let event = it.say(&alice, &room, "now").await;
    assert_eq!(events(&it.deliver().await), [event.as_str()]);
    // The last pusher goes, time passes, a new one comes: nothing of what was meanwhile, a restart in between or not.
    let key = super::fixture::pusher("phone", json!({})).key;
    it.users.delete_pusher(bob.user, &key).await.unwrap();
    it.follow().await;
    it.say(&alice, &room, "nobody listens again").await;
    it.pusher(&bob, "phone").await;
    assert_eq!(it.restart().await, []);
    assert_eq!(it.deliver().await.len(), 0);
}

#[tokio::test]
async fn the_first_event_after_the_first_pusher_wakes_the_follower() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let room = it.room(&alice, &[&bob]).await;
    let wakes = async |it: &Fixture| {
        let woken = it.push.0.wake.notified();
        let woken = tokio::time::timeout(std::time::Duration::ZERO, woken);
        woken.await.is_ok()
    };
    it.say(&alice, &room, "nobody listens").await;
    assert!(!wakes(&it).await);
    it.pusher(&bob, "phone").await;
    assert!(wakes(&it).await);
    // The follower has not looked yet.
    it.say(&alice, &room, "hello").await;
    assert!(wakes(&it).await);
    assert_eq!(it.deliver().await.len(), 1);
    it.users.logout(&bob).await.unwrap();
    assert!(wakes(&it).await);
    it.follow().await;
    it.say(&alice, &room, "nobody listens again").await;
    assert!(!wakes(&it).await);
}

#[tokio::test]
async fn an_event_is_queued_once_over_restarts() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    let one = it.say(&alice, &room, "one").await;
    it.follow().await;
    // Heard of by nobody before the restart.
    let two = it.say(&alice, &room, "two").await;
    assert_eq!(it.restart().await, std::slice::from_ref(&phone));
    it.follow().await;
    assert_eq!(it.queued(&phone).await, 2);
    it.drain(&phone).await;
    assert_eq!(events(&it.told()), [one.as_str(), two.as_str()]);
    assert_eq!(it.restart().await, []);
    assert_eq!(it.deliver().await.len(), 0);
}

#[tokio::test]
async fn of_too_many_the_oldest_give_way() {
    let mut it = Fixture::with(|options| options.max_queued = 3).await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let phone = it.pusher(&bob, "phone").await;
    let room = it.room(&alice, &[&bob]).await;
    it.follow().await;
    let mut sent = Vec::new();
    for batch in 0..3 {
        for n in 0..3 {
            sent.push(it.say(&alice, &room, &format!("{batch} {n}")).await);
        }
        it.follow().await;
        assert_eq!(it.queued(&phone).await, 3);
    }
    it.drain(&phone).await;
    let latest: Vec<_> = sent[6..].iter().map(|id| id.as_str()).collect();
    assert_eq!(events(&it.told()), latest);
}

#[tokio::test]
async fn a_queue_ends_with_its_pusher() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.user("alice").await, it.user("bob").await);
    let carol = it.user("carol").await;
    let room = it.room(&alice, &[&bob]).await;
    let phone = it.pusher(&bob, "phone").await;
    it.follow().await;
    let key = super::fixture::pusher("phone", json!({})).key;
    let rows: [(&str, usize); 5] = [
        ("set anew", 1),
        ("changed", 0),
        ("removed", 0),
        ("taken over", 0),
        ("logged out", 0),
    ];
    for (what, left) in rows {
        it.say(&alice, &room, what).await;
        it.follow().await;
        assert!(it.queued(&phone).await > 0, "{what}");
        match what {
            "set anew" => drop(it.pusher(&bob, "phone").await),
            "changed" => drop(it.pusher_with(&bob, "phone", json!({ "own": 1 })).await),
            "removed" => it.users.delete_pusher(bob.user, &key).await.unwrap(),
            "taken over" => {
                let pusher = super::fixture::pusher("phone", json!({}));
                it.users.set_pusher(&carol, pusher, false).await.unwrap();
                assert_eq!(it.users.pushers(bob.user).await.unwrap(), []);
            }
            _ => it.users.logout(&bob).await.unwrap(),
        }
        assert_eq!(it.queued(&phone).await, left, "{what}");
        if what != "logged out" {
            it.pusher(&bob, "phone").await;
        }
        it.follow().await;
    }
    it.say(&alice, &room, "nobody there").await;
    it.follow().await;
    assert_eq!(it.queued(&phone).await, 0);
    it.drain(&phone).await;
    assert_eq!(it.told().len(), 0);
}
