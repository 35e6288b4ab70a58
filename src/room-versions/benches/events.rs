//! What an event costs without a store: composed, allowed, read back, written for clients.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use room_versions::{
    Composed, Draft, Pdu, Rules, Signer,
    client_event::{Unsigned, write_client_event},
};
use ruma::{
    OwnedUserId, RoomId, RoomVersionId, ServerName,
    events::{StateEventType, TimelineEventType},
    signatures::KeyPair as _,
};
use serde_json::{Value, json, value::RawValue};

/// The room's creator, and the only one who sends.
const ALICE: &str = "@alice:example.org";
/// The versions measured: the first whose ids are hashes as today's, and the one that new rooms have.
const VERSIONS: [RoomVersionId; 2] = [RoomVersionId::V6, RoomVersionId::V12];

/// A room as its owner holds it in memory: the state that allows events.
struct Room {
    rules: Rules,
    signer: Signer,
    alice: OwnedUserId,
    create: Arc<Pdu>,
    latest: Arc<Pdu>,
    state: BTreeMap<(StateEventType, String), Arc<Pdu>>,
}

impl Room {
    /// With its creator in it, and so many others who have power.
    fn new(version: &RoomVersionId, powerful: usize) -> Self {
        let rules = Rules::of(version).expect("a version that is there");
        let server = ServerName::parse("example.org").expect("a server name");
        let signer = Signer::from_seed(server, &[7; 32], "1".to_owned()).expect("a key");
        let alice = OwnedUserId::try_from(ALICE).expect("a user id");
        let mut content = json!({"room_version": version.as_str()});
        if rules.creator_in_content() {
            content["creator"] = json!(ALICE);
        }
        let room_id = RoomId::parse("!room:example.org").expect("a room id");
        let draft = Draft {
            room_id: (!rules.room_id_from_create()).then_some(&room_id),
            sender: &alice,
            event_type: "m.room.create",
            state_key: Some(""),
            content: &raw(&content),
            redacts: None,
            origin_server_ts: 1_770_000_000_000,
            prev_events: &[],
            auth_events: &[],
            depth: 1,
            opaque_id: None,
        };
        let create = rules.compose(&draft, &signer).expect("a create event");
        let create = Arc::new(create.pdu);
        let mut room = Self {
            rules,
            signer,
            alice,
            latest: Arc::clone(&create),
            state: BTreeMap::new(),
            create,
        };
        room.put(Arc::clone(&room.create));
        let member = room.compose(
            "m.room.member",
            Some(ALICE),
            &raw(&json!({"membership": "join"})),
        );
        room.put(Arc::new(member.pdu));
        // Creators of version 12 have power without being named.
        let creator = (!room.rules.privileged_creators()).then(|| (ALICE.to_owned(), json!(100)));
        let others = (0..powerful).map(|number| (format!("@user{number}:example.org"), json!(50)));
        let users: serde_json::Map<_, _> = creator.into_iter().chain(others).collect();
        let powers = raw(&json!({"users": users}));
        let powers = room.compose("m.room.power_levels", Some(""), &powers);
        room.put(Arc::new(powers.pdu));
        room
    }

    fn put(&mut self, event: Arc<Pdu>) {
        if let Some((event_type, key)) = event.state() {
            let key = (event_type, key.to_owned());
            self.state.insert(key, Arc::clone(&event));
        }
        self.latest = event;
    }

    /// What a send does: selects what allows it, hashes, signs, names it.
    fn compose(&self, event_type: &str, state_key: Option<&str>, content: &RawValue) -> Composed {
        let kind = TimelineEventType::from(event_type);
        let auth_events: Vec<_> = self
            .rules
            .auth_types(&kind, &self.alice, state_key, content)
            .expect("an event that rules know")
            .into_iter()
            .filter_map(|key| Some(self.state.get(&key)?.reference()))
            .collect();
        let draft = Draft {
            room_id: Some(&self.create.room_id),
            sender: &self.alice,
            event_type,
            state_key,
            content,
            redacts: None,
            origin_server_ts: 1_770_000_000_000,
            prev_events: &[self.latest.reference()],
            auth_events: &auth_events,
            depth: self.latest.depth + 1,
            opaque_id: None,
        };
        self.rules
            .compose(&draft, &self.signer)
            .expect("an event that may be sent")
    }

    fn authorise(&self, event: &Pdu) {
        let state = |event_type: &StateEventType, key: &str| {
            let key = (event_type.clone(), key.to_owned());
            self.state.get(&key).cloned()
        };
        let allowed = self.rules.authorise(event, state);
        allowed.expect("the creator may do this");
    }
}

fn raw(content: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(content).expect("JSON")
}

fn message() -> Box<RawValue> {
    let body =
        "The quick brown fox jumps over the lazy dog, and then it goes home and has some tea.";
    raw(&json!({"msgtype": "m.text", "body": body}))
}

fn signing(criterion: &mut Criterion) {
    let room = Room::new(&RoomVersionId::V12, 0);
    // About what is signed of a message: its content is hashed, not signed.
    let text = [b'x'; 400];
    criterion.bench_function("ed25519 alone, 400 bytes", |bencher| {
        bencher.iter(|| room.signer.key_pair().sign(black_box(&text)));
    });
}

fn events(criterion: &mut Criterion) {
    for version in &VERSIONS {
        let room = Room::new(version, 3);
        let content = message();
        criterion.bench_function(
            &format!("compose a message, version {version}"),
            |bencher| {
                bencher.iter(|| room.compose("m.room.message", None, black_box(&content)));
            },
        );
        let sent = room.compose("m.room.message", None, &content);
        criterion.bench_function(
            &format!("authorise a message, version {version}"),
            |bencher| {
                bencher.iter(|| room.authorise(black_box(&sent.pdu)));
            },
        );
        let invited = raw(&json!({"membership": "invite"}));
        let invite = room.compose("m.room.member", Some("@bob:example.org"), &invited);
        criterion.bench_function(
            &format!("authorise an invite, version {version}"),
            |bencher| {
                bencher.iter(|| room.authorise(black_box(&invite.pdu)));
            },
        );
        criterion.bench_function(
            &format!("parse a stored message, version {version}"),
            |bencher| {
                let (client, federation) = (&sent.parts.client, &sent.parts.federation);
                bencher.iter(|| {
                    room.rules
                        .parse(&sent.pdu.event_id, black_box(client), federation)
                        .expect("what was composed")
                });
            },
        );
    }
}

/// Bridges and large communities give power to many.
fn many_powers(criterion: &mut Criterion) {
    let content = message();
    for powerful in [100, 1_000] {
        let room = Room::new(&RoomVersionId::V12, powerful);
        let sent = room.compose("m.room.message", None, &content);
        let name = format!("authorise a message, {powerful} users have power");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| room.authorise(black_box(&sent.pdu)));
        });
    }
}

fn writing(criterion: &mut Criterion) {
    let room = Room::new(&RoomVersionId::V12, 0);
    let sent = room.compose("m.room.message", None, &message());
    let mut out = Vec::new();
    criterion.bench_function("write an event for clients", |bencher| {
        bencher.iter(|| {
            out.clear();
            let unsigned = Unsigned::default();
            let (client, id) = (&sent.parts.client, sent.pdu.event_id.as_str());
            write_client_event(&mut out, black_box(client), id, None, &unsigned);
            out.len()
        });
    });
}

criterion_group!(benches, signing, events, many_powers, writing);
criterion_main!(benches);
