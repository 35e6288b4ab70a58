//! A room to read from, for the tests of the read side.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use host::{Host, ManualClock};
use room_versions::Signer;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomVersionId, UserId, owned_server_name, user_id};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{Pos, RoomNid, Rsn, Store};

use crate::{
    Creation, Event, Identity, MemberProfile, Preset, Profiles, RoomOptions, RoomView, Rooms,
};

struct NoProfiles;

impl Profiles for NoProfiles {
    fn profile<'a>(
        &'a self,
        _user: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = MemberProfile> + Send + 'a>> {
        Box::pin(async { MemberProfile::default() })
    }

    fn refuses_invite<'a>(
        &'a self,
        _invitee: &'a UserId,
        _inviter: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { false })
    }
}

pub(crate) fn alice() -> &'static UserId {
    user_id!("@alice:localhost")
}

pub(crate) fn bob() -> &'static UserId {
    user_id!("@bob:localhost")
}

/// A server with one room, which Alice has made and anybody may join.
pub(crate) struct Fixture {
    pub(crate) rooms: Rooms,
    pub(crate) clock: ManualClock,
    pub(crate) room: OwnedRoomId,
    pub(crate) nid: RoomNid,
}

pub(crate) fn creation(version: RoomVersionId) -> Creation {
    Creation {
        creator: alice().to_owned(),
        published: false,
        alias_localpart: None,
        name: None,
        topic: None,
        preset: Preset::PublicChat,
        room_version: Some(version),
        creation_content: Map::new(),
        initial_state: Vec::new(),
        power_level_content_override: Map::new(),
        invite: Vec::new(),
        is_direct: false,
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(creation(RoomVersionId::V12)).await
    }

    pub(crate) async fn with(creation: Creation) -> Self {
        let clock = ManualClock::new(1_700_000_000_000);
        let host = Host::manual(&clock, 1);
        let server_name = owned_server_name!("localhost");
        let signer = Signer::from_seed(server_name.clone(), &[7; 32], "a".to_owned()).unwrap();
        let options = RoomOptions {
            notices_user: None,
            default_version: RoomVersionId::V12,
            room_cache_bytes: 1 << 20,
            event_cache_bytes: 1 << 20,
        };
        let identity = Identity {
            server_name,
            signer,
        };
        let store = Store::open_memory(host.clone());
        let rooms = Rooms::new(store, host, identity, options, Arc::new(NoProfiles));
        let room = rooms.create(creation).await.unwrap();
        let nid = rooms.nid(&room).await.unwrap();
        Self {
            rooms,
            clock,
            room,
            nid,
        }
    }

    pub(crate) async fn say(&self, sender: &UserId, body: &str) -> OwnedEventId {
        self.send(
            sender,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": body }),
        )
        .await
    }

    pub(crate) async fn send(
        &self,
        sender: &UserId,
        event_type: &str,
        content: Value,
    ) -> OwnedEventId {
        let content = to_raw_value(&content).unwrap();
        self.rooms
            .send_message(&self.room, sender, event_type, &content, None)
            .await
            .unwrap()
    }

    pub(crate) async fn set(
        &self,
        sender: &UserId,
        event_type: &str,
        state_key: &str,
        content: Value,
    ) -> OwnedEventId {
        let content = to_raw_value(&content).unwrap();
        self.rooms
            .set_state(&self.room, sender, event_type, state_key, &content)
            .await
            .unwrap()
    }

    pub(crate) async fn history_visibility(&self, setting: &str) -> OwnedEventId {
        self.set(
            alice(),
            "m.room.history_visibility",
            "",
            json!({ "history_visibility": setting }),
        )
        .await
    }

    pub(crate) async fn join(&self, user: &UserId) {
        self.rooms.join(&self.room, user, Map::new()).await.unwrap();
    }

    pub(crate) async fn leave(&self, user: &UserId) {
        self.rooms.leave(&self.room, user, None).await.unwrap();
    }

    pub(crate) async fn event(&self, event_id: &EventId) -> Arc<Event> {
        self.rooms.event_by_id(event_id).await.unwrap().unwrap()
    }

    pub(crate) async fn view(&self, user: &UserId) -> RoomView {
        self.rooms.view(&self.room, user).await.unwrap()
    }

    /// Every event of the room, oldest first.
    pub(crate) async fn all(&self) -> Vec<Arc<Event>> {
        let last = self.rooms.head(self.nid).await.unwrap().last_rsn;
        let numbers: Vec<_> = (1..=last.0).map(Rsn).collect();
        self.rooms.events(self.nid, &numbers).await.unwrap()
    }

    /// What the state has to be at a position: every state event until then, in order.
    pub(crate) async fn replay(&self, at: Pos) -> BTreeMap<(String, String), Rsn> {
        let mut state = BTreeMap::new();
        for event in self.all().await {
            if let Some(state_key) = event.state_key.as_deref().filter(|_| event.pos <= at) {
                state.insert(
                    (event.event_type.to_string(), state_key.to_owned()),
                    event.rsn,
                );
            }
        }
        state
    }

    /// A state by names instead of numbers.
    pub(crate) async fn named(&self, state: crate::State) -> BTreeMap<(String, String), Rsn> {
        let mut named = BTreeMap::new();
        for (key, rsn) in state {
            let name = self.rooms.store().interner().name(key).await.unwrap();
            let (event_type, state_key) = name.split_once('\0').unwrap();
            named.insert((event_type.to_owned(), state_key.to_owned()), rsn);
        }
        named
    }
}
