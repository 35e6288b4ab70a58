//! Users, rooms and pushes over a store in memory.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use config::Config;
use host::{Host, ManualClock};
use parking_lot::Mutex;
use room_versions::Signer;
use rooms::{
    Creation, Identity, MemberProfile, Preset, Profiles, ReceiptKind, ReceiptThread, RoomOptions,
    Rooms,
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomVersionId, UserId};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{Store, UserNid};
use users::{
    NewSession, Pusher, PusherKey, Session, SharedSecretRegistration, Users, shared_secret_mac,
};

use crate::{
    BadgeFuture, Badges, Gateway, GatewayError, GatewayFuture, Push,
    follow::Reader,
    lane::{LaneKey, Next},
};

const SECRET: &str = "secret";
pub(crate) const URL: &str = "https://push.example.org/_matrix/push/v1/notify";

struct Names;

impl Profiles for Names {
    fn profile<'a>(
        &'a self,
        user: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = MemberProfile> + Send + 'a>> {
        Box::pin(async move {
            MemberProfile {
                displayname: Some(format!("The {}", user.localpart())),
                avatar_url: None,
            }
        })
    }

    fn refuses_invite<'a>(
        &'a self,
        _invitee: &'a UserId,
        _inviter: &'a UserId,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { false })
    }
}

/// Remembers what it was told, and answers what it shall; "nothing rejected" beyond that.
#[derive(Default)]
pub(crate) struct FakeGateway {
    pub(crate) told: Mutex<Vec<Value>>,
    pub(crate) answers: Mutex<VecDeque<Result<Vec<String>, u16>>>,
}

impl Gateway for FakeGateway {
    fn notify<'a>(&'a self, url: &'a str, body: Vec<u8>) -> GatewayFuture<'a> {
        assert_eq!(url, URL);
        let body: Value = serde_json::from_slice(&body).unwrap();
        self.told.lock().push(body["notification"].clone());
        let answer = self.answers.lock().pop_front().unwrap_or(Ok(Vec::new()));
        Box::pin(async { answer.map_err(GatewayError::Status) })
    }
}

#[derive(Default)]
pub(crate) struct FakeBadges(AtomicU64);

impl FakeBadges {
    pub(crate) fn set(&self, unread: u64) {
        self.0.store(unread, Ordering::Relaxed);
    }
}

impl Badges for FakeBadges {
    fn unread<'a>(&'a self, _user: UserNid, _user_id: &'a UserId) -> BadgeFuture<'a> {
        Box::pin(async { Some(self.0.load(Ordering::Relaxed)) })
    }
}

pub(crate) struct Fixture {
    pub(crate) users: Users,
    pub(crate) rooms: Rooms,
    pub(crate) push: Push,
    pub(crate) reader: Reader,
    pub(crate) gateway: Arc<FakeGateway>,
    pub(crate) badges: Arc<FakeBadges>,
    pub(crate) clock: ManualClock,
    host: Host,
    options: config::Push,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut config::Push)) -> Self {
        let clock = ManualClock::new(1_700_000_000_000);
        let host = Host::manual(&clock, 1);
        let mut config = Config::default();
        config.passwords.memory_kib = 8;
        config.passwords.iterations = 1;
        config.registration.shared_secret = Some(toml_secret());
        change(&mut config.push);
        let store = Store::open_memory(host.clone());
        let users = Users::new(store.clone(), host.clone(), &config).unwrap();
        let server_name = config.server_name.clone();
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
        let rooms = Rooms::new(store, host.clone(), identity, options, Arc::new(Names));
        let (gateway, badges) = (Arc::default(), Arc::default());
        let push = push_over(&users, &rooms, &host, &config.push, &badges, &gateway);
        rooms.follow(vec![Arc::new(push.clone())]);
        users.follow(Arc::new(push.clone()));
        let reader = Reader::load(push.clone()).await.unwrap();
        Self {
            users,
            rooms,
            push,
            reader,
            gateway,
            badges,
            clock,
            host,
            options: config.push,
        }
    }

    /// The follower and the lanes begin anew over what is kept. They hear nothing more: for what was before.
    pub(crate) async fn restart(&mut self) -> Vec<LaneKey> {
        self.push = push_over(
            &self.users,
            &self.rooms,
            &self.host,
            &self.options,
            &self.badges,
            &self.gateway,
        );
        self.reader = Reader::load(self.push.clone()).await.unwrap();
        self.push.waiting().await.unwrap()
    }

    pub(crate) async fn user(&self, localpart: &str) -> Session {
        let mut request = SharedSecretRegistration {
            nonce: self.users.nonce().unwrap(),
            username: localpart.to_owned(),
            displayname: None,
            password: "correct horse".to_owned(),
            admin: false,
            user_type: None,
            mac: String::new(),
            session: Some(NewSession::default()),
        };
        request.mac = shared_secret_mac(SECRET, &request);
        let registered = self.users.register_with_shared_secret(request).await;
        let token = registered.unwrap().1.unwrap().access_token;
        self.users.authenticate(&token, None).await.unwrap()
    }

    pub(crate) async fn pusher(&self, session: &Session, pushkey: &str) -> LaneKey {
        self.pusher_with(session, pushkey, json!({})).await
    }

    /// A pusher with these keys in `data` besides the URL.
    pub(crate) async fn pusher_with(
        &self,
        session: &Session,
        pushkey: &str,
        data: Value,
    ) -> LaneKey {
        let pusher = pusher(pushkey, data);
        self.users.set_pusher(session, pusher, true).await.unwrap();
        lane(session, pushkey)
    }

    /// A room of Alice's that these have joined.
    pub(crate) async fn room(&self, alice: &Session, members: &[&Session]) -> OwnedRoomId {
        let creation = Creation {
            creator: alice.user_id.clone(),
            published: false,
            alias_localpart: Some(format!("lounge-{}", self.host.random_string(6))),
            name: Some("Lounge".to_owned()),
            topic: None,
            preset: Preset::PublicChat,
            room_version: None,
            creation_content: Map::new(),
            initial_state: Vec::new(),
            power_level_content_override: Map::new(),
            invite: Vec::new(),
            is_direct: false,
        };
        let room = self.rooms.create(creation).await.unwrap();
        for member in members {
            let joined = self.rooms.join(&room, &member.user_id, Map::new());
            joined.await.unwrap();
        }
        room
    }

    pub(crate) async fn say(
        &self,
        sender: &Session,
        room: &OwnedRoomId,
        body: &str,
    ) -> OwnedEventId {
        let content = json!({ "msgtype": "m.text", "body": body });
        self.send(sender, room, "m.room.message", content).await
    }

    pub(crate) async fn send(
        &self,
        sender: &Session,
        room: &OwnedRoomId,
        event_type: &str,
        content: Value,
    ) -> OwnedEventId {
        let content = to_raw_value(&content).unwrap();
        self.rooms
            .send_message(room, &sender.user_id, event_type, &content, None)
            .await
            .unwrap()
    }

    pub(crate) async fn read(&self, who: &Session, room: &OwnedRoomId, event: &EventId) {
        let kind = (ReceiptKind::Read, ReceiptThread::Unthreaded);
        self.rooms
            .set_receipt(room, &who.user_id, kind, event)
            .await
            .unwrap();
    }

    pub(crate) async fn ignore(&self, who: &Session, whom: &Session) {
        let content = json!({ "ignored_users": { whom.user_id.as_str(): {} } }).to_string();
        self.users
            .set_account_data(who.user, None, "m.ignored_user_list", Bytes::from(content))
            .await
            .unwrap();
    }

    /// The follower reads all there is; gives the pushers that have something to send.
    pub(crate) async fn follow(&mut self) -> Vec<LaneKey> {
        let mut lanes = Vec::new();
        loop {
            let step = self.reader.step().await.unwrap();
            lanes.extend(step.lanes);
            if !step.more {
                lanes.sort();
                lanes.dedup();
                return lanes;
            }
        }
    }

    /// A pusher has its turns until it rests or has to wait.
    pub(crate) async fn drain(&self, lane: &LaneKey) -> Next {
        loop {
            let next = self.push.turn(lane).await.unwrap();
            if next != Next::Turn {
                return next;
            }
        }
    }

    /// The follower reads, all pushers have their turns; gives what the gateway was told.
    pub(crate) async fn deliver(&mut self) -> Vec<Value> {
        for lane in self.follow().await {
            self.drain(&lane).await;
        }
        self.told()
    }

    /// What the gateway was told since this was asked last.
    pub(crate) fn told(&self) -> Vec<Value> {
        std::mem::take(&mut *self.gateway.told.lock())
    }

    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Result<Vec<String>, u16>>) {
        self.gateway.answers.lock().extend(answers);
    }

    pub(crate) async fn queued(&self, lane: &LaneKey) -> usize {
        self.push.positions(lane).await.unwrap().len()
    }
}

fn push_over(
    users: &Users,
    rooms: &Rooms,
    host: &Host,
    options: &config::Push,
    badges: &Arc<FakeBadges>,
    gateway: &Arc<FakeGateway>,
) -> Push {
    let (badges, gateway) = (Arc::clone(badges), Arc::clone(gateway));
    Push::new(
        rooms.clone(),
        users.clone(),
        host.clone(),
        options.clone(),
        badges,
        gateway,
    )
}

fn toml_secret() -> config::Secret {
    serde_json::from_value(json!(SECRET)).unwrap()
}

pub(crate) fn pusher(pushkey: &str, mut data: Value) -> Pusher {
    data["url"] = json!(URL);
    let Value::Object(data) = data else {
        panic!("no object");
    };
    Pusher {
        key: PusherKey {
            app_id: "app".to_owned(),
            pushkey: pushkey.to_owned(),
        },
        kind: "http".to_owned(),
        app_display_name: "App".to_owned(),
        device_display_name: "Phone".to_owned(),
        profile_tag: None,
        lang: "en".to_owned(),
        data,
    }
}

pub(crate) fn lane(session: &Session, pushkey: &str) -> LaneKey {
    (session.user, "app".to_owned(), pushkey.to_owned())
}

/// Their event ids.
pub(crate) fn events(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|told| told["event_id"].as_str().unwrap_or("none"))
        .collect()
}
