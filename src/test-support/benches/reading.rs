//! What reading costs, over a store in memory: a look-up in the state line, the bodies of syncs, filters, push rules.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{StreamExt as _, TryStreamExt as _};
use push::Evaluation;
use rooms::{Event, EventFilter, derived::classify};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId,
    api::client::filter::{FilterDefinition, RoomEventFilter},
    events::room::power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent},
    presence::PresenceState,
    push::Ruleset,
};
use serde_json::json;
use store::{Pos, RoomNid, UserNid};
use sync::{Filter, SyncRequest};
use test_support::{Client, TestServer};
use tokio::runtime::Runtime;

/// Rooms that the reader is in.
const ROOMS: usize = 100;
/// Messages in each, and in the timeline of a first sync.
const MESSAGES: u32 = 20;
/// Changes of one piece of state: how long its line is.
const CHANGES: usize = 500;

/// A server with a reader in many rooms that somebody else writes in.
struct Populated {
    server: TestServer,
    author: Client,
    reader: (UserNid, OwnedUserId),
    rooms: Vec<OwnedRoomId>,
}

impl Populated {
    async fn new() -> Self {
        let server = TestServer::new().await;
        let (author, reader) = (
            server.register("author").await,
            server.register("reader").await,
        );
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            let made = author
                .post(
                    "/_matrix/client/v3/createRoom",
                    json!({"preset": "public_chat"}),
                )
                .await
                .ok();
            let room = RoomId::parse(made["room_id"].as_str().expect("an id")).expect("an id");
            reader
                .post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
                .await
                .ok();
            for _ in 0..MESSAGES {
                send(&author, &room).await;
            }
            rooms.push(room);
        }
        let id = UserId::parse(&reader.user_id).expect("an id");
        let number = server.services.users.number(&id).await;
        let number = number.expect("the store answers").expect("an account");
        Self {
            author,
            reader: (number, id),
            rooms,
            server,
        }
    }

    async fn room(&self) -> RoomNid {
        let nid = self.server.services.rooms.nid(&self.rooms[0]).await;
        nid.expect("a room")
    }

    fn now(&self) -> Pos {
        self.server.services.rooms.store().visible()
    }

    /// Bytes of a whole answer to the reader.
    async fn sync(&self, since: Option<Pos>, filter: &Arc<Filter>) -> usize {
        let request = SyncRequest {
            user: self.reader.0,
            user_id: self.reader.1.clone(),
            device_id: "READER".into(),
            since,
            starts_over: false,
            inbox: self.now(),
            filter: Arc::clone(filter),
            full_state: false,
            use_state_after: false,
            timeout: Duration::ZERO,
            set_presence: PresenceState::Offline,
        };
        let body = self.server.services.sync.sync(request).await;
        let chunks = body.expect("the store answers").into_stream();
        let lengths = chunks.map_ok(|chunk| chunk.len()).collect::<Vec<_>>().await;
        lengths
            .into_iter()
            .map(|length| length.expect("the store answers"))
            .sum()
    }

    /// The latest events of the first room.
    async fn events(&self) -> Vec<Arc<Event>> {
        let (services, room) = (&self.server.services, self.room().await);
        let head = services.rooms.head(room).await.expect("a room");
        let state = services.rooms.state_events(room, self.now()).await;
        let mut events = state.expect("the store answers");
        let last = head.last_rsn.0;
        for rsn in last.saturating_sub(MESSAGES - 1)..=last {
            let event = services.rooms.event(room, store::Rsn(rsn)).await;
            events.push(event.expect("an event"));
        }
        events
    }
}

async fn send(author: &Client, room: &RoomId) {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let transaction = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}");
    let body =
        "The quick brown fox jumps over the lazy dog, and then it goes home and has some tea.";
    author
        .put(&path, json!({"msgtype": "m.text", "body": body}))
        .await
        .ok();
}

fn reading(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let populated = runtime.block_on(Populated::new());
    state_line(criterion, &runtime, &populated);
    syncs(criterion, &runtime, &populated);
    let events = runtime.block_on(populated.events());
    filters(criterion, &events);
    push_rules(criterion, &runtime, &events);
}

fn state_line(criterion: &mut Criterion, runtime: &Runtime, populated: &Populated) {
    let middle = runtime.block_on(async {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/state/m.room.topic",
            populated.rooms[0]
        );
        let mut middle = Pos::ZERO;
        for change in 0..CHANGES {
            let topic = json!({"topic": format!("topic {change}")});
            populated.author.put(&path, topic).await.ok();
            if change == CHANGES / 2 {
                middle = populated.now();
            }
        }
        middle
    });
    let room = runtime.block_on(populated.room());
    let rooms = &populated.server.services.rooms;
    criterion.bench_function("state line: one key at a position", |bencher| {
        bencher.iter(|| {
            let event = rooms.state_event_at(room, "m.room.topic", "", black_box(middle));
            runtime.block_on(event).expect("the store answers")
        });
    });
    criterion.bench_function("state line: one key now", |bencher| {
        bencher.iter(|| {
            let event = rooms.state_event(room, "m.room.topic", black_box(""));
            runtime.block_on(event).expect("the store answers")
        });
    });
}

fn syncs(criterion: &mut Criterion, runtime: &Runtime, populated: &Populated) {
    let all = Arc::new(Filter::default());
    let before = populated.now();
    runtime.block_on(send(&populated.author, &populated.rooms[ROOMS / 2]));
    let after = populated.now();
    criterion.bench_function("sync: nothing new in 100 rooms", |bencher| {
        bencher.iter(|| runtime.block_on(populated.sync(Some(after), &all)));
    });
    criterion.bench_function("sync: one message in 100 rooms", |bencher| {
        bencher.iter(|| runtime.block_on(populated.sync(Some(before), &all)));
    });
    let mut group = criterion.benchmark_group("first sync of 100 rooms with 20 messages");
    group.sample_size(20);
    for (name, lazy) in [("all members", false), ("lazy members", true)] {
        let definition: FilterDefinition = serde_json::from_value(json!({"room": {
            "timeline": {"limit": MESSAGES},
            "state": {"lazy_load_members": lazy},
        }}))
        .expect("a filter");
        let filter = Arc::new(Filter::from(definition));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(populated.sync(None, &filter)));
        });
    }
    group.finish();
}

fn filters(criterion: &mut Criterion, events: &[Arc<Event>]) {
    let definition: RoomEventFilter = serde_json::from_value(json!({
        "types": ["m.room.message", "m.room.member", "m.room.*", "org.example.*"],
        "not_types": ["m.room.canonical_alias"],
        "not_senders": ["@nobody:localhost", "@spam:localhost"],
    }))
    .expect("a filter");
    let filter = EventFilter::from(definition);
    let name = format!("filter: {} events", events.len());
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            let events = black_box(events).iter();
            events.filter(|event| filter.takes(event)).count()
        });
    });
}

fn push_rules(criterion: &mut Criterion, runtime: &Runtime, events: &[Arc<Event>]) {
    let event = events.last().expect("a message");
    criterion.bench_function(
        "push: classify a message by the predefined rules",
        |bencher| {
            bencher.iter(|| {
                let content = black_box(event.content());
                classify(&event.event_type, event.is_state(), content, || false)
            });
        },
    );
    let room_id = RoomId::parse("!room:localhost").expect("an id");
    let levels = json!({"users": {"@author:localhost": 100}});
    let levels: RoomPowerLevelsEventContent = serde_json::from_value(levels).expect("power levels");
    let rules = RoomVersionId::V11.rules().expect("a known version");
    let levels = RoomPowerLevels::new(Some(levels).into(), &rules.authorization, []);
    let evaluate = || Evaluation::new(event, room_id.clone(), 2, Some(levels.clone().into()));
    criterion.bench_function("push: flatten a message", |bencher| {
        bencher.iter(|| evaluate().expect("an event"));
    });
    let reader = UserId::parse("@reader:localhost").expect("an id");
    let rules = Ruleset::server_default(&reader);
    let mut evaluation = evaluate().expect("an event");
    criterion.bench_function("push: one user's rules on a flattened message", |bencher| {
        bencher.iter(|| {
            let name = "The Reader".to_owned();
            let actions = evaluation.actions(black_box(&rules), reader.clone(), name);
            runtime.block_on(actions).len()
        });
    });
}

criterion_group!(benches, reading);
criterion_main!(benches);
