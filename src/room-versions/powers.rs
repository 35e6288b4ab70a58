//! The power levels of a few users, where the room gives power to many.
//!
//! The rules ask for the levels of those whom an event concerns, and ruma reads all of them each time: where a
//! thousand users have power, that takes several times as long as composing and signing a message (docs/performance.md). Here
//! they are read once for each event of power levels.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _, sync::Arc};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, events::TimelineEventType,
    state_res::Event,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Pdu;

/// From so many users on it is cheaper to pick than to read all. Tests pick from one on.
const MANY_USERS: usize = if cfg!(test) { 1 } else { 16 };

/// The content of an event of power levels, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Powers {
    /// All members but `users`, each with a comma behind it.
    rest: Box<str>,
    users: HashMap<Box<str>, Box<RawValue>>,
}

/// An event of the state, with less in it than it has.
#[derive(Clone, Debug)]
pub(crate) struct Slim {
    event: Arc<Pdu>,
    content: Option<Box<RawValue>>,
}

impl Powers {
    /// `None` where it is not worth it.
    pub(crate) fn of(content: &RawValue) -> Option<Self> {
        let mut members: HashMap<&str, &RawValue> = serde_json::from_str(content.get()).ok()?;
        let users: HashMap<Box<str>, Box<RawValue>> =
            serde_json::from_str(members.remove("users")?.get()).ok()?;
        if users.len() < MANY_USERS {
            return None;
        }
        let mut rest = String::new();
        for (name, value) in members {
            write!(rest, "{}:{},", quoted(name)?, value.get()).ok()?;
        }
        Some(Self {
            rest: rest.into(),
            users,
        })
    }

    /// The content with the levels of these users alone.
    fn only(&self, users: &[Cow<'_, str>]) -> Option<Box<RawValue>> {
        let mut json = format!("{{{}\"users\":{{", self.rest);
        let mut separator = "";
        for user in users {
            if let Some(level) = self.users.get(&**user) {
                write!(json, "{separator}{}:{}", quoted(user)?, level.get()).ok()?;
                separator = ",";
            }
        }
        json.push_str("}}");
        RawValue::from_string(json).ok()
    }
}

impl Slim {
    /// A state event, for the rules to judge `by` it.
    pub(crate) fn new(event: Arc<Pdu>, by: &Pdu) -> Self {
        // What changes the levels is compared with all of them.
        let all = event.event_type != TimelineEventType::RoomPowerLevels
            || by.event_type == TimelineEventType::RoomPowerLevels;
        let content = (!all).then(|| event.powers()).flatten();
        let content = content.and_then(|powers| powers.only(&concerned(by)));
        Self { event, content }
    }
}

/// Whose power decides whether an event may be: its sender's, that of its target, and of who vouches for a join.
fn concerned(event: &Pdu) -> Vec<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        join_authorised_via_users_server: Option<Cow<'a, str>>,
    }
    let mut users = vec![Cow::Borrowed(event.sender.as_str())];
    if event.event_type == TimelineEventType::RoomMember {
        users.extend(event.state_key.as_deref().map(Cow::Borrowed));
        let content = serde_json::from_str::<Content<'_>>(event.content.get()).ok();
        users.extend(content.and_then(|content| content.join_authorised_via_users_server));
        users.sort_unstable();
        users.dedup();
    }
    users
}

fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

impl Event for Slim {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        self.event.event_id()
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.event.room_id()
    }

    fn sender(&self) -> &UserId {
        self.event.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.event.origin_server_ts()
    }

    fn event_type(&self) -> &TimelineEventType {
        self.event.event_type()
    }

    fn content(&self) -> &RawValue {
        self.content.as_deref().unwrap_or(&self.event.content)
    }

    fn state_key(&self) -> Option<&str> {
        self.event.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        self.event.prev_events()
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        self.event.auth_events()
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.event.redacts()
    }

    fn rejected(&self) -> bool {
        self.event.rejected()
    }
}

#[cfg(test)]
mod tests;
