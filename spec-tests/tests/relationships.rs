//! [Forming relationships between events](https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events).

use serde_json::{Value, json};
use spec_tests::{User, encode, event_ids, user};

fn relations(room: &str, event: &str, rest: &str) -> String {
    let (room, event) = (encode(room), encode(event));
    format!("/_matrix/client/v1/rooms/{room}/relations/{event}{rest}")
}

fn related(body: &str, rel_type: &str, event: &str) -> Value {
    json!({
        "msgtype": "m.text",
        "body": body,
        "m.relates_to": { "rel_type": rel_type, "event_id": event },
    })
}

fn edit(alice: &User, room: &str, event: &str, body: &str) -> String {
    let mut content = related(&format!("* {body}"), "m.replace", event);
    content["m.new_content"] = json!({ "msgtype": "m.text", "body": body });
    alice.send_event(room, "m.room.message", content)
}

fn annotation(event: &str, key: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": key } })
}

#[test]
fn an_edit_is_bundled_until_it_is_redacted() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "original");
    let edit = edit(&alice, &room, &event, "edited");
    let told = alice.get_event(&room, &event).ok();
    assert_eq!(told["content"]["body"], "original");
    let replace = &told["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(replace["event_id"], edit);
    assert_eq!(replace["content"]["m.new_content"]["body"], "edited");
    alice.redact(&room, &edit, None);
    let told = alice.get_event(&room, &event).ok();
    assert!(told["unsigned"]["m.relations"]["m.replace"].is_null());
}

#[test]
fn somebody_elses_edit_is_not_bundled() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    let event = alice.say(&room, "original");
    edit(&bob, &room, &event, "forged");
    let told = alice.get_event(&room, &event).ok();
    assert!(told["unsigned"]["m.relations"]["m.replace"].is_null());
}

#[test]
fn children_are_listed_by_relation_and_type() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "original");
    let like = alice.send_event(&room, "m.reaction", annotation(&event, "+1"));
    let edit = edit(&alice, &room, &event, "edited");
    let all = alice.get(&relations(&room, &event, "")).ok();
    assert_eq!(event_ids(&all["chunk"]), [edit.as_str(), &like]);
    let likes = alice.get(&relations(&room, &event, "/m.annotation")).ok();
    assert_eq!(event_ids(&likes["chunk"]), [like.as_str()]);
    let path = relations(&room, &event, "/m.annotation/m.room.message");
    assert!(event_ids(&alice.get(&path).ok()["chunk"]).is_empty());
    let stranger = user("stranger");
    stranger
        .get(&relations(&room, &event, ""))
        .fails(404, "M_NOT_FOUND");
}

#[test]
fn grandchildren_are_listed_on_request() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "original");
    let child = alice.send_event(&room, "m.room.message", related("c", "m.thread", &event));
    let grandchild = alice.send_event(&room, "m.reaction", annotation(&child, "+1"));
    let flat = alice.get(&relations(&room, &event, "")).ok();
    assert_eq!(event_ids(&flat["chunk"]), [child.as_str()]);
    let deep = alice.get(&relations(&room, &event, "?recurse=true")).ok();
    assert_eq!(event_ids(&deep["chunk"]), [grandchild.as_str(), &child]);
    assert!(deep["recursion_depth"].as_u64().unwrap() >= 1);
}

#[test]
fn an_annotation_is_accepted_once() {
    let alice = user("alice");
    let room = alice.public_room();
    let event = alice.say(&room, "original");
    alice.send_event(&room, "m.reaction", annotation(&event, "+1"));
    let path = spec_tests::room_path(&room, "send/m.reaction/second");
    alice
        .put(&path, annotation(&event, "+1"))
        .fails(400, "M_DUPLICATE_ANNOTATION");
}

#[test]
fn threads_are_bundled_and_listed() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    let (first, second) = (alice.say(&room, "1"), bob.say(&room, "2"));
    for root in [&second, &first] {
        let reply = related("reply", "m.thread", root);
        bob.send_event(&room, "m.room.message", reply);
    }
    let threads = |user: &User, query: &str| {
        let path = format!("/_matrix/client/v1/rooms/{}/threads{query}", encode(&room));
        user.get(&path).ok()
    };
    let all = threads(&alice, "");
    assert_eq!(event_ids(&all["chunk"]), [first.as_str(), &second]);
    let thread = &all["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["count"], 1);
    assert_eq!(thread["latest_event"]["content"]["body"], "reply");
    assert_eq!(thread["current_user_participated"], true);
    let mine = threads(&alice, "?include=participated");
    assert_eq!(event_ids(&mine["chunk"]), [first.as_str()]);
}
