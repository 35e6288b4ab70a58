use std::{collections::BTreeMap, ops::RangeInclusive};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue,
    serde::Base64,
    signatures::{Verified, verify_event},
};
use serde_json::{Map, Value, json};

use crate::{
    Composed, Parts, Rules,
    fixture::{
        ALICE, BOB, EVE, Room, VERSIONS, create_exactly, message, rules, signer, state, user,
    },
    pdu_json,
};

fn redacted(rules: &Rules, composed: &Composed) -> Parts {
    rules
        .redact(
            &composed.pdu.event_id,
            &composed.parts.client,
            &composed.parts.federation,
        )
        .unwrap()
}

/// In every one of the versions, redacting an event of this type keeps exactly these members of its content.
fn check(
    versions: RangeInclusive<usize>,
    event_type: &'static str,
    content: &Value,
    kept: &[&str],
) {
    for version in versions {
        let room = Room::new(version);
        let key = if event_type == "m.room.member" {
            ALICE
        } else {
            ""
        };
        let mut whole = content.clone();
        whole["org.example.more"] = json!({ "join_rule": 1 });
        let composed = room.compose(&state(ALICE, event_type, key, whole)).unwrap();
        let parts = redacted(&room.rules, &composed);
        let client: Value = serde_json::from_slice(&pdu_json(&parts.client, b"")).unwrap();
        let expected: Map<String, Value> = kept
            .iter()
            .map(|name| ((*name).to_owned(), content[*name].clone()))
            .collect();
        assert_eq!(
            client["content"],
            Value::Object(expected),
            "version {version}: {event_type}"
        );
        assert_eq!(
            parts.federation, composed.parts.federation,
            "version {version}: {event_type}"
        );
    }
}

#[test]
fn contents_keep_what_their_version_lists() {
    check(
        VERSIONS,
        "m.room.message",
        &json!({ "body": "b", "membership": "join" }),
        &[],
    );
    check(VERSIONS, "m.room.topic", &json!({ "topic": "t" }), &[]);
    check(
        VERSIONS,
        "m.room.history_visibility",
        &json!({ "history_visibility": "shared" }),
        &["history_visibility"],
    );

    let member = json!({
        "membership": "join", "displayname": "A", "avatar_url": "mxc://a/b", "join_authorised_via_users_server": ALICE,
    });
    check(1..=8, "m.room.member", &member, &["membership"]);
    check(
        9..=12,
        "m.room.member",
        &member,
        &["membership", "join_authorised_via_users_server"],
    );

    let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": "!r" }] });
    check(1..=7, "m.room.join_rules", &rule, &["join_rule"]);
    check(8..=12, "m.room.join_rules", &rule, &["join_rule", "allow"]);

    let levels = json!({
        "ban": 1, "events": { "m.room.name": 2 }, "events_default": 3, "invite": 4, "kick": 5, "notifications": { "room": 6 },
        "redact": 7, "state_default": 8, "users": { BOB: 9 }, "users_default": 10,
    });
    let kept = [
        "ban",
        "events",
        "events_default",
        "kick",
        "redact",
        "state_default",
        "users",
        "users_default",
    ];
    check(1..=10, "m.room.power_levels", &levels, &kept);
    check(
        11..=12,
        "m.room.power_levels",
        &levels,
        &[&kept[..], &["invite"]].concat(),
    );

    check(
        1..=5,
        "m.room.aliases",
        &json!({ "aliases": ["#a:example.org"] }),
        &["aliases"],
    );
    check(
        6..=12,
        "m.room.aliases",
        &json!({ "aliases": ["#a:example.org"] }),
        &[],
    );

    let redaction = json!({ "redacts": "$e", "reason": "r" });
    check(1..=10, "m.room.redaction", &redaction, &[]);
    check(11..=12, "m.room.redaction", &redaction, &["redacts"]);

    check_create();
}

fn check_create() {
    let content = json!({ "creator": ALICE, "room_version": "1", "type": "m.space", "org.example.more": [1] });
    for version in VERSIONS {
        let rules = rules(version);
        let create = create_exactly(&rules, ALICE, "!r:example.org", &content).unwrap();
        let parts = redacted(&rules, &create);
        let client: Value = serde_json::from_slice(&pdu_json(&parts.client, b"")).unwrap();
        let kept = if version < 11 {
            json!({ "creator": ALICE })
        } else {
            content.clone()
        };
        assert_eq!(client["content"], kept, "version {version}");
    }
}

#[test]
fn a_third_party_invite_keeps_its_signed_part() {
    let invite =
        json!({ "display_name": "b", "signed": { "mxid": BOB, "token": "t", "signatures": {} } });
    for version in VERSIONS {
        let room = Room::new(version);
        let content = json!({ "membership": "invite", "third_party_invite": invite });
        let composed = room
            .compose(&state(ALICE, "m.room.member", BOB, content))
            .unwrap();
        let parts = redacted(&room.rules, &composed);
        let client: Value = serde_json::from_slice(&pdu_json(&parts.client, b"")).unwrap();
        let kept = (version >= 11).then(|| json!({ "signed": invite["signed"] }));
        assert_eq!(
            client["content"].get("third_party_invite").cloned(),
            kept,
            "version {version}"
        );
    }
}

#[test]
fn top_level_members_keep_what_their_version_lists() {
    let protected = [
        "auth_events",
        "content",
        "depth",
        "event_id",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "signatures",
        "state_key",
        "type",
    ];
    for version in VERSIONS {
        let mut pdu =
            json!({ "content": { "body": "b" }, "sender": ALICE, "type": "m.room.message" });
        for name in protected {
            if pdu.get(name).is_none() {
                pdu[name] = json!({});
            }
        }
        for name in [
            "origin",
            "membership",
            "prev_state",
            "redacts",
            "org.example.more",
        ] {
            pdu[name] = json!("x");
        }
        let object: CanonicalJsonObject = serde_json::from_value(pdu).unwrap();
        let rules = rules(version);
        let parts = Parts::of(&object, &rules).unwrap();
        let event_id = "$e:example.org".try_into().unwrap();
        let parts = rules
            .redact(event_id, &parts.client, &parts.federation)
            .unwrap();
        let left: BTreeMap<String, Value> = serde_json::from_slice(&parts.pdu_json()).unwrap();
        let mut expected = protected.to_vec();
        if version < 11 {
            expected.extend(["membership", "origin", "prev_state"]);
        }
        expected.sort_unstable();
        assert_eq!(
            left.keys().collect::<Vec<_>>(),
            expected,
            "version {version}"
        );
        assert_eq!(left["content"], json!({}));
    }
}

#[test]
fn a_redacted_event_keeps_its_id_and_its_signature() {
    for version in VERSIONS {
        let room = Room::new(version);
        let composed = room
            .compose(&message(
                ALICE,
                "m.room.message",
                json!({ "body": "secret" }),
            ))
            .unwrap();
        let parts = redacted(&room.rules, &composed);
        let object: BTreeMap<String, CanonicalJsonValue> =
            serde_json::from_slice(&parts.pdu_json()).unwrap();
        let hash = |parts: &Parts| {
            let object = serde_json::from_slice(&parts.pdu_json()).unwrap();
            ruma::signatures::reference_hash(&object, room.rules.as_ruma()).unwrap()
        };
        assert_eq!(hash(&parts), hash(&composed.parts), "version {version}");

        let key = Base64::new(signer("example.org").key_pair().public_key().to_vec());
        let keys = [(
            "example.org".to_owned(),
            BTreeMap::from([("ed25519:1".to_owned(), key)]),
        )]
        .into();
        assert_eq!(
            verify_event(&keys, &object, room.rules.as_ruma()).unwrap(),
            Verified::Signatures
        );

        let again = room
            .rules
            .redact(&composed.pdu.event_id, &parts.client, &parts.federation)
            .unwrap();
        assert_eq!(again, parts);
        assert!(
            !String::from_utf8(parts.client.clone())
                .unwrap()
                .contains("secret")
        );
        let pdu = room
            .rules
            .parse(&composed.pdu.event_id, &parts.client, &parts.federation)
            .unwrap();
        assert_eq!(pdu.content.get(), "{}");
    }
}

#[test]
fn the_deepest_event_can_be_redacted() {
    let mut content = json!({});
    for _ in 1..crate::canonical::MAX_NESTING {
        content = json!({ "a": content });
    }
    let room = Room::new(12);
    let composed = room
        .compose(&message(ALICE, "m.room.message", content))
        .unwrap();
    redacted(&room.rules, &composed);
}

#[test]
fn a_redaction_takes_effect_by_power_or_by_server() {
    for version in VERSIONS {
        let room = Room::new(version);
        let create = room.rules.create(&room.create).unwrap();
        let levels = room.rules.power_levels(&create, None).unwrap();
        let applies = |redactor: &str, sender: &str| {
            room.rules
                .redaction_applies(&levels, &user(redactor), &user(sender))
        };
        assert!(applies(ALICE, EVE));
        assert!(applies(BOB, BOB));
        assert!(applies(BOB, ALICE));
        assert_eq!(applies(EVE, ALICE), version < 3, "version {version}");
        assert_eq!(applies(BOB, EVE), version < 3, "version {version}");
    }
}

#[test]
fn what_is_no_event_is_an_error() {
    let event_id = "$e".try_into().unwrap();
    assert!(rules(12).redact(event_id, b"\"content\":", b"").is_err());
    assert!(rules(12).redact(event_id, b"\"content\":{}", b"").is_err());
    assert!(rules(12).redact(event_id, b"\xff", b"").is_err());
}
