//! Bytes sort as their values do, and every row comes back as it was.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    rows::{
        AccountDataRow, Cause, EventRow, MemberRow, Membership, MembershipLogRow, ReceiptRow,
        RoomHeadRow, StateChangeRow, StateRef, StateRow, TimelineRow, UserRoomRow,
    },
    tables::{self, Raw},
};

fn encode(value: &impl Encode) -> Vec<u8> {
    let mut encoder = Encoder::default();
    value.encode(&mut encoder);
    encoder.bytes
}

fn decode<T: Decode>(bytes: &[u8]) -> Result<T, CorruptRow> {
    T::decode(&mut Decoder::new(bytes))
}

/// Encodes and decodes; every shorter run of bytes decodes to an error or to something else, without a panic.
fn check<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = encode(value);
    assert_eq!(decode::<T>(&bytes).unwrap(), *value);
    for length in 0..bytes.len() {
        if let Ok(other) = decode::<T>(&bytes[..length]) {
            assert_ne!(other, *value, "cut to {length} of {} bytes", bytes.len());
        }
    }
}

fn positions() -> impl Strategy<Value = Pos> {
    (i64::MIN..Pos::MAX.0).prop_map(Pos)
}

proptest! {
    #[test]
    fn key_parts_round_trip(
        numbers in any::<(u8, u16, u32, u64)>(),
        pos in positions(),
        text in any::<String>(),
        tail in any::<Vec<u8>>(),
    ) {
        check(&numbers);
        check(&(RoomNid(numbers.2), pos, text.clone(), Tail(tail)));
        check(&(text, pos));
    }

    #[test]
    fn byte_order_is_the_order_of_the_parts(
        a in (any::<u32>(), "[\0-\u{3}a]{0,4}", positions(), any::<Vec<u8>>()),
        b in (any::<u32>(), "[\0-\u{3}a]{0,4}", positions(), any::<Vec<u8>>()),
        same_number: bool,
    ) {
        let (a, mut b) = ((a.0, a.1, a.2, Tail(a.3)), (b.0, b.1, b.2, Tail(b.3)));
        if same_number {
            b.0 = a.0;
        }
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
    }

    #[test]
    fn rows_never_panic_on_foreign_bytes(bytes in any::<Vec<u8>>()) {
        let _ = decode::<EventRow>(&bytes);
        let _ = decode::<TimelineRow>(&bytes);
        let _ = decode::<RoomHeadRow>(&bytes);
        let _ = decode::<MembershipLogRow>(&bytes);
        let _ = decode::<ReceiptRow>(&bytes);
        let _ = decode::<StateChangeRow>(&bytes);
        let _ = decode::<(RoomNid, UserNid, u8, String)>(&bytes);
    }
}

#[test]
fn backfilled_positions_sort_before_live_ones() {
    let order = [Pos::MIN, Pos(-2), Pos(-1), Pos::ZERO, Pos(1), Pos::MAX];
    let bytes: Vec<Vec<u8>> = order.iter().map(encode).collect();
    assert!(bytes.is_sorted());
}

#[test]
fn an_unassigned_position_sorts_after_every_other() {
    assert!(Pos::MAX < Pos::unassigned(0));
    assert_eq!(Pos::MAX.unassigned_index(), None);
    assert_eq!(Pos::unassigned(7).unassigned_index(), Some(7));
    assert_eq!(Pos::unassigned(u16::MAX).unassigned_index(), Some(u16::MAX));
}

#[test]
fn text_with_a_bad_escape_is_corrupt() {
    assert!(decode::<String>(&[b'a', 0, 2]).is_err());
    assert!(decode::<String>(b"a").is_err());
    assert!(decode::<String>(&[0xC3, 0, 1]).is_err());
}

#[test]
fn rows_round_trip() {
    let member = MemberRow {
        membership: Membership::Knock,
        rsn: Rsn(7),
        pos: Pos(8),
    };
    check(&EventRow {
        pos: Pos(3),
        state_before: StateRef::Line(Pos(2)),
        redacted_by: Rsn::NONE,
        replaces: Rsn(1),
        event_id: "$event".into(),
        transaction: ("DEVICE".into(), "txn".into()),
        client: Bytes::from_static(b"\"type\":\"m.room.message\""),
        federation: Bytes::from_static(b"\"depth\":3"),
    });
    check(&StateRow {
        rsn: Rsn(1),
        pos: Pos(2),
    });
    check(&StateChangeRow {
        key: StateKeyNid(1),
        new: Rsn(2),
        old: Rsn::NONE,
        cause: Cause::Resolution,
    });
    check(&member);
    check(&UserRoomRow {
        member,
        forgotten: true,
    });
    for before in [None, Some(Membership::Join)] {
        check(&MembershipLogRow {
            room: RoomNid(1),
            membership: Membership::Ban,
            before,
        });
    }
    check(&RoomHeadRow {
        version: "12".into(),
        last_rsn: Rsn(9),
        last_pos: Pos(10),
        depth: 11,
        forward_extremities: vec![Rsn(8), Rsn(9)],
        joined: 2,
        invited: 1,
        notifying: 5,
        highlighting: 4,
    });
    check(&AccountDataRow {
        pos: Pos(1),
        content: Bytes::from_static(b"{}"),
    });
    check(&ReceiptRow {
        pos: Pos(4),
        event_pos: Pos(3),
        ts: 1_700_000_000_000,
        event_id: "$event".into(),
    });
    check(&Raw(Bytes::from_static(b"{\"a\":1}")));
}

#[test]
fn memberships_keep_the_words_of_the_spec() {
    for word in ["join", "invite", "leave", "ban", "knock"] {
        assert_eq!(Membership::parse(word).unwrap().as_str(), word);
    }
    assert_eq!(Membership::parse("Join"), None);
}

#[test]
fn no_two_tables_share_a_prefix() {
    let mut places: Vec<_> = tables::ALL
        .iter()
        .map(|(_, family, prefix)| (*family, *prefix))
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), tables::ALL.len());
}
