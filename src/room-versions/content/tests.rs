use ruma::{
    events::room::{
        history_visibility::HistoryVisibility,
        join_rules::{AllowRule, JoinRule},
        member::MembershipState,
        power_levels::UserPowerLevel,
    },
    int,
};
use serde_json::{Value, json};

use super::{Member, history_visibility, join_rule};
use crate::fixture::{ALICE, BOB, CAROL, EVE, Room, VERSIONS, create, join, power, state, user};

#[test]
fn a_create_event_tells_what_cannot_change() {
    let content = json!({
        "additional_creators": [CAROL, ALICE, BOB], "type": "m.space", "m.federate": false,
        "predecessor": { "room_id": "!old:example.org", "event_id": "$e" },
    });
    for version in VERSIONS {
        let room = Room::bare(version, &content);
        let create = room.rules.create(&room.create).unwrap();
        let creators: &[&str] = if version < 12 {
            &[ALICE]
        } else {
            &[ALICE, BOB, CAROL]
        };
        assert_eq!(create.creators, creators, "version {version}");
        assert!(!create.federate);
        assert_eq!(create.room_type.as_deref(), Some("m.space"));
        assert_eq!(create.predecessor.unwrap(), "!old:example.org");

        let plain = Room::bare(version, &json!({ "type": 1, "predecessor": "x" }));
        let create = plain.rules.create(&plain.create).unwrap();
        assert_eq!((create.creators.len(), create.federate), (1, true));
        assert_eq!((create.room_type, create.predecessor), (None, None));
    }
}

#[test]
fn the_creator_is_named_in_the_content_before_version_11() {
    for version in VERSIONS {
        let room = Room::bare(version, &json!({ "creator": BOB }));
        let create = room.rules.create(&room.create).unwrap();
        assert_eq!(
            create.creators,
            [if version < 11 { BOB } else { ALICE }],
            "version {version}"
        );
    }
}

#[test]
fn a_malformed_create_event_is_an_error() {
    let room = Room::new(11);
    let malformed = create(&room.rules, ALICE, &json!({ "m.federate": "no" }))
        .unwrap()
        .pdu;
    let error = room.rules.create(&malformed).unwrap_err();
    assert!(error.to_string().contains("m.room.create"), "{error}");
}

#[test]
fn power_levels_know_defaults_strings_and_creators() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let create = room.rules.create(&room.create).unwrap();
        let alice = if version < 12 {
            UserPowerLevel::Int(int!(100))
        } else {
            UserPowerLevel::Infinite
        };

        let levels = room.rules.power_levels(&create, None).unwrap();
        assert_eq!(levels.for_user(&user(ALICE)), alice, "version {version}");
        assert_eq!(levels.for_user(&user(BOB)), UserPowerLevel::Int(int!(0)));
        assert_eq!(
            (levels.state_default, levels.invite, levels.ban),
            (int!(50), int!(0), int!(50))
        );

        let level = |n: i64| {
            if version < 10 {
                json!(n.to_string())
            } else {
                json!(n)
            }
        };
        let event = room.put(&power(
            json!({ "users": { BOB: level(60) }, "users_default": level(-1), "kick": level(7) }),
        ));
        let levels = room.rules.power_levels(&create, Some(&event)).unwrap();
        let alice = if version < 12 {
            UserPowerLevel::Int(int!(-1))
        } else {
            UserPowerLevel::Infinite
        };
        assert_eq!(levels.for_user(&user(ALICE)), alice, "version {version}");
        assert_eq!(levels.for_user(&user(BOB)), UserPowerLevel::Int(int!(60)));
        assert_eq!(levels.kick, int!(7));
    }
}

#[test]
fn initial_power_levels_are_allowed_and_keep_the_creator_on_top() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let owners = [user(ALICE)];
        let content = room
            .rules
            .initial_power_levels(owners.iter().filter(|_| version < 12));
        room.authorise(&power(content.clone())).unwrap();
        let event = room.put(&power(content));
        let create = room.rules.create(&room.create).unwrap();
        let levels = room.rules.power_levels(&create, Some(&event)).unwrap();
        let tombstone = levels.for_state("m.room.tombstone".into());
        assert_eq!(tombstone, if version < 12 { int!(100) } else { int!(150) });
        assert!(levels.for_user(&user(ALICE)) >= tombstone);
    }
}

#[test]
fn join_rules_default_to_invite() {
    let rule = |content: Value| {
        let mut room = Room::new(12);
        join_rule(Some(&room.put(&state(
            ALICE,
            "m.room.join_rules",
            "",
            content,
        ))))
    };
    assert_eq!(join_rule(None), JoinRule::Invite);
    assert_eq!(rule(json!({})), JoinRule::Invite);
    assert_eq!(rule(json!({ "join_rule": 1 })), JoinRule::Invite);
    assert_eq!(rule(json!({ "join_rule": "public" })), JoinRule::Public);
    assert_eq!(rule(json!({ "join_rule": "knock" })), JoinRule::Knock);
    let allow = json!([{ "type": "m.room_membership", "room_id": "!r:example.org" }, { "type": "org.example.other" }]);
    let JoinRule::Restricted(restricted) =
        rule(json!({ "join_rule": "restricted", "allow": allow }))
    else {
        panic!("not restricted");
    };
    assert_eq!(restricted.allow.len(), 2);
    assert!(
        matches!(&restricted.allow[0], AllowRule::RoomMembership(room) if room.room_id == "!r:example.org")
    );
}

#[test]
fn history_visibility_defaults_to_shared() {
    let visibility = |content: Value| {
        let mut room = Room::new(12);
        history_visibility(Some(&room.put(&state(
            ALICE,
            "m.room.history_visibility",
            "",
            content,
        ))))
    };
    assert_eq!(history_visibility(None), HistoryVisibility::Shared);
    for (word, expected) in [
        ("invited", HistoryVisibility::Invited),
        ("joined", HistoryVisibility::Joined),
        ("shared", HistoryVisibility::Shared),
        ("world_readable", HistoryVisibility::WorldReadable),
        ("org.example.unknown", HistoryVisibility::Shared),
    ] {
        assert_eq!(visibility(json!({ "history_visibility": word })), expected);
    }
    assert_eq!(
        visibility(json!({ "history_visibility": 7 })),
        HistoryVisibility::Shared
    );
}

#[test]
fn a_member_is_read_leniently() {
    let mut room = Room::new(12);
    let content = json!({
        "membership": "join", "displayname": "Bob", "avatar_url": "mxc://a/b", "is_direct": true,
        "join_authorised_via_users_server": ALICE,
    });
    let member = Member::of(&room.put(&state(BOB, "m.room.member", BOB, content))).unwrap();
    assert_eq!(member.membership, MembershipState::Join);
    assert_eq!(member.displayname.as_deref(), Some("Bob"));
    assert_eq!(member.avatar_url.as_deref(), Some("mxc://a/b"));
    assert!(member.is_direct);
    assert_eq!(member.join_authorised_via_users_server.unwrap(), ALICE);

    let content =
        json!({ "membership": "join", "displayname": null, "avatar_url": 5, "is_direct": "yes" });
    let member = Member::of(&room.put(&state(EVE, "m.room.member", EVE, content))).unwrap();
    assert_eq!(
        (member.displayname, member.avatar_url, member.is_direct),
        (None, None, false)
    );
    assert_eq!(
        Member::of(&room.put(&join(CAROL)))
            .unwrap()
            .join_authorised_via_users_server,
        None
    );
    assert!(Member::of(&room.put(&state(ALICE, "org.example", "", json!({})))).is_err());
}
