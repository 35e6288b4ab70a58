use serde_json::json;

use super::*;
use crate::fixture::{ALICE, Room, VERSIONS, message, rules, signer};

fn composed(version: usize) -> (Rules, crate::Composed) {
    let room = Room::new(version);
    let sent = message(ALICE, "m.room.message", json!({ "body": "as it was" }));
    let composed = room.compose(&sent).unwrap();
    (rules(version), composed)
}

fn claim(audit: &Audit) -> &Claim {
    match &audit.signature {
        SignatureState::Claimed(claim) => claim,
        other => panic!("{other:?}"),
    }
}

fn is_right(key: &PublicKey, audit: &Audit) -> bool {
    key.verify(&[claim(audit)]) == [true]
}

#[test]
fn an_event_as_it_was_signed_passes_in_every_version() {
    let key = signer("example.org").public_key();
    for version in VERSIONS {
        let (rules, composed) = composed(version);
        let parts = &composed.parts;
        let audit = rules
            .audit(&parts.client, &parts.federation, Some(&key))
            .unwrap();
        assert!(audit.content_hash_matches, "{version}");
        assert_eq!(audit.event_id, composed.pdu.event_id.as_str(), "{version}");
        assert!(is_right(&key, &audit), "{version}");
        // What a redaction leaves keeps its id and its signature.
        let redacted = rules
            .redact(&composed.pdu.event_id, &parts.client, &parts.federation)
            .unwrap();
        let audit = rules
            .audit(&redacted.client, &redacted.federation, Some(&key))
            .unwrap();
        assert!(!audit.content_hash_matches, "{version}");
        assert_eq!(audit.event_id, composed.pdu.event_id.as_str(), "{version}");
        assert!(is_right(&key, &audit), "{version}");
    }
}

#[test]
fn whatever_is_changed_is_noticed() {
    let key = signer("example.org").public_key();
    for version in VERSIONS {
        let (rules, composed) = composed(version);
        let changed = |run: &[u8], from: &str, to: &str| {
            let text = String::from_utf8(run.to_vec()).unwrap();
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1).into_bytes()
        };
        let parts = &composed.parts;
        let content = changed(&parts.client, "as it was", "as it is!");
        let audit = rules
            .audit(&content, &parts.federation, Some(&key))
            .unwrap();
        assert!(!audit.content_hash_matches, "{version}");
        let depth = changed(&parts.federation, "\"depth\":3", "\"depth\":4");
        let audit = rules.audit(&parts.client, &depth, Some(&key)).unwrap();
        assert!(!audit.content_hash_matches, "{version}");
        assert!(!is_right(&key, &audit), "{version}");
        if rules.event_id_is_hash() {
            assert_ne!(audit.event_id, composed.pdu.event_id.as_str(), "{version}");
        }
        assert!(rules.audit(b"\"type\":", &parts.federation, None).is_err());
    }
}

#[test]
fn other_servers_and_other_keys_are_told_apart() {
    let (rules, composed) = composed(11);
    let audit = |key: &PublicKey| {
        let parts = &composed.parts;
        let audit = rules.audit(&parts.client, &parts.federation, Some(key));
        audit.unwrap().signature
    };
    let mut key = signer("example.org").public_key();
    key.key_id = "ed25519:older".to_owned();
    assert_eq!(audit(&key), SignatureState::Unknown);
    assert_eq!(
        audit(&signer("other.example").public_key()),
        SignatureState::Missing
    );
}

#[test]
fn of_many_the_wrong_ones_are_named() {
    let key = signer("example.org").public_key();
    let room = Room::new(12);
    let rules = rules(12);
    let audits: Vec<_> = (0..3 * AT_ONCE)
        .map(|number| {
            let sent = message(ALICE, "m.room.message", json!({ "body": number }));
            let parts = room.compose(&sent).unwrap().parts;
            let audit = rules.audit(&parts.client, &parts.federation, Some(&key));
            audit.unwrap()
        })
        .collect();
    let mut claims: Vec<Claim> = audits.iter().map(|audit| claim(audit).clone()).collect();
    let verify = |claims: &[Claim]| key.verify(&claims.iter().collect::<Vec<_>>());
    assert!(verify(&claims).iter().all(|right| *right));
    claims[7].signed.push(' ');
    claims[AT_ONCE].signature = None;
    claims[AT_ONCE + 3].signature = claims[AT_ONCE + 4].signature;
    let wrong: Vec<_> = verify(&claims)
        .iter()
        .enumerate()
        .filter_map(|(at, right)| (!right).then_some(at))
        .collect();
    assert_eq!(wrong, [7, AT_ONCE, AT_ONCE + 3]);
    let none = PublicKey {
        key: vec![1, 2, 3],
        ..key
    };
    assert_eq!(none.verify(&[&claims[0]]), [false]);
}

#[test]
fn the_id_is_the_one_that_the_rules_give() {
    for version in VERSIONS {
        let (rules, composed) = composed(version);
        let parts = &composed.parts;
        let json = pdu_json(&parts.client, &parts.federation);
        let pdu = canonical::object(str::from_utf8(&json).unwrap()).unwrap();
        let hash = ruma::signatures::reference_hash(&pdu, &rules.ruma).unwrap();
        let audit = rules.audit(&parts.client, &parts.federation, None).unwrap();
        if rules.event_id_is_hash() {
            assert_eq!(audit.event_id, format!("${hash}"), "{version}");
        }
    }
}
