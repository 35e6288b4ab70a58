use super::*;

fn rooms(changed: &[(RoomNid, Entry)]) -> Vec<u32> {
    changed.iter().map(|(room, _)| room.0).collect()
}

fn joined(rooms: u32) -> State {
    let mut state = State::default();
    for room in 1..=rooms {
        let pos = Pos(i64::from(room));
        state.merge(RoomNid(room), Membership::Join, pos, pos);
    }
    state
}

#[test]
fn rooms_come_latest_change_first_and_only_those_changed() {
    let mut state = joined(5);
    assert_eq!(rooms(&state.changed_since(Pos::MIN)), [5, 4, 3, 2, 1]);
    assert!(state.touch(RoomNid(2), Pos(10), Kind::Event));
    assert!(state.touch(RoomNid(4), Pos(11), Kind::Typing));
    assert!(state.touch(RoomNid(2), Pos(12), Kind::Receipt { own: true }));
    assert_eq!(rooms(&state.changed_since(Pos(5))), [2, 4]);
    assert_eq!(rooms(&state.changed_since(Pos(11))), [2]);
    assert_eq!(rooms(&state.changed_since(Pos(12))), Vec::<u32>::new());
    let entry = state.room(RoomNid(2)).unwrap();
    assert_eq!(
        (entry.timeline, entry.receipts, entry.own_receipts),
        (Pos(10), Pos(12), Pos(12))
    );
    assert_eq!(entry.typing, Pos::ZERO);
}

#[test]
fn rooms_not_joined_only_change_with_the_membership() {
    let mut state = joined(1);
    assert!(state.set_membership(RoomNid(1), Membership::Leave, Pos(10)));
    assert!(!state.touch(RoomNid(1), Pos(11), Kind::Event));
    assert!(!state.touch(RoomNid(7), Pos(12), Kind::Event));
    assert!(!state.set_membership(RoomNid(7), Membership::Invite, Pos(13)));
    assert_eq!(rooms(&state.changed_since(Pos(9))), [7, 1]);
    assert_eq!(state.joined().count(), 0);
    assert!(!state.set_membership(RoomNid(7), Membership::Join, Pos(14)));
    assert!(state.touch(RoomNid(7), Pos(15), Kind::Event));
    state.forget(RoomNid(1));
    assert_eq!(rooms(&state.changed_since(Pos::MIN)), [7]);
    assert_eq!(state.memberships, Pos(14));
}

#[test]
fn what_was_published_while_the_session_was_read_stays() {
    let mut state = State::default();
    // Published first: an event, a leaving, a forgetting, a joining.
    state.merge(RoomNid(1), Membership::Join, Pos(1), Pos::ZERO);
    state.touch(RoomNid(1), Pos(20), Kind::Event);
    state.set_membership(RoomNid(2), Membership::Leave, Pos(21));
    state.set_membership(RoomNid(3), Membership::Leave, Pos(22));
    state.forget(RoomNid(3));
    state.set_membership(RoomNid(4), Membership::Join, Pos(23));
    // Then read, as of before.
    for room in 1..=5 {
        state.merge(RoomNid(room), Membership::Join, Pos(2), Pos(10));
    }
    state.built();
    let membership = |room| {
        state
            .room(RoomNid(room))
            .map(|entry| (entry.membership, entry.member.0, entry.changed.0))
    };
    assert_eq!(membership(1), Some((Membership::Join, 2, 20)));
    assert_eq!(membership(2), Some((Membership::Leave, 21, 21)));
    assert_eq!(membership(3), None);
    assert_eq!(membership(4), Some((Membership::Join, 23, 23)));
    assert_eq!(membership(5), Some((Membership::Join, 2, 10)));
    assert_eq!(rooms(&state.changed_since(Pos::MIN)), [4, 2, 1, 5]);
}

#[test]
fn presence_is_forgotten_oldest_first() {
    let mut state = State::default();
    for user in 0..5_000 {
        state.set_presence(UserNid(user), Pos(i64::from(user)));
    }
    assert!(state.presence_since(Pos::MIN).count() <= 2 * MAX_PRESENCE);
    assert_eq!(
        state.presence_since(Pos(4_998)).collect::<Vec<_>>(),
        [UserNid(4_999)]
    );
}
