//! State resolution on generated rooms: what it decides, and that leaving out what does not matter changes nothing.

use proptest::{collection::vec, prelude::*, sample::select};
use room_versions::{ResolveError, Rules, StateMap};
use ruma::RoomVersionId;

mod generated;

use generated::{Act, Room, user};

/// Members of a generated room, of whom three have power; and two more who may come.
const MEMBERS: usize = 6;
const USERS: usize = MEMBERS + 2;
/// Branches that a room has at most.
const BRANCHES: usize = 4;

/// What happens in a generated room.
#[derive(Clone, Debug)]
enum Step {
    Act {
        branch: usize,
        act: Act,
    },
    /// A branch begins where another one is.
    Fork {
        branch: usize,
    },
    /// A branch hears of another one.
    Merge {
        branch: usize,
        other: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let act = (0..USERS, 0..9_usize, 0..USERS, 0..4_000_u64).prop_map(
        |(actor, kind, target, late_ms)| Act {
            // The mighty act more often, or little would be allowed.
            actor: if kind > 2 { actor % 4 } else { actor },
            kind,
            target,
            late_ms,
        },
    );
    prop_oneof![
        12 => (0..BRANCHES, act).prop_map(|(branch, act)| Step::Act { branch, act }),
        1 => (0..BRANCHES).prop_map(|branch| Step::Fork { branch }),
        2 => (0..BRANCHES, 0..BRANCHES).prop_map(|(branch, other)| Step::Merge { branch, other }),
    ]
}

/// Room versions whose rules for authorisation or resolution differ; 1 has another algorithm, 2 that of 3.
fn version() -> impl Strategy<Value = RoomVersionId> {
    select(vec![
        RoomVersionId::V3,
        RoomVersionId::V6,
        RoomVersionId::V8,
        RoomVersionId::V10,
        RoomVersionId::V11,
        RoomVersionId::V12,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_left_out_does_not_matter(version in version(), steps in vec(step(), 10..80)) {
        let (mut room, trunk) = Room::new(&version, MEMBERS);
        let mut branches = vec![trunk.clone(), trunk];
        for step in steps {
            let there = branches.len();
            match step {
                Step::Act { branch, act } => {
                    room.act(&mut branches[branch % there], act);
                }
                Step::Fork { branch } if there < BRANCHES => {
                    branches.push(branches[branch % there].clone());
                }
                Step::Fork { .. } => {}
                Step::Merge { branch, other } => {
                    let meeting = room.meet(&[&branches[branch % there], &branches[other % there]]);
                    let resolved = meeting.resolve().unwrap();
                    prop_assert_eq!(&resolved, &meeting.unreduced());
                    branches[branch % there].become_of(resolved);
                }
            }
        }
        let meeting = room.meet(&Vec::from_iter(&branches));
        prop_assert_eq!(meeting.resolve().unwrap(), meeting.unreduced());
    }
}

#[test]
fn a_ban_counts_before_what_the_banned_did_meanwhile() {
    for version in [RoomVersionId::V6, RoomVersionId::V12] {
        let (mut room, trunk) = Room::new(&version, MEMBERS);
        let (mut here, mut there) = (trunk.clone(), trunk.clone());
        let act = |actor, kind, target| Act {
            actor,
            kind,
            target,
            late_ms: 0,
        };
        let (topic, ban) = (act(5, 0, 0), act(0, 5, 5));
        assert!(room.act(&mut here, topic));
        assert!(room.act(&mut there, ban));
        let resolved = room.meet(&[&here, &there]).resolve().unwrap();
        here.become_of(resolved);
        assert_eq!(here.get("m.room.topic", ""), None, "{version}");
        let member = here.get("m.room.member", &user(5));
        assert_eq!(member, there.get("m.room.member", &user(5)), "{version}");
        assert!(!room.act(&mut here, topic), "{version}");
        assert!(room.act(&mut trunk.clone(), topic), "{version}");
    }
}

#[test]
fn states_that_are_one_need_no_resolution() {
    let (room, trunk) = Room::new(&RoomVersionId::V12, MEMBERS);
    let meeting = room.meet(&[&trunk, &trunk]);
    let mut resolved = trunk.clone();
    resolved.become_of(meeting.resolve().unwrap());
    let key = user(3);
    assert!(resolved.get("m.room.member", &key).is_some());
    assert_eq!(meeting.resolve().unwrap(), meeting.unreduced());
}

#[test]
fn what_cannot_be_resolved_is_refused() {
    let (room, trunk) = Room::new(&RoomVersionId::V12, MEMBERS);
    let meeting = room.meet(&[&trunk]);
    let resolve = |version: &RoomVersionId, states: usize| {
        let rules = Rules::of(version).unwrap();
        rules.resolve(&vec![StateMap::new(); states], &meeting)
    };
    let first = resolve(&RoomVersionId::V1, 2);
    assert_eq!(first, Err(ResolveError::Version1));
    let many = resolve(&RoomVersionId::V12, 21);
    assert_eq!(many, Err(ResolveError::TooMany(21)));
    assert_eq!(resolve(&RoomVersionId::V12, 20), Ok(StateMap::new()));
}
