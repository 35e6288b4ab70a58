//! Classifies an event once by the predefined push rules, so that unread counts are differences of two counters.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#predefined-rules)

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::relations::{Kind, Relation};

/// What the predefined rules say of an event, for every member but its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// It adds to `notification_count`.
    pub notifies: bool,
    /// It adds to everybody's `highlight_count`: an allowed `@room`, or a tombstone.
    pub highlights_all: bool,
    /// It adds to these users' `highlight_count`, and to their `notification_count` whether or not it notifies the others.
    pub mentions: Vec<OwnedUserId>,
    /// It relates to another event.
    pub relation: Option<Relation>,
}

/// How many users one event can mention; beyond that the rest is not highlighted. Synapse has no bound; ten lines of
/// names are a list, not a mention.
const MAX_MENTIONS: usize = 100;

impl Class {
    /// It is in a thread.
    pub fn is_threaded(&self) -> bool {
        self.relation
            .as_ref()
            .is_some_and(|relation| relation.kind() == Kind::Thread)
    }
}

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow)]
    msgtype: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.mentions")]
    mentions: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.relates_to")]
    relates_to: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Mentions {
    #[serde(default)]
    user_ids: Vec<String>,
    #[serde(default)]
    room: bool,
}

/// Classifies an event. `may_notify_room` tells whether the sender's power level reaches `notifications.room`.
pub fn classify(
    event_type: &str,
    is_state: bool,
    content: &str,
    may_notify_room: impl FnOnce() -> bool,
) -> Class {
    // Content of another shape than expected matches no rule that looks into it.
    let content: Content<'_> = serde_json::from_str(content).unwrap_or_default();
    let relation = content.relates_to.and_then(Relation::parse);
    let is_edit = relation
        .as_ref()
        .is_some_and(|relation| relation.kind() == Kind::Replace);
    let mut class = Class {
        relation,
        ..Class::default()
    };
    let is_notice = content
        .msgtype
        .is_some_and(|msgtype| msgtype.get() == r#""m.notice""#);
    // `.m.rule.suppress_notices`, `.m.rule.member_event`: above the mention rules.
    if is_notice || event_type == "m.room.member" {
        return class;
    }
    let mentions = content.mentions.map(|raw| serde_json::from_str(raw.get()));
    if let Some(Ok(mentions)) = mentions {
        let mentions: Mentions = mentions;
        class.mentions = mentions
            .user_ids
            .iter()
            .take(MAX_MENTIONS)
            .filter_map(|user| OwnedUserId::try_from(user.as_str()).ok())
            .collect();
        class.highlights_all = mentions.room && may_notify_room();
    }
    class.highlights_all |= event_type == "m.room.tombstone" && is_state;
    let ordinary = matches!(
        event_type,
        "m.room.message" | "m.room.encrypted" | "m.call.invite"
    );
    class.notifies = class.highlights_all || (ordinary && !is_edit);
    class
}
