//! A room in memory for the tests of every rule.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{
    OwnedEventId, OwnedUserId, RoomId, RoomVersionId, ServerName, UserId,
    events::{StateEventType, TimelineEventType},
};
use serde_json::{Value, json, value::RawValue};

use crate::{AuthError, BuildError, Composed, Draft, Pdu, Reference, Rules, Signer};

pub const ALICE: &str = "@alice:example.org";
pub const BOB: &str = "@bob:example.org";
pub const CAROL: &str = "@carol:example.org";
pub const EVE: &str = "@eve:other.example";

pub const VERSIONS: std::ops::RangeInclusive<usize> = 1..=12;

pub fn rules(version: usize) -> Rules {
    Rules::of(&RoomVersionId::try_from(version.to_string()).unwrap()).unwrap()
}

pub fn signer(server: &str) -> Signer {
    Signer::from_seed(ServerName::parse(server).unwrap(), &[7; 32], "1".to_owned()).unwrap()
}

pub fn user(id: &str) -> OwnedUserId {
    UserId::parse(id).unwrap()
}

pub fn raw(content: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(content).unwrap()
}

/// An event to be sent: sender, type, state key, content.
#[derive(Clone)]
pub struct Send {
    pub sender: &'static str,
    pub event_type: &'static str,
    pub state_key: Option<&'static str>,
    pub content: Value,
    pub redacts: Option<OwnedEventId>,
}

pub fn state(
    sender: &'static str,
    event_type: &'static str,
    state_key: &'static str,
    content: Value,
) -> Send {
    Send {
        sender,
        event_type,
        state_key: Some(state_key),
        content,
        redacts: None,
    }
}

pub fn message(sender: &'static str, event_type: &'static str, content: Value) -> Send {
    Send {
        sender,
        event_type,
        state_key: None,
        content,
        redacts: None,
    }
}

pub fn member(sender: &'static str, target: &'static str, membership: &str) -> Send {
    state(
        sender,
        "m.room.member",
        target,
        json!({ "membership": membership }),
    )
}

pub fn join(who: &'static str) -> Send {
    member(who, who, "join")
}

pub fn join_rule(rule: &str) -> Send {
    state(ALICE, "m.room.join_rules", "", json!({ "join_rule": rule }))
}

pub fn power(content: Value) -> Send {
    state(ALICE, "m.room.power_levels", "", content)
}

/// A room that ALICE made. Events are put into it unasked, or checked against it.
pub struct Room {
    pub rules: Rules,
    pub create: Arc<Pdu>,
    pub latest: Arc<Pdu>,
    pub state: BTreeMap<(StateEventType, String), Arc<Pdu>>,
}

impl Room {
    /// With its create event alone; `content` is added to what the version demands.
    pub fn bare(version: usize, content: &Value) -> Self {
        let rules = rules(version);
        let create = create(&rules, ALICE, content).unwrap();
        let create = Arc::new(create.pdu);
        let key = (StateEventType::RoomCreate, String::new());
        Self {
            rules,
            latest: Arc::clone(&create),
            state: BTreeMap::from([(key, Arc::clone(&create))]),
            create,
        }
    }

    /// With ALICE in it.
    pub fn new(version: usize) -> Self {
        let mut room = Self::bare(version, &json!({}));
        room.put(&join(ALICE));
        room
    }

    pub fn with(version: usize, sent: &[Send]) -> Self {
        let mut room = Self::new(version);
        for send in sent {
            room.put(send);
        }
        room
    }

    pub fn compose(&self, send: &Send) -> Result<Composed, BuildError> {
        let sender = user(send.sender);
        let content = raw(&send.content);
        let event_type = TimelineEventType::from(send.event_type);
        let auth_events: Vec<Reference> = self
            .rules
            .auth_types(&event_type, &sender, send.state_key, &content)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|key| Some(self.state.get(&key)?.reference()))
            .collect();
        let draft = Draft {
            room_id: Some(&self.create.room_id),
            sender: &sender,
            event_type: send.event_type,
            state_key: send.state_key,
            content: &content,
            redacts: send.redacts.as_deref(),
            origin_server_ts: 1_700_000_000_000,
            prev_events: &[self.latest.reference()],
            auth_events: &auth_events,
            depth: self.latest.depth + 1,
            opaque_id: Some("opaque"),
        };
        self.rules
            .compose(&draft, &signer(sender.server_name().as_str()))
    }

    pub fn put(&mut self, send: &Send) -> Arc<Pdu> {
        let pdu = Arc::new(self.compose(send).unwrap().pdu);
        if let Some((event_type, key)) = pdu.state() {
            self.state
                .insert((event_type, key.to_owned()), Arc::clone(&pdu));
        }
        self.latest = Arc::clone(&pdu);
        pdu
    }

    pub fn authorise(&self, send: &Send) -> Result<(), AuthError> {
        let composed = self.compose(send).unwrap();
        self.rules.authorise(&composed.pdu, |event_type, key| {
            self.state
                .get(&(event_type.clone(), key.to_owned()))
                .cloned()
        })
    }
}

/// A create event of `sender`, with the members of `content` besides what the version demands.
pub fn create(rules: &Rules, sender: &str, content: &Value) -> Result<Composed, BuildError> {
    let mut full = json!({ "room_version": rules.version().as_str() });
    if rules.creator_in_content() {
        full["creator"] = json!(sender);
    }
    for (name, value) in content.as_object().unwrap() {
        full[name] = value.clone();
    }
    create_exactly(rules, sender, "!room:example.org", &full)
}

/// A create event with exactly this content, in the room `room_id` unless the version takes none.
pub fn create_exactly(
    rules: &Rules,
    sender: &str,
    room_id: &str,
    content: &Value,
) -> Result<Composed, BuildError> {
    let room_id = RoomId::parse(room_id).unwrap();
    let draft = Draft {
        room_id: (!rules.room_id_from_create()).then_some(&room_id),
        sender: &user(sender),
        event_type: "m.room.create",
        state_key: Some(""),
        content: &raw(content),
        redacts: None,
        origin_server_ts: 1_700_000_000_000,
        prev_events: &[],
        auth_events: &[],
        depth: 1,
        opaque_id: Some("create"),
    };
    rules.compose(&draft, &signer(user(sender).server_name().as_str()))
}
