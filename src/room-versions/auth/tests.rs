use std::{ops::RangeInclusive, slice, sync::Arc};

use ruma::{EventId, events::StateEventType, signatures::sign_json};
use serde_json::{Value, json};

use crate::fixture::{
    ALICE, BOB, CAROL, EVE, Room, Send, VERSIONS, create_exactly, join, join_rule, member, message,
    power, raw, rules, signer, state, user,
};

const ALLOWED: &str = "";

/// In every one of the versions: a room of ALICE's with these events put into it, and the verdict on one more:
/// [`ALLOWED`], or words of the rule that forbids it.
fn check(versions: RangeInclusive<usize>, sent: &[Send], event: &Send, verdict: &str) {
    for version in versions {
        let room = Room::with(version, sent);
        judge(&room, event, verdict);
    }
}

#[track_caller]
fn judge(room: &Room, event: &Send, verdict: &str) {
    let context = || {
        format!(
            "version {}: {} {}",
            room.rules.version(),
            event.event_type,
            event.content
        )
    };
    match room.authorise(event) {
        Ok(()) => assert_eq!(verdict, ALLOWED, "{}", context()),
        Err(error) => {
            assert!(
                !verdict.is_empty() && error.reason.contains(verdict),
                "{}: {error}",
                context()
            );
        }
    }
}

fn join_via(who: &'static str, via: &str) -> Send {
    let content = json!({ "membership": "join", "join_authorised_via_users_server": via });
    state(who, "m.room.member", who, content)
}

fn by(sender: &'static str, mut send: Send) -> Send {
    send.sender = sender;
    send
}

fn topic(sender: &'static str) -> Send {
    state(sender, "m.room.topic", "", json!({ "topic": "Nerves" }))
}

#[test]
fn a_create_event_has_the_form_of_its_version() {
    let check = |versions: RangeInclusive<usize>, room_id: &str, content: &Value, verdict: &str| {
        for version in versions {
            let rules = rules(version);
            let create = create_exactly(&rules, ALICE, room_id, content).unwrap();
            let result = rules.authorise(&create.pdu, |_, _| None);
            let reason = result.err().map(|error| error.reason).unwrap_or_default();
            assert_eq!(
                reason.is_empty(),
                verdict == ALLOWED,
                "version {version}: {content}: {reason}"
            );
            assert!(
                reason.contains(verdict),
                "version {version}: {content}: {reason}"
            );
        }
    };
    check(
        1..=10,
        "!r:example.org",
        &json!({ "creator": ALICE }),
        ALLOWED,
    );
    check(1..=10, "!r:example.org", &json!({}), "missing `creator`");
    check(11..=12, "!r:example.org", &json!({}), ALLOWED);
    check(
        1..=11,
        "!r:other.example",
        &json!({ "creator": ALICE }),
        "server name does not match",
    );
    check(
        1..=11,
        "!r:example.org",
        &json!({ "creator": ALICE, "additional_creators": 1 }),
        ALLOWED,
    );
    check(
        12..=12,
        "!r:example.org",
        &json!({ "additional_creators": [BOB, EVE] }),
        ALLOWED,
    );
    check(
        12..=12,
        "!r:example.org",
        &json!({ "additional_creators": ["bob"] }),
        "additional_creators",
    );
    check(
        12..=12,
        "!r:example.org",
        &json!({ "additional_creators": BOB }),
        "additional_creators",
    );
    check_second_create();
}

fn check_second_create() {
    for version in 1..=11 {
        let room = Room::new(version);
        let again = state(ALICE, "m.room.create", "", json!({ "creator": ALICE }));
        judge(&room, &again, "cannot have previous events");
    }
}

#[test]
fn the_creator_joins_first() {
    for version in VERSIONS {
        let room = Room::bare(version, &json!({}));
        judge(&room, &join(ALICE), ALLOWED);
        judge(&room, &join(BOB), "no `m.room.join_rules`");
        judge(
            &room,
            &message(ALICE, "m.room.message", json!({})),
            "not `join`",
        );
    }
}

#[test]
fn joins_follow_the_join_rule() {
    let invited = || member(ALICE, BOB, "invite");
    for rule in [
        "public",
        "invite",
        "knock",
        "restricted",
        "knock_restricted",
        "private",
        "org.example.unknown",
    ] {
        let public = if rule == "public" {
            ALLOWED
        } else {
            "cannot join"
        };
        // Uninvited, unvouched.
        check(VERSIONS, &[join_rule(rule)], &join(BOB), public);
        check(
            VERSIONS,
            &[join_rule(rule), member(ALICE, BOB, "ban")],
            &join(BOB),
            "banned",
        );
        check(
            VERSIONS,
            &[join_rule(rule)],
            &by(BOB, join(CAROL)),
            "must match",
        );
    }
    check(
        VERSIONS,
        &[join_rule("invite"), invited()],
        &join(BOB),
        ALLOWED,
    );
    check(
        VERSIONS,
        &[join_rule("private"), invited()],
        &join(BOB),
        "not `public`",
    );
    check(
        1..=6,
        &[join_rule("knock"), invited()],
        &join(BOB),
        "not `public`",
    );
    check(
        7..=12,
        &[join_rule("knock"), invited()],
        &join(BOB),
        ALLOWED,
    );
    check(
        1..=7,
        &[join_rule("restricted"), invited()],
        &join(BOB),
        "not `public`",
    );
    check(
        8..=12,
        &[join_rule("restricted"), invited()],
        &join(BOB),
        ALLOWED,
    );
    check(
        8..=9,
        &[join_rule("knock_restricted"), invited()],
        &join(BOB),
        "not `public`",
    );
    check(
        10..=12,
        &[join_rule("knock_restricted"), invited()],
        &join(BOB),
        ALLOWED,
    );
    // A member may join again, which is how a profile changes.
    check(
        VERSIONS,
        &[join_rule("invite"), join(BOB)],
        &join(BOB),
        ALLOWED,
    );
}

#[test]
fn restricted_joins_need_a_member_who_may_invite() {
    let restricted = [join_rule("restricted"), join(CAROL)];
    check(1..=7, &restricted, &join_via(BOB, ALICE), "not `public`");
    check(8..=12, &restricted, &join_via(BOB, ALICE), ALLOWED);
    check(8..=12, &restricted, &join_via(BOB, CAROL), ALLOWED);
    check(
        8..=12,
        &restricted,
        &join_via(BOB, "@dan:example.org"),
        "is not joined",
    );
    check(8..=12, &restricted, &join_via(BOB, BOB), "is not joined");

    let guarded = [
        join_rule("restricted"),
        join(CAROL),
        power(json!({ "invite": 50, "users": { ALICE: 50 } })),
    ];
    check(
        8..=12,
        &guarded,
        &join_via(BOB, CAROL),
        "not have enough power",
    );
    check(8..=12, &guarded, &join_via(BOB, ALICE), ALLOWED);

    let both = [join_rule("knock_restricted"), join(CAROL)];
    check(8..=9, &both, &join_via(BOB, ALICE), "not `public`");
    check(10..=12, &both, &join_via(BOB, ALICE), ALLOWED);
}

#[test]
fn invites_need_a_member_with_power() {
    let guarded = power(json!({ "invite": 50, "users": { ALICE: 50 } }));
    check(VERSIONS, &[], &member(ALICE, BOB, "invite"), ALLOWED);
    check(
        VERSIONS,
        &[join(CAROL)],
        &member(CAROL, BOB, "invite"),
        ALLOWED,
    );
    check(VERSIONS, &[], &member(CAROL, BOB, "invite"), "not joined");
    check(
        VERSIONS,
        &[join(BOB)],
        &member(ALICE, BOB, "invite"),
        "joined or banned",
    );
    check(
        VERSIONS,
        &[member(ALICE, BOB, "ban")],
        &member(ALICE, BOB, "invite"),
        "joined or banned",
    );
    check(
        VERSIONS,
        &[guarded.clone(), join(CAROL)],
        &member(CAROL, BOB, "invite"),
        "not have enough power",
    );
    check(VERSIONS, &[guarded], &member(ALICE, BOB, "invite"), ALLOWED);
}

#[test]
fn third_party_invites_need_a_valid_token() {
    let identity_server = signer("identity.example");
    let public_key = ruma::serde::Base64::<ruma::serde::base64::Standard, _>::new(
        identity_server.key_pair().public_key(),
    );
    let token = state(
        ALICE,
        "m.room.third_party_invite",
        "token",
        json!({ "public_key": public_key.encode() }),
    );
    let invite = |sender: &'static str, mxid: &str, token: &str| {
        let mut signed = serde_json::from_value(json!({ "mxid": mxid, "token": token })).unwrap();
        sign_json("identity.example", identity_server.key_pair(), &mut signed).unwrap();
        let content = json!({
            "membership": "invite",
            "third_party_invite": { "display_name": "b", "signed": signed },
        });
        state(sender, "m.room.member", BOB, content)
    };
    let forged = {
        let mut forged = invite(ALICE, BOB, "token");
        forged.content["third_party_invite"]["signed"]["extra"] = json!(true);
        forged
    };
    check(
        VERSIONS,
        slice::from_ref(&token),
        &invite(ALICE, BOB, "token"),
        ALLOWED,
    );
    check(
        VERSIONS,
        &[],
        &invite(ALICE, BOB, "token"),
        "matches the token",
    );
    check(
        VERSIONS,
        slice::from_ref(&token),
        &invite(ALICE, BOB, "other"),
        "matches the token",
    );
    check(
        VERSIONS,
        slice::from_ref(&token),
        &invite(ALICE, CAROL, "token"),
        "does not match target user",
    );
    check(
        VERSIONS,
        &[token.clone(), join(CAROL)],
        &invite(CAROL, BOB, "token"),
        "sender",
    );
    check(
        VERSIONS,
        &[token.clone(), member(ALICE, BOB, "ban")],
        &invite(ALICE, BOB, "token"),
        "banned",
    );
    check(VERSIONS, slice::from_ref(&token), &forged, "no signature");

    let guarded = power(json!({ "invite": 50, "users": { ALICE: 50 } }));
    check(VERSIONS, slice::from_ref(&guarded), &token, ALLOWED);
    check(
        VERSIONS,
        &[guarded, join(CAROL)],
        &by(CAROL, token),
        "not have enough power to send invites",
    );
}

#[test]
fn leaving_and_kicking() {
    for membership in ["join", "invite"] {
        check(
            VERSIONS,
            &[member(ALICE, BOB, membership)],
            &member(BOB, BOB, "leave"),
            ALLOWED,
        );
    }
    check(
        1..=6,
        &[member(BOB, BOB, "knock")],
        &member(BOB, BOB, "leave"),
        "cannot leave",
    );
    check(
        7..=12,
        &[member(BOB, BOB, "knock")],
        &member(BOB, BOB, "leave"),
        ALLOWED,
    );
    check(VERSIONS, &[], &member(BOB, BOB, "leave"), "cannot leave");
    check(
        VERSIONS,
        &[member(ALICE, BOB, "ban")],
        &member(BOB, BOB, "leave"),
        "cannot leave",
    );

    // ALICE's power stands in the event up to version 11; from 12 on she has it as the creator.
    let levels = |version: usize, bob: i64| {
        let mut content = json!({ "kick": 50, "ban": 75, "users": { BOB: bob, CAROL: 60 } });
        if version < 12 {
            content["users"][ALICE] = json!(100);
        }
        power(content)
    };
    for version in VERSIONS {
        let room = |bob| Room::with(version, &[levels(version, bob), join(BOB), join(CAROL)]);
        judge(&room(0), &member(ALICE, BOB, "leave"), ALLOWED);
        judge(&room(0), &member(CAROL, BOB, "leave"), ALLOWED);
        judge(
            &room(60),
            &member(CAROL, BOB, "leave"),
            "not have enough power to kick",
        );
        judge(
            &room(49),
            &member(BOB, CAROL, "leave"),
            "not have enough power to kick",
        );
        judge(
            &room(60),
            &member(BOB, ALICE, "leave"),
            "not have enough power to kick",
        );
        judge(&room(0), &member(EVE, BOB, "leave"), "not joined");

        let mut banned = room(0);
        banned.put(&member(ALICE, BOB, "ban"));
        judge(
            &banned,
            &member(CAROL, BOB, "leave"),
            "not have enough power to unban",
        );
        judge(&banned, &member(ALICE, BOB, "leave"), ALLOWED);
    }
}

#[test]
fn banning() {
    for version in VERSIONS {
        let users = if version < 12 {
            json!({ ALICE: 100, BOB: 75, CAROL: 74 })
        } else {
            json!({ BOB: 75, CAROL: 74 })
        };
        let sent = [
            power(json!({ "ban": 75, "users": users })),
            join(BOB),
            join(CAROL),
        ];
        let room = Room::with(version, &sent);
        judge(&room, &member(ALICE, EVE, "ban"), ALLOWED);
        judge(&room, &member(BOB, CAROL, "ban"), ALLOWED);
        judge(&room, &member(BOB, EVE, "ban"), ALLOWED);
        judge(
            &room,
            &member(CAROL, EVE, "ban"),
            "not have enough power to ban",
        );
        judge(
            &room,
            &member(BOB, BOB, "ban"),
            "not have enough power to ban",
        );
        judge(
            &room,
            &member(BOB, ALICE, "ban"),
            "not have enough power to ban",
        );
        judge(&room, &member(EVE, CAROL, "ban"), "not joined");
    }
}

#[test]
fn knocking() {
    let knock = member(BOB, BOB, "knock");
    check(1..=6, &[join_rule("knock")], &knock, "unknown membership");
    check(7..=12, &[join_rule("knock")], &knock, ALLOWED);
    check(
        7..=9,
        &[join_rule("knock_restricted")],
        &knock,
        "not set to knock",
    );
    check(10..=12, &[join_rule("knock_restricted")], &knock, ALLOWED);
    for rule in ["public", "invite", "restricted"] {
        check(7..=12, &[join_rule(rule)], &knock, "not set to knock");
    }
    check(
        7..=12,
        &[join_rule("knock"), knock.clone()],
        &knock,
        ALLOWED,
    );
    check(
        7..=12,
        &[join_rule("knock")],
        &member(CAROL, BOB, "knock"),
        "does not match target",
    );
    for membership in ["join", "invite", "ban"] {
        check(
            7..=12,
            &[join_rule("knock"), member(ALICE, BOB, membership)],
            &knock,
            "cannot knock",
        );
    }
}

#[test]
fn members_are_users_with_a_known_membership() {
    check(
        VERSIONS,
        &[],
        &member(ALICE, ALICE, "dance"),
        "unknown membership",
    );
    check(
        VERSIONS,
        &[],
        &state(
            ALICE,
            "m.room.member",
            "alice",
            json!({ "membership": "join" }),
        ),
        "state_key",
    );
    check(
        VERSIONS,
        &[],
        &message(ALICE, "m.room.member", json!({ "membership": "join" })),
        "missing `state_key`",
    );
}

#[test]
fn sending_needs_membership_and_power() {
    let text = |who| message(who, "m.room.message", json!({ "body": "hi" }));
    check(VERSIONS, &[], &text(ALICE), ALLOWED);
    check(VERSIONS, &[], &text(BOB), "not `join`");
    for membership in ["invite", "leave", "ban", "knock"] {
        check(
            VERSIONS,
            &[member(ALICE, BOB, membership)],
            &text(BOB),
            "not `join`",
        );
    }
    let levels = power(json!({
        "users": { ALICE: 100, BOB: 10 },
        "events": { "m.room.message": 10, "m.room.topic": 11 },
        "events_default": 20,
    }));
    let room = [levels, join(BOB), join(CAROL)];
    check(1..=11, &room, &text(BOB), ALLOWED);
    check(
        VERSIONS,
        &room,
        &text(CAROL),
        "not have enough power to send",
    );
    check(
        VERSIONS,
        &room,
        &message(BOB, "org.example.poke", json!({})),
        "not have enough power to send",
    );
    check(
        VERSIONS,
        &room,
        &topic(BOB),
        "not have enough power to send",
    );
    check(
        VERSIONS,
        &room,
        &state(BOB, "m.room.name", "", json!({})),
        "not have enough power to send",
    );
    check(VERSIONS, &room, &topic(ALICE), ALLOWED);

    // Without an event, states take 50 and messages 0; ALICE made the room.
    check(
        VERSIONS,
        &[join(BOB)],
        &topic(BOB),
        "not have enough power to send",
    );
    check(VERSIONS, &[join(BOB)], &text(BOB), ALLOWED);
    check(VERSIONS, &[], &topic(ALICE), ALLOWED);
}

#[test]
fn a_state_key_of_another_user_is_theirs() {
    let levels = power(json!({ "state_default": 0 }));
    let note = |key| state(BOB, "org.example.note", key, json!({}));
    check(VERSIONS, &[levels.clone(), join(BOB)], &note(BOB), ALLOWED);
    check(
        VERSIONS,
        &[levels.clone(), join(BOB)],
        &note(CAROL),
        "another user's ID",
    );
    check(
        VERSIONS,
        &[levels.clone(), join(BOB)],
        &note("@"),
        "another user's ID",
    );
    check(VERSIONS, &[levels, join(BOB)], &note("bob"), ALLOWED);
}

/// BOB has 50 like CAROL, EVE 10; changing the levels takes 50.
fn guarded_levels(users: Value, changes: Value) -> Value {
    let mut content = json!({
        "users": { BOB: 50, CAROL: 50, EVE: 10 },
        "state_default": 50,
        "kick": 60,
        "events": { "m.room.power_levels": 50, "m.room.encryption": 100 },
        "notifications": { "room": 60 },
    });
    if users.is_object() {
        content["users"] = users;
    }
    if let Value::Object(changes) = changes {
        for (name, value) in changes {
            content[name] = value;
        }
    }
    content
}

fn guarded_room() -> [Send; 3] {
    [
        power(guarded_levels(Value::Null, Value::Null)),
        join(BOB),
        join(CAROL),
    ]
}

#[test]
fn users_are_raised_to_and_lowered_from_below_ones_own_power() {
    let sent = guarded_room();
    let check = |users: Value, verdict: &str| {
        let change = by(BOB, power(guarded_levels(users, Value::Null)));
        check(VERSIONS, &sent, &change, verdict);
    };
    check(json!({ BOB: 50, CAROL: 50, EVE: 10 }), ALLOWED);
    check(json!({ BOB: 50, CAROL: 50, EVE: 50 }), ALLOWED);
    check(json!({ BOB: 50, CAROL: 50, EVE: 51 }), "power level");
    check(json!({ BOB: 51, CAROL: 50, EVE: 10 }), "power level");
    check(json!({ BOB: 50, CAROL: 49, EVE: 10 }), "power level");
    check(json!({ BOB: 50, EVE: 10 }), "power level");
    check(json!({ BOB: 49, CAROL: 50 }), ALLOWED);
}

#[test]
fn levels_change_only_up_to_ones_own_power() {
    let sent = guarded_room();
    let check = |versions: RangeInclusive<usize>, changes: Value, verdict: &str| {
        let change = by(BOB, power(guarded_levels(Value::Null, changes)));
        check(versions, &sent, &change, verdict);
    };
    let events = |encryption: i64, topic: i64| {
        json!({ "events": {
            "m.room.power_levels": 50, "m.room.encryption": encryption, "m.room.topic": topic,
        } })
    };
    check(VERSIONS, json!({ "ban": 50 }), ALLOWED);
    check(VERSIONS, json!({ "ban": 51 }), "`ban`");
    check(VERSIONS, json!({ "kick": 50 }), "`kick`");
    check(VERSIONS, json!({ "users_default": 51 }), "`users_default`");
    check(VERSIONS, events(100, 50), ALLOWED);
    check(VERSIONS, events(100, 51), "`m.room.topic`");
    check(VERSIONS, events(50, 50), "`m.room.encryption`");
    check(1..=5, json!({ "notifications": { "room": 0 } }), ALLOWED);
    check(6..=12, json!({ "notifications": { "room": 0 } }), "`room`");
}

#[test]
fn power_levels_have_the_form_of_their_version() {
    check(
        VERSIONS,
        &[],
        &power(json!({ "users": { BOB: 100 } })),
        ALLOWED,
    );
    check(
        VERSIONS,
        &[],
        &power(json!({ "users": { "bob": 100 } })),
        "users",
    );
    check(VERSIONS, &[], &power(json!({ "users": [] })), "users");
    check(VERSIONS, &[], &power(json!({ "ban": [] })), "ban");
    for stringy in [
        json!({ "users": { BOB: "50" } }),
        json!({ "events": { "m.room.topic": " +50 " } }),
        json!({ "notifications": { "room": "50" } }),
        json!({ "users_default": "-10" }),
        json!({ "kick": "0050" }),
    ] {
        check(1..=9, &[], &power(stringy.clone()), ALLOWED);
        check(10..=12, &[], &power(stringy), "unexpected format");
    }
    // A level that was set as a string counts.
    let stringy = [
        power(json!({ "users": { ALICE: "100", BOB: "50" } })),
        join(BOB),
    ];
    check(1..=9, &stringy, &topic(BOB), ALLOWED);
}

#[test]
fn creators_of_version_12_have_all_power() {
    check(
        1..=11,
        &[],
        &power(json!({ "users": { ALICE: 100 } })),
        ALLOWED,
    );
    check(
        12..=12,
        &[],
        &power(json!({ "users": { ALICE: 100 } })),
        "creator user IDs",
    );

    let highest = 9_007_199_254_740_991_i64;
    let mut room = Room::bare(12, &json!({ "additional_creators": [CAROL] }));
    for send in [
        join(ALICE),
        power(json!({ "users": { BOB: highest }, "ban": highest })),
        join(BOB),
        join(CAROL),
    ] {
        room.put(&send);
    }
    judge(
        &room,
        &power(json!({ "users": { CAROL: 100 } })),
        "creator user IDs",
    );
    judge(&room, &member(CAROL, BOB, "ban"), ALLOWED);
    judge(&room, &by(CAROL, power(json!({ "users": {} }))), ALLOWED);
    judge(&room, &member(BOB, ALICE, "ban"), "not have enough power");
    judge(&room, &member(BOB, CAROL, "leave"), "not have enough power");
    judge(
        &room,
        &member(CAROL, ALICE, "leave"),
        "not have enough power",
    );

    // Before, an additional creator is nobody and the event alone gives power.
    let mut room = Room::bare(11, &json!({ "additional_creators": [CAROL] }));
    for send in [
        join(ALICE),
        power(json!({ "users": { BOB: 100 } })),
        join(BOB),
        join(CAROL),
    ] {
        room.put(&send);
    }
    judge(&room, &member(CAROL, BOB, "ban"), "not have enough power");
    judge(&room, &member(BOB, ALICE, "ban"), ALLOWED);
}

#[test]
fn redactions_are_special_in_versions_1_and_2() {
    let redact = |sender: &'static str, target: &str| Send {
        redacts: Some(EventId::parse(target).unwrap()),
        ..message(sender, "m.room.redaction", json!({}))
    };
    check(1..=2, &[join(BOB)], &redact(BOB, "$e:example.org"), ALLOWED);
    check(
        1..=2,
        &[join(BOB)],
        &redact(BOB, "$e:other.example"),
        "did not pass",
    );
    check(1..=2, &[], &redact(ALICE, "$e:other.example"), ALLOWED);
    check(3..=12, &[join(BOB)], &redact(BOB, "$e"), ALLOWED);
    let guarded = power(json!({ "events": { "m.room.redaction": 1 } }));
    check(
        VERSIONS,
        &[guarded, join(BOB)],
        &redact(BOB, "$e:example.org"),
        "not have enough power to send",
    );
}

#[test]
fn aliases_are_special_before_version_6() {
    let aliases = |key| state(BOB, "m.room.aliases", key, json!({ "aliases": [] }));
    check(1..=5, &[], &aliases("example.org"), ALLOWED);
    check(1..=5, &[], &aliases("other.example"), "server name");
    check(6..=12, &[], &aliases("example.org"), "not `join`");
    check(
        6..=12,
        &[join(BOB)],
        &aliases("example.org"),
        "not have enough power",
    );
}

#[test]
fn other_servers_stay_out_of_an_unfederated_room() {
    for version in VERSIONS {
        for (federate, verdict) in [(true, ALLOWED), (false, "not federated")] {
            let mut room = Room::bare(version, &json!({ "m.federate": federate }));
            room.put(&join(ALICE));
            room.put(&join_rule("public"));
            judge(&room, &join(EVE), verdict);
            judge(&room, &join(BOB), ALLOWED);
        }
    }
}

#[test]
fn auth_types_are_the_state_that_decides() {
    let check = |versions: RangeInclusive<usize>, send: &Send, more: &[(StateEventType, &str)]| {
        for version in versions {
            let rules = rules(version);
            let mut expected = vec![
                (StateEventType::RoomPowerLevels, String::new()),
                (StateEventType::RoomMember, send.sender.to_owned()),
            ];
            if version < 12 {
                expected.push((StateEventType::RoomCreate, String::new()));
            }
            expected.extend(
                more.iter()
                    .map(|(event_type, key)| (event_type.clone(), (*key).to_owned())),
            );
            expected.sort();
            let mut types = rules
                .auth_types(
                    &send.event_type.into(),
                    &user(send.sender),
                    send.state_key,
                    &raw(&send.content),
                )
                .unwrap();
            types.sort();
            assert_eq!(types, expected, "version {version}: {}", send.content);
        }
    };
    let join_rules = || (StateEventType::RoomJoinRules, "");
    check(VERSIONS, &message(BOB, "m.room.message", json!({})), &[]);
    check(VERSIONS, &topic(BOB), &[]);
    check(VERSIONS, &join(BOB), &[join_rules()]);
    check(VERSIONS, &member(BOB, BOB, "leave"), &[]);
    check(VERSIONS, &member(BOB, BOB, "knock"), &[join_rules()]);
    check(
        VERSIONS,
        &member(BOB, CAROL, "invite"),
        &[join_rules(), (StateEventType::RoomMember, CAROL)],
    );
    check(
        VERSIONS,
        &member(BOB, CAROL, "ban"),
        &[(StateEventType::RoomMember, CAROL)],
    );
    check(1..=7, &join_via(BOB, ALICE), &[join_rules()]);
    check(
        8..=12,
        &join_via(BOB, ALICE),
        &[join_rules(), (StateEventType::RoomMember, ALICE)],
    );

    let create = rules(12).auth_types(
        &"m.room.create".into(),
        &user(ALICE),
        Some(""),
        &raw(&json!({})),
    );
    assert_eq!(create.unwrap(), []);
    let malformed = rules(12).auth_types(
        &"m.room.member".into(),
        &user(ALICE),
        Some(ALICE),
        &raw(&json!({})),
    );
    assert!(malformed.is_err());
}

#[test]
fn a_room_without_a_create_event_allows_nothing() {
    let room = Room::new(11);
    let event = room
        .compose(&message(ALICE, "m.room.message", json!({})))
        .unwrap();
    let verdict = room
        .rules
        .authorise(&event.pdu, |_, _| None::<Arc<crate::Pdu>>);
    assert!(verdict.unwrap_err().reason.contains("m.room.create"));
}
