//! Whatever happens: a client that follows along knows what a client that asks anew is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use test_support::{Client, TestServer};

use super::{Syncer, say};
use crate::rooms::path;

/// What a client makes of the answers.
#[derive(Debug, Default)]
struct Model {
    joined: BTreeMap<String, Room>,
    invited: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq)]
struct Room {
    state: BTreeMap<(String, String), Value>,
    timeline: Vec<Value>,
    counts: Value,
}

impl Model {
    fn apply(&mut self, answer: &Value, state_after: bool) {
        for (id, told) in members(&answer["rooms"]["join"]) {
            self.invited.remove(id);
            let room = self.joined.entry(id.clone()).or_default();
            let name = if state_after { "state_after" } else { "state" };
            for event in list(&told[name]["events"]) {
                room.set(event);
            }
            if told["timeline"]["limited"] == true {
                room.timeline.clear();
            }
            for event in list(&told["timeline"]["events"]) {
                assert!(
                    !room.timeline.contains(&event["event_id"]),
                    "told twice: {event}"
                );
                room.timeline.push(event["event_id"].clone());
                if !state_after && !event["state_key"].is_null() {
                    room.set(event);
                }
            }
            if !told["summary"].is_null() {
                room.counts = json!([
                    told["summary"]["m.joined_member_count"],
                    told["summary"]["m.invited_member_count"],
                ]);
            }
        }
        for (id, _) in members(&answer["rooms"]["invite"]) {
            self.joined.remove(id);
            self.invited.insert(id.clone());
        }
        for (id, _) in members(&answer["rooms"]["leave"]) {
            self.joined.remove(id);
            self.invited.remove(id);
        }
    }

    /// The same as `fresh`, which was told less of the past.
    fn check(&self, fresh: &Self, case: &str) {
        assert_eq!(self.invited, fresh.invited, "{case}");
        assert_eq!(
            self.joined.keys().collect::<Vec<_>>(),
            fresh.joined.keys().collect::<Vec<_>>(),
            "{case}"
        );
        for (id, room) in &self.joined {
            let other = &fresh.joined[id];
            assert_eq!(room.state, other.state, "{case}");
            assert_eq!(room.counts, other.counts, "{case}");
            let common = room.timeline.len().min(other.timeline.len());
            let tail = |room: &Room| room.timeline[room.timeline.len() - common..].to_vec();
            assert_eq!(tail(room), tail(other), "{case}");
        }
    }
}

impl Room {
    fn set(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().expect("a string").to_owned();
        self.state
            .insert((text("type"), text("state_key")), event["event_id"].clone());
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Dice that fall the same way each run: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("few sides")
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// Something that may succeed or not.
async fn do_something(dice: &mut Dice, users: &[Client], rooms: &[String], step: usize) {
    // The first user stays in every room.
    let (user, other, room) = (dice.pick(users), dice.pick(&users[1..]), dice.pick(rooms));
    let target = json!({ "user_id": other.user_id });
    match dice.roll(12) {
        0..=3 => {
            let content = json!({ "msgtype": "m.text", "body": step.to_string() });
            user.put(
                &path(room, &format!("send/m.room.message/p{step}")),
                content,
            )
            .await;
        }
        4 | 5 => {
            let rest = format!("state/x.state/{}", dice.roll(3));
            user.put(&path(room, &rest), json!({ "step": step })).await;
        }
        6 => {
            let rest = format!("state/m.room.member/{}", user.user_id);
            user.put(
                &path(room, &rest),
                json!({ "membership": "join", "displayname": step.to_string() }),
            )
            .await;
        }
        7 | 8 => drop(user.post(&path(room, "join"), json!({})).await),
        9 => drop(other.post(&path(room, "leave"), json!({})).await),
        10 => drop(users[0].post(&path(room, "invite"), target).await),
        _ => drop(users[0].post(&path(room, "kick"), target).await),
    }
}

#[tokio::test]
async fn following_along_and_starting_anew_lead_to_the_same_place() {
    for seed in 1..=12_u64 {
        let server = TestServer::with(|config| config.presence.enabled = false).await;
        let mut users = Vec::new();
        for name in ["alice", "bob", "carol"] {
            users.push(server.register(name).await);
        }
        let mut rooms = Vec::new();
        for preset in ["public_chat", "public_chat", "private_chat"] {
            let body =
                json!({ "preset": preset, "power_level_content_override": { "state_default": 0 } });
            rooms.push(crate::rooms::create(&users[0], body).await);
        }
        let mut clients = Vec::new();
        for user in &users {
            for state_after in [false, true] {
                let filter =
                    super::encoded(&json!({ "room": { "timeline": { "limit": 3 } } }).to_string());
                let parameters = format!("&filter={filter}&use_state_after={state_after}");
                let syncer = Syncer {
                    parameters,
                    ..Syncer::new(user)
                };
                clients.push((syncer, Model::default(), state_after));
            }
        }
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for step in 0..80 {
            do_something(&mut dice, &users, &rooms, step).await;
            let client = dice.roll(clients.len() * 2);
            if let Some((syncer, model, state_after)) = clients.get_mut(client) {
                model.apply(&syncer.next().await, *state_after);
            }
        }
        for room in &rooms {
            say(&users[0], room, "last").await;
        }
        for (syncer, model, state_after) in &mut clients {
            model.apply(&syncer.next().await, *state_after);
            let mut fresh = Model::default();
            let mut anew = Syncer {
                parameters: syncer.parameters.clone(),
                ..Syncer::new(&syncer.client)
            };
            fresh.apply(&anew.next().await, *state_after);
            model.check(
                &fresh,
                &format!(
                    "seed {seed}, {}, state_after {state_after}",
                    syncer.client.user_id
                ),
            );
            assert_eq!(anew.since, syncer.since);
        }
    }
}
