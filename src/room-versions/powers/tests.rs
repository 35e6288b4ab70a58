use std::sync::Arc;

use ruma::state_res::Event as _;
use serde_json::{Value, json};

use super::Slim;
use crate::fixture::{ALICE, BOB, CAROL, EVE, Room, Send, member, message, power};

fn levels() -> Value {
    json!({
        "users": { ALICE: 100, BOB: 50, CAROL: "40", EVE: 10 },
        "users_default": 1,
        "events": { "m.room.\"topic\"": 20 },
    })
}

/// The users whose levels the rules see when they judge an event.
fn seen(by: &Send) -> Vec<String> {
    // Before version 10 levels may be strings.
    let room = Room::with(9, &[power(levels())]);
    let key = ("m.room.power_levels".into(), String::new());
    let event = Arc::clone(&room.state[&key]);
    let by = room.compose(by).unwrap().pdu;
    let slim = Slim::new(event, &by);
    let mut content: Value = serde_json::from_str(slim.content().get()).unwrap();
    let users = content["users"].take();
    let mut expected = levels();
    for (user, level) in users.as_object().unwrap() {
        assert_eq!(*level, expected["users"][user], "{user}");
    }
    expected["users"].take();
    assert_eq!(content, expected);
    users.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn an_event_sees_the_levels_of_those_whom_it_concerns() {
    let text = message(BOB, "m.room.message", json!({"body": "hello"}));
    assert_eq!(seen(&text), [BOB]);
    assert_eq!(seen(&member(BOB, EVE, "ban")), [BOB, EVE]);
    assert_eq!(seen(&member(BOB, "@dave:example.org", "invite")), [BOB]);
    let mut join = member(BOB, BOB, "join");
    join.content["join_authorised_via_users_server"] = json!(ALICE);
    assert_eq!(seen(&join), [ALICE, BOB]);
    assert_eq!(seen(&power(json!({}))), [ALICE, BOB, CAROL, EVE]);
}
