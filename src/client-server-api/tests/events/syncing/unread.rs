//! [Unread counts](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications) over all that can happen to a
//! room: redactions, threads, leaving and coming back, ignored users.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use test_support::Client;

use super::{joined, say, send, sync, two_in_a_room};
use crate::rooms::{act, path};

/// Notifications and highlights of a room, and of its threads.
async fn counts(client: &Client, room: &str) -> (u64, u64, Value) {
    let filter =
        "%7B%22room%22:%7B%22timeline%22:%7B%22unread_thread_notifications%22:true%7D%7D%7D";
    let answer = sync(client, &format!("filter={filter}")).await;
    let told = joined(&answer, room);
    let count = |name: &str| told["unread_notifications"][name].as_u64().unwrap();
    (
        count("notification_count"),
        count("highlight_count"),
        told["unread_thread_notifications"].clone(),
    )
}

/// The same as clients see it that know no threads.
async fn whole(client: &Client, room: &str) -> (u64, u64) {
    let answer = sync(client, "").await;
    let told = &joined(&answer, room)["unread_notifications"];
    let count = |name: &str| told[name].as_u64().unwrap();
    (count("notification_count"), count("highlight_count"))
}

fn thread(root: &str, notifications: u64, highlights: u64) -> Value {
    json!({ (root): { "notification_count": notifications, "highlight_count": highlights } })
}

fn text(body: &str, mentioned: &[&Client], root: Option<&str>) -> Value {
    let users: Vec<_> = mentioned.iter().map(|client| &client.user_id).collect();
    let mut content =
        json!({ "msgtype": "m.text", "body": body, "m.mentions": { "user_ids": users } });
    if let Some(root) = root {
        content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": root });
    }
    content
}

async fn tell(client: &Client, room: &str, content: Value) -> String {
    send(client, room, "m.room.message", content).await
}

async fn redact(client: &Client, room: &str, event_id: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let txn = COUNT.fetch_add(1, Ordering::Relaxed);
    let place = path(room, &format!("redact/{event_id}/{txn}"));
    client.put(&place, json!({})).await.ok();
}

async fn read(client: &Client, room: &str, event_id: &str, body: Value) {
    let place = path(room, &format!("receipt/m.read/{event_id}"));
    client.post(&place, body).await.ok();
}

async fn ignore(client: &Client, ignored: &Client) {
    let user_id = &client.user_id;
    let place = format!("/_matrix/client/v3/user/{user_id}/account_data/m.ignored_user_list");
    let list = json!({ "ignored_users": { (&ignored.user_id): {} } });
    client.put(&place, list).await.ok();
}

#[tokio::test]
async fn a_redacted_event_does_not_count() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let plain = say(&alice, &room, "plain").await;
    let mention = tell(&alice, &room, text("you", &[&bob], None)).await;
    let all = json!({ "msgtype": "m.text", "body": "@room", "m.mentions": { "room": true } });
    let all = tell(&alice, &room, all).await;
    let notice = json!({ "msgtype": "m.notice", "body": "quiet" });
    let notice = tell(&alice, &room, notice).await;
    let reply = tell(&alice, &room, text("there", &[&bob], Some(&plain))).await;
    assert_eq!(counts(&bob, &room).await, (3, 2, thread(&plain, 1, 1)));
    for (event_id, main, in_thread) in [
        (&notice, (3, 2), thread(&plain, 1, 1)),
        (&all, (2, 1), thread(&plain, 1, 1)),
        (&mention, (1, 0), thread(&plain, 1, 1)),
        (&reply, (1, 0), Value::Null),
        (&plain, (0, 0), Value::Null),
        // Twice is once.
        (&plain, (0, 0), Value::Null),
    ] {
        redact(&alice, &room, event_id).await;
        let (notifications, highlights, threads) = counts(&bob, &room).await;
        let inside = u64::from(!threads.is_null());
        assert_eq!(((notifications, highlights), threads), (main, in_thread));
        let expected = (notifications + inside, highlights + inside);
        assert_eq!(whole(&bob, &room).await, expected);
    }
    say(&alice, &room, "next").await;
    assert_eq!(counts(&bob, &room).await, (1, 0, Value::Null));
}

#[tokio::test]
async fn what_was_read_before_it_was_redacted_is_not_taken_away_twice() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let first = say(&alice, &room, "first").await;
    read(&bob, &room, &first, json!({})).await;
    say(&alice, &room, "second").await;
    redact(&alice, &room, &first).await;
    assert_eq!(whole(&bob, &room).await, (1, 0));
}

#[tokio::test]
async fn who_comes_back_has_read_what_was_before() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = tell(&alice, &room, text("before", &[&bob], None)).await;
    tell(&alice, &room, text("in a thread", &[&bob], Some(&root))).await;
    act(&bob, &room, "leave", json!({})).await;
    tell(&alice, &room, text("meanwhile", &[&bob], None)).await;
    act(&bob, &room, "join", json!({})).await;
    assert_eq!(counts(&bob, &room).await, (0, 0, Value::Null));
    tell(&alice, &room, text("after", &[&bob], None)).await;
    tell(&alice, &room, text("in a thread", &[&bob], Some(&root))).await;
    assert_eq!(counts(&bob, &room).await, (1, 1, thread(&root, 1, 1)));
}

#[tokio::test]
async fn receipts_of_the_main_timeline_leave_threads_unread() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = say(&alice, &room, "root").await;
    let inside = tell(&alice, &room, text("inside", &[&bob], Some(&root))).await;
    let last = say(&alice, &room, "last").await;
    assert_eq!(counts(&bob, &room).await, (2, 0, thread(&root, 1, 1)));
    read(&bob, &room, &last, json!({ "thread_id": "main" })).await;
    assert_eq!(counts(&bob, &room).await, (0, 0, thread(&root, 1, 1)));
    // A client that knows no threads has read everything.
    assert_eq!(whole(&bob, &room).await, (0, 0));
    read(&bob, &room, &inside, json!({ "thread_id": root })).await;
    assert_eq!(counts(&bob, &room).await, (0, 0, Value::Null));

    let other = say(&alice, &room, "other").await;
    tell(&alice, &room, text("inside", &[], Some(&other))).await;
    let last = say(&alice, &room, "last").await;
    read(&bob, &room, &last, json!({})).await;
    assert_eq!(counts(&bob, &room).await, (0, 0, Value::Null));
}

#[tokio::test]
async fn who_speaks_in_a_thread_has_read_the_thread() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = say(&alice, &room, "root").await;
    let other = say(&alice, &room, "other").await;
    for root in [&root, &other] {
        tell(&alice, &room, text("inside", &[&bob], Some(root))).await;
    }
    tell(&bob, &room, text("mine", &[], Some(&root))).await;
    assert_eq!(counts(&bob, &room).await, (2, 0, thread(&other, 1, 1)));
    assert_eq!(whole(&bob, &room).await, (3, 1));
    tell(&alice, &room, text("answer", &[], Some(&root))).await;
    let (notifications, _, threads) = counts(&bob, &room).await;
    assert_eq!(
        (notifications, &threads[&root]["notification_count"]),
        (2, &json!(1))
    );
    // In the main timeline: it is read, the threads are not.
    say(&bob, &room, "mine").await;
    let (notifications, _, threads) = counts(&bob, &room).await;
    assert_eq!((notifications, threads.as_object().unwrap().len()), (0, 2));
    assert_eq!(whole(&bob, &room).await, (0, 0));
}

#[tokio::test]
async fn who_takes_another_name_has_read_nothing() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    say(&alice, &room, "unread").await;
    let place = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    bob.put(&place, json!({ "displayname": "Robert" }))
        .await
        .ok();
    assert_eq!(whole(&bob, &room).await, (1, 0));
}

#[tokio::test]
async fn ignored_users_do_not_count() {
    let (server, alice, bob, room) = two_in_a_room().await;
    let carol = server.register("carol").await;
    act(&carol, &room, "join", json!({})).await;
    let root = tell(&alice, &room, text("heard", &[], None)).await;
    for root in [None, Some(root.as_str())] {
        tell(&carol, &room, text("unheard", &[&bob], root)).await;
    }
    let gone = tell(&carol, &room, text("gone", &[], None)).await;
    redact(&carol, &room, &gone).await;
    assert_eq!(counts(&bob, &room).await, (2, 1, thread(&root, 1, 1)));
    ignore(&bob, &carol).await;
    assert_eq!(counts(&bob, &room).await, (1, 0, Value::Null));
    assert_eq!(whole(&bob, &room).await, (1, 0));
    // Nor where the user's own rules count.
    let rule = json!({ "pattern": "unheard", "actions": ["notify"] });
    bob.put("/_matrix/client/v3/pushrules/global/content/word", rule)
        .await
        .ok();
    assert_eq!(counts(&bob, &room).await, (1, 0, Value::Null));
}

#[tokio::test]
async fn many_unread_events_in_threads_are_counted_in_their_threads() {
    let (_server, alice, bob, room) = two_in_a_room().await;
    let root = say(&alice, &room, "root").await;
    for number in 0..230 {
        tell(&alice, &room, text(&number.to_string(), &[], Some(&root))).await;
    }
    for number in 0..30 {
        say(&alice, &room, &number.to_string()).await;
    }
    assert_eq!(counts(&bob, &room).await, (31, 0, thread(&root, 230, 0)));
    assert_eq!(whole(&bob, &room).await, (261, 0));
}
