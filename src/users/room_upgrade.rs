//! What a user has set about a room follows them into the room that replaces it
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades): "the server should automatically
//! transfer/replicate some of the user's personalized settings such as notifications, tags, etc.").

use ruma::{
    OwnedRoomId, RoomId,
    push::{
        ConditionalPushRule, NewConditionalPushRule, NewPushRule, NewSimplePushRule, PushCondition,
        RuleKind, Ruleset,
    },
};
use serde_json::{Map, Value};
use store::{RoomNid, StoreError, UserNid};

use crate::{PushRuleError, Users};

const DIRECT: &str = "m.direct";

/// A room by its number and its id.
#[derive(Clone, Copy, Debug)]
pub struct RoomName<'a> {
    /// In keys.
    pub nid: RoomNid,
    /// In contents.
    pub id: &'a RoomId,
}

impl Users {
    /// Copies tags, push rules of the room and its place among the direct chats from `old` to `new`, as Synapse does.
    /// What the user has set about the new room stays as it is, so that doing it twice changes nothing.
    pub async fn follow_upgrade(
        &self,
        user: UserNid,
        old: RoomName<'_>,
        new: RoomName<'_>,
    ) -> Result<(), StoreError> {
        self.copy_tags(user, old.nid, new.nid).await?;
        self.copy_direct(user, old.id, new.id).await?;
        match self.copy_push_rules(user, old.id, new.id).await {
            // Whoever has as many rules as there can be keeps those.
            Ok(()) => Ok(()),
            Err(PushRuleError::Store(error)) => Err(error),
            Err(error) => {
                tracing::debug!(room.id = %new.id, %error, "push rules do not follow an upgrade");
                Ok(())
            }
        }
    }

    /// Adds the new room wherever the old one is among the direct chats.
    async fn copy_direct(
        &self,
        user: UserNid,
        old: &RoomId,
        new: &RoomId,
    ) -> Result<(), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let Some(content) = self.account_data(user, None, DIRECT).await? else {
            return Ok(());
        };
        let Ok(mut chats) = serde_json::from_slice::<Map<String, Value>>(&content) else {
            return Ok(());
        };
        if add_direct(&mut chats, old, new) {
            let content = Value::Object(chats).to_string().into();
            self.write_account_data(user, guard, (None, DIRECT), content)
                .await?;
        }
        Ok(())
    }

    async fn copy_push_rules(
        &self,
        user: UserNid,
        old: &RoomId,
        new: &RoomId,
    ) -> Result<(), PushRuleError> {
        let (guard, mut rules) = self.rules_to_change(user).await?;
        if add_rules(&mut rules, old, new) {
            self.write_rules(user, guard, &rules).await?;
        }
        Ok(())
    }
}

/// Returns whether something was added.
fn add_direct(chats: &mut Map<String, Value>, old: &RoomId, new: &RoomId) -> bool {
    let mut added = false;
    for rooms in chats.values_mut().filter_map(Value::as_array_mut) {
        let has = |id: &RoomId| rooms.iter().any(|room| room.as_str() == Some(id.as_str()));
        if has(old) && !has(new) {
            rooms.push(new.as_str().into());
            added = true;
        }
    }
    added
}

/// Copies the rules that name the old room, unless there is such a rule for the new one. Returns whether there were any.
fn add_rules(rules: &mut Ruleset, old: &RoomId, new: &RoomId) -> bool {
    let mut wanted = Vec::new();
    for (kind, of_kind) in [
        (RuleKind::Override, &rules.override_),
        (RuleKind::Underride, &rules.underride),
    ] {
        for rule in of_kind.iter().filter(|rule| !rule.default) {
            let Some(copy) = renamed(rule, old, new) else {
                continue;
            };
            let copy = match kind {
                RuleKind::Override => NewPushRule::Override(copy),
                _ => NewPushRule::Underride(copy),
            };
            wanted.push((copy, rule.enabled));
        }
    }
    if let Some(rule) = rules.room.get(old.as_str()) {
        let copy = NewSimplePushRule::<OwnedRoomId>::new(new.to_owned(), rule.actions.clone());
        wanted.push((NewPushRule::Room(copy), rule.enabled));
    }
    let mut added = false;
    for (rule, enabled) in wanted {
        let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
        if rules.get(kind.clone(), &rule_id).is_some() || rules.insert(rule, None, None).is_err() {
            continue;
        }
        if !enabled {
            // It was inserted right above.
            let _ = rules.set_enabled(kind, &rule_id, false);
        }
        added = true;
    }
    added
}

/// A rule of the old room as one of the new room: the room's id is replaced in its conditions and in its own id.
fn renamed(
    rule: &ConditionalPushRule,
    old: &RoomId,
    new: &RoomId,
) -> Option<NewConditionalPushRule> {
    let mut conditions = rule.conditions.clone();
    let mut named = false;
    for condition in &mut conditions {
        if let PushCondition::EventMatch(of) = condition
            && of.key == "room_id"
            && of.pattern == old.as_str()
        {
            new.as_str().clone_into(&mut of.pattern);
            named = true;
        }
    }
    let mut rule_id = rule.rule_id.replace(old.as_str(), new.as_str());
    if rule_id == rule.rule_id {
        rule_id = format!("{rule_id}_{new}");
    }
    named.then(|| NewConditionalPushRule::new(rule_id, conditions, rule.actions.clone()))
}

#[cfg(test)]
mod tests {
    use ruma::{push::Action, room_id, user_id};
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_the_old_room_are_copied_once() {
        let (old, new) = (room_id!("!old:localhost"), room_id!("!new:localhost"));
        let mut rules = Ruleset::server_default(user_id!("@alice:localhost"));
        assert!(!add_rules(&mut rules, old, new));
        let conditions = |room: &RoomId| {
            serde_json::from_value::<Vec<PushCondition>>(json!([
                { "kind": "event_match", "key": "room_id", "pattern": room }
            ]))
            .unwrap()
        };
        for (rule_id, room) in [(old.as_str(), old), ("mine", old), ("elsewhere", new)] {
            let rule =
                NewConditionalPushRule::new(rule_id.to_owned(), conditions(room), Vec::new());
            rules
                .insert(NewPushRule::Override(rule), None, None)
                .unwrap();
        }
        let rule = NewSimplePushRule::new(old.to_owned(), vec![Action::Notify]);
        rules.insert(NewPushRule::Room(rule), None, None).unwrap();
        rules.set_enabled(RuleKind::Room, old, false).unwrap();

        assert!(add_rules(&mut rules, old, new));
        for rule_id in [new.as_str(), "mine_!new:localhost"] {
            let muted = rules.override_.get(rule_id).unwrap();
            let PushCondition::EventMatch(of) = &muted.conditions[0] else {
                panic!("another condition")
            };
            assert_eq!(
                (of.pattern.as_str(), muted.actions.len()),
                (new.as_str(), 0)
            );
        }
        let room = rules.room.get(new.as_str()).unwrap();
        assert!(!room.enabled && room.actions.len() == 1);
        assert!(rules.override_.get("elsewhere_!new:localhost").is_none());
        assert!(!add_rules(&mut rules, old, new), "twice");
    }

    #[test]
    fn direct_chats_stay_direct() {
        let (old, new) = (room_id!("!old:localhost"), room_id!("!new:localhost"));
        let check = |before: Value, after: Value| {
            let mut chats = before.as_object().unwrap().clone();
            let added = add_direct(&mut chats, old, new);
            assert_eq!(added, before != after, "{before}");
            assert_eq!(Value::Object(chats), after);
        };
        check(json!({}), json!({}));
        check(
            json!({ "@bob:x": ["!a:x", old], "@carol:x": [] }),
            json!({ "@bob:x": ["!a:x", old, new], "@carol:x": [] }),
        );
        check(
            json!({ "@bob:x": [new, old], "odd": old }),
            json!({ "@bob:x": [new, old], "odd": old }),
        );
    }
}
