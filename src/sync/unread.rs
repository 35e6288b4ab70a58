//! Unread counts of users who have changed their push rules.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications)
//!
//! The rooms count by the predefined rules. Whoever has muted a room, or wants its mentions only, still needs but those
//! counts; only for keywords, senders and rules of the user's own are unread events looked at one by one.

use std::{collections::HashSet, sync::Arc};

use rooms::{ClientView, RoomUnread, Rooms, Unread, UnreadQuery};
use ruma::{
    OwnedUserId, RoomId, UInt, UserId,
    push::{Action, PushCondition, PushConditionRoomCtx, Ruleset},
    serde::Raw,
};
use serde_json::value::RawValue;
use store::{Pos, RoomNid, UserNid};

use crate::{SyncError, answer::Context};

/// What a user's push rules make of the predefined counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Nothing notifies.
    silent: bool,
    /// Only the rules themselves know.
    one_by_one: bool,
    /// Rooms where nothing notifies.
    silent_rooms: HashSet<String>,
    /// Rooms where only mentions notify.
    mention_rooms: HashSet<String>,
    /// Rooms with rules of their own that notify.
    loud_rooms: HashSet<String>,
}

/// How to count the unread events of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Predefined,
    Mentions,
    Nothing,
    OneByOne,
}

/// The latest unread events that are looked at one by one, for users whose rules ask for it. Earlier ones do not count:
/// a hundred of them are as many as clients show, but a keyword before the latest hundred is not told any more.
const MAX_LOOKED_AT: usize = 100;

impl Profile {
    pub(crate) fn of(rules: &Ruleset, user_id: &UserId) -> Self {
        let defaults = Ruleset::server_default(user_id);
        let mut profile = Self::default();
        for rule in &rules.override_ {
            if rule.rule_id == ".m.rule.master" {
                profile.silent |= rule.enabled;
            } else if let Some(default) = defaults.override_.get(&*rule.rule_id) {
                profile.one_by_one |=
                    rule.enabled != default.enabled || differ(&rule.actions, &default.actions);
            } else if rule.enabled {
                match &*rule.conditions {
                    [PushCondition::EventMatch(of)]
                        if of.key == "room_id" && !of.pattern.contains(['*', '?']) =>
                    {
                        let rooms = if notifies(&rule.actions) {
                            &mut profile.loud_rooms
                        } else {
                            &mut profile.silent_rooms
                        };
                        rooms.insert(of.pattern.clone());
                    }
                    _ => profile.one_by_one = true,
                }
            }
        }
        for rule in rules.content.iter().filter(|rule| rule.enabled) {
            let default = defaults.content.get(&*rule.rule_id);
            profile.one_by_one |=
                default.is_none_or(|default| differ(&rule.actions, &default.actions));
        }
        for rule in rules.room.iter().filter(|rule| rule.enabled) {
            let rooms = if notifies(&rule.actions) {
                &mut profile.loud_rooms
            } else {
                &mut profile.mention_rooms
            };
            rooms.insert(rule.rule_id.to_string());
        }
        profile.one_by_one |= rules.sender.iter().any(|rule| rule.enabled);
        for rule in &rules.underride {
            profile.one_by_one |= defaults
                .underride
                .get(&*rule.rule_id)
                .is_none_or(|default| {
                    rule.enabled != default.enabled || differ(&rule.actions, &default.actions)
                });
        }
        profile
    }

    fn way(&self, room_id: &RoomId) -> Way {
        let has = |rooms: &HashSet<String>| rooms.contains(room_id.as_str());
        if self.silent {
            Way::Nothing
        } else if self.one_by_one || has(&self.loud_rooms) {
            Way::OneByOne
        } else if has(&self.silent_rooms) {
            Way::Nothing
        } else if has(&self.mention_rooms) {
            Way::Mentions
        } else {
            Way::Predefined
        }
    }
}

fn notifies(actions: &[Action]) -> bool {
    actions.iter().any(Action::should_notify)
}

/// In what matters for a count.
fn differ(some: &[Action], other: &[Action]) -> bool {
    let highlights = |actions: &[Action]| actions.iter().any(Action::is_highlight);
    notifies(some) != notifies(other) || highlights(some) != highlights(other)
}

impl Context {
    /// What the user has not read of a room.
    pub(crate) async fn unread(
        &self,
        room: RoomNid,
        room_id: &RoomId,
    ) -> Result<RoomUnread, SyncError> {
        let rules = self.engine.0.users.push_rules(self.request.user).await?;
        let count = Count {
            rooms: self.rooms(),
            profile: self.profile(&rules),
            rules,
            user: (self.request.user, &self.request.user_id),
            ignored: &self.ignored,
            upto: self.upto,
            by_thread: self.filter().by_thread,
        };
        count.unread(room, room_id).await
    }

    /// The profile of the user's rules, which the session keeps as long as the rules are the same.
    fn profile(&self, rules: &Arc<Ruleset>) -> Arc<Profile> {
        let mut session = self.session.lock();
        if let Some((of, profile)) = &session.profile
            && Arc::ptr_eq(of, rules)
        {
            return Arc::clone(profile);
        }
        let profile = Arc::new(Profile::of(rules, &self.request.user_id));
        session.profile = Some((Arc::clone(rules), Arc::clone(&profile)));
        profile
    }
}

/// Whose unread events are counted, by which rules, up to where.
pub(crate) struct Count<'a> {
    pub(crate) rooms: &'a Rooms,
    pub(crate) rules: Arc<Ruleset>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) user: (UserNid, &'a UserId),
    /// Users who are not heard, and so do not count.
    pub(crate) ignored: &'a HashSet<OwnedUserId>,
    pub(crate) upto: Pos,
    /// Threads are told apart.
    pub(crate) by_thread: bool,
}

impl Count<'_> {
    /// What is unread in a room.
    pub(crate) async fn unread(
        &self,
        room: RoomNid,
        room_id: &RoomId,
    ) -> Result<RoomUnread, SyncError> {
        let way = self.profile.way(room_id);
        if way == Way::Nothing {
            return Ok(RoomUnread::default());
        }
        if way == Way::OneByOne {
            return self.one_by_one(room, room_id).await;
        }
        let mut ignored = HashSet::with_capacity(self.ignored.len());
        for user in self.ignored {
            let number: Option<UserNid> = self.rooms.store().interner().find(user.as_str()).await?;
            ignored.extend(number);
        }
        let query = UnreadQuery {
            user: self.user.0,
            ignored: &ignored,
            upto: self.upto,
            by_thread: self.by_thread,
        };
        let mut unread = self.rooms.unread(room, &query).await?;
        if way == Way::Mentions {
            let highlights_only = |unread: &mut Unread| unread.notifications = unread.highlights;
            highlights_only(&mut unread.main);
            unread.threads.values_mut().for_each(highlights_only);
            unread
                .threads
                .retain(|_, unread| *unread != Unread::default());
        }
        Ok(unread)
    }

    async fn one_by_one(&self, room: RoomNid, room_id: &RoomId) -> Result<RoomUnread, SyncError> {
        let (user, user_id) = self.user;
        let events = self
            .rooms
            .unread_events(room, user, self.upto, MAX_LOOKED_AT)
            .await?;
        let mut unread = RoomUnread::default();
        if events.is_empty() {
            return Ok(unread);
        }
        let context = rule_context(self.rooms, room, room_id, user_id).await?;
        let view = ClientView {
            room_id: Some(room_id.as_str()),
            ..ClientView::default()
        };
        for (event, thread) in events {
            if self.ignored.contains(&event.sender) {
                continue;
            }
            let mut json = Vec::with_capacity(512);
            event.write_client(&mut json, &view);
            let Ok(json) = serde_json::from_slice::<Box<RawValue>>(&json) else {
                continue;
            };
            let actions = self
                .rules
                .get_actions(&Raw::<serde_json::Value>::from_json(json), &context)
                .await;
            if !notifies(actions) {
                continue;
            }
            let count = match thread.filter(|_| self.by_thread) {
                Some(root) => unread.threads.entry(root).or_default(),
                None => &mut unread.main,
            };
            count.notifications += 1;
            count.highlights += u64::from(actions.iter().any(Action::is_highlight));
        }
        Ok(unread)
    }
}

/// What rules may ask about the room and the user.
pub(crate) async fn rule_context(
    rooms: &Rooms,
    room: RoomNid,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<PushConditionRoomCtx, SyncError> {
    let head = rooms.head(room).await?;
    let member = rooms
        .state_event(room, "m.room.member", user_id.as_str())
        .await?;
    let name = member
        .and_then(|member| display_name(member.content()))
        .unwrap_or_default();
    let mut context = PushConditionRoomCtx::new(
        room_id.to_owned(),
        UInt::from(head.joined),
        user_id.to_owned(),
        name,
    );
    context.power_levels = rooms.power_levels_of(room).await?.map(Into::into);
    Ok(context)
}

fn display_name(content: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Content {
        displayname: Option<String>,
    }
    serde_json::from_str::<Content>(content).ok()?.displayname
}

#[cfg(test)]
mod tests {
    use ruma::{
        push::{
            NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule, RuleKind,
        },
        room_id, user_id,
    };

    use super::*;

    type Change = Box<dyn Fn(&mut Ruleset)>;

    #[test]
    fn rules_choose_the_way_to_count() {
        let user_id = user_id!("@bob:localhost");
        let (here, there) = (room_id!("!here:localhost"), room_id!("!there:localhost"));
        let of_room = |actions| {
            NewPushRule::Override(NewConditionalPushRule::new(
                "mine".to_owned(),
                serde_json::from_str(
                    r#"[{"kind":"event_match","key":"room_id","pattern":"!here:localhost"}]"#,
                )
                .unwrap(),
                actions,
            ))
        };
        let rows: Vec<(&str, Change, Way, Way)> = vec![
            (
                "nothing changed",
                Box::new(|_| ()),
                Way::Predefined,
                Way::Predefined,
            ),
            (
                "master",
                Box::new(|rules| {
                    rules
                        .set_enabled(RuleKind::Override, ".m.rule.master", true)
                        .unwrap();
                }),
                Way::Nothing,
                Way::Nothing,
            ),
            (
                "a muted room",
                Box::new(move |rules| rules.insert(of_room(vec![]), None, None).unwrap()),
                Way::Nothing,
                Way::Predefined,
            ),
            (
                "mentions only",
                Box::new(move |rules| {
                    let rule = NewPushRule::Room(NewSimplePushRule::new(here.to_owned(), vec![]));
                    rules.insert(rule, None, None).unwrap();
                }),
                Way::Mentions,
                Way::Predefined,
            ),
            (
                "everything",
                Box::new(move |rules| {
                    let rule = NewPushRule::Room(NewSimplePushRule::new(
                        here.to_owned(),
                        vec![Action::Notify],
                    ));
                    rules.insert(rule, None, None).unwrap();
                }),
                Way::OneByOne,
                Way::Predefined,
            ),
            (
                "a keyword",
                Box::new(|rules| {
                    let rule = NewPatternedPushRule::new(
                        "k".to_owned(),
                        "word".to_owned(),
                        vec![Action::Notify],
                    );
                    rules
                        .insert(NewPushRule::Content(rule), None, None)
                        .unwrap();
                }),
                Way::OneByOne,
                Way::OneByOne,
            ),
            (
                "messages switched off",
                Box::new(|rules| {
                    rules
                        .set_enabled(RuleKind::Underride, ".m.rule.message", false)
                        .unwrap();
                }),
                Way::OneByOne,
                Way::OneByOne,
            ),
        ];
        for (name, change, way_here, way_there) in rows {
            let mut rules = Ruleset::server_default(user_id);
            change(&mut rules);
            let profile = Profile::of(&rules, user_id);
            assert_eq!(
                (profile.way(here), profile.way(there)),
                (way_here, way_there),
                "{name}"
            );
        }
    }
}
