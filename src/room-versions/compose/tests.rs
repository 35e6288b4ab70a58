use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, EventId,
    serde::Base64,
    signatures::{PublicKeyMap, Verified, verify_event},
    state_res::{Event, check_pdu_format},
};
use serde_json::{Value, json, value::RawValue};

use super::{BuildError, Composed, Draft, MAX_ID_BYTES, MAX_PDU_BYTES, MAX_PREV_EVENTS, Reference};
use crate::{
    Parts,
    canonical::MAX_NESTING,
    fixture::{
        ALICE, BOB, EVE, Room, Send, VERSIONS, create, create_exactly, join, join_rule, message,
        raw, rules, signer, state, user,
    },
    pdu_json,
};

fn keys(servers: &[&str]) -> PublicKeyMap {
    let set = |server: &str| {
        let key = Base64::new(signer(server).key_pair().public_key().to_vec());
        (
            server.to_owned(),
            BTreeMap::from([("ed25519:1".to_owned(), key)]),
        )
    };
    servers.iter().map(|server| set(server)).collect()
}

fn object(parts: &Parts) -> CanonicalJsonObject {
    serde_json::from_slice(&parts.pdu_json()).unwrap()
}

/// Composes a message of ALICE's with this content, as text.
fn text(room: &Room, content: &str) -> Result<Composed, BuildError> {
    let content = RawValue::from_string(content.to_owned()).unwrap();
    room.rules
        .compose(&draft(room, &content), &signer("example.org"))
}

/// A message of ALICE's, to be changed.
fn draft<'a>(room: &'a Room, content: &'a RawValue) -> Draft<'a> {
    Draft {
        room_id: Some(&room.create.room_id),
        sender: &room.create.sender,
        event_type: "m.room.message",
        state_key: None,
        content,
        redacts: None,
        origin_server_ts: 1_700_000_000_000,
        prev_events: &[],
        auth_events: &[],
        depth: 3,
        opaque_id: Some("opaque"),
    }
}

#[test]
fn events_verify_in_every_version() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        room.put(&join_rule("public"));
        let sends = [
            message(
                ALICE,
                "m.room.message",
                json!({ "body": "Größe 🦀 \u{1f} \" \\ / \u{7f}", "n": -1 }),
            ),
            state(
                ALICE,
                "m.room.topic",
                "",
                json!({ "z": [1, { "y": null, "a": true }], "a": {} }),
            ),
            join(EVE),
            Send {
                redacts: Some(EventId::parse("$e:example.org").unwrap()),
                ..message(ALICE, "m.room.redaction", json!({}))
            },
        ];
        let mut composed: Vec<Composed> = sends
            .iter()
            .map(|send| room.compose(send).unwrap())
            .collect();
        composed.push(create(&room.rules, ALICE, &json!({})).unwrap());
        for Composed { pdu, parts } in composed {
            let object = object(&parts);
            check_pdu_format(&object, &room.rules.as_ruma().event_format).unwrap();
            let keys = keys(&["example.org", "other.example"]);
            let verified = verify_event(&keys, &object, room.rules.as_ruma()).unwrap();
            assert_eq!(
                verified,
                Verified::All,
                "version {version}: {}",
                pdu.event_type
            );

            let hash = ruma::signatures::reference_hash(&object, room.rules.as_ruma()).unwrap();
            if version >= 3 {
                assert_eq!(pdu.event_id.as_str(), format!("${hash}"));
                assert!(!object.contains_key("event_id"));
            } else {
                assert_eq!(object["event_id"].as_str(), Some(pdu.event_id.as_str()));
                assert_eq!(pdu.reference().sha256.as_deref(), Some(hash.as_str()));
                let server = pdu.sender.server_name();
                assert!(
                    pdu.event_id.as_str().ends_with(&format!(":{server}")),
                    "{}",
                    pdu.event_id
                );
            }
        }
    }
}

#[test]
fn a_stored_event_reads_as_it_was_composed() {
    for version in VERSIONS {
        let mut room = Room::new(version);
        let target = EventId::parse("$target:example.org").unwrap();
        let send = Send {
            redacts: Some(target.clone()),
            ..message(ALICE, "m.room.redaction", json!({ "reason": "r" }))
        };
        let Composed { pdu, parts } = room.compose(&send).unwrap();
        let read = room
            .rules
            .parse(&pdu.event_id, &parts.client, &parts.federation)
            .unwrap();
        assert_eq!(read.event_id, pdu.event_id);
        assert_eq!(read.room_id, room.create.room_id);
        assert_eq!(read.sender, ALICE);
        assert_eq!(read.event_type.to_string(), "m.room.redaction");
        assert_eq!(read.state_key, None);
        assert_eq!(read.redacts, Some(target));
        assert_eq!(read.depth, 3);
        assert_eq!(
            read.origin_server_ts.0,
            1_700_000_000_000_u64.try_into().unwrap()
        );
        assert_eq!(*read.prev_events, [room.latest.event_id.clone()]);
        let auth_events = if version < 12 { 2 } else { 1 };
        assert_eq!(read.auth_events.len(), auth_events, "version {version}");
        assert!(!read.rejected);

        let named = room.put(&state(ALICE, "m.room.name", "", json!({})));
        assert_eq!(named.state(), Some(("m.room.name".into(), "")));
    }
    let room = Room::new(12);
    let parts = room.compose(&join(BOB)).unwrap().parts;
    assert!(
        room.rules
            .parse(&room.create.event_id, b"", &parts.federation)
            .is_err()
    );
    assert!(
        room.rules
            .parse(&room.create.event_id, &parts.client, b"\"depth\":1")
            .is_err()
    );
    assert!(
        Room::new(11)
            .rules
            .parse(
                &room.create.event_id,
                &parts.client,
                br#""depth":1,"auth_events":[],"prev_events":[]"#
            )
            .is_err()
    );
}

#[test]
fn version_12_names_the_room_after_its_create_event() {
    for version in VERSIONS {
        let room = Room::new(version);
        let id_of_event = room.create.event_id.as_str().replacen('$', "!", 1);
        assert_eq!(room.create.room_id.as_str() == id_of_event, version == 12);
        assert_eq!(Event::room_id(&*room.create).is_none(), version == 12);
        assert_eq!(
            room.rules
                .room_id_of_create(&room.create.event_id)
                .is_some(),
            version == 12
        );
        assert_eq!(room.latest.room_id, room.create.room_id);
        assert_eq!(Event::room_id(&*room.latest), Some(&*room.create.room_id));
    }
}

#[test]
fn redacts_stands_where_the_version_wants_it() {
    for version in VERSIONS {
        let room = Room::new(version);
        let send = Send {
            redacts: Some(EventId::parse("$e:example.org").unwrap()),
            ..message(ALICE, "m.room.redaction", json!({ "reason": "spam" }))
        };
        let parts = room.compose(&send).unwrap().parts;
        let client: Value = serde_json::from_slice(&pdu_json(&parts.client, b"")).unwrap();
        let top = (version < 11).then(|| json!("$e:example.org"));
        let inner = (version >= 11).then(|| json!("$e:example.org"));
        assert_eq!(client.get("redacts").cloned(), top, "version {version}");
        assert_eq!(
            client["content"].get("redacts").cloned(),
            inner,
            "version {version}"
        );
        assert_eq!(client["content"]["reason"], "spam");
    }
}

#[test]
fn contents_are_canonical_json() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let arrays = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let good = [
        "{}".to_owned(),
        r#"{"n":9007199254740991,"m":-9007199254740991}"#.to_owned(),
        r#" { "a" : [ null , true , "\u0000" ] } "#.to_owned(),
        nested(MAX_NESTING),
        arrays(MAX_NESTING - 1),
    ];
    let bad = [
        "[]".to_owned(),
        "\"x\"".to_owned(),
        "null".to_owned(),
        r#"{"n":9007199254740992}"#.to_owned(),
        r#"{"n":-9007199254740992}"#.to_owned(),
        r#"{"n":18446744073709551615}"#.to_owned(),
        r#"{"n":1.5}"#.to_owned(),
        r#"{"n":1.0}"#.to_owned(),
        r#"{"n":1e2}"#.to_owned(),
        r#"{"n":-0}"#.to_owned(),
        r#"{"a":[{"b":0.1}]}"#.to_owned(),
        r#"{"a":"\ud800"}"#.to_owned(),
        nested(MAX_NESTING + 1),
        arrays(MAX_NESTING),
        nested(120),
        arrays(20_000),
    ];
    for version in VERSIONS {
        let room = Room::new(version);
        for content in &good {
            text(&room, content)
                .unwrap_or_else(|error| panic!("version {version}: {content}: {error}"));
        }
        for content in &bad {
            let result = text(&room, content);
            assert!(
                matches!(result, Err(BuildError::NotCanonical(_))),
                "version {version}: {content}"
            );
        }
    }
}

#[test]
fn a_content_is_kept_in_canonical_form() {
    let room = Room::new(12);
    let composed = text(
        &room,
        r#"{ "b": "\u0041\/", "a": { "d": 1, "c": [ ] }, "a b": 2 }"#,
    )
    .unwrap();
    let content = r#"{"a":{"c":[],"d":1},"a b":2,"b":"A/"}"#;
    assert_eq!(composed.pdu.content.get(), content);
    assert!(
        String::from_utf8(composed.parts.client)
            .unwrap()
            .starts_with(&format!("\"content\":{content},"))
    );
}

#[test]
fn size_limits() {
    let too_large = |result: Result<Composed, BuildError>, expected: &str| match result {
        Err(BuildError::TooLarge { what, .. }) => assert_eq!(what, expected),
        other => panic!("{expected}: {other:?}"),
    };
    for version in VERSIONS {
        let room = Room::new(version);
        let content = raw(&json!({}));
        let compose = |draft: &Draft<'_>| room.rules.compose(draft, &signer("example.org"));
        let (fits, long) = ("é".repeat(127) + "x", "é".repeat(128));
        assert_eq!((fits.len(), long.len()), (MAX_ID_BYTES, MAX_ID_BYTES + 1));

        assert!(
            compose(&Draft {
                event_type: &fits,
                ..draft(&room, &content)
            })
            .is_ok()
        );
        too_large(
            compose(&Draft {
                event_type: &long,
                ..draft(&room, &content)
            }),
            "type",
        );
        assert!(
            compose(&Draft {
                state_key: Some(&fits),
                ..draft(&room, &content)
            })
            .is_ok()
        );
        too_large(
            compose(&Draft {
                state_key: Some(&long),
                ..draft(&room, &content)
            }),
            "state_key",
        );
        if version < 3 {
            too_large(
                compose(&Draft {
                    opaque_id: Some(&long),
                    ..draft(&room, &content)
                }),
                "event_id",
            );
        }

        let padded =
            |padding: usize| text(&room, &format!(r#"{{"body":"{}"}}"#, "x".repeat(padding)));
        let around = padded(0).unwrap().parts.pdu_json().len();
        let largest = padded(MAX_PDU_BYTES - around).unwrap();
        assert_eq!(largest.parts.pdu_json().len(), MAX_PDU_BYTES);
        too_large(padded(MAX_PDU_BYTES - around + 1), "the event");
        too_large(padded(10 * MAX_PDU_BYTES), "the event");
    }
}

#[test]
fn another_servers_signature_is_not_ours_to_give() {
    let foreign = |result: Result<Composed, BuildError>| match result {
        Err(BuildError::ForeignSignature(server)) => server.to_string(),
        other => panic!("{other:?}"),
    };
    for version in VERSIONS {
        let room = Room::new(version);
        let content = raw(&json!({}));
        let eve = user(EVE);
        let draft = Draft {
            sender: &eve,
            ..draft(&room, &content)
        };
        assert_eq!(
            foreign(room.rules.compose(&draft, &signer("example.org"))),
            "other.example"
        );

        let via = json!({ "membership": "join", "join_authorised_via_users_server": EVE });
        let result = room.compose(&state(BOB, "m.room.member", BOB, via));
        if version < 8 {
            assert!(result.is_ok(), "version {version}");
        } else {
            assert_eq!(foreign(result), "other.example");
        }
    }
}

#[test]
fn a_draft_has_to_fit_its_version() {
    for version in VERSIONS {
        let room = Room::new(version);
        let content = raw(&json!({}));
        let fails = |draft: &Draft<'_>| {
            matches!(
                room.rules.compose(draft, &signer("example.org")),
                Err(BuildError::Draft(_))
            )
        };
        let bare = Reference::to(room.create.event_id.clone());
        let many = vec![room.create.reference(); MAX_PREV_EVENTS + 1];
        assert!(!fails(&draft(&room, &content)));
        assert!(!fails(&Draft {
            prev_events: &many[1..],
            ..draft(&room, &content)
        }));
        assert!(fails(&Draft {
            prev_events: &many,
            ..draft(&room, &content)
        }));
        assert!(fails(&Draft {
            auth_events: &many[10..],
            ..draft(&room, &content)
        }));
        assert!(fails(&Draft {
            room_id: None,
            ..draft(&room, &content)
        }));
        assert_eq!(
            fails(&Draft {
                prev_events: &[bare],
                ..draft(&room, &content)
            }),
            version < 3
        );
        assert_eq!(
            fails(&Draft {
                opaque_id: None,
                ..draft(&room, &content)
            }),
            version < 3
        );
        let create = Draft {
            event_type: "m.room.create",
            state_key: Some(""),
            ..draft(&room, &content)
        };
        assert_eq!(fails(&create), version == 12);
        assert!(
            fails(&Draft {
                event_type: "m.room.create",
                room_id: None,
                ..draft(&room, &content)
            }) != (version == 12)
        );
    }
}

#[test]
fn numbers_stay_within_the_canonical_range() {
    let room = Room::new(12);
    let content = raw(&json!({}));
    let deep = Draft {
        depth: u64::MAX,
        ..draft(&room, &content)
    };
    assert_eq!(
        room.rules
            .compose(&deep, &signer("example.org"))
            .unwrap()
            .pdu
            .depth,
        9_007_199_254_740_991
    );
    let late = Draft {
        origin_server_ts: 1 << 53,
        ..draft(&room, &content)
    };
    let result = room.rules.compose(&late, &signer("example.org"));
    assert!(matches!(result, Err(BuildError::NotCanonical(_))));
}

#[test]
fn references_carry_a_hash_in_versions_1_and_2() {
    for version in VERSIONS {
        let room = Room::new(version);
        let parts = room
            .compose(&message(ALICE, "m.room.message", json!({})))
            .unwrap()
            .parts;
        let pdu: Value = serde_json::from_slice(&parts.pdu_json()).unwrap();
        let id = room.latest.event_id.as_str();
        let expected = match room.latest.reference().sha256 {
            Some(sha256) => json!([[id, { "sha256": sha256 }]]),
            None => json!([id]),
        };
        assert_eq!(pdu["prev_events"], expected);
        assert_eq!(room.latest.reference().sha256.is_some(), version < 3);
    }
}

#[test]
fn the_same_seed_is_the_same_key() {
    // The key of the spec's test vectors: https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors
    let seed = Base64::<ruma::serde::base64::Standard>::parse(
        "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
    )
    .unwrap();
    let seed: [u8; 32] = seed.as_bytes().try_into().unwrap();
    let signer =
        super::Signer::from_seed("domain".try_into().unwrap(), &seed, "1".to_owned()).unwrap();
    let mut object = CanonicalJsonObject::new();
    ruma::signatures::sign_json("domain", signer.key_pair(), &mut object).unwrap();
    let signature =
        "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ";
    assert_eq!(
        serde_json::to_value(object).unwrap(),
        json!({ "signatures": { "domain": { "ed25519:1": signature } } })
    );
    assert!(!format!("{signer:?}").contains("key_pair:"));
}

#[test]
fn every_member_lands_in_one_part() {
    let pdus = [
        json!({ "content": {}, "type": "m.room.message" }),
        json!({ "auth_events": [] }),
        json!({
            "auth_events": ["$a"], "content": { "b": 1, "a": "\u{e9}" }, "depth": 3, "hashes": { "sha256": "x" },
            "origin": "example.org", "origin_server_ts": 1, "prev_events": [], "prev_state": [], "room_id": "!r",
            "sender": ALICE, "signatures": {}, "state_key": "\"", "type": "m.\"x\\", "redacts": "$b", "org.example\"": {},
        }),
    ];
    for version in VERSIONS {
        for pdu in &pdus {
            let mut received = pdu.clone();
            received["unsigned"] = json!({ "age": 1 });
            let received: CanonicalJsonObject = serde_json::from_value(received).unwrap();
            let parts = Parts::of(&received, &rules(version)).unwrap();
            let joined: Value = serde_json::from_slice(&parts.pdu_json()).unwrap();
            assert_eq!(&joined, pdu);
            let client: BTreeMap<String, Value> =
                serde_json::from_slice(&pdu_json(&parts.client, b"")).unwrap();
            let clients = [
                "content",
                "origin_server_ts",
                "redacts",
                "sender",
                "state_key",
                "type",
            ];
            for name in client.keys() {
                assert!(
                    clients.contains(&name.as_str()) && (version < 11 || name != "redacts"),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_create_event_keeps_its_content() {
    let content = json!({ "creator": ALICE, "type": "m.space" });
    for version in VERSIONS {
        let create = create_exactly(&rules(version), ALICE, "!r:example.org", &content).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(create.pdu.content.get()).unwrap(),
            content
        );
    }
}
