//! What becomes of the power levels when a room is upgraded.

use serde_json::{Map, Value, json};

use crate::Room;

/// What the power to upgrade a room from version 12 on is by default, above all who are not creators (MSC4289).
const TOMBSTONE_LEVEL: i64 = 150;

/// "setting `events_default` and `invite` to the greater of `50` and `users_default + 1`", but never lower than they are.
pub(super) fn closed(mut levels: Map<String, Value>) -> Map<String, Value> {
    let floor = level(levels.get("users_default"))
        .unwrap_or(0)
        .saturating_add(1)
        .max(50);
    for name in ["events_default", "invite"] {
        let raised = level(levels.get(name)).unwrap_or(0).max(floor);
        levels.insert(name.to_owned(), json!(raised));
    }
    levels
}

/// The old room's power levels in a form that the new room's version allows.
pub(super) fn taken_over(
    new: &Room,
    old: &Room,
    mut levels: Map<String, Value>,
) -> Map<String, Value> {
    if new.rules.integer_power_levels() {
        levels.values_mut().for_each(make_integers);
    }
    let highest_event = object(&levels, "events")
        .values()
        .filter_map(|value| level(Some(value)))
        .max();
    let state_default = level(levels.get("state_default")).unwrap_or(50);
    let mut users = object(&levels, "users");
    if new.rules.privileged_creators() {
        // "If … `users` … contains a creator, reject."
        users.retain(|user, _| !new.creation.creators.iter().any(|creator| creator == user));
        let mut events = object(&levels, "events");
        if level(events.get("m.room.tombstone")).unwrap_or(state_default) <= state_default {
            events.insert(
                "m.room.tombstone".to_owned(),
                json!(TOMBSTONE_LEVEL.max(state_default.saturating_add(1))),
            );
        }
        levels.insert("events".to_owned(), Value::Object(events));
    } else if old.rules.privileged_creators() {
        // Their power was infinite and named nowhere; without it nobody could do what takes most.
        let most = highest_event.unwrap_or(0).max(100);
        for creator in &old.creation.creators {
            users.insert(creator.to_string(), json!(most));
        }
    }
    levels.insert("users".to_owned(), Value::Object(users));
    levels
}

fn object(levels: &Map<String, Value>, name: &str) -> Map<String, Value> {
    levels
        .get(name)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// A power level: an integer, or in early room versions an integer in a string.
fn level(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

fn make_integers(value: &mut Value) {
    match value {
        Value::Object(levels) => levels.values_mut().for_each(make_integers),
        Value::String(_) => {
            if let Some(level) = level(Some(value)) {
                *value = json!(level);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::closed;

    #[test]
    fn a_room_is_closed_to_all_but_moderators() {
        let check = |levels: Value, events_default: i64, invite: i64| {
            let Value::Object(levels) = levels else {
                panic!("not an object")
            };
            let closed = closed(levels);
            assert_eq!(
                (&closed["events_default"], &closed["invite"]),
                (&json!(events_default), &json!(invite))
            );
        };
        check(json!({}), 50, 50);
        check(json!({ "events_default": 0, "invite": 0 }), 50, 50);
        check(json!({ "events_default": 75, "invite": 49 }), 75, 50);
        check(json!({ "users_default": 60 }), 61, 61);
        check(json!({ "users_default": "60", "invite": "100" }), 61, 100);
        check(json!({ "users_default": i64::MAX }), i64::MAX, i64::MAX);
    }
}
