//! Rooms with branches, made of numbers: for the test of state resolution and for its benchmark.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use room_versions::{Known, Pdu, ResolveError, Rules, StateMap};
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, RoomId, RoomVersionId, UserId,
    events::StateEventType,
    state_res::{self, utils::event_id_set::EventIdSet},
};
use serde_json::{Value, json};

/// The events of a room, whichever branch they are on.
pub struct Room {
    rules: Rules,
    id: OwnedRoomId,
    events: HashMap<OwnedEventId, (u64, Arc<Pdu>)>,
}

/// The end of a branch.
#[derive(Clone)]
pub struct Branch {
    state: StateMap,
    latest: Option<OwnedEventId>,
}

/// Something that a user tries: any numbers will do.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub actor: usize,
    pub kind: usize,
    pub target: usize,
    /// By how many ms the clock of the actor's server is behind.
    pub late_ms: u64,
}

/// States that meet.
pub struct Meeting<'a> {
    room: &'a Room,
    states: Vec<StateMap>,
    differing: Vec<StateMap>,
    agreed: StateMap,
    agreed_by_number: BTreeMap<u64, OwnedEventId>,
}

pub fn user(index: usize) -> String {
    format!("@user{index}:example.org")
}

impl Room {
    /// A room that user 0 has made, where users 1 and 2 have power too and everybody may set the topic; with its only branch.
    pub fn new(version: &RoomVersionId, members: usize) -> (Self, Branch) {
        let rules = Rules::of(version).expect("a known version");
        let mut content = json!({"room_version": version.as_str()});
        if rules.creator_in_content() {
            content["creator"] = user(0).into();
        }
        let mut users = json!({user(1): 50, user(2): 50});
        if !rules.privileged_creators() {
            users[user(0)] = 100.into();
        }
        let mut room = Self {
            id: RoomId::parse("!room:example.org").expect("a room id"),
            rules,
            events: HashMap::new(),
        };
        let mut branch = Branch {
            state: StateMap::new(),
            latest: None,
        };
        let creator = user(0);
        let join = json!({"membership": "join"});
        let power = json!({"users": users, "events": {"m.room.topic": 0}});
        let rule = json!({"join_rule": "public"});
        let first = [
            ("m.room.create", "", &content),
            ("m.room.member", &*creator, &join),
            ("m.room.power_levels", "", &power),
            ("m.room.join_rules", "", &rule),
        ];
        for (event_type, key, content) in first {
            assert!(room.send(&mut branch, (0, 0), (event_type, key), content));
        }
        for member in 1..members {
            let key = user(member);
            let member = (member, 0);
            assert!(room.send(&mut branch, member, ("m.room.member", &key), &join));
        }
        (room, branch)
    }

    /// Whether the rules allowed it.
    pub fn act(&mut self, branch: &mut Branch, act: Act) -> bool {
        let member = |membership: &str| json!({"membership": membership});
        let (actor, target) = (user(act.actor), user(act.target));
        let number = self.events.len();
        let (event_type, key, content) = match act.kind % 9 {
            0 => ("m.room.topic", "", json!({"topic": number})),
            1 => ("m.room.name", "", json!({"name": number})),
            2 => ("m.room.member", &*actor, member("join")),
            3 => ("m.room.member", &*actor, member("leave")),
            4 => ("m.room.member", &*target, member("leave")),
            5 => ("m.room.member", &*target, member("ban")),
            6 => ("m.room.member", &*target, member("invite")),
            7 => {
                let rule = ["public", "invite"][act.target % 2];
                ("m.room.join_rules", "", json!({"join_rule": rule}))
            }
            _ => {
                // A quarrel may leave a room without any.
                let current = branch.get("m.room.power_levels", "");
                let mut content: Value = current.map_or_else(
                    || json!({}),
                    |id| serde_json::from_str(self.events[id].1.content.get()).expect("JSON"),
                );
                content["users"][&target] = [0, 25, 50, 100][number % 4].into();
                ("m.room.power_levels", "", content)
            }
        };
        let sender = (act.actor, act.late_ms);
        self.send(branch, sender, (event_type, key), &content)
    }

    fn send(
        &mut self,
        branch: &mut Branch,
        (actor, late_ms): (usize, u64),
        (event_type, key): (&str, &str),
        content: &Value,
    ) -> bool {
        let number = self.events.len() as u64 + 1;
        // Ids are in no order, so that it shows where they decide.
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let event_id = EventId::parse(format!("${scattered:020}{number:023}")).expect("an id");
        let sender = user(actor);
        let client = json!({
            "content": content,
            "origin_server_ts": 1_770_000_000_000 + number * 1_000 - late_ms,
            "sender": sender,
            "state_key": key,
            "type": event_type,
        });
        let sender = <&UserId>::try_from(&*sender).expect("a user id");
        let content = serde_json::value::to_raw_value(content).expect("JSON");
        let types = self
            .rules
            .auth_types(&event_type.into(), sender, Some(key), &content)
            .expect("a content that its type allows");
        let auth_events: Vec<_> = types
            .iter()
            .filter_map(|key| branch.state.get(key))
            .collect();
        let mut federation = json!({
            "auth_events": auth_events,
            "depth": number,
            "prev_events": Vec::from_iter(&branch.latest),
        });
        let makes_room = event_type == "m.room.create" && self.rules.room_id_from_create();
        if !makes_room {
            federation["room_id"] = self.id.as_str().into();
        }
        let pdu = self
            .rules
            .parse(&event_id, &members(&client), &members(&federation))
            .expect("an event");
        let state = |of: &StateEventType, key: &str| {
            let id = branch.state.get(&(of.clone(), key.to_owned()))?;
            Some(Arc::clone(&self.events[id].1))
        };
        if self.rules.authorise(&pdu, state).is_err() {
            return false;
        }
        self.id.clone_from(&pdu.room_id);
        let key = (event_type.into(), key.to_owned());
        branch.state.insert(key, event_id.clone());
        branch.latest = Some(event_id.clone());
        self.events.insert(event_id, (number, Arc::new(pdu)));
        true
    }

    /// What the branches' states have in common, and what not.
    pub fn meet(&self, branches: &[&Branch]) -> Meeting<'_> {
        let states: Vec<_> = branches.iter().map(|branch| branch.state.clone()).collect();
        let mut agreed = states[0].clone();
        agreed.retain(|key, id| states.iter().all(|state| state.get(key) == Some(id)));
        let differing = states.iter().map(|state| {
            let mut state = state.clone();
            state.retain(|key, _| !agreed.contains_key(key));
            state
        });
        Meeting {
            room: self,
            differing: differing.collect(),
            agreed_by_number: agreed
                .values()
                .map(|id| (self.events[id].0, id.clone()))
                .collect(),
            agreed,
            states,
        }
    }

    /// The auth chain of an event: all that it is authorised by, and by what that is.
    fn chain(&self, id: &EventId) -> HashSet<OwnedEventId> {
        let mut chain = HashSet::new();
        let mut pending = self.events[id].1.auth_events.to_vec();
        while let Some(id) = pending.pop() {
            if !chain.contains(&id) {
                pending.extend_from_slice(&self.events[&id].1.auth_events);
                chain.insert(id);
            }
        }
        chain
    }
}

impl Branch {
    /// The event of a key, if there is one.
    pub fn get(&self, event_type: &str, key: &str) -> Option<&OwnedEventId> {
        self.state.get(&(event_type.into(), key.to_owned()))
    }

    /// Goes on after a meeting.
    pub fn become_of(&mut self, state: StateMap) {
        self.state = state;
    }
}

impl Meeting<'_> {
    /// What becomes of that on which the states differ, by [`Rules::resolve`].
    pub fn resolve_differing(&self) -> Result<StateMap, ResolveError> {
        self.room.rules.resolve(&self.differing, self)
    }

    /// The whole state after the meeting.
    pub fn resolve(&self) -> Result<StateMap, ResolveError> {
        let mut resolved = self.resolve_differing()?;
        resolved.extend(self.agreed.clone());
        Ok(resolved)
    }

    /// The same by ruma's function, given whole states and whole chains as the spec defines them.
    pub fn unreduced(&self) -> StateMap {
        let room = self.room;
        let rules = room.rules.as_ruma();
        let chains = self.states.iter().map(|state| {
            let mut chain = HashSet::new();
            let mut pending: Vec<_> = state.values().collect();
            while let Some(id) = pending.pop() {
                for next in &room.events[id].1.auth_events {
                    if chain.insert(next.clone()) {
                        pending.push(next);
                    }
                }
            }
            chain.into_iter().collect()
        });
        state_res::resolve(
            &rules.authorization,
            rules.state_res.v2_rules().expect("version 2 or later"),
            &self.states,
            chains.collect(),
            |id| self.event(id),
            |conflicted| Some(self.subgraph(conflicted.values().flatten())),
        )
        .expect("a room without gaps")
    }

    /// All that is in the auth chain of a conflicted event and has a conflicted event in its own, and those events.
    fn subgraph<'a>(
        &self,
        conflicted: impl Iterator<Item = &'a OwnedEventId>,
    ) -> EventIdSet<OwnedEventId> {
        let conflicted: HashSet<_> = conflicted.cloned().collect();
        let above: HashSet<_> = conflicted
            .iter()
            .flat_map(|id| self.room.chain(id))
            .collect();
        let leads = |id: &OwnedEventId| !self.room.chain(id).is_disjoint(&conflicted);
        let between = above.into_iter().filter(leads);
        between.chain(conflicted.iter().cloned()).collect()
    }
}

impl Known for Meeting<'_> {
    fn event(&self, id: &EventId) -> Option<Arc<Pdu>> {
        Some(Arc::clone(&self.room.events.get(id)?.1))
    }

    fn number(&self, id: &EventId) -> Option<u64> {
        Some(self.room.events.get(id)?.0)
    }

    fn agreed(&self, key: &(StateEventType, String)) -> Option<OwnedEventId> {
        self.agreed.get(key).cloned()
    }

    fn agreed_after(&self, number: u64) -> Vec<OwnedEventId> {
        let after = self.agreed_by_number.range(number + 1..);
        after.map(|(_, id)| id.clone()).collect()
    }
}

/// An object as a run of members without braces.
fn members(object: &Value) -> Vec<u8> {
    let json = object.to_string();
    json.as_bytes()[1..json.len() - 1].to_vec()
}
