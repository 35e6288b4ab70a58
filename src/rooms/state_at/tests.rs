//! The state of the past, compared with what replaying every event gives.

use proptest::prelude::*;
use ruma::UserId;
use serde_json::json;
use store::{Pos, rows::Membership};

use crate::fixture::{Fixture, alice, bob};

/// What happens in a room.
#[derive(Clone, Copy, Debug)]
enum Step {
    Message,
    State(u8),
    Join(u8),
    Leave(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Message),
        (0..4_u8).prop_map(Step::State),
        (0..3_u8).prop_map(Step::Join),
        (0..3_u8).prop_map(Step::Leave),
    ]
}

async fn take(fixture: &Fixture, number: usize, step: Step) {
    let user = |index| UserId::parse(format!("@user{index}:localhost")).unwrap();
    match step {
        Step::Message => drop(fixture.say(alice(), "hello").await),
        Step::State(key) => {
            let key = format!("key{key}");
            drop(
                fixture
                    .set(
                        alice(),
                        "org.example.state",
                        &key,
                        json!({ "number": number }),
                    )
                    .await,
            );
        }
        Step::Join(index) => fixture.join(&user(index)).await,
        // Whoever is not there cannot leave.
        Step::Leave(index) => drop(fixture.rooms.leave(&fixture.room, &user(index), None).await),
    }
}

async fn check(fixture: &Fixture) {
    let events = fixture.all().await;
    let last = events.last().unwrap().pos;
    for at in (0..=last.0 + 1).map(Pos) {
        let expected = fixture.replay(at).await;
        let state = fixture.rooms.state_at(fixture.nid, at).await.unwrap();
        for (key, rsn) in &state {
            let found = fixture
                .rooms
                .state_key_at(fixture.nid, *key, at)
                .await
                .unwrap();
            assert_eq!(found, Some(*rsn), "{at}");
        }
        assert_eq!(fixture.named(state).await, expected, "{at}");
        let members = fixture.rooms.members_at(fixture.nid, at).await.unwrap();
        let mut members: Vec<_> = members.into_iter().map(|(_, row)| row.rsn).collect();
        let mut of_state: Vec<_> = expected
            .iter()
            .filter(|((of, _), _)| of == "m.room.member")
            .map(|(_, rsn)| *rsn)
            .collect();
        members.sort_unstable();
        of_state.sort_unstable();
        assert_eq!(members, of_state, "{at}");
    }
    // Every start, every third end.
    for after in (0..=last.0).map(Pos) {
        for upto in (after.0..=last.0).step_by(3).map(Pos) {
            check_changes(fixture, after, upto).await;
        }
    }
}

/// The changes lead from the one state to the other, each key once.
async fn check_changes(fixture: &Fixture, after: Pos, upto: Pos) {
    let rooms = &fixture.rooms;
    let mut state = rooms.state_at(fixture.nid, after).await.unwrap();
    let changes = rooms.state_changes(fixture.nid, after, upto).await.unwrap();
    assert!(
        changes.is_sorted_by(|one, other| one.pos < other.pos),
        "{after} {upto}"
    );
    for change in changes {
        let old = state.insert(change.key, change.new);
        assert_eq!(old, change.old.some(), "{after} {upto}");
        assert_ne!(old, Some(change.new), "{after} {upto}");
    }
    assert_eq!(
        state,
        rooms.state_at(fixture.nid, upto).await.unwrap(),
        "{after} {upto}"
    );
}

proptest! {
    // Each case replays a room at each of its positions.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_state_at_a_position_is_what_replaying_gives(steps in prop::collection::vec(step(), 0..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for (number, step) in steps.into_iter().enumerate() {
                take(&fixture, number, step).await;
            }
            check(&fixture).await;
        });
    }
}

#[tokio::test]
async fn a_membership_of_the_past_can_be_asked_for() {
    let fixture = Fixture::new().await;
    fixture.join(bob()).await;
    let joined = fixture.rooms.head(fixture.nid).await.unwrap().last_pos;
    fixture.leave(bob()).await;
    let left = fixture.rooms.head(fixture.nid).await.unwrap().last_pos;
    let user = fixture
        .rooms
        .store()
        .interner()
        .find(bob().as_str())
        .await
        .unwrap()
        .unwrap();
    for (at, expected) in [
        (joined.prev(), None),
        (joined, Some(Membership::Join)),
        (left.prev(), Some(Membership::Join)),
        (left, Some(Membership::Leave)),
        (Pos::MAX, Some(Membership::Leave)),
    ] {
        let row = fixture
            .rooms
            .member_at(fixture.nid, user, at)
            .await
            .unwrap();
        assert_eq!(row.map(|row| row.membership), expected, "{at}");
    }
}

#[tokio::test]
async fn a_room_nobody_knows_has_no_state() {
    let fixture = Fixture::new().await;
    let unknown = store::RoomNid(u32::MAX);
    assert!(
        fixture
            .rooms
            .state_at(unknown, Pos::MAX)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        fixture
            .rooms
            .state_changes(unknown, Pos::MIN, Pos::MAX)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        fixture
            .rooms
            .members_at(unknown, Pos::MAX)
            .await
            .unwrap()
            .is_empty()
    );
}
