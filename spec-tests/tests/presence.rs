//! [Presence](https://spec.matrix.org/v1.19/client-server-api/#presence).

use serde_json::{Value, json};
use spec_tests::{Feed, User, anonymous, encode, find_event, fresh, user};

fn status(user: &User) -> String {
    format!("/v3/presence/{}/status", encode(&user.id))
}

fn presence_of<'a>(sync: &'a Value, user: &User) -> Option<&'a Value> {
    find_event(&sync["presence"]["events"], |event| {
        event["sender"] == user.id
    })
}

#[test]
fn presence_is_set_and_read() {
    let alice = user("alice");
    let body = json!({"presence": "unavailable", "status_msg": "Making cupcakes"});
    assert_eq!(alice.put(&status(&alice), body).ok(), json!({}));
    let answer = alice.get(&status(&alice)).ok();
    assert_eq!(answer["presence"], "unavailable");
    assert_eq!(answer["status_msg"], "Making cupcakes");
}

#[test]
fn presence_reaches_those_who_share_a_room() {
    let alice = user("alice");
    let bob = user("bob");
    let room = alice.public_room();
    bob.join(&room);
    let mut feed = Feed::from_now(&bob);
    alice
        .put(
            &status(&alice),
            json!({"presence": "online", "status_msg": "here"}),
        )
        .ok();
    let event = feed.until("alice's presence", |sync| {
        presence_of(sync, &alice)
            .filter(|event| event["content"]["status_msg"] == "here")
            .cloned()
    });
    assert_eq!(event["type"], "m.presence");
    assert_eq!(event["content"]["presence"], "online");
}

#[test]
fn presence_is_kept_from_strangers() {
    let alice = user("alice");
    let bob = user("bob");
    let carol = user("carol");
    let room = alice.public_room();
    bob.join(&room);
    let since = carol.now();
    let mut feed = Feed::from_now(&bob);
    alice
        .put(
            &status(&alice),
            json!({"presence": "online", "status_msg": "secret"}),
        )
        .ok();
    // Once bob has it, it was published; carol must not have it.
    feed.until("alice's presence at bob's", |sync| {
        presence_of(sync, &alice).cloned()
    });
    let sync = carol.sync_since(&since);
    assert!(presence_of(&sync, &alice).is_none(), "{sync}");
    let answer = carol.get(&status(&alice));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
}

#[test]
fn presence_is_set_by_its_owner_only() {
    let alice = user("alice");
    let bob = user("bob");
    bob.put(&status(&alice), json!({"presence": "offline"}))
        .fails(403, "M_FORBIDDEN");
    anonymous()
        .put(&status(&alice), json!({"presence": "offline"}))
        .fails(401, "M_MISSING_TOKEN");
}

#[test]
fn an_unknown_presence_is_refused() {
    let alice = user("alice");
    for body in [json!({"presence": 3}), json!({})] {
        let answer = alice.put(&status(&alice), body);
        answer.fails_with_one_of(400, &["M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM"]);
    }
}

#[test]
fn presence_of_an_unknown_user_is_refused() {
    let alice = user("alice");
    let nobody = format!("@{}:{}", fresh("nobody"), alice.server_name());
    let answer = alice.get(&format!("/v3/presence/{}/status", encode(&nobody)));
    assert!([403, 404].contains(&answer.status), "{}", answer.text());
}

#[test]
fn set_presence_offline_does_not_bring_a_user_online() {
    let alice = user("alice");
    alice
        .put(&status(&alice), json!({"presence": "offline"}))
        .ok();
    alice.sync(&[("set_presence", "offline")]);
    assert_eq!(alice.get(&status(&alice)).ok()["presence"], "offline");
}
