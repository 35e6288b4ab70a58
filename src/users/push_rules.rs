//! Push rules: the server's, as the user has changed them, and the user's own
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#push-rules)).
//!
//! Kept as the `m.push_rules` account data once the user changes something; read together with the rules that
//! the server has now, so that a rule added by a later release reaches everybody.

use std::sync::Arc;

use bytes::Bytes;
use ruma::push::{
    Action, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind, Ruleset,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{CorruptRow, RoomNid, StoreError, Table, UserNid, tables::AccountData};
use tokio::sync::OwnedMutexGuard;

use crate::{PushRuleError, RULESET_BYTES, Users, account_data::PUSH_RULES};

/// Where a rule is to stand among the user's own rules of its kind.
#[derive(Clone, Debug, Default)]
pub struct RulePlace {
    /// The rule it comes right above.
    pub before: Option<String>,
    /// The rule it comes right below.
    pub after: Option<String>,
}

/// Rules of one user, the server's included.
const MAX_RULES: usize = 2_000;
/// All of them, as JSON.
const MAX_BYTES: usize = 512 * 1024;

/// What is kept.
#[derive(Deserialize)]
struct Content {
    global: Ruleset,
}

impl Users {
    /// The rules in force for a user, from memory if they were asked for before.
    pub async fn push_rules(&self, user: UserNid) -> Result<Arc<Ruleset>, StoreError> {
        if let Some(rules) = self.0.rulesets.get(&user) {
            return Ok(rules);
        }
        // Nobody changes them until they are in the cache, where changing them removes them.
        let _guard = self.0.locks.lock(user).await;
        self.load_rules(user).await
    }

    async fn load_rules(&self, user: UserNid) -> Result<Arc<Ruleset>, StoreError> {
        if let Some(rules) = self.0.rulesets.get(&user) {
            return Ok(rules);
        }
        let user_id = self.user_id(user).await?;
        let row = self
            .0
            .store
            .get::<AccountData>(&(user, RoomNid(0), PUSH_RULES.to_owned()))
            .await?;
        let mut rules = Ruleset::server_default(&user_id);
        let mut bytes = RULESET_BYTES;
        if let Some(row) = row.filter(|row| !row.content.is_empty()) {
            let mut kept = serde_json::from_slice::<Content>(&row.content)
                .map_err(|_| unreadable())?
                .global;
            kept.update_with_server_default(rules);
            rules = kept;
            // Parsed, JSON takes about twice its length.
            bytes = row.content.len() * 2;
        }
        let rules = Arc::new(rules);
        self.0.rulesets.insert(user, Arc::clone(&rules), bytes);
        Ok(rules)
    }

    /// Adds or replaces one of the user's own rules.
    pub async fn set_push_rule(
        &self,
        user: UserNid,
        mut rule: NewPushRule,
        place: &RulePlace,
    ) -> Result<(), PushRuleError> {
        strip_historical(&mut rule);
        let (guard, mut rules) = self.rules_to_change(user).await?;
        insert(&mut rules, rule, place)?;
        self.write_rules(user, guard, &rules).await
    }

    /// Removes one of the user's own rules.
    pub async fn delete_push_rule(
        &self,
        user: UserNid,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<(), PushRuleError> {
        let (guard, mut rules) = self.rules_to_change(user).await?;
        rules.remove(kind, rule_id).map_err(|error| match error {
            RemovePushRuleError::ServerDefault => PushRuleError::ServerDefault,
            _ => PushRuleError::NotFound,
        })?;
        self.write_rules(user, guard, &rules).await
    }

    /// Switches a rule, the server's included, on or off.
    pub async fn set_push_rule_enabled(
        &self,
        user: UserNid,
        kind: RuleKind,
        rule_id: &str,
        enabled: bool,
    ) -> Result<(), PushRuleError> {
        let (guard, mut rules) = self.rules_to_change(user).await?;
        rules
            .set_enabled(kind, rule_id, enabled)
            .map_err(|_| PushRuleError::NotFound)?;
        self.write_rules(user, guard, &rules).await
    }

    /// Changes what a rule, the server's included, does.
    pub async fn set_push_rule_actions(
        &self,
        user: UserNid,
        kind: RuleKind,
        rule_id: &str,
        mut actions: Vec<Action>,
    ) -> Result<(), PushRuleError> {
        actions.retain(|action| !is_historical(action));
        let (guard, mut rules) = self.rules_to_change(user).await?;
        rules
            .set_actions(kind, rule_id, actions)
            .map_err(|_| PushRuleError::NotFound)?;
        self.write_rules(user, guard, &rules).await
    }

    pub(crate) async fn rules_to_change(
        &self,
        user: UserNid,
    ) -> Result<(OwnedMutexGuard<()>, Ruleset), StoreError> {
        let guard = self.0.locks.lock(user).await;
        let rules = self.load_rules(user).await?;
        Ok((guard, Ruleset::clone(&rules)))
    }

    pub(crate) async fn write_rules(
        &self,
        user: UserNid,
        guard: OwnedMutexGuard<()>,
        rules: &Ruleset,
    ) -> Result<(), PushRuleError> {
        let content = content(rules);
        if rules.iter().count() > MAX_RULES || content.len() > MAX_BYTES {
            return Err(PushRuleError::TooMany);
        }
        self.write_account_data(user, guard, (None, PUSH_RULES), content)
            .await?;
        Ok(())
    }
}

/// Puts `rule` in its place. A rule that exists is taken out first, so that it can be moved in either direction;
/// it stays off if it was.
fn insert(rules: &mut Ruleset, rule: NewPushRule, place: &RulePlace) -> Result<(), PushRuleError> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    for neighbour in [&place.before, &place.after].into_iter().flatten() {
        if *neighbour == rule_id {
            return Err(PushRuleError::UnknownNeighbour(neighbour.clone()));
        }
    }
    let known = rules.get(kind.clone(), &rule_id);
    let was_off = known.is_some_and(|known| !known.enabled());
    let moves = place.before.is_some() || place.after.is_some();
    if moves
        && known
            .as_ref()
            .is_some_and(|known| !known.is_server_default())
    {
        let _ = rules.remove(kind.clone(), &rule_id);
    }
    let named = || {
        place
            .before
            .clone()
            .or_else(|| place.after.clone())
            .unwrap_or_default()
    };
    rules
        .insert(rule, place.after.as_deref(), place.before.as_deref())
        .map_err(|error| match error {
            InsertPushRuleError::ServerDefaultRuleId => PushRuleError::ServerDefault,
            InsertPushRuleError::RelativeToServerDefaultRule
            | InsertPushRuleError::UnknownRuleId => PushRuleError::UnknownNeighbour(named()),
            InsertPushRuleError::BeforeHigherThanAfter => PushRuleError::InvalidOrder,
            _ => PushRuleError::InvalidId,
        })?;
    if was_off {
        let _ = rules.set_enabled(kind, &rule_id, false);
    }
    Ok(())
}

/// "Clients and homeservers MUST ignore these actions, for instance, by stripping them"
/// ([spec](https://spec.matrix.org/v1.19/client-server-api/#historical-actions)).
fn is_historical(action: &Action) -> bool {
    serde_json::to_value(action).is_ok_and(|action| action == "dont_notify" || action == "coalesce")
}

fn strip_historical(rule: &mut NewPushRule) {
    let actions = match rule {
        NewPushRule::Override(rule) | NewPushRule::Underride(rule) => &mut rule.actions,
        NewPushRule::Content(rule) => &mut rule.actions,
        NewPushRule::Room(rule) => &mut rule.actions,
        NewPushRule::Sender(rule) => &mut rule.actions,
        _ => return,
    };
    actions.retain(|action| !is_historical(action));
}

/// The rules as clients know them: every kind is there, even without rules.
pub fn rules_json(rules: &Ruleset) -> Value {
    json!({
        "override": rules.override_,
        "content": rules.content,
        "room": rules.room,
        "sender": rules.sender,
        "underride": rules.underride,
    })
}

/// The content of the `m.push_rules` event.
pub(crate) fn content(rules: &Ruleset) -> Bytes {
    json!({ "global": rules_json(rules) }).to_string().into()
}

fn unreadable() -> StoreError {
    StoreError::Corrupt {
        table: AccountData::NAME,
        source: CorruptRow("the push rules cannot be read"),
    }
}

#[cfg(test)]
mod tests;
