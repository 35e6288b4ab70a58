//! The write path on a memory store: what a commit keeps, what a follower hears, what a room in memory knows.

use std::sync::Arc;

use host::{Host, ManualClock};
use parking_lot::Mutex;
use room_versions::Signer;
use ruma::{EventId, OwnedRoomId, RoomId, RoomVersionId, UserId, owned_server_name, user_id};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{MemoryDisk, Pos, Store, StoreOptions, rows::Membership};

use crate::{
    Creation, Follower, Identity, MemberProfile, Preset, Profiles, RoomError, RoomNews,
    RoomOptions, Rooms, Transaction, What,
};

struct NoProfiles;

impl Profiles for NoProfiles {
    fn profile<'a>(
        &'a self,
        _user: &'a UserId,
    ) -> std::pin::Pin<Box<dyn Future<Output = MemberProfile> + Send + 'a>> {
        Box::pin(async { MemberProfile::default() })
    }

    fn refuses_invite<'a>(
        &'a self,
        _invitee: &'a UserId,
        _inviter: &'a UserId,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { false })
    }
}

/// Remembers what it hears.
#[derive(Default)]
struct Listener(Mutex<Vec<(Pos, String)>>);

impl Follower for Listener {
    fn room_news(&self, news: &RoomNews) {
        if let What::Event { event, .. } = &news.what {
            assert_eq!(event.pos, news.pos);
            self.0.lock().push((news.pos, event.event_type.to_string()));
        }
    }
}

fn rooms_on(store: Store, host: &Host) -> (Rooms, Arc<Listener>) {
    let server_name = owned_server_name!("localhost");
    let signer = Signer::from_seed(server_name.clone(), &[7; 32], "a".to_owned()).unwrap();
    let options = RoomOptions {
        notices_user: None,
        default_version: RoomVersionId::V12,
        room_cache_bytes: 1 << 20,
        event_cache_bytes: 1 << 20,
    };
    let rooms = Rooms::new(
        store,
        host.clone(),
        Identity {
            server_name,
            signer,
        },
        options,
        Arc::new(NoProfiles),
    );
    let listener = Arc::new(Listener::default());
    rooms.follow(vec![listener.clone()]);
    (rooms, listener)
}

fn host() -> Host {
    Host::manual(&ManualClock::new(1_700_000_000_000), 1)
}

fn rooms() -> (Rooms, Arc<Listener>) {
    let host = host();
    rooms_on(Store::open_memory(host.clone()), &host)
}

fn creation(creator: &UserId, preset: Preset, version: RoomVersionId) -> Creation {
    Creation {
        creator: creator.to_owned(),
        published: false,
        alias_localpart: None,
        name: Some("Nerves".to_owned()),
        topic: None,
        preset,
        room_version: Some(version),
        creation_content: Map::new(),
        initial_state: Vec::new(),
        power_level_content_override: Map::new(),
        invite: Vec::new(),
        is_direct: false,
    }
}

fn alice() -> &'static UserId {
    user_id!("@alice:localhost")
}

fn bob() -> &'static UserId {
    user_id!("@bob:localhost")
}

async fn public_room(rooms: &Rooms) -> OwnedRoomId {
    rooms
        .create(creation(alice(), Preset::PublicChat, RoomVersionId::V12))
        .await
        .unwrap()
}

async fn say(
    rooms: &Rooms,
    room: &RoomId,
    sender: &UserId,
    body: &str,
    txn: Option<&str>,
) -> Result<String, RoomError> {
    let content = to_raw_value(&json!({ "msgtype": "m.text", "body": body })).unwrap();
    let transaction = txn.map(|txn_id| Transaction {
        device_id: "DEVICE",
        txn_id,
    });
    rooms
        .send_message(room, sender, "m.room.message", &content, transaction)
        .await
        .map(|id| id.to_string())
}

#[tokio::test]
async fn a_room_of_every_version_can_be_created_joined_and_talked_in() {
    let (rooms, _) = rooms();
    for version in 1..=12 {
        let version = RoomVersionId::try_from(version.to_string()).unwrap();
        let room = rooms
            .create(creation(alice(), Preset::PublicChat, version.clone()))
            .await
            .unwrap();
        rooms
            .join(&room, bob(), Map::new())
            .await
            .unwrap_or_else(|error| panic!("{version}: {error}"));
        let said = say(&rooms, &room, bob(), "hello", None).await.unwrap();
        let nid = rooms.nid(&room).await.unwrap();
        let head = rooms.head(nid).await.unwrap();
        assert_eq!(
            (head.joined, head.forward_extremities.len()),
            (2, 1),
            "{version}"
        );
        let event = rooms
            .event_by_id(&EventId::parse(said).unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (event.sender.as_str(), &*event.event_type),
            ("@bob:localhost", "m.room.message")
        );
    }
}

#[tokio::test]
async fn the_follower_hears_every_event_once_and_in_order() {
    let (rooms, listener) = rooms();
    let room = public_room(&rooms).await;
    let writers = (0..16).map(|writer| {
        let (rooms, room) = (rooms.clone(), room.clone());
        async move {
            for message in 0..10 {
                say(&rooms, &room, alice(), &format!("{writer}.{message}"), None)
                    .await
                    .unwrap();
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let heard = listener.0.lock().clone();
    assert_eq!(
        heard
            .iter()
            .filter(|(_, event_type)| event_type == "m.room.message")
            .count(),
        160
    );
    assert!(heard.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let head = rooms.head(rooms.nid(&room).await.unwrap()).await.unwrap();
    assert_eq!(head.last_rsn.0 as usize, heard.len());
    assert_eq!(usize::try_from(head.depth), Ok(heard.len()));
}

#[tokio::test]
async fn the_same_transaction_is_answered_the_same_at_once_and_after_a_crash() {
    let host = host();
    let disk = MemoryDisk::new();
    let open = || {
        let store = Store::open_memory_disk(&disk, &StoreOptions::default(), host.clone()).unwrap();
        rooms_on(store, &host).0
    };
    let rooms = open();
    let room = public_room(&rooms).await;
    let (first, second) = tokio::join!(
        say(&rooms, &room, alice(), "once", Some("t1")),
        say(&rooms, &room, alice(), "once", Some("t1"))
    );
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    disk.crash();
    let rooms = open();
    assert_eq!(
        first,
        say(&rooms, &room, alice(), "once", Some("t1"))
            .await
            .unwrap()
    );
    assert_ne!(
        first,
        say(&rooms, &room, alice(), "once", Some("t2"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn membership_is_one_fact_seen_from_the_room_and_from_the_user() {
    let (rooms, _) = rooms();
    let room = rooms
        .create(creation(alice(), Preset::PrivateChat, RoomVersionId::V12))
        .await
        .unwrap();
    assert!(matches!(
        rooms.join(&room, bob(), Map::new()).await,
        Err(RoomError::Forbidden(_))
    ));
    rooms
        .invite(&room, alice(), bob(), Map::new())
        .await
        .unwrap();
    rooms.join(&room, bob(), Map::new()).await.unwrap();
    rooms.join(&room, bob(), Map::new()).await.unwrap();
    rooms
        .kick(&room, alice(), bob(), Some("enough"))
        .await
        .unwrap();
    assert!(matches!(
        rooms.kick(&room, alice(), bob(), None).await,
        Err(RoomError::Forbidden(_))
    ));
    rooms.ban(&room, alice(), bob(), None).await.unwrap();
    assert!(matches!(
        rooms.leave(&room, bob(), None).await,
        Err(RoomError::NotJoined)
    ));
    rooms.unban(&room, alice(), bob(), None).await.unwrap();
    let nid = rooms.nid(&room).await.unwrap();
    let mine = rooms.rooms_of(bob()).await.unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].1.member.membership, Membership::Leave);
    let user = rooms
        .store()
        .interner()
        .find(bob().as_str())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        rooms.member(nid, user).await.unwrap().unwrap(),
        mine[0].1.member
    );
    rooms.forget(&room, bob()).await.unwrap();
    assert!(rooms.rooms_of(bob()).await.unwrap()[0].1.forgotten);
    assert_eq!(rooms.head(nid).await.unwrap().joined, 1);
}

#[tokio::test]
async fn a_redacted_event_loses_its_content_and_names_its_redaction() {
    let (rooms, _) = rooms();
    let room = public_room(&rooms).await;
    rooms.join(&room, bob(), Map::new()).await.unwrap();
    let said = EventId::parse(say(&rooms, &room, alice(), "secret", None).await.unwrap()).unwrap();
    assert!(matches!(
        rooms.redact(&room, bob(), &said, None, None).await,
        Err(RoomError::Forbidden(_))
    ));
    let redaction = rooms
        .redact(&room, alice(), &said, Some("oops"), None)
        .await
        .unwrap();
    let event = rooms.event_by_id(&said).await.unwrap().unwrap();
    assert_eq!(event.content(), "{}");
    assert_eq!(event.redacted_because.as_ref().unwrap().event_id, redaction);
    let mut json = Vec::new();
    event.write_client(&mut json, &crate::ClientView::default());
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        json["unsigned"]["redacted_because"]["content"]["redacts"],
        json!(said)
    );
}

#[tokio::test]
async fn a_profile_change_reaches_the_rooms_joined_and_no_others() {
    let (rooms, listener) = rooms();
    let joined = public_room(&rooms).await;
    let left = public_room(&rooms).await;
    rooms.leave(&left, alice(), None).await.unwrap();
    let profile = MemberProfile {
        displayname: Some("Alice".to_owned()),
        avatar_url: None,
    };
    let before = listener.0.lock().len();
    rooms.profile_changed(alice(), &profile).await.unwrap();
    rooms.profile_changed(alice(), &profile).await.unwrap();
    assert_eq!(listener.0.lock().len(), before + 1);
    let nid = rooms.nid(&joined).await.unwrap();
    let member = rooms
        .state_event(nid, "m.room.member", alice().as_str())
        .await
        .unwrap()
        .unwrap();
    assert!(member.content().contains("\"displayname\":\"Alice\""));
}

#[tokio::test]
async fn a_restricted_room_lets_members_of_the_allowed_room_in() {
    let (rooms, _) = rooms();
    let space = public_room(&rooms).await;
    let mut restricted = creation(alice(), Preset::PrivateChat, RoomVersionId::V12);
    let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": space }] });
    restricted.initial_state.push(crate::InitialState {
        event_type: "m.room.join_rules".to_owned(),
        state_key: String::new(),
        content: to_raw_value(&rule).unwrap(),
    });
    let room = rooms.create(restricted).await.unwrap();
    let refused = rooms.join(&room, bob(), Map::new()).await;
    assert!(
        matches!(refused, Err(RoomError::Forbidden(_))),
        "{refused:?}"
    );
    rooms.join(&space, bob(), Map::new()).await.unwrap();
    rooms.join(&room, bob(), Map::new()).await.unwrap();
}

#[tokio::test]
async fn the_content_of_redacted_state_is_gone_from_what_replaced_it() {
    let (rooms, _) = rooms();
    let room = public_room(&rooms).await;
    let topic = |topic: &str| to_raw_value(&json!({ "topic": topic })).unwrap();
    let first = rooms
        .set_state(&room, alice(), "m.room.topic", "", &topic("secret"))
        .await
        .unwrap();
    let second = rooms
        .set_state(&room, alice(), "m.room.topic", "", &topic("public"))
        .await
        .unwrap();
    let previous = async || {
        rooms
            .event_by_id(&second)
            .await
            .unwrap()
            .unwrap()
            .previous
            .clone()
            .unwrap()
            .content
    };
    assert!(previous().await.ends_with(b"\"secret\"}"));
    rooms
        .redact(&room, alice(), &first, None, None)
        .await
        .unwrap();
    assert_eq!(previous().await, "{}");
    let loaded = rooms.room_by_id(&room).await.unwrap();
    let (recent, _) = loaded.recent(Pos::ZERO, Pos::MAX, 32).unwrap();
    let held = recent
        .iter()
        .find(|event| event.event_id == second)
        .unwrap();
    assert_eq!(held.previous.as_ref().unwrap().content, "{}");
}

#[tokio::test]
async fn transactions_are_forgotten_after_thirty_days() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let clock = ManualClock::new(1_700_000_000_000);
    let host = Host::manual(&clock, 1);
    let (rooms, _) = rooms_on(Store::open_memory(host.clone()), &host);
    let room = public_room(&rooms).await;
    let send = async |txn_id: &str| {
        let content = to_raw_value(&json!({ "body": txn_id })).unwrap();
        let transaction = Transaction {
            device_id: "D",
            txn_id,
        };
        rooms
            .send_message(
                &room,
                alice(),
                "m.room.message",
                &content,
                Some(transaction),
            )
            .await
            .unwrap()
    };
    let mut old = Vec::new();
    for number in 0..1_500 {
        old.push(send(&format!("old{number}")).await);
    }
    clock.advance(29 * DAY_MS);
    let young = send("young").await;
    assert_eq!(rooms.forget_transactions().await.unwrap(), 0);
    assert_eq!(send("old7").await, old[7]);
    clock.advance(2 * DAY_MS);
    assert_eq!(rooms.forget_transactions().await.unwrap(), 1_500);
    assert_eq!(rooms.forget_transactions().await.unwrap(), 0);
    assert_eq!(send("young").await, young);
    assert_ne!(send("old7").await, old[7]);
}
