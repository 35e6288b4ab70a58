//! Who sees what: settings × memberships × expected, and the same through the store.

use ruma::{events::room::history_visibility::HistoryVisibility, user_id};
use serde_json::Map;
use store::{Pos, rows::Membership};

use super::Visibility;
use crate::{
    RoomError,
    fixture::{Fixture, alice, bob},
};

/// A history, one event for each letter: `w`orld-readable, `s`hared, `i`nvited and `j`oined set the room's visibility; `J`oin,
/// `I`nvite, `L`eave, `B`an and `K`nock the reader's membership; a dot is somebody's message.
fn history(text: &str) -> Visibility {
    let (mut settings, mut members) = (Vec::new(), Vec::new());
    for (pos, letter) in (1..).map(Pos).zip(text.chars()) {
        match letter {
            'w' => settings.push((pos, HistoryVisibility::WorldReadable)),
            's' => settings.push((pos, HistoryVisibility::Shared)),
            'i' => settings.push((pos, HistoryVisibility::Invited)),
            'j' => settings.push((pos, HistoryVisibility::Joined)),
            'J' => members.push((pos, Membership::Join)),
            'I' => members.push((pos, Membership::Invite)),
            'L' => members.push((pos, Membership::Leave)),
            'B' => members.push((pos, Membership::Ban)),
            'K' => members.push((pos, Membership::Knock)),
            '.' => {}
            other => panic!("{other}"),
        }
    }
    Visibility::of(&settings, members)
}

#[test]
fn events_are_seen_as_the_spec_says() {
    let rows = [
        // Never in the room.
        ("w.", "++"),
        ("s.", "--"),
        ("i.", "--"),
        ("j.", "--"),
        (".", "-"),
        // Joined: what was before depends on what was set then; without a setting it is `shared`.
        (".J.", "+++"),
        ("w.J.", "++++"),
        ("s.J.", "++++"),
        ("i.J.", "+-++"),
        ("j.J.", "+-++"),
        // Invited first.
        ("s.I.J.", "++++++"),
        ("i.I.J.", "+-++++"),
        ("j.I.J.", "+---++"),
        // Invited, and never joined.
        ("w.I.", "++++"),
        ("s.I.", "----"),
        ("i.I.", "--++"),
        ("j.I.", "----"),
        ("i.I.L.", "--+++-"),
        // Left: the leaving itself is the last thing seen.
        ("w.J.L.", "++++++"),
        ("s.J.L.", "+++++-"),
        ("i.J.L.", "+-+++-"),
        ("j.J.L.", "+-+++-"),
        // Came back: `shared` shows what was missed.
        ("s.J.L.J.", "++++++++"),
        ("i.J.L.J.", "+-+++-++"),
        ("i.J.L.I.J.", "+-+++-++++"),
        ("j.J.L.I.J.", "+-+++---++"),
        // Invited again, and not come back.
        ("s.J.L.I.", "+++++---"),
        ("i.J.L.I.", "+-+++-++"),
        // Banned, and unbanned.
        ("s.J.B.", "+++++-"),
        ("s.J.BL.", "+++++--"),
        ("s.J.BL.J.", "+++++++++"),
        ("w.J.B.", "++++++"),
        ("s.B.", "----"),
        // Knocked.
        ("s.K.J.", "++++++"),
        ("i.K.J.", "+---++"),
        ("s.K.L.", "------"),
        // A change of the setting is seen if the state before it or after it lets.
        ("j.w.j.", "--+++-"),
        ("w.j.", "+++-"),
        ("w.j.J.", "+++-++"),
        ("s.j.J.", "+++-++"),
        ("j.s.J.", "+-++++"),
        ("s.J.L.w.", "+++++-++"),
        ("s.J.L.w.s.", "+++++-+++-"),
        ("j.J.j.", "+-++++"),
        ("i.j.I.J.", "+-----++"),
        ("i.I.j.J.", "+-+++-++"),
    ];
    for (text, expected) in rows {
        let visibility = history(text);
        let seen: String = (1..=text.len())
            .map(|pos| {
                if visibility.may_see(Pos(i64::try_from(pos).unwrap())) {
                    '+'
                } else {
                    '-'
                }
            })
            .collect();
        assert_eq!(seen, expected, "{text}");
        assert_eq!(
            visibility.sees_all(),
            !expected.contains('-') && visibility.may_see(Pos::MIN),
            "{text}"
        );
    }
}

#[test]
fn the_room_is_read_as_of_the_last_leaving() {
    let rows = [
        ("s.", None),
        ("w.", Some(Pos::MAX)),
        ("w.s.", None),
        ("s.w.", Some(Pos::MAX)),
        ("s.I.", None),
        ("s.I.L.", None),
        ("s.K.", None),
        ("s.B.", None),
        ("s.J.", Some(Pos::MAX)),
        ("s.J.L.", Some(Pos(5))),
        ("s.J.B.L.", Some(Pos(5))),
        ("s.J.L.I.", Some(Pos(5))),
        ("s.J.L.J.", Some(Pos::MAX)),
        ("s.J.L.J.L.", Some(Pos(9))),
        ("w.J.L.", Some(Pos(5))),
    ];
    for (text, expected) in rows {
        assert_eq!(history(text).reach(), expected, "{text}");
    }
}

#[test]
fn the_readers_membership_is_that_just_after_the_event() {
    let visibility = history(".I.J.L.B");
    let words: Vec<_> = (1..=8)
        .map(|pos| visibility.membership_word_at(Pos(pos)))
        .collect();
    assert_eq!(
        words,
        [
            "leave", "invite", "invite", "join", "join", "leave", "leave", "ban"
        ]
    );
    assert_eq!(visibility.membership_at(Pos(1)), None);
}

#[test]
fn ranges_are_cut_to_what_is_asked_for() {
    let visibility = history("s.J.L.w.");
    assert_eq!(
        visibility.ranges_within(Pos(2), Pos(6)).collect::<Vec<_>>(),
        [(Pos(2), Pos(5))]
    );
    assert_eq!(
        visibility.ranges_within(Pos(3), Pos(9)).collect::<Vec<_>>(),
        [(Pos(3), Pos(5)), (Pos(7), Pos(9))]
    );
    assert_eq!(visibility.ranges_within(Pos(6), Pos(6)).count(), 0);
    assert_eq!(visibility.ranges_within(Pos(5), Pos(4)).count(), 0);
}

#[tokio::test]
async fn both_histories_are_read_from_the_store() {
    let fixture = Fixture::new().await;
    let shared = fixture.say(alice(), "shared").await;
    fixture.history_visibility("joined").await;
    let hidden = fixture.say(alice(), "hidden").await;
    fixture.join(bob()).await;
    let joined = fixture.say(alice(), "joined").await;
    // A new name is no new membership.
    fixture
        .set(
            bob(),
            "m.room.member",
            bob().as_str(),
            serde_json::json!({ "membership": "join", "displayname": "B" }),
        )
        .await;
    fixture.leave(bob()).await;
    let after = fixture.say(alice(), "after").await;

    let visibility = fixture.rooms.visibility(fixture.nid, bob()).await.unwrap();
    for (event_id, expected) in [
        (&shared, true),
        (&hidden, false),
        (&joined, true),
        (&after, false),
    ] {
        let event = fixture.event(event_id).await;
        assert_eq!(
            visibility.may_see(event.pos),
            expected,
            "{}",
            event.content()
        );
    }
    assert_eq!(visibility.members.len(), 2);
    assert!(
        fixture
            .rooms
            .visibility(fixture.nid, alice())
            .await
            .unwrap()
            .sees_all()
    );
    let stranger = fixture
        .rooms
        .visibility(fixture.nid, user_id!("@stranger:localhost"))
        .await
        .unwrap();
    assert!(stranger.ranges.is_empty());
}

#[tokio::test]
async fn a_setting_that_is_not_understood_is_shared() {
    let fixture = Fixture::new().await;
    fixture.history_visibility("org.example.sometimes").await;
    let said = fixture.say(alice(), "hello").await;
    fixture.join(bob()).await;
    let visibility = fixture.rooms.visibility(fixture.nid, bob()).await.unwrap();
    assert!(visibility.may_see(fixture.event(&said).await.pos));
}

#[tokio::test]
async fn whoever_has_forgotten_a_room_is_a_stranger_to_it() {
    let fixture = Fixture::new().await;
    fixture.join(bob()).await;
    fixture.say(alice(), "hello").await;
    fixture.leave(bob()).await;
    assert!(fixture.view(bob()).await.upto < fixture.rooms.store().visible().next());
    fixture.rooms.forget(&fixture.room, bob()).await.unwrap();
    assert!(matches!(
        fixture.rooms.view(&fixture.room, bob()).await,
        Err(RoomError::NotJoined)
    ));
    fixture
        .rooms
        .join(&fixture.room, bob(), Map::new())
        .await
        .unwrap();
    assert!(fixture.view(bob()).await.visibility.sees_all());
}
