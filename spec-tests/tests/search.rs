//! [Server Side Search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search).

use serde_json::{Value, json};
use spec_tests::{User, fresh, user};

fn search(user: &User, term: &str) -> Value {
    let criteria = json!({ "search_term": term, "order_by": "recent" });
    let body = json!({ "search_categories": { "room_events": criteria } });
    let answer = user.post("/_matrix/client/v3/search", body).ok();
    answer["search_categories"]["room_events"].clone()
}

fn found(user: &User, term: &str) -> Vec<String> {
    let results = search(user, term)["results"].as_array().cloned();
    let results = results.unwrap_or_default().into_iter();
    results
        .map(|result| result["result"]["event_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_message_is_found_by_its_words() {
    let alice = user("alice");
    let room = alice.public_room();
    let word = fresh("needle");
    let event = alice.say(&room, &format!("a {word} in a haystack"));
    assert_eq!(found(&alice, &format!("haystack {word}")), [event]);
    assert!(found(&alice, &format!("{word} elsewhere")).is_empty());
}

#[test]
fn nobody_finds_what_they_may_not_see() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.create_room(json!({ "preset": "private_chat" }));
    let word = fresh("secret");
    alice.say(&room, &word);
    assert!(found(&bob, &word).is_empty());
}

#[test]
fn a_redacted_message_is_not_found() {
    let alice = user("alice");
    let room = alice.public_room();
    let word = fresh("regret");
    let event = alice.say(&room, &word);
    assert_eq!(found(&alice, &word), [event.as_str()]);
    alice.redact(&room, &event, None);
    assert!(found(&alice, &word).is_empty());
}
