//! What a room in memory knows of its latest events changes no count.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;
use store::{Pos, UserNid};

use super::UnreadQuery;
use crate::{
    ReceiptKind, ReceiptThread, RoomUnread, Unread,
    fixture::{Fixture, alice, bob},
    latest::Latest,
};

/// What happens in the room next; a number names an event that Alice has sent before.
#[derive(Clone, Debug)]
enum Step {
    Say,
    Mention,
    Reply(usize),
    ReplyWithMention(usize),
    Redact(usize),
    Speak,
    Read(usize),
    ReadMain(usize),
    ReadThread(usize),
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let event = 0_usize..40;
    prop_oneof![
        3 => Just(Step::Say),
        2 => Just(Step::Mention),
        3 => event.clone().prop_map(Step::Reply),
        1 => event.clone().prop_map(Step::ReplyWithMention),
        3 => event.clone().prop_map(Step::Redact),
        1 => Just(Step::Speak),
        1 => event.clone().prop_map(Step::Read),
        2 => event.clone().prop_map(Step::ReadMain),
        2 => event.prop_map(Step::ReadThread),
        1 => Just(Step::Forget),
    ]
}

/// The room, and what Alice has said in it: the events and the roots of their threads.
struct Talk {
    fixture: Fixture,
    bob: UserNid,
    said: Vec<(ruma::OwnedEventId, Option<ruma::OwnedEventId>)>,
}

impl Talk {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        fixture.join(bob()).await;
        let interner = fixture.rooms.store().interner();
        let bob = interner.find(bob().as_str()).await.unwrap().unwrap();
        let first = fixture.say(alice(), "first").await;
        Self {
            fixture,
            bob,
            said: vec![(first, None)],
        }
    }

    async fn send(&mut self, thread_of: Option<usize>, mentions: bool) {
        let root = thread_of.map(|number| {
            let (event_id, root) = &self.said[number % self.said.len()];
            root.clone().unwrap_or_else(|| event_id.clone())
        });
        let mut content = json!({ "msgtype": "m.text", "body": "hello" });
        if let Some(root) = &root {
            content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": root });
        }
        if mentions {
            content["m.mentions"] = json!({ "user_ids": [bob()] });
        }
        let event_id = self.fixture.send(alice(), "m.room.message", content).await;
        self.said.push((event_id, root));
    }

    async fn read(&self, number: usize, thread: impl FnOnce(ruma::OwnedEventId) -> ReceiptThread) {
        let (event_id, root) = &self.said[number % self.said.len()];
        let thread = thread(root.clone().unwrap_or_else(|| event_id.clone()));
        let rooms = &self.fixture.rooms;
        let kind = (ReceiptKind::Read, thread);
        // An event may not be in the thread that was drawn; then nothing is read.
        let _refused = rooms
            .set_receipt(&self.fixture.room, bob(), kind, event_id)
            .await;
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Say => self.send(None, false).await,
            Step::Mention => self.send(None, true).await,
            Step::Reply(number) => self.send(Some(number), false).await,
            Step::ReplyWithMention(number) => self.send(Some(number), true).await,
            Step::Redact(number) => {
                let (event_id, _) = &self.said[number % self.said.len()];
                let rooms = &self.fixture.rooms;
                rooms
                    .redact(&self.fixture.room, alice(), event_id, None, None)
                    .await
                    .unwrap();
            }
            Step::Speak => drop(self.fixture.say(bob(), "I have read it").await),
            Step::Read(number) => self.read(number, |_| ReceiptThread::Unthreaded).await,
            Step::ReadMain(number) => self.read(number, |_| ReceiptThread::Main).await,
            Step::ReadThread(number) => self.read(number, ReceiptThread::Thread).await,
            Step::Forget => {
                self.fixture.rooms.0.loaded.remove(&self.fixture.nid);
                let again = self.fixture.rooms.room(self.fixture.nid).await;
                again.unwrap();
            }
        }
    }

    /// With and without what the room in memory knows.
    async fn counts(&self, by_thread: bool) -> [RoomUnread; 2] {
        let (rooms, room, ignored) = (&self.fixture.rooms, self.fixture.nid, HashSet::new());
        let query = UnreadQuery {
            user: self.bob,
            ignored: &ignored,
            upto: rooms.store().visible(),
            by_thread,
        };
        let unknown = Latest::unknown();
        let looked_up = rooms.unread_beside(room, &query, unknown).await.unwrap();
        [rooms.unread(room, &query).await.unwrap(), looked_up]
    }

    async fn check(&self) {
        for by_thread in [false, true] {
            let [known, looked_up] = self.counts(by_thread).await;
            assert_eq!(known, looked_up, "by thread: {by_thread}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_known_in_memory_changes_no_count(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut talk = Talk::new().await;
            for step in steps {
                talk.take(step).await;
                talk.check().await;
            }
        });
    }
}

#[tokio::test]
async fn a_room_in_memory_knows_where_to_look() {
    let mut talk = Talk::new().await;
    let latest = |talk: &Talk| {
        talk.fixture
            .rooms
            .loaded(talk.fixture.nid)
            .unwrap()
            .latest()
    };
    talk.take(Step::Say).await;
    let before = talk.fixture.rooms.store().visible();
    let quiet = latest(&talk);
    assert!(!quiet.threads_after(Pos::ZERO));
    assert!(!quiet.mentions_after(Pos::ZERO));
    assert!(!quiet.redactions_after(Pos::ZERO));
    assert_eq!(quiet.counters(before), Some((2, 0)));
    assert_eq!(quiet.counters(before.prev()), None);
    talk.take(Step::Mention).await;
    talk.take(Step::Reply(0)).await;
    talk.take(Step::Redact(2)).await;
    let eventful = latest(&talk);
    assert!(eventful.threads_after(before));
    assert!(eventful.mentions_after(before));
    assert!(eventful.redactions_after(before));
    // Whoever reads on leaves the mention behind, and the event that was redacted.
    talk.take(Step::Speak).await;
    let now = talk.fixture.rooms.store().visible();
    assert!(!latest(&talk).mentions_after(now));
    assert!(!latest(&talk).redactions_after(now));
    assert!(!latest(&talk).threads_after(now));
    let [known, _] = talk.counts(false).await;
    assert_eq!(known.main, Unread::default());
}
