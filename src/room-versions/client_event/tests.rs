use ruma::EventId;
use serde_json::{Value, json};

use super::{Unsigned, write_client_event};
use crate::fixture::{ALICE, BOB, Room, Send, VERSIONS, message, state};

fn client_event(
    client: &[u8],
    event_id: &str,
    room_id: Option<&str>,
    unsigned: &Unsigned<'_>,
) -> Value {
    let mut out = b"[".to_vec();
    write_client_event(&mut out, client, event_id, room_id, unsigned);
    out.push(b']');
    let mut events: Vec<Value> = serde_json::from_slice(&out).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn client(version: usize, send: &Send) -> Vec<u8> {
    Room::new(version).compose(send).unwrap().parts.client
}

#[test]
fn clients_see_the_event_and_nothing_of_the_federation() {
    for version in VERSIONS {
        let sent = client(
            version,
            &message(ALICE, "m.room.message", json!({ "body": "\"hi\"" })),
        );
        let expected = json!({
            "content": { "body": "\"hi\"" }, "event_id": "$e", "origin_server_ts": 1_700_000_000_000_u64, "sender": ALICE,
            "type": "m.room.message",
        });
        assert_eq!(
            client_event(&sent, "$e", None, &Unsigned::default()),
            expected
        );

        let named = client(
            version,
            &state(ALICE, "m.room.name", "", json!({ "name": "n" })),
        );
        let expected = json!({
            "content": { "name": "n" }, "event_id": "$e", "origin_server_ts": 1_700_000_000_000_u64, "room_id": "!r",
            "sender": ALICE, "state_key": "", "type": "m.room.name", "unsigned": { "age": 0 },
        });
        let unsigned = Unsigned {
            age_ms: Some(0),
            ..Unsigned::default()
        };
        assert_eq!(client_event(&named, "$e", Some("!r"), &unsigned), expected);
    }
}

#[test]
fn unsigned_has_what_there_is() {
    let sent = client(12, &message(ALICE, "m.room.message", json!({})));
    let unsigned = Unsigned {
        age_ms: Some(1234),
        transaction_id: Some("t\"1"),
        membership: Some("join"),
        replaces_state: Some("$old"),
        prev_content: Some(b"{\"name\":\"o\"}"),
        prev_sender: Some(BOB),
        redacted_because: Some(b"{\"type\":\"m.room.redaction\"}"),
        relations: Some(b"{\"m.thread\":{}}"),
    };
    let expected = json!({
        "age": 1234, "transaction_id": "t\"1", "membership": "join", "replaces_state": "$old",
        "prev_content": { "name": "o" }, "prev_sender": BOB, "redacted_because": { "type": "m.room.redaction" },
        "m.relations": { "m.thread": {} },
    });
    assert_eq!(
        client_event(&sent, "$e", None, &unsigned)["unsigned"],
        expected
    );
    let one = Unsigned {
        relations: Some(b"{}"),
        ..Unsigned::default()
    };
    assert_eq!(
        client_event(&sent, "$e", None, &one)["unsigned"],
        json!({ "m.relations": {} })
    );
}

#[test]
fn a_redaction_names_its_target_in_both_places() {
    for version in VERSIONS {
        let redaction = Send {
            redacts: Some(EventId::parse("$target:example.org").unwrap()),
            ..message(ALICE, "m.room.redaction", json!({ "reason": "spam" }))
        };
        let event = client_event(
            &client(version, &redaction),
            "$e",
            Some("!r"),
            &Unsigned::default(),
        );
        let expected = json!({
            "content": { "reason": "spam", "redacts": "$target:example.org" }, "event_id": "$e",
            "origin_server_ts": 1_700_000_000_000_u64, "redacts": "$target:example.org", "room_id": "!r", "sender": ALICE,
            "type": "m.room.redaction",
        });
        assert_eq!(event, expected, "version {version}");

        // Where the target stands at the top level, a content that claims another is corrected.
        let lying = Send {
            content: json!({ "redacts": "$other" }),
            ..redaction
        };
        let event = client_event(&client(version, &lying), "$e", None, &Unsigned::default());
        assert_eq!(event["redacts"], "$target:example.org", "version {version}");
        assert_eq!(
            event["content"],
            json!({ "redacts": "$target:example.org" }),
            "version {version}"
        );
    }
}

#[test]
fn a_redaction_without_a_target_stays_as_it_is() {
    for version in VERSIONS {
        let room = Room::new(version);
        let redaction = Send {
            redacts: Some(EventId::parse("$target:example.org").unwrap()),
            ..message(ALICE, "m.room.redaction", json!({}))
        };
        let composed = room.compose(&redaction).unwrap();
        let parts = room
            .rules
            .redact(
                &composed.pdu.event_id,
                &composed.parts.client,
                &composed.parts.federation,
            )
            .unwrap();
        let event = client_event(&parts.client, "$e", None, &Unsigned::default());
        // Redacting a redaction takes its target from version 10 back, and keeps it from 11 on.
        let target = (version >= 11).then(|| json!("$target:example.org"));
        assert_eq!(event.get("redacts").cloned(), target, "version {version}");
        assert_eq!(
            event["content"].get("redacts").cloned(),
            target,
            "version {version}"
        );
    }
}

#[test]
fn only_the_type_makes_a_redaction() {
    let trick = r#"x","type":"m.room.redaction"#;
    let content = json!({ "redacts": "$e" });
    for send in [
        message(ALICE, trick, content.clone()),
        state(ALICE, "org.example", trick, content.clone()),
        message(ALICE, "m.room.redactions", content.clone()),
        message(ALICE, "org.m.room.redaction", content),
    ] {
        let event = client_event(&client(12, &send), "$e", None, &Unsigned::default());
        assert_eq!(event["type"], send.event_type);
        assert!(event.get("redacts").is_none(), "{event}");
    }
}
